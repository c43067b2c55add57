#include "chat/dialect_fields.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/nearest.h"

/* ---- places and problems ---- */

static void put_path(const struct place *place, struct buf *out) {
    if (!place || !place->up) return;
    put_path(place->up, out);
    if (!place->name)
        buf_append_format(out, "[%zu]", place->index);
    else
        buf_append_format(out, "%s%s", out->length > 0 ? "." : "", place->name);
}

/* Cuts a text that did not fit before a character that is not whole. */
static void trim_character(char *text) {
    size_t n = strlen(text), back = 0;
    while (back < n && back < 3 && ((unsigned char)text[n - 1 - back] & 0xC0) == 0x80)
        back++;
    if (back == n) return;
    unsigned char lead = (unsigned char)text[n - 1 - back];
    size_t wanted = lead < 0xC0 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
    if (back < wanted) text[n - 1 - back] = '\0';
}

bool problem_at(struct dialect_problem *problem, const struct place *place, int http_status,
                const char *format, ...) {
    struct buf path;
    va_list arguments;
    if (problem->http_status != 0) return false;
    buf_init(&path, 1 << 16);
    put_path(place, &path);
    snprintf(problem->parameter, sizeof problem->parameter, "%s", buf_text(&path));
    trim_character(problem->parameter);
    buf_release(&path);
    va_start(arguments, format);
    vsnprintf(problem->message, sizeof problem->message, format, arguments);
    va_end(arguments);
    trim_character(problem->message);
    problem->http_status = http_status;
    return false;
}

bool problem_no_memory(struct dialect_problem *problem) {
    return problem_at(problem, NULL, 500, "no memory for the request");
}

struct place field_place(const struct fields *fields, const char *name) {
    return (struct place){.up = &fields->place, .name = name};
}

bool field_problem(const struct fields *fields, const char *name, const char *format, ...) {
    char message[sizeof fields->problem->message];
    struct place place = field_place(fields, name);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return problem_at(fields->problem, &place, 400, "%s", message);
}

const char *json_type_words(const json_t *value) {
    if (!value) return "nothing";
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER:
    case JSON_REAL: return "a number";
    case JSON_TRUE:
    case JSON_FALSE: return "a boolean";
    case JSON_NULL: return "null";
    }
    return "nothing";
}

const char *json_word(const json_t *value) {
    const char *text = json_string_value(value);
    return text && strlen(text) == json_string_length(value) ? text : NULL;
}

static bool wrong_type(const struct fields *fields, const char *name, const char *expected,
                       const json_t *value) {
    return field_problem(fields, name, "must be %s, not %s", expected, json_type_words(value));
}

/* ---- objects ---- */

json_t *object_copy(const json_t *object) {
    json_t *copy = json_object();
    if (copy && json_object_update(copy, (json_t *)object) == 0) return copy;
    json_decref(copy);
    return NULL;
}

bool fields_ok(const struct fields *fields) {
    return fields->problem->http_status == 0;
}

bool fields_open(struct fields *fields, json_t *object, const struct place *place,
                 struct dialect_problem *problem) {
    *fields = (struct fields){.object = object, .place = *place, .problem = problem};
    if (json_is_object(object)) return problem->http_status == 0;
    return problem_at(problem, place, 400, "must be an object, not %s", json_type_words(object));
}

json_t *field_take(struct fields *fields, const char *name) {
    json_t *value = json_object_get(fields->object, name);
    if (fields->rest) json_object_del(fields->rest, name);
    return !value || json_is_null(value) || !fields_ok(fields) ? NULL : value;
}

json_t *field_need(struct fields *fields, const char *name) {
    json_t *value = field_take(fields, name);
    if (!value) field_problem(fields, name, "is missing");
    return value;
}

bool field_is_empty(struct fields *fields, const char *name) {
    const json_t *value = json_object_get(fields->object, name);
    if (!json_is_string(value) || json_string_length(value) > 0) return false;
    field_take(fields, name);
    return true;
}

/* ---- single values ---- */

bool field_flag(struct fields *fields, const char *name, bool *out) {
    const json_t *value = field_take(fields, name);
    if (!value) return false;
    if (!json_is_boolean(value)) return wrong_type(fields, name, "true or false", value);
    *out = json_is_true(value);
    return true;
}

/* Clients whose numbers are all floating-point write 40.0. */
static bool whole_number(const json_t *value, int64_t *out) {
    double real = json_real_value(value);
    if (json_is_integer(value))
        *out = json_integer_value(value);
    else if (json_is_real(value) && real == floor(real) && fabs(real) <= 9007199254740992.0)
        *out = (int64_t)real;
    else
        return false;
    return true;
}

bool field_integer(struct fields *fields, const char *name, int64_t min, int64_t max,
                   int64_t *out) {
    const json_t *value = field_take(fields, name);
    int64_t number;
    if (!value) return false;
    if (!whole_number(value, &number))
        return field_problem(fields, name, "must be a whole number, not %s",
                             json_is_real(value) ? "a fraction" : json_type_words(value));
    if (number < min)
        return field_problem(fields, name, "is %lld; the least is %lld", (long long)number,
                             (long long)min);
    if (number > max)
        return field_problem(fields, name, "is %lld; the most is %lld", (long long)number,
                             (long long)max);
    *out = number;
    return true;
}

