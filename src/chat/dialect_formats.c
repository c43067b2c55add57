/* The forms that an answer must have, as clients ask for them. */
#include <string.h>

#include "base/mem.h"
#include "chat/dialect_parts.h"

bool set_constraint(struct fields *fields, const char *name, struct request *request,
                    enum constraint_kind kind, json_t *schema, const char *text) {
    if (request->constraint != CONSTRAINT_NONE) {
        json_decref(schema);
        return field_problem(fields, name,
                             "is a second form of the answer; only one can be asked "
                             "for");
    }
    request->constraint = kind;
    request->constraint_schema = schema;
    if (text) request->constraint_text = mem_strdup(text);
    return !text || request->constraint_text || problem_no_memory(fields->problem);
}

/* ---- response_format ---- */

static bool set_schema(struct fields *fields, const char *name, struct request *request) {
    json_t *schema = field_take(fields, name);
    if (!schema) return set_constraint(fields, name, request, CONSTRAINT_JSON, NULL, NULL);
    if (!json_is_object(schema) && !json_is_boolean(schema))
        return field_problem(fields, name, "must be an object, not %s", json_type_words(schema));
    return set_constraint(fields, name, request, CONSTRAINT_SCHEMA, json_incref(schema), NULL);
}

/* {"name", "description", "schema", "strict"} */
static void read_named_schema(struct fields *outer, struct request *request) {
    static const struct field_kept kept[] = {
        {"name", FIELD_STRING}, {"description", FIELD_STRING}, {"strict", FIELD_FLAG}};
    fields_check_kept(outer, kept, sizeof kept / sizeof kept[0]);
    set_schema(outer, "schema", request);
}

void read_format(struct fields *fields, const char *name, struct request *request) {
    static const char *const types[] = {"text", "json_object", "json_schema", "grammar", NULL};
    struct fields format, schema;
    if (!field_object(fields, name, &format)) return;
    switch (field_one_of(&format, "type", types)) {
    case 0: return;
    case 1: /* llama.cpp takes a schema here */ set_schema(&format, "schema", request); return;
    case 2:
        if (field_object(&format, "json_schema", &schema))
            read_named_schema(&schema, request);
        else /* text.format of responses has it in the same object */
            read_named_schema(&format, request);
        return;
    case 3: {
        const char *grammar = field_word(&format, "grammar");
        if (grammar)
            set_constraint(&format, "grammar", request, CONSTRAINT_GRAMMAR, NULL, grammar);
        else
            field_need(&format, "grammar");
        return;
    }
    default:
        if (fields_ok(&format)) field_problem(&format, "type", "is missing");
    }
}

/* ---- llama.cpp's and vLLM's names ---- */

static void read_schema_or_text(struct fields *fields, const char *name, struct request *request) {
    json_t *given = field_take(fields, name);
    json_error_t error;
    if (!given) return;
    json_t *schema = json_is_string(given) ? json_loadb(json_string_value(given),
                                                        json_string_length(given), 0, &error)
                                           : json_incref(given);
    if (!schema && error.text[0] == '\0') /* what jansson says of no memory */
        problem_no_memory(fields->problem);
    else if (!schema)
        field_problem(fields, name, "is not JSON: %s", error.text);
    else if (!json_is_object(schema))
        field_problem(fields, name, "must be an object, not %s", json_type_words(schema));
    else
        set_constraint(fields, name, request, CONSTRAINT_SCHEMA, json_incref(schema), NULL);
    json_decref(schema);
}

static void read_constraint_text(struct fields *fields, const char *name, struct request *request,
                                 enum constraint_kind kind) {
    const char *text = field_word(fields, name);
    if (text && *text) set_constraint(fields, name, request, kind, NULL, text);
}

static void read_choice(struct fields *fields, const char *name, struct request *request) {
    json_t *list = field_words(fields, name, CHOICES_MAX);
    if (list && json_array_size(list) == 0)
        field_problem(fields, name, "is empty");
    else if (list)
        set_constraint(fields, name, request, CONSTRAINT_CHOICE, json_incref(list), NULL);
}

static void read_structured(struct fields *fields, struct request *request) {
    struct fields form;
    bool any_object = false;
    if (!field_object(fields, "structured_outputs", &form)) return;
    read_schema_or_text(&form, "json", request);
    read_constraint_text(&form, "regex", request, CONSTRAINT_REGEX);
    read_choice(&form, "choice", request);
    read_constraint_text(&form, "grammar", request, CONSTRAINT_GRAMMAR);
    fields_refuse(&form, "structural_tag", "is not supported");
    if (field_flag(&form, "json_object", &any_object) && any_object)
        set_constraint(&form, "json_object", request, CONSTRAINT_JSON, NULL, NULL);
}

void read_guided(struct fields *fields, struct request *request) {
    read_schema_or_text(fields, "json_schema", request);
    read_constraint_text(fields, "grammar", request, CONSTRAINT_GRAMMAR);
    read_schema_or_text(fields, "guided_json", request);
    read_constraint_text(fields, "guided_regex", request, CONSTRAINT_REGEX);
    read_choice(fields, "guided_choice", request);
    read_constraint_text(fields, "guided_grammar", request, CONSTRAINT_GRAMMAR);
    read_structured(fields, request);
}
