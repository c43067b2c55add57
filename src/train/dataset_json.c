/* JSON lines, and one JSON array of records. */
#include <string.h>

#include "train/dataset_container.h"

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static size_t skip_space(const struct dataset_source *s, size_t at) {
    while (at < s->size && is_space(s->data[at]))
        at++;
    return at;
}

hearth_status jsonl_next(const struct dataset_source *s, size_t at, struct record_span *span,
                         bool *found, hearth_error *err) {
    (void)err;
    size_t begin = skip_space(s, at);
    *found = begin < s->size;
    if (!*found) return HEARTH_OK;
    const char *newline = memchr(s->data + begin, '\n', s->size - begin);
    size_t end = newline ? (size_t)(newline - s->data) : s->size;
    *span = (struct record_span){.begin = begin, .next = end + (newline != NULL)};
    while (is_space(s->data[end - 1]))
        end--;
    span->end = end;
    return HEARTH_OK;
}

/* ---- an array ---- */

/* After the value that begins at `at`: its closing bracket, or the comma or bracket behind
 * a bare word. s->size: it does not end. */
static size_t value_end(const struct dataset_source *s, size_t at) {
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = at; i < s->size; i++) {
        char c = s->data[i];
        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
            continue;
        }
        if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (depth == 0 && (c == ',' || c == ']' || c == '}')) {
            return i;
        } else if (c == '}' || c == ']') {
            if (--depth == 0) return i + 1;
        }
    }
    return s->size;
}

hearth_status json_array_open(struct dataset_source *s, size_t *at, hearth_error *err) {
    *at = skip_space(s, s->first);
    if (*at == s->size || s->data[*at] != '[')
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "a JSON file has to be one array of records and begin with '['; one "
                         "record per line is the format jsonl");
    s->first = *at + 1;
    return HEARTH_OK;
}

static hearth_status array_ends(const struct dataset_source *s, size_t at, struct record_span *span,
                                hearth_error *err) {
    span->begin = skip_space(s, at + 1);
    if (span->begin == s->size) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_FORMAT,
                     "something follows the array of records; a JSON file has to be one array");
}

hearth_status json_array_next(const struct dataset_source *s, size_t at, struct record_span *span,
                              bool *found, hearth_error *err) {
    size_t begin = skip_space(s, at);
    *span = (struct record_span){.begin = begin};
    *found = false;
    if (begin < s->size && s->data[begin] == ']') return array_ends(s, begin, span, err);
    size_t end = value_end(s, begin), next = skip_space(s, end);
    if (next == s->size)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "the record that begins here, or the array around it, is never closed; "
                         "the file is probably cut off");
    if (s->data[next] != ',' && s->data[next] != ']') {
        span->begin = next;
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "found '%c' where ',' or ']' was expected between records",
                         s->data[next] >= 0x20 && s->data[next] < 0x7F ? s->data[next] : '?');
    }
    while (end > begin && is_space(s->data[end - 1]))
        end--;
    *found = true;
    span->end = end;
    span->next = next + (s->data[next] == ',');
    return HEARTH_OK;
}

hearth_status json_record_parse(const char *text, size_t n, json_t **record, hearth_error *err) {
    json_error_t why = {0};
    *record = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (!*record && (why.text[0] == '\0' || json_error_code(&why) == json_error_out_of_memory))
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the record");
    if (!*record)
        return error_set(err, HEARTH_ERROR_FORMAT, "not JSON: %s (column %d%s)", why.text,
                         why.column, why.line > 1 ? ", some lines further" : "");
    if (json_is_object(*record)) return HEARTH_OK;
    json_decref(*record);
    *record = NULL;
    return error_set(err, HEARTH_ERROR_FORMAT,
                     "the record is not a JSON object; expected columns by name, as in "
                     "{\"instruction\": …, \"output\": …}");
}
