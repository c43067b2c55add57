/* Comma-separated values (RFC 4180): a header line, quoted fields with doubled quotes and
 * line ends inside. Semicolons and tabs separate too, as spreadsheets export them. */
#include <string.h>

#include "base/buf.h"
#include "train/dataset_container.h"

/* After the field that begins at `at`: its delimiter, the end of its line or of the file;
 * s->size + 1 when a quote is not closed. */
static size_t field_end(const struct dataset_source *s, size_t at) {
    size_t i = at;
    if (i < s->size && s->data[i] == '"') {
        for (i++;; i += 2) {
            const char *quote = i < s->size ? memchr(s->data + i, '"', s->size - i) : NULL;
            if (!quote) return s->size + 1;
            i = (size_t)(quote - s->data);
            if (i + 1 == s->size || s->data[i + 1] != '"') break;
        }
        i++;
    }
    while (i < s->size && s->data[i] != s->delimiter && s->data[i] != '\n')
        i++;
    return i;
}

hearth_status csv_next(const struct dataset_source *s, size_t at, struct record_span *span,
                       bool *found, hearth_error *err) {
    while (at < s->size && (s->data[at] == '\n' || s->data[at] == '\r'))
        at++;
    *span = (struct record_span){.begin = at};
    *found = at < s->size;
    if (!*found) return HEARTH_OK;
    size_t end = field_end(s, at);
    while (end < s->size && s->data[end] == s->delimiter)
        end = field_end(s, end + 1);
    if (end > s->size) {
        *found = false;
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "the record that begins here has a quote that is never closed");
    }
    span->next = end + (end < s->size);
    span->end = end;
    return HEARTH_OK;
}

/* The field's text; a carriage return before the line's end is not part of it. */
static hearth_status field_text(const char *field, size_t n, bool last, struct buf *out,
                                hearth_error *err) {
    buf_clear(out);
    if (last && n > 0 && field[n - 1] == '\r') n--;
    if (n == 0 || field[0] != '"') {
        buf_append(out, field, n);
    } else {
        size_t i = 1;
        for (; i < n && (field[i] != '"' || (i + 1 < n && field[i + 1] == '"')); i++) {
            i += field[i] == '"';
            buf_append_char(out, field[i]);
        }
        if (i + 1 != n)
            return error_set(err, HEARTH_ERROR_FORMAT,
                             "a column has text after its closing quote; quotes inside a quoted "
                             "column are written twice");
    }
    if (out->failed) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the record");
    return HEARTH_OK;
}

/* The record as an array of strings. */
static hearth_status read_fields(const struct dataset_source *s, const struct record_span *span,
                                 json_t *fields, hearth_error *err) {
    struct buf text;
    hearth_status status = HEARTH_OK;
    buf_init(&text, s->max_record_bytes + 1);
    for (size_t at = span->begin, end; status == HEARTH_OK; at = end + 1) {
        end = field_end(s, at);
        if (end > span->end) end = span->end;
        bool last = end == span->end;
        if (json_array_size(fields) == CSV_MAX_COLUMNS)
            status = error_set(err, HEARTH_ERROR_LIMIT, "more than %d columns", CSV_MAX_COLUMNS);
        if (status == HEARTH_OK) status = field_text(s->data + at, end - at, last, &text, err);
        if (status == HEARTH_OK &&
            json_array_append_new(fields, json_stringn(buf_text(&text), text.length)) != 0)
            status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the record");
        if (last) break;
    }
    buf_release(&text);
    return status;
}

static hearth_status name_columns(const json_t *header, const json_t *fields, json_t *record,
                                  hearth_error *err) {
    size_t n = json_array_size(header);
    if (json_array_size(fields) != n)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "%zu columns, but the header names %zu; text with separators or line "
                         "ends has to be in quotes",
                         json_array_size(fields), n);
    for (size_t i = 0; i < n; i++)
        if (json_object_set(record, json_string_value(json_array_get(header, i)),
                            json_array_get(fields, i)) != 0)
            return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the record");
    return HEARTH_OK;
}

hearth_status csv_parse(const struct dataset_source *s, const struct record_span *span,
                        json_t **record, hearth_error *err) {
    json_t *fields = json_array();
    *record = json_object();
    hearth_status status = fields && *record
                               ? read_fields(s, span, fields, err)
                               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the record");
    if (status == HEARTH_OK) status = name_columns(s->header, fields, *record, err);
    json_decref(fields);
    if (status == HEARTH_OK) return status;
    json_decref(*record);
    *record = NULL;
    return status;
}

/* ---- the header ---- */

/* Which separator the first line uses most, outside quotes. */
static char guess_delimiter(const char *line, size_t n) {
    static const char candidates[] = {',', ';', '\t'};
    size_t counts[sizeof candidates] = {0}, best = 0;
    bool quoted = false;
    for (size_t i = 0; i < n && (quoted || line[i] != '\n'); i++) {
        if (line[i] == '"') quoted = !quoted;
        for (size_t c = 0; c < sizeof candidates; c++)
            counts[c] += !quoted && line[i] == candidates[c];
    }
    for (size_t c = 1; c < sizeof candidates; c++)
        if (counts[c] > counts[best]) best = c;
    return candidates[best];
}

static hearth_status check_header(const json_t *header, hearth_error *err) {
    for (size_t i = 0; i < json_array_size(header); i++) {
        const char *name = json_string_value(json_array_get(header, i));
        if (!name || !*name)
            return error_set(err, HEARTH_ERROR_FORMAT,
                             "column %zu of the header has no name (the first line has to name "
                             "the columns)",
                             i + 1);
        for (size_t k = 0; k < i; k++)
            if (strcmp(name, json_string_value(json_array_get(header, k))) == 0)
                return error_set(err, HEARTH_ERROR_FORMAT, "two columns are called '%.64s'", name);
    }
    return HEARTH_OK;
}

hearth_status csv_open(struct dataset_source *s, size_t *at, hearth_error *err) {
    struct record_span span;
    bool found;
    s->delimiter = guess_delimiter(s->data + s->first, s->size - s->first);
    hearth_status status = csv_next(s, s->first, &span, &found, err);
    *at = span.begin;
    if (status != HEARTH_OK) return status;
    if (!found) return error_set(err, HEARTH_ERROR_FORMAT, "there is nothing in it");
    if (span.end - span.begin > s->max_record_bytes)
        return error_set(err, HEARTH_ERROR_LIMIT, "the header has %zu bytes; at most %zu are read",
                         span.end - span.begin, s->max_record_bytes);
    s->header = json_array();
    if (!s->header) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the header");
    RETURN_IF_ERROR(read_fields(s, &span, s->header, err));
    RETURN_IF_ERROR(check_header(s->header, err));
    s->first = span.next;
    return HEARTH_OK;
}
