#include "server/api_fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/date.h"

enum { FIELD_NAME_BYTES = 128 };

static void fail(struct api_answer *answer, int status, const char *where, const char *name,
                 const char *wrong) {
    char field[FIELD_NAME_BYTES];
    snprintf(field, sizeof field, "%s%.64s", where, name);
    api_fail(answer, status, field, "'%s' %s", field, wrong);
}

/* NULL: it is right; otherwise what is wrong. */
static const char *take_text(struct api_field *field, const json_t *value) {
    field->text = json_string_value(value);
    if (!field->text) return "must be a text";
    return strlen(field->text) == json_string_length(value) ? NULL : "must not contain NUL";
}

static const char *take_number(struct api_field *field, const json_t *value) {
    field->number = json_integer_value(value);
    if (!json_is_integer(value) || field->number < 0) return "must be a whole number from 0 up";
    return (uint64_t)field->number <= field->most ? NULL : "is too large";
}

static const char *take_time(struct api_field *field, const json_t *value) {
    const char *text = json_string_value(value);
    return text && date_parse(text, &field->number) ? NULL
                                                    : "must be a time such as 2026-01-31T09:30:00Z";
}

static const char *take_value(struct api_field *field, const json_t *value) {
    field->json = value;
    switch (field->type) {
    case FIELD_TEXT: return take_text(field, value);
    case FIELD_OBJECT: return json_is_object(value) ? NULL : "must be an object";
    case FIELD_ARRAY: return json_is_array(value) ? NULL : "must be an array";
    case FIELD_COUNT: return take_number(field, value);
    case FIELD_TIME: break;
    }
    return take_time(field, value);
}

/* As JSON text, where it is not one that is taken apart. */
static bool write_json(struct api_field *field, struct api_answer *answer) {
    bool is_tree = field->type == FIELD_OBJECT || field->type == FIELD_ARRAY;
    if (!is_tree || !field->json || field->most == 0) return true;
    field->text = field->given_text = json_dumps(field->json, JSON_COMPACT);
    if (field->text) return true;
    api_fail(answer, 503, NULL, "the server is short of memory");
    return false;
}

static bool take_field(struct api_field *field, const json_t *object, const char *where,
                       struct api_answer *answer) {
    const json_t *value = json_object_get(object, field->name);
    const char *wrong = NULL;
    field->given = value != NULL;
    if (json_is_null(value))
        wrong = field->flags & FIELD_NULLABLE ? NULL : "must not be null";
    else if (value)
        wrong = take_value(field, value);
    else if (field->flags & FIELD_NEEDED)
        wrong = "is missing";
    if (wrong) {
        fail(answer, 400, where, field->name, wrong);
        return false;
    }
    if (!write_json(field, answer)) return false;
    if (!field->text || strlen(field->text) <= field->most) return true;
    fail(answer, 413, where, field->name, "is too long");
    return false;
}

static bool is_known(const char *name, const struct api_field *fields, size_t n_fields) {
    for (size_t i = 0; i < n_fields; i++)
        if (strcmp(fields[i].name, name) == 0) return true;
    return false;
}

static bool all_known(const json_t *object, const char *where, const struct api_field *fields,
                      size_t n_fields, struct api_answer *answer) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        if (is_known(name, fields, n_fields)) continue;
        fail(answer, 400, where, name, "is not known here");
        return false;
    }
    return true;
}

bool api_fields_take(const json_t *object, const char *where, struct api_field *fields,
                     size_t n_fields, struct api_answer *answer) {
    if (!json_is_object(object)) {
        api_fail(answer, 400, NULL, "%s%s", where,
                 *where ? ": a JSON object was expected" : "the body must be a JSON object");
        return false;
    }
    if (!all_known(object, where, fields, n_fields, answer)) return false;
    for (size_t i = 0; i < n_fields; i++)
        if (!take_field(&fields[i], object, where, answer)) return false;
    return true;
}

void api_fields_release(struct api_field *fields, size_t n_fields) {
    for (size_t i = 0; i < n_fields; i++)
        free(fields[i].given_text);
}
