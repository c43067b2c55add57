#include "train/dataset_container.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "token/utf8.h"

/* ---- what a file is ---- */

static bool ends_with(const char *name, const char *ending) {
    size_t n = strlen(name), m = strlen(ending);
    return n > m && strcasecmp(name + n - m, ending) == 0;
}

static bool begins_with(const struct dataset_source *s, const char *bytes, size_t n) {
    return s->size >= n && memcmp(s->data, bytes, n) == 0;
}

/* Files that people take for data, and what to do with them. */
static hearth_status refuse_binary(const struct dataset_source *s, hearth_error *err) {
    static const struct {
        const char *magic;
        size_t n;
        const char *what;
    } kinds[] = {
        {"PAR1", 4, "a Parquet file; export it as JSON lines or CSV"},
        {"\x1f\x8b", 2, "compressed (gzip); decompress it first"},
        {"\x28\xb5\x2f\xfd", 4, "compressed (zstd); decompress it first"},
        {"PK\x03\x04", 4, "a zip archive or a spreadsheet; unpack it, or export it as CSV"},
        {"\xff\xfe", 2, "UTF-16 text; save it as UTF-8"},
        {"\xfe\xff", 2, "UTF-16 text; save it as UTF-8"},
        {"GGUF", 4, "a model, not data"},
        {"ARROW1", 6, "an Arrow file; export it as JSON lines or CSV"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (begins_with(s, kinds[i].magic, kinds[i].n))
            return error_set(err, HEARTH_ERROR_FORMAT, "it is %s", kinds[i].what);
    return HEARTH_OK;
}

static bool is_json_object(const char *text, size_t n) {
    json_t *value = json_loadb(text, n, 0, NULL);
    bool is_object = json_is_object(value);
    json_decref(value);
    return is_object;
}

/* '{' begins JSON lines, unless the object goes on over several lines. */
static hearth_status check_lines(const struct dataset_source *s, hearth_error *err) {
    struct record_span span;
    bool found;
    size_t at = s->first;
    for (int line = 0; line < 2; line++) {
        RETURN_IF_ERROR(jsonl_next(s, at, &span, &found, err));
        if (!found || span.end - span.begin > s->max_record_bytes) return HEARTH_OK;
        if (is_json_object(s->data + span.begin, span.end - span.begin)) return HEARTH_OK;
        /* a broken line that at least ends like one is for the checks that come later */
        if (line == 0 && s->data[span.end - 1] == '}' && span.end - span.begin > 1)
            return HEARTH_OK;
        at = span.next;
    }
    return error_set(err, HEARTH_ERROR_FORMAT,
                     "a JSON object over several lines; expected one array of records, or one "
                     "record per line");
}

static hearth_status detect(struct dataset_source *s, const char *name, char *reason, size_t size,
                            hearth_error *err) {
    size_t at = s->first;
    while (at < s->size && strchr(" \t\r\n", s->data[at]) && s->data[at])
        at++;
    char first = at < s->size ? s->data[at] : '\0';
    bool named_text = ends_with(name, ".txt") || ends_with(name, ".md");
    bool named_json =
        ends_with(name, ".jsonl") || ends_with(name, ".json") || ends_with(name, ".ndjson");
    if (ends_with(name, ".csv") || ends_with(name, ".tsv")) {
        s->container = CONTAINER_CSV;
        snprintf(reason, size, "the name ends in %s", strrchr(name, '.'));
    } else if (first == '[' && !named_text && !ends_with(name, ".jsonl")) {
        s->container = CONTAINER_JSON;
        snprintf(reason, size, "the first character is '['");
    } else if ((first == '{' && !named_text) || named_json) {
        s->container = CONTAINER_JSONL;
        snprintf(reason, size, first == '{' ? "the first character is '{'" : "the name says JSON");
        if (first == '{') return check_lines(s, err);
    } else {
        s->container = CONTAINER_TEXT;
        snprintf(reason, size,
                 named_text ? "the name ends in %s" : "it is neither JSON nor named %s",
                 named_text ? strrchr(name, '.') : ".csv");
    }
    return HEARTH_OK;
}

hearth_status container_open(struct dataset_source *s, const char *name,
                             enum dataset_container wanted, char *reason, size_t reason_size,
                             size_t *at, hearth_error *err) {
    s->has_bom = begins_with(s, "\xef\xbb\xbf", 3);
    s->first = *at = s->has_bom ? 3 : 0;
    s->header = NULL;
    RETURN_IF_ERROR(refuse_binary(s, err));
    if (s->first == s->size) return error_set(err, HEARTH_ERROR_FORMAT, "the file is empty");
    s->container = wanted;
    snprintf(reason, reason_size, "asked for");
    if (wanted == CONTAINER_AUTO) RETURN_IF_ERROR(detect(s, name, reason, reason_size, err));
    if (s->container == CONTAINER_JSON) return json_array_open(s, at, err);
    if (s->container == CONTAINER_CSV) return csv_open(s, at, err);
    return HEARTH_OK;
}

void container_close(struct dataset_source *s) {
    json_decref(s->header);
    s->header = NULL;
}

/* ---- records ---- */

hearth_status container_next(const struct dataset_source *s, size_t at, struct record_span *span,
                             bool *found, hearth_error *err) {
    switch (s->container) {
    case CONTAINER_JSON: return json_array_next(s, at, span, found, err);
    case CONTAINER_CSV: return csv_next(s, at, span, found, err);
    case CONTAINER_TEXT: return text_next(s, at, span, found, err);
    case CONTAINER_JSONL:
    case CONTAINER_AUTO: break;
    }
    return jsonl_next(s, at, span, found, err);
}

static hearth_status check_bytes(const char *data, size_t n, hearth_error *err) {
    uint32_t code;
    if (memchr(data, '\0', n))
        return error_set(err, HEARTH_ERROR_FORMAT, "a NUL byte at byte %zu of the record",
                         (size_t)((const char *)memchr(data, '\0', n) - data) + 1);
    for (size_t at = 0, length; at < n; at += length)
        if ((length = utf8_decode(data + at, n - at, &code)) == 0)
            return error_set(err, HEARTH_ERROR_FORMAT,
                             "not UTF-8: byte 0x%02x at byte %zu of the record; save the file as "
                             "UTF-8",
                             (unsigned char)data[at], at + 1);
    return HEARTH_OK;
}

hearth_status container_parse(const struct dataset_source *s, const struct record_span *span,
                              json_t **record, hearth_error *err) {
    const char *data = s->data + span->begin;
    size_t n = span->end - span->begin;
    *record = NULL;
    if (n > s->max_record_bytes)
        return error_set(err, HEARTH_ERROR_LIMIT,
                         "the record has %zu bytes, more than the limit of %zu (max_record_bytes)",
                         n, s->max_record_bytes);
    RETURN_IF_ERROR(check_bytes(data, n, err));
    if (s->container == CONTAINER_CSV) return csv_parse(s, span, record, err);
    if (s->container != CONTAINER_TEXT) return json_record_parse(data, n, record, err);
    *record = json_object();
    if (*record && json_object_set_new(*record, "text", json_stringn(data, n)) == 0)
        return HEARTH_OK;
    json_decref(*record);
    *record = NULL;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the record");
}
