/* constraint_value.c - enum and const: single values as forms. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/constraint_schema.h"

/* ---- decimal numbers ---- */

/* The shortest text that reads as the same number. */
static void number_text(char *out, size_t size, const json_t *number) {
    if (json_is_integer(number)) {
        snprintf(out, size, "%lld", (long long)json_integer_value(number));
        return;
    }
    double value = json_real_value(number);
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(out, size, "%.*e", digits - 1, value);
        if (strtod(out, NULL) == value) return;
    }
}

bool decimal_read(struct decimal *out, const json_t *number) {
    char text[64], digits[64];
    int n = 0;
    *out = (struct decimal){0};
    if (!json_is_number(number)) return false;
    number_text(text, sizeof text, number);
    const char *at = text + (text[0] == '-');
    long point = -1;
    for (; *at && *at != 'e'; at++) {
        if (*at == '.')
            point = n;
        else
            digits[n++] = *at;
    }
    point = (point < 0 ? n : point) + (*at == 'e' ? strtol(at + 1, NULL, 10) : 0);
    while (n > 0 && digits[n - 1] == '0')
        n--;
    if (n == 0) point = 1;
    long n_fraction = n > point ? n - point : 0;
    if (point > DECIMAL_MAX || n_fraction > DECIMAL_MAX) return false;
    out->negative = text[0] == '-' && n > 0;
    out->n_whole = (uint8_t)(point > 0 ? point : 1);
    out->n_fraction = (uint8_t)n_fraction;
    memset(out->whole, '0', out->n_whole);
    for (long i = 0; i < point && i < n; i++)
        out->whole[i] = digits[i];
    for (long i = 0; i < n_fraction; i++)
        out->fraction[i] = point + i >= 0 ? digits[point + i] : '0';
    return true;
}

bool number_step(struct number_form *form, const json_t *number) {
    enum { MOST = 1 << 20 };
    struct decimal d;
    uint64_t step = 0;
    if (!decimal_read(&d, number) || d.negative || d.n_whole + d.n_fraction > 18) return false;
    for (int i = 0; i < d.n_whole; i++)
        step = step * 10 + (uint64_t)(d.whole[i] - '0');
    for (int i = 0; i < d.n_fraction; i++)
        step = step * 10 + (uint64_t)(d.fraction[i] - '0');
    form->step = step;
    form->step_places = d.n_fraction;
    return step > 0 && step <= MOST;
}

/* ---- a value and nothing else ---- */

static unsigned simple_type(const json_t *value) {
    return json_is_null(value)    ? VALUE_NULL
           : json_is_true(value)  ? VALUE_TRUE
           : json_is_false(value) ? VALUE_FALSE
                                  : 0;
}

static struct form *text_form(struct schema_compiler *c, const json_t *const *values, size_t n,
                              bool negated) {
    struct form *f = form_new(c, negated ? VALUE_ANY : VALUE_STRING);
    form_language(
        c, f,
        (struct language){.kind = LANGUAGE_VALUES, .values = values, .n = n, .negated = negated});
    return f;
}

static const json_t *const *one_text(struct schema_compiler *c, const json_t *value) {
    const json_t **list = schema_alloc(c, 1, sizeof *list);
    if (list) *list = value;
    return list;
}

static struct form *array_form(struct schema_compiler *c, const json_t *value) {
    struct form *f = form_new(c, VALUE_ARRAY);
    size_t n = json_array_size(value);
    const struct goal **first = schema_alloc(c, n + 1, sizeof *first);
    if (!f || !first) return NULL;
    for (size_t i = 0; i < n; i++)
        first[i] = goal_of(c, json_array_get(value, i), false, true);
    f->array.first = first;
    f->array.n_first = f->array.least = f->array.most = (uint32_t)n;
    return f;
}

static struct form *object_form(struct schema_compiler *c, const json_t *value) {
    struct form *f = form_new(c, VALUE_OBJECT);
    json_t *object = json_incref((json_t *)value), *member;
    struct name *names = schema_alloc(c, json_object_size(value) + 1, sizeof *names);
    struct other_names *others = schema_alloc(c, 1, sizeof *others);
    const char *key;
    uint32_t n = 0;
    if (f && names && others) {
        json_object_foreach(object, key, member) {
            names[n++] = (struct name){key, strlen(key), goal_of(c, member, false, true), true};
        }
        form_names(c, f, names, n);
        *others = (struct other_names){.seen = {.properties = {value}, .n_properties = 1},
                                       .goal = goal_none(c)};
        f->object.others = others;
    }
    json_decref(object);
    return f;
}

