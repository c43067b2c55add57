#include "cli/settings_file.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/nearest.h"

enum { KEY_BYTES = 256, NAMES_MAX = 1024 };

struct reader {
    const char *name; /* of the file, for messages */
    const struct option_table *table;
    struct arena *strings;
    yaml_parser_t *parser;
    char key[KEY_BYTES]; /* of the value being read: "datasets.path" */
    hearth_error *err;
};

static hearth_status fail_at(const struct reader *r, yaml_mark_t mark, hearth_status code,
                             const char *message, const char *detail) {
    return error_set(r->err, code, "%s, line %zu: %s%s", r->name, mark.line + 1, message, detail);
}

/* ---- keys ------------------------------------------------------------------- */

/* Whether a word of `length` bytes is the key, '_' and '-' alike. */
static bool same_key(const char *word, size_t length, const char *key) {
    if (strlen(key) != length) return false;
    for (size_t i = 0; i < length; i++) {
        char a = word[i] == '_' ? '-' : word[i], b = key[i] == '_' ? '-' : key[i];
        if (a != b) return false;
    }
    return true;
}

static bool is_called(const struct option_spec *spec, const char *key) {
    if (same_key(spec->name, strlen(spec->name), key)) return true;
    for (const char *c = spec->aliases; c && *c;) {
        size_t n = strcspn(c, " "), dash = *c == '-';
        if (n > dash && same_key(c + dash, n - dash, key)) return true;
        c += n + (c[n] == ' ');
    }
    return false;
}

static const struct option_spec *find_option(const struct option_table *table, const char *key) {
    for (size_t i = 0; i < table->n_specs; i++)
        if (table->specs[i].type != OPTION_HEADING && is_called(&table->specs[i], key))
            return &table->specs[i];
    return NULL;
}

static hearth_status unknown_key(const struct reader *r, yaml_mark_t mark) {
    const char *known[NAMES_MAX];
    size_t n = 0;
    char detail[2 * KEY_BYTES];
    for (size_t i = 0; i < r->table->n_specs && n < NAMES_MAX; i++)
        if (r->table->specs[i].type != OPTION_HEADING) known[n++] = r->table->specs[i].name;
    const char *near = nearest_name(r->key, known, n);
    snprintf(detail, sizeof detail, "'%s'%s%s%s", r->key, near ? "; did you mean '" : "",
             near ? near : "; --help lists all options", near ? "'?" : "");
    return fail_at(r, mark, HEARTH_ERROR_ARGUMENT, "unknown key ", detail);
}

/* ---- values ----------------------------------------------------------------- */

