#include "train/dataset_schema.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/nearest.h"

enum { MAX_ALIASES = 6, MAX_REQUIRED = 2 };

static const char *const aliases[N_DATASET_FIELDS][MAX_ALIASES] = {
    [FIELD_INSTRUCTION] = {"instruction"},
    [FIELD_INPUT] = {"input", "context"},
    [FIELD_OUTPUT] = {"output", "response", "answer", "completion"},
    [FIELD_SYSTEM] = {"system", "system_prompt"},
    [FIELD_HISTORY] = {"history"},
    [FIELD_MESSAGES] = {"messages", "conversations", "conversation"},
    [FIELD_CONVERSATIONS] = {"conversations", "conversation", "messages"},
    [FIELD_TOOLS] = {"tools", "functions"},
    [FIELD_PROMPT] = {"prompt", "question", "query", "instruction", "input"},
    [FIELD_COMPLETION] = {"completion", "answer", "response", "output"},
    [FIELD_CHOSEN] = {"chosen"},
    [FIELD_REJECTED] = {"rejected"},
    [FIELD_TEXT] = {"text", "content", "document"},
};

/* In the order in which they are tried. */
static const struct {
    enum dataset_schema schema;
    enum dataset_field required[MAX_REQUIRED];
    size_t n_required;
} schemas[] = {
    {SCHEMA_PREFERENCE, {FIELD_CHOSEN, FIELD_REJECTED}, 2},
    {SCHEMA_MESSAGES, {FIELD_MESSAGES}, 1},
    {SCHEMA_SHAREGPT, {FIELD_CONVERSATIONS}, 1},
    {SCHEMA_ALPACA, {FIELD_INSTRUCTION, FIELD_OUTPUT}, 2},
    {SCHEMA_PAIRS, {FIELD_PROMPT, FIELD_COMPLETION}, 2},
    {SCHEMA_TEXT, {FIELD_TEXT}, 1},
};
enum { N_SCHEMAS = sizeof schemas / sizeof schemas[0] };

const char *schema_field_name(enum dataset_field field) {
    return aliases[field][0];
}

const char *schema_column(const struct schema_binding *binding, const json_t *record,
                          enum dataset_field field) {
    const char *own = binding->columns[field];
    if (own) return json_object_get(record, own) ? own : NULL;
    for (size_t i = 0; i < MAX_ALIASES && aliases[field][i]; i++) {
        const json_t *value = json_object_get(record, aliases[field][i]);
        if (value && !json_is_null(value)) return aliases[field][i];
    }
    return NULL;
}

json_t *schema_field(const struct schema_binding *binding, const json_t *record,
                     enum dataset_field field) {
    const char *column = schema_column(binding, record, field);
    json_t *value = column ? json_object_get(record, column) : NULL;
    return json_is_null(value) ? NULL : value;
}

/* ---- which schema ---- */

bool messages_have(const json_t *list, const char *key) {
    json_t *parsed = NULL;
    if (json_is_string(list))
        list = parsed = json_loadb(json_string_value(list), json_string_length(list), 0, NULL);
    bool found = json_object_get(json_array_get(list, 0), key) != NULL;
    json_decref(parsed);
    return found;
}

static bool looks_like(const struct schema_binding *binding, const json_t *record, size_t k) {
    for (size_t i = 0; i < schemas[k].n_required; i++)
        if (!schema_field(binding, record, schemas[k].required[i])) return false;
    if (schemas[k].schema == SCHEMA_MESSAGES)
        return messages_have(schema_field(binding, record, FIELD_MESSAGES), "role");
    if (schemas[k].schema == SCHEMA_SHAREGPT)
        return messages_have(schema_field(binding, record, FIELD_CONVERSATIONS), "from");
    return true;
}

static size_t schema_entry(enum dataset_schema schema) {
    size_t k = 0;
    while (k + 1 < N_SCHEMAS && schemas[k].schema != schema)
        k++;
    return k;
}

static void list_columns(const json_t *record, struct buf *out) {
    const char *name;
    json_t *value;
    size_t n = 0;
    json_object_foreach((json_t *)(uintptr_t)record, name, value) {
        if (n++ == 8) {
            buf_append_text(out, ", …");
            return;
        }
        buf_append_format(out, "%s'%.40s'", n > 1 ? ", " : "", name);
    }
    if (n == 0) buf_append_text(out, "none");
}