static struct form *number_form(struct schema_compiler *c, const json_t *value) {
    struct form *f = form_new(c, VALUE_NUMBER);
    struct bound bound = {.set = true};
    if (!decimal_read(&bound.value, value))
        return schema_fail(c, HEARTH_ERROR_UNSUPPORTED, "more digits than can be held to");
    if (f) f->number.low = f->number.high = bound;
    return f;
}

struct form *forms_of_value(struct schema_compiler *c, const json_t *value) {
    if (simple_type(value)) return form_new(c, simple_type(value));
    if (json_is_string(value)) return text_form(c, one_text(c, value), 1, false);
    if (json_is_number(value)) return number_form(c, value);
    return json_is_array(value) ? array_form(c, value) : object_form(c, value);
}

/* Texts share one form, as do null and the booleans. */
struct form *forms_of_values(struct schema_compiler *c, const json_t *values) {
    const json_t **texts = schema_alloc(c, json_array_size(values) + 1, sizeof *texts);
    struct form *either = NULL;
    const json_t *value;
    unsigned simple = 0;
    size_t i, n = 0;
    if (!json_is_array(values))
        return schema_fail(c, HEARTH_ERROR_ARGUMENT, "expected a list of values");
    json_array_foreach(values, i, value) {
        if (!texts) return NULL;
        simple |= simple_type(value);
        if (json_is_string(value))
            texts[n++] = value;
        else if (!simple_type(value))
            either = forms_either(c, either, forms_of_value(c, value));
    }
    if (n) either = forms_either(c, either, text_form(c, texts, n, false));
    return simple ? forms_either(c, either, form_new(c, simple)) : either;
}

/* ---- every value but one ---- */

static struct form *without_number(struct schema_compiler *c, const json_t *value) {
    struct form *only = number_form(c, value), *above = form_new(c, VALUE_ANY);
    struct form *below = form_new(c, VALUE_NUMBER);
    if (!only || !above || !below) return NULL;
    above->number.low = only->number.low;
    below->number.high = only->number.low;
    above->number.low.exclusive = below->number.high.exclusive = true;
    return forms_either(c, above, below);
}

static struct form *without_array(struct schema_compiler *c, const json_t *value) {
    uint32_t n = (uint32_t)json_array_size(value);
    struct form *either = form_new(c, VALUE_ANY & ~(unsigned)VALUE_ARRAY);
    struct form *longer = form_new(c, VALUE_ARRAY), *shorter = form_new(c, VALUE_ARRAY);
    if (!longer || !shorter) return NULL;
    longer->array.least = n + 1;
    either = forms_either(c, either, longer);
    if (n > 0) shorter->array.most = n - 1;
    if (n > 0) either = forms_either(c, either, shorter);
    for (uint32_t i = 0; i < n; i++) {
        struct form *f = form_new(c, VALUE_ARRAY);
        const struct goal **first = schema_alloc(c, n, sizeof *first);
        if (!f || !first) return NULL;
        for (uint32_t k = 0; k < n; k++)
            first[k] = k == i ? goal_of(c, json_array_get(value, k), true, true) : goal_any(c);
        f->array.first = first;
        f->array.n_first = f->array.least = n;
        either = forms_either(c, either, f);
    }
    return either;
}

static struct form *without_object(struct schema_compiler *c, const json_t *value) {
    struct form *either = form_new(c, VALUE_ANY & ~(unsigned)VALUE_OBJECT);
    struct form *more = form_new(c, VALUE_OBJECT);
    json_t *object = json_incref((json_t *)value), *member;
    const char *key;
    if (more) more->object.least = (uint32_t)json_object_size(value) + 1;
    either = forms_either(c, either, more);
    json_object_foreach(object, key, member) {
        struct form *lacks = form_new(c, VALUE_OBJECT), *differs = form_new(c, VALUE_OBJECT);
        struct name name = {key, strlen(key), goal_none(c), false};
        if (!lacks || !differs) break;
        form_names(c, lacks, &name, 1);
        name.goal = goal_of(c, member, true, true);
        name.required = true;
        form_names(c, differs, &name, 1);
        either = forms_either(c, forms_either(c, either, lacks), differs);
    }
    json_decref(object);
    return either;
}

struct form *forms_without_value(struct schema_compiler *c, const json_t *value) {
    if (simple_type(value)) return form_new(c, VALUE_ANY & ~simple_type(value));
    if (json_is_string(value)) return text_form(c, one_text(c, value), 1, true);
    if (json_is_number(value)) return without_number(c, value);
    return json_is_array(value) ? without_array(c, value) : without_object(c, value);
}