static bool is_null(const yaml_event_t *event) {
    const char *text = (const char *)event->data.scalar.value;
    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

static hearth_status take_scalar(struct reader *r, const yaml_event_t *event) {
    char given_as[2 * KEY_BYTES];
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    if (memchr(text, '\0', length))
        return fail_at(r, event->start_mark, HEARTH_ERROR_FORMAT, "a NUL character in ", r->key);
    const struct option_spec *spec = find_option(r->table, r->key);
    if (!spec) return unknown_key(r, event->start_mark);
    if (is_null(event)) return HEARTH_OK;
    char *copy = arena_strndup(r->strings, text, length);
    if (!copy) return error_set(r->err, HEARTH_ERROR_NO_MEMORY, "no memory for '%s'", r->name);
    snprintf(given_as, sizeof given_as, "%.64s, line %zu: '%s'", r->name,
             event->start_mark.line + 1, r->key);
    return option_set(spec, given_as, copy, r->err);
}

static hearth_status next_event(const struct reader *r, yaml_event_t *event) {
    if (!yaml_parser_parse(r->parser, event)) {
        const char *problem = r->parser->problem ? r->parser->problem : "not YAML";
        memset(event, 0, sizeof *event);
        return fail_at(r, r->parser->problem_mark, HEARTH_ERROR_FORMAT, problem, "");
    }
    return HEARTH_OK;
}

static hearth_status check_plain(const struct reader *r, const yaml_event_t *event) {
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (event->type) {
    case YAML_ALIAS_EVENT: anchor = event->data.alias.anchor; break;
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
        break;
    default: break;
    }
    if (!anchor && !tag) return HEARTH_OK;
    return fail_at(r, event->start_mark, HEARTH_ERROR_UNSUPPORTED,
                   "anchors, aliases and tags are not supported here", "");
}

static hearth_status read_value(struct reader *r, yaml_event_t *event, unsigned depth);

/* Appends a part to the key; `*length` is what to cut it back to. */
static hearth_status push_key(struct reader *r, const yaml_event_t *event, size_t *length) {
    *length = strlen(r->key);
    if (event->type != YAML_SCALAR_EVENT)
        return fail_at(r, event->start_mark, HEARTH_ERROR_FORMAT, "a key must be a word", "");
    int written = snprintf(r->key + *length, sizeof r->key - *length, "%s%s", *length ? "." : "",
                           (const char *)event->data.scalar.value);
    if ((size_t)written < sizeof r->key - *length) return HEARTH_OK;
    return fail_at(r, event->start_mark, HEARTH_ERROR_LIMIT, "a key is too long", "");
}

static hearth_status read_mapping(struct reader *r, unsigned depth) {
    hearth_status status = HEARTH_OK;
    while (status == HEARTH_OK) {
        yaml_event_t event;
        size_t length;
        RETURN_IF_ERROR(next_event(r, &event));
        bool ends = event.type == YAML_MAPPING_END_EVENT;
        status = ends ? HEARTH_OK : push_key(r, &event, &length);
        yaml_event_delete(&event);
        if (ends) break;
        if (status == HEARTH_OK) status = next_event(r, &event);
        if (status != HEARTH_OK) break;
        status = read_value(r, &event, depth);
        yaml_event_delete(&event);
        r->key[length] = '\0';
    }
    return status;
}

static hearth_status read_sequence(struct reader *r, unsigned depth) {
    hearth_status status = HEARTH_OK;
    for (bool ends = false; !ends && status == HEARTH_OK;) {
        yaml_event_t event;
        RETURN_IF_ERROR(next_event(r, &event));
        ends = event.type == YAML_SEQUENCE_END_EVENT;
        if (!ends) status = read_value(r, &event, depth);
        yaml_event_delete(&event);
    }
    return status;
}

static hearth_status read_value(struct reader *r, yaml_event_t *event, unsigned depth) {
    if (depth > SETTINGS_MAX_DEPTH)
        return fail_at(r, event->start_mark, HEARTH_ERROR_LIMIT, "too deeply nested", "");
    RETURN_IF_ERROR(check_plain(r, event));
    switch (event->type) {
    case YAML_SCALAR_EVENT: return take_scalar(r, event);
    case YAML_SEQUENCE_START_EVENT: return read_sequence(r, depth + 1);
    case YAML_MAPPING_START_EVENT: return read_mapping(r, depth + 1);
    default: return fail_at(r, event->start_mark, HEARTH_ERROR_FORMAT, "a value was expected", "");
    }
}

/* Keys and values of the one document. */
static hearth_status read_document(struct reader *r) {
    hearth_status status = HEARTH_OK;
    for (bool seen = false, ends = false; !ends && status == HEARTH_OK;) {
        yaml_event_t event;
        RETURN_IF_ERROR(next_event(r, &event));
        switch (event.type) {
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_END_EVENT: break;
        case YAML_STREAM_END_EVENT: ends = true; break;
        case YAML_DOCUMENT_START_EVENT:
            if (seen)
                status = fail_at(r, event.start_mark, HEARTH_ERROR_UNSUPPORTED,
                                 "a second document; one is expected", "");
            seen = true;
            break;
        case YAML_MAPPING_START_EVENT:
            status = check_plain(r, &event);
            if (status == HEARTH_OK) status = read_mapping(r, 1);
            break;
        default:
            status = fail_at(r, event.start_mark, HEARTH_ERROR_FORMAT,
                             "lines of the form 'key: value' are expected", "");
        }
        yaml_event_delete(&event);
    }
    return status;
}

hearth_status settings_text_read(const char *name, const char *text, size_t length,
                                 const struct option_table *table, struct arena *strings,
                                 hearth_error *err) {
    yaml_parser_t parser;
    struct reader r = {
        .name = name, .table = table, .strings = strings, .parser = &parser, .err = err};
    if (!yaml_parser_initialize(&parser))
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to read '%s'", name);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    hearth_status status = read_document(&r);
    yaml_parser_delete(&parser);
    return status;
}

hearth_status settings_file_read(const char *path, const struct option_table *table,
                                 struct arena *strings, hearth_error *err) {
    char *text;
    size_t length;
    RETURN_IF_ERROR(file_read(path, SETTINGS_FILE_MAX_BYTES, &text, &length, err));
    hearth_status status = settings_text_read(path, text, length, table, strings, err);
    mem_free(text);
    return status;
}

/* ---- writing ----------------------------------------------------------------- */

enum { WRITTEN_MAX_BYTES = 1 << 20 };

/* A double-quoted YAML scalar, whose escapes are those of JSON. */
static void put_quoted(struct buf *out, const char *text) {
    buf_append_char(out, '"');
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            buf_append_format(out, "\\%c", *c);
        else if ((unsigned char)*c < 0x20)
            buf_append_format(out, "\\u%04x", (unsigned)*c);
        else
            buf_append_char(out, *c);
    }
    buf_append_char(out, '"');
}