bool field_number(struct fields *fields, const char *name, double min, double max, double *out) {
    const json_t *value = field_take(fields, name);
    if (!value) return false;
    if (!json_is_number(value)) return wrong_type(fields, name, "a number", value);
    double number = json_number_value(value);
    if (!(number >= min && number <= max))
        return field_problem(fields, name, "is %g; it must be from %g to %g", number, min, max);
    *out = number;
    return true;
}

json_t *field_string(struct fields *fields, const char *name) {
    json_t *value = field_take(fields, name);
    if (value && !json_is_string(value)) wrong_type(fields, name, "a string", value);
    return json_is_string(value) ? value : NULL;
}

const char *field_word(struct fields *fields, const char *name) {
    const json_t *value = field_string(fields, name);
    const char *word = json_word(value);
    if (value && !word) field_problem(fields, name, "has a character U+0000");
    return word;
}

bool field_text(struct fields *fields, const char *name, size_t max_bytes, char **out) {
    const char *word = field_word(fields, name);
    if (!word) return false;
    if (*word == '\0') return field_problem(fields, name, "is empty");
    if (strlen(word) > max_bytes)
        return field_problem(fields, name, "has %zu bytes; the most is %zu", strlen(word),
                             max_bytes);
    mem_free(*out);
    *out = mem_strdup(word);
    return *out || problem_no_memory(fields->problem);
}

int field_one_of(struct fields *fields, const char *name, const char *const *words) {
    const char *word = field_word(fields, name);
    int n = 0;
    if (!word) return -1;
    while (words[n] && strcmp(words[n], word) != 0)
        n++;
    if (words[n]) return n;
    const char *near = nearest_name(word, words, (size_t)n);
    if (near)
        field_problem(fields, name, "'%.40s' is not known; did you mean '%s'?", word, near);
    else
        field_problem(fields, name, "'%.40s' is not known", word);
    return -1;
}

/* ---- values with values ---- */

static bool is_short_enough(const struct fields *fields, const char *name, const json_t *list,
                            size_t max_length) {
    return json_array_size(list) <= max_length ||
           field_problem(fields, name, "has %zu elements; the most is %zu", json_array_size(list),
                         max_length);
}

json_t *field_array(struct fields *fields, const char *name, size_t max_length) {
    json_t *value = field_take(fields, name);
    if (value && !json_is_array(value)) wrong_type(fields, name, "an array", value);
    return json_is_array(value) && is_short_enough(fields, name, value, max_length) ? value : NULL;
}

json_t *field_words(struct fields *fields, const char *name, size_t max_length) {
    json_t *list = field_array(fields, name, max_length), *word;
    struct place outer = field_place(fields, name);
    size_t i;
    json_array_foreach(list, i, word) {
        struct place place = {.up = &outer, .index = i};
        if (!json_word(word))
            problem_at(fields->problem, &place, 400, "must be a string without U+0000, not %s",
                       json_is_string(word) ? "one with" : json_type_words(word));
    }
    return fields_ok(fields) ? list : NULL;
}

void fields_each(const struct fields *fields, const char *name, json_t *list, size_t max_length,
                 element_reader read, void *context) {
    struct place outer = field_place(fields, name);
    json_t *value;
    size_t i;
    if (!json_is_array(list) || !is_short_enough(fields, name, list, max_length)) return;
    json_array_foreach(list, i, value) {
        struct place place = {.up = &outer, .index = i};
        struct fields element;
        if (!fields_open(&element, value, &place, fields->problem)) return;
        read(&element, context);
    }
}

json_t *field_each(struct fields *fields, const char *name, size_t max_length, element_reader read,
                   void *context) {
    json_t *list = field_array(fields, name, max_length);
    fields_each(fields, name, list, max_length, read, context);
    return list;
}

json_t *field_any_object(struct fields *fields, const char *name) {
    json_t *value = field_take(fields, name);
    if (value && !json_is_object(value)) wrong_type(fields, name, "an object", value);
    return json_is_object(value) ? value : NULL;
}

bool field_object(struct fields *fields, const char *name, struct fields *out) {
    json_t *value = field_any_object(fields, name);
    if (!value) return false;
    *out = (struct fields){
        .object = value, .place = field_place(fields, name), .problem = fields->problem};
    return true;
}

/* ---- fields that stay ---- */

static bool has_type(const json_t *value, enum field_type type) {
    int64_t ignored;
    switch (type) {
    case FIELD_FLAG: return json_is_boolean(value);
    case FIELD_INTEGER: return whole_number(value, &ignored);
    case FIELD_NUMBER: return json_is_number(value);
    case FIELD_STRING: return json_is_string(value);
    case FIELD_ARRAY: return json_is_array(value);
    case FIELD_OBJECT: return json_is_object(value);
    }
    return false;
}

void fields_check_kept(const struct fields *fields, const struct field_kept *kept, size_t n) {
    static const char *const words[] = {"true or false", "a whole number", "a number",
                                        "a string",      "an array",       "an object"};
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_object_get(fields->object, kept[i].name);
        if (!value || json_is_null(value) || has_type(value, kept[i].type)) continue;
        wrong_type(fields, kept[i].name, words[kept[i].type], value);
    }
}

void fields_refuse(struct fields *fields, const char *name, const char *why) {
    const json_t *value = field_take(fields, name);
    bool empty = !value || json_is_false(value) ||
                 (json_is_string(value) && json_string_length(value) == 0) ||
                 (json_is_array(value) && json_array_size(value) == 0);
    if (!empty) field_problem(fields, name, "%s", why);
}
