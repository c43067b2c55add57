/* constraint_applicator.c - keywords that apply schemas to the value itself: references, allOf,
 * anyOf, oneOf, not, if, dependencies; and enum and const. */
#include <string.h>

#include "chat/constraint_schema.h"

static const json_t *get(struct schema_compiler *c, const json_t *schema, const char *keyword) {
    const json_t *value = json_object_get(schema, keyword);
    if (value) c->keyword = keyword;
    return value;
}

/* Every one of a list of schemas, negated or not, meets `forms`. */
static struct form *meet_all(struct schema_compiler *c, struct form *forms, const json_t *list,
                             bool negated) {
    const json_t *item;
    size_t i;
    json_array_foreach(list, i, item) {
        forms = forms_both(c, forms,
                           negated ? forms_without_schema(c, item) : forms_of_schema(c, item));
    }
    return forms;
}

/* Every subset that is not empty: what a branch has seen counts only where it holds. */
static struct form *every_subset(struct schema_compiler *c, const json_t *list) {
    size_t n = json_array_size(list);
    struct form *either = NULL;
    if (n > SCHEMA_MAX_BRANCHES)
        return schema_fail(c, HEARTH_ERROR_UNSUPPORTED,
                           "more than %d branches under 'unevaluated…'", SCHEMA_MAX_BRANCHES);
    for (size_t subset = 1; subset < (size_t)1 << n && schema_ok(c); subset++) {
        struct form *all = form_new(c, VALUE_ANY);
        for (size_t i = 0; i < n; i++)
            if (subset >> i & 1)
                all = forms_both(c, all, forms_of_schema(c, json_array_get(list, i)));
        either = forms_either(c, either, all);
    }
    return either;
}

static struct form *any_of(struct schema_compiler *c, const json_t *list) {
    struct form *either = NULL;
    const json_t *item;
    size_t i;
    if (c->watched) return every_subset(c, list);
    json_array_foreach(list, i, item) {
        either = forms_either(c, either, forms_of_schema(c, item));
    }
    return either;
}

/* Each branch without all the others that have something in common with it. */
static struct form *one_of(struct schema_compiler *c, const json_t *list) {
    struct form *either = NULL;
    const json_t *item, *other;
    size_t i, k;
    json_array_foreach(list, i, item) {
        struct form *one = forms_of_schema(c, item);
        json_array_foreach(list, k, other) {
            if (k == i || !one || forms_apart(c, one, forms_of_schema(c, other))) continue;
            one = forms_both(c, one, forms_without_schema(c, other));
        }
        either = forms_either(c, either, one);
    }
    return either;
}

static struct form *conditional(struct schema_compiler *c, const json_t *schema,
                                const json_t *condition) {
    const json_t *yes = json_object_get(schema, "then"), *no = json_object_get(schema, "else");
    struct form *taken = forms_of_schema(c, condition);
    struct form *other = forms_without_schema(c, condition);
    if (yes) taken = forms_both(c, taken, forms_of_schema(c, yes));
    if (no) other = forms_both(c, other, forms_of_schema(c, no));
    return forms_either(c, taken, other);
}

static struct form *with_name(struct schema_compiler *c, unsigned types, const char *name,
                              const struct goal *goal, bool required) {
    struct form *f = form_new(c, types);
    if (f) form_names(c, f, &(struct name){name, strlen(name), goal, required}, 1);
    return f;
}

/* Where `name` is there, `value` (names, or a schema) holds. */
static struct form *dependency(struct schema_compiler *c, const char *name, const json_t *value) {
    struct form *absent = with_name(c, VALUE_ANY, name, goal_none(c), false);
    struct form *present = with_name(c, VALUE_OBJECT, name, goal_any(c), true);
    const json_t *item;
    size_t i;
    json_array_foreach(value, i, item) {
        struct name one = {json_string_value(item), json_string_length(item), goal_any(c), true};
        if (!one.text) return schema_fail(c, HEARTH_ERROR_ARGUMENT, "expected names");
        if (present) form_names(c, present, &one, 1);
    }
    if (!json_is_array(value)) present = forms_both(c, present, forms_of_schema(c, value));
    return forms_either(c, absent, present);
}

static struct form *meet_dependencies(struct schema_compiler *c, const json_t *schema,
                                      struct form *forms) {
    static const char *const words[] = {"dependentRequired", "dependentSchemas", "dependencies"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        json_t *map = json_object_get(schema, words[i]), *value;
        const char *key;
        if (map) c->keyword = words[i];
        json_object_foreach(map, key, value) {
            forms = forms_both(c, forms, dependency(c, key, value));
        }
    }
    return forms;
}

static struct form *meet_references(struct schema_compiler *c, const json_t *schema,
                                    struct form *forms) {
    static const char *const words[] = {"$ref", "$dynamicRef"};
    for (int i = 0; i < 2; i++) {
        const json_t *reference = get(c, schema, words[i]);
        if (!reference) continue;
        if (!json_is_string(reference))
            return schema_fail(c, HEARTH_ERROR_ARGUMENT, "expected a reference");
        const json_t *target = schema_resolve(c, schema, json_string_value(reference), i == 1);
        if (target) forms = forms_both(c, forms, forms_of_schema(c, target));
    }
    return forms;
}

