#include "cli/text_files.h"

#include <jansson.h>
#include <string.h>

#include "base/file.h"

struct reading {
    text_taker *take;
    void *context;
    size_t done;
};

/* ---- plain text ----------------------------------------------------------------------- */

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Where the part that begins at data[0] ends. */
static size_t part_length(const char *data, size_t n) {
    if (n <= TEXT_FILE_PART_BYTES) return n;
    for (size_t at = TEXT_FILE_PART_BYTES; at < n; at++)
        if (data[at - 1] == '\n' && !is_space(data[at])) return at;
    return n;
}

static hearth_status read_plain(struct reading *r, const char *data, size_t n, hearth_error *err) {
    for (size_t at = 0, length; at < n; at += length) {
        length = part_length(data + at, n - at);
        RETURN_IF_ERROR(r->take(r->context, data + at, length, at + length, err));
    }
    return HEARTH_OK;
}

/* ---- data sets ------------------------------------------------------------------------ */

static bool is_text_key(const char *key) {
    return strcmp(key, "text") == 0 || strcmp(key, "content") == 0 ||
           strcmp(key, "reasoning_content") == 0;
}

static hearth_status take_strings(struct reading *r, json_t *value, bool wanted, int depth,
                                  hearth_error *err) {
    if (json_is_string(value) && wanted)
        return r->take(r->context, json_string_value(value), json_string_length(value), r->done,
                       err);
    if (depth == TEXT_FILE_MAX_DEPTH)
        return error_set(err, HEARTH_ERROR_LIMIT, "values are nested deeper than %d", depth);
    const char *key;
    size_t i;
    json_t *item;
    if (json_is_array(value))
        json_array_foreach(value, i, item)
            RETURN_IF_ERROR(take_strings(r, item, wanted, depth + 1, err));
    if (json_is_object(value))
        json_object_foreach(value, key, item)
            RETURN_IF_ERROR(take_strings(r, item, is_text_key(key), depth + 1, err));
    return HEARTH_OK;
}

static hearth_status read_line(struct reading *r, const char *line, size_t n, hearth_error *err) {
    json_error_t why;
    size_t blank = 0;
    while (blank < n && is_space(line[blank]))
        blank++;
    if (blank == n) return HEARTH_OK;
    json_t *value = json_loadb(line, n, JSON_ALLOW_NUL, &why);
    if (!value) return error_set(err, HEARTH_ERROR_FORMAT, "not JSON: %s", why.text);
    hearth_status status = take_strings(r, value, false, 0, err);
    json_decref(value);
    return status;
}

static hearth_status read_lines(struct reading *r, const char *data, size_t n, hearth_error *err) {
    size_t number = 0;
    for (size_t at = 0; at < n; at = r->done) {
        const char *end = memchr(data + at, '\n', n - at);
        size_t length = end ? (size_t)(end - data) - at : n - at;
        r->done = at + length + (end != NULL);
        number++;
        hearth_status status = read_line(r, data + at, length, err);
        if (status != HEARTH_OK) return error_prefix(err, status, "line %zu", number);
    }
    return HEARTH_OK;
}

/* ---- files ----------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

hearth_status text_file_read(const char *path, text_taker *take, void *context, hearth_error *err) {
    struct file_map map;
    struct reading r = {.take = take, .context = context};
    RETURN_IF_ERROR(file_map_open(&map, path, err));
    const char *data = (const char *)map.data;
    hearth_status status = ends_with(path, ".jsonl") ? read_lines(&r, data, map.size, err)
                                                     : read_plain(&r, data, map.size, err);
    file_map_close(&map);
    return status == HEARTH_OK ? HEARTH_OK : error_prefix(err, status, "'%s'", path);
}
