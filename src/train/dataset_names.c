/* The names that people give to formats and columns. */
#include <string.h>

#include "base/nearest.h"
#include "train/dataset_schema.h"

static const char *const containers[] = {"auto", "jsonl", "json", "csv", "text"};
enum { N_CONTAINERS = sizeof containers / sizeof containers[0] };

static const struct {
    const char *name;
    enum dataset_schema schema;
} schemas[] = {
    {"auto", SCHEMA_AUTO},          {"alpaca", SCHEMA_ALPACA},
    {"sharegpt", SCHEMA_SHAREGPT},  {"messages", SCHEMA_MESSAGES},
    {"pairs", SCHEMA_PAIRS},        {"preference", SCHEMA_PREFERENCE},
    {"text", SCHEMA_TEXT},          {"openai", SCHEMA_MESSAGES},
    {"chatml", SCHEMA_MESSAGES},    {"raw", SCHEMA_TEXT},
    {"completion", SCHEMA_TEXT},    {"dpo", SCHEMA_PREFERENCE},
    {"instruction", SCHEMA_ALPACA}, {"chat_template", SCHEMA_MESSAGES},
};
enum { N_NAMES = sizeof schemas / sizeof schemas[0] };

const char *dataset_container_name(enum dataset_container container) {
    return containers[container];
}

const char *dataset_schema_name(enum dataset_schema schema) {
    return schemas[schema].name; /* the table begins in the order of the enum */
}

static hearth_status unknown(const char *what, const char *name, const char *const *known, size_t n,
                             const char *all, hearth_error *err) {
    const char *near = nearest_name(name, known, n);
    if (near)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "unknown %s '%.40s'; did you mean '%s'?", what,
                         name, near);
    return error_set(err, HEARTH_ERROR_ARGUMENT, "unknown %s '%.40s'; known are %s", what, name,
                     all);
}

hearth_status dataset_parse_schema(const char *name, enum dataset_schema *schema,
                                   hearth_error *err) {
    const char *known[N_NAMES];
    for (size_t i = 0; i < N_NAMES; i++) {
        known[i] = schemas[i].name;
        *schema = schemas[i].schema;
        if (strcmp(name, known[i]) == 0) return HEARTH_OK;
    }
    *schema = SCHEMA_AUTO;
    return unknown("format", name, known, N_NAMES,
                   "alpaca, sharegpt, messages, pairs, preference, text", err);
}

hearth_status dataset_parse_container(const char *name, enum dataset_container *container,
                                      hearth_error *err) {
    for (size_t i = 0; i < N_CONTAINERS; i++) {
        *container = (enum dataset_container)i;
        if (strcmp(name, containers[i]) == 0) return HEARTH_OK;
    }
    *container = CONTAINER_AUTO;
    return unknown("kind of file", name, containers, N_CONTAINERS, "jsonl, json, csv, text", err);
}

hearth_status dataset_parse_column(const char *text, enum dataset_field *field, const char **column,
                                   hearth_error *err) {
    const char *known[N_DATASET_FIELDS], *equals = strchr(text, '=');
    char name[32] = "";
    size_t n = equals ? (size_t)(equals - text) : 0;
    if (!equals || !equals[1])
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "'%.80s' is not MEANING=COLUMN, as in output=answer_text", text);
    if (n < sizeof name) memcpy(name, text, n);
    *column = equals + 1;
    for (size_t i = 0; i < N_DATASET_FIELDS; i++) {
        *field = (enum dataset_field)i;
        known[i] = schema_field_name(*field);
        if (strcmp(name, known[i]) == 0) return HEARTH_OK;
    }
    return unknown("meaning of a column", name, known, N_DATASET_FIELDS,
                   "instruction, input, output, system, history, messages, conversations, tools, "
                   "prompt, completion, chosen, rejected, text",
                   err);
}