struct form *forms_in_place(struct schema_compiler *c, const json_t *schema, struct form *forms) {
    static const char *const refused[] = {"$recursiveRef", "$recursiveAnchor"};
    const json_t *value;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (get(c, schema, refused[i]))
            return schema_fail(c, HEARTH_ERROR_UNSUPPORTED, "of draft 2019-09");
    if ((value = get(c, schema, "enum"))) forms = forms_both(c, forms, forms_of_values(c, value));
    if ((value = get(c, schema, "const"))) forms = forms_both(c, forms, forms_of_value(c, value));
    forms = meet_references(c, schema, forms);
    if ((value = get(c, schema, "allOf"))) forms = meet_all(c, forms, value, false);
    if ((value = get(c, schema, "anyOf"))) forms = forms_both(c, forms, any_of(c, value));
    if ((value = get(c, schema, "oneOf"))) forms = forms_both(c, forms, one_of(c, value));
    if ((value = get(c, schema, "not")))
        forms = forms_both(c, forms, forms_without_schema(c, value));
    if ((value = get(c, schema, "if"))) forms = forms_both(c, forms, conditional(c, schema, value));
    return meet_dependencies(c, schema, forms);
}

/* ---- the opposite ---- */

static struct form *without_dependencies(struct schema_compiler *c, const json_t *schema) {
    static const char *const words[] = {"dependentRequired", "dependentSchemas", "dependencies"};
    struct form *either = NULL;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        json_t *map = json_object_get(schema, words[i]), *value, *item;
        const char *key;
        size_t k;
        json_object_foreach(map, key, value) {
            struct form *there = with_name(c, VALUE_OBJECT, key, goal_any(c), true);
            json_array_foreach(value, k, item) {
                const char *name = json_string_value(item);
                struct form *lacks =
                    with_name(c, VALUE_OBJECT, name ? name : "", goal_none(c), false);
                either = forms_either(c, either, forms_both(c, there, lacks));
            }
            if (!json_is_array(value))
                either =
                    forms_either(c, either, forms_both(c, there, forms_without_schema(c, value)));
        }
    }
    return either;
}

static struct form *without_one_of(struct schema_compiler *c, const json_t *list) {
    const json_t *item, *other;
    size_t i, k;
    struct form *either = meet_all(c, form_new(c, VALUE_ANY), list, true);
    json_array_foreach(list, i, item) {
        struct form *one = forms_of_schema(c, item);
        json_array_foreach(list, k, other) {
            if (k > i)
                either = forms_either(c, either, forms_both(c, one, forms_of_schema(c, other)));
        }
    }
    return either;
}

static struct form *without_conditional(struct schema_compiler *c, const json_t *schema,
                                        const json_t *condition) {
    const json_t *yes = json_object_get(schema, "then"), *no = json_object_get(schema, "else");
    struct form *either = NULL;
    if (yes) either = forms_both(c, forms_of_schema(c, condition), forms_without_schema(c, yes));
    if (no)
        either = forms_either(
            c, either,
            forms_both(c, forms_without_schema(c, condition), forms_without_schema(c, no)));
    return either;
}

struct form *forms_without_in_place(struct schema_compiler *c, const json_t *schema) {
    struct form *either = NULL, *none = NULL;
    const json_t *value, *item;
    size_t i;
    if ((value = get(c, schema, "const"))) either = forms_without_value(c, value);
    if ((value = get(c, schema, "enum"))) {
        none = form_new(c, VALUE_ANY);
        json_array_foreach(value, i, item) {
            none = forms_both(c, none, forms_without_value(c, item));
        }
        either = forms_either(c, either, none);
    }
    json_array_foreach(json_object_get(schema, "allOf"), i, item) {
        either = forms_either(c, either, forms_without_schema(c, item));
    }
    if ((value = get(c, schema, "anyOf")))
        either = forms_either(c, either, meet_all(c, form_new(c, VALUE_ANY), value, true));
    if ((value = get(c, schema, "oneOf")))
        either = forms_either(c, either, without_one_of(c, value));
    if ((value = get(c, schema, "not")))
        either = forms_either(c, either, forms_of_schema(c, value));
    if ((value = get(c, schema, "if")))
        either = forms_either(c, either, without_conditional(c, schema, value));
    if ((value = get(c, schema, "$ref"))) {
        const char *reference = json_string_value(value);
        const json_t *target = schema_resolve(c, schema, reference ? reference : "#", false);
        if (target) either = forms_either(c, either, forms_without_schema(c, target));
    }
    if (get(c, schema, "$dynamicRef")) schema_fail(c, HEARTH_ERROR_UNSUPPORTED, "under 'not'");
    return forms_either(c, either, without_dependencies(c, schema));
}