/* The column that is probably a known name mistyped. */
static bool nearest_column(const json_t *record, const char **found, const char **meant) {
    const char *known[N_DATASET_FIELDS * MAX_ALIASES];
    const char *column;
    json_t *value;
    for (size_t f = 0; f < N_DATASET_FIELDS; f++)
        memcpy(known + f * MAX_ALIASES, aliases[f], sizeof aliases[f]);
    json_object_foreach((json_t *)(uintptr_t)record, column, value) {
        *found = column;
        *meant = nearest_name(column, known, N_DATASET_FIELDS * MAX_ALIASES);
        if (*meant && nearest_distance(column, *meant) > 0) return true;
    }
    return false;
}

static hearth_status fail_columns(const json_t *record, const char *expected, hearth_error *err) {
    struct buf columns;
    const char *found = NULL, *meant = NULL;
    buf_init(&columns, 384);
    list_columns(record, &columns);
    bool near = nearest_column(record, &found, &meant);
    hearth_status status =
        near ? error_set(err, HEARTH_ERROR_FORMAT, "%s; its columns are %s; is '%.40s' '%s'?",
                         expected, buf_text(&columns), found, meant)
             : error_set(err, HEARTH_ERROR_FORMAT,
                         "%s; its columns are %s; say which column means what, as in "
                         "output=NAME",
                         expected, buf_text(&columns));
    buf_release(&columns);
    return status;
}

static void say_columns(const struct schema_binding *binding, const json_t *record, size_t k,
                        const char *prefix, char *reason, size_t size) {
    int n = snprintf(reason, size, "%scolumn%s ", prefix, schemas[k].n_required > 1 ? "s" : "");
    for (size_t i = 0; i < schemas[k].n_required && n >= 0 && (size_t)n < size; i++) {
        const char *column = schema_column(binding, record, schemas[k].required[i]);
        n += snprintf(reason + n, size - (size_t)n, "%s'%.40s'", i ? " and " : "", column);
    }
    if (n < 0 || (size_t)n >= size) return;
    if (schemas[k].schema == SCHEMA_MESSAGES)
        snprintf(reason + n, size - (size_t)n, " holds a list of {role, content}");
    else if (schemas[k].schema == SCHEMA_SHAREGPT)
        snprintf(reason + n, size - (size_t)n, " holds a list of {from, value}");
}

hearth_status schema_detect(struct schema_binding *binding, const json_t *record, char *reason,
                            size_t reason_size, hearth_error *err) {
    if (binding->schema != SCHEMA_AUTO) {
        char expected[96];
        size_t k = schema_entry(binding->schema);
        if (looks_like(binding, record, k)) {
            say_columns(binding, record, k, "asked for; ", reason, reason_size);
            return HEARTH_OK;
        }
        snprintf(expected, sizeof expected, "the record does not look like the format %s",
                 dataset_schema_name(binding->schema));
        return fail_columns(record, expected, err);
    }
    for (size_t k = 0; k < N_SCHEMAS; k++)
        if (looks_like(binding, record, k)) {
            binding->schema = schemas[k].schema;
            say_columns(binding, record, k, "", reason, reason_size);
            return HEARTH_OK;
        }
    return fail_columns(record, "no known format", err);
}

/* A record without its required columns: mixed formats, or a column missing. */
hearth_status schema_check_required(const struct schema_binding *binding, const json_t *record,
                                    hearth_error *err) {
    size_t own = schema_entry(binding->schema);
    char expected[128];
    for (size_t i = 0; i < schemas[own].n_required; i++) {
        enum dataset_field field = schemas[own].required[i];
        if (schema_field(binding, record, field)) continue;
        for (size_t k = 0; k < N_SCHEMAS; k++)
            if (k != own && looks_like(binding, record, k))
                return error_set(err, HEARTH_ERROR_FORMAT,
                                 "mixed formats: the file began as %s, this record is %s; put "
                                 "them into files of their own",
                                 dataset_schema_name(binding->schema),
                                 dataset_schema_name(schemas[k].schema));
        snprintf(expected, sizeof expected, "no column '%.64s'",
                 binding->columns[field] ? binding->columns[field] : schema_field_name(field));
        return fail_columns(record, expected, err);
    }
    return HEARTH_OK;
}