static void put_choice(struct buf *out, const struct option_spec *spec) {
    const char *c = spec->choices;
    for (int i = 0; i < *spec->choice; i++)
        c += strcspn(c, "|") + 1;
    buf_append(out, c, strcspn(c, "|"));
}

static void put_list(struct buf *out, const struct option_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        buf_append_text(out, "\n  - ");
        put_quoted(out, list->items[i]);
    }
}

/* The fewest digits that give the number again. */
static void put_number(struct buf *out, double number) {
    char text[32];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) >= number && strtod(text, NULL) <= number) break;
    }
    buf_append_text(out, text);
}

void settings_put_option(struct buf *out, const struct option_spec *spec) {
    if ((spec->type == OPTION_STRING && !*spec->string) ||
        (spec->type == OPTION_LIST && spec->list->count == 0))
        return;
    buf_append_format(out, "%s: ", spec->name);
    switch (spec->type) {
    case OPTION_FLAG: buf_append_text(out, *spec->flag != spec->clears ? "true" : "false"); break;
    case OPTION_STRING: put_quoted(out, *spec->string); break;
    case OPTION_LIST: put_list(out, spec->list); break;
    case OPTION_INT: buf_append_format(out, "%lld", (long long)*spec->integer); break;
    case OPTION_FLOAT: put_number(out, *spec->number); break;
    case OPTION_BYTES: buf_append_format(out, "%llu", (unsigned long long)*spec->bytes); break;
    case OPTION_CHOICE: put_choice(out, spec); break;
    case OPTION_HEADING: break;
    }
    buf_append_char(out, '\n');
}

static bool is_listed(const char *name, const char *const *names) {
    for (; names && *names; names++)
        if (strcmp(name, *names) == 0) return true;
    return false;
}

hearth_status settings_file_write(const char *path, const char *heading,
                                  const struct option_table *table, const char *const *except,
                                  hearth_error *err) {
    struct buf out;
    buf_init(&out, WRITTEN_MAX_BYTES);
    buf_append_text(&out, heading);
    for (size_t i = 0; i < table->n_specs; i++) {
        const struct option_spec *spec = &table->specs[i];
        if (spec->type != OPTION_HEADING && !is_listed(spec->name, except))
            settings_put_option(&out, spec);
    }
    hearth_status status =
        out.failed ? error_set(err, HEARTH_ERROR_LIMIT, "settings of more than %d bytes for '%s'",
                               WRITTEN_MAX_BYTES, path)
                   : file_write(path, buf_text(&out), out.length, err);
    buf_release(&out);
    return status;
}
