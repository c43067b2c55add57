/* constraint_negation.c - values that a schema refuses: those that one of its keywords refuses,
 * which is a value of the keyword's type with the opposite demand. */
#include <string.h>

#include "chat/constraint_schema.h"

struct negation {
    struct schema_compiler *c;
    const json_t *schema;
    struct form *either;
};

/* A further alternative of one type; NULL: no memory. */
static struct form *add(struct negation *n, unsigned types) {
    struct form *f = form_new(n->c, types);
    if (f) n->either = forms_either(n->c, n->either, f);
    return f;
}

static const json_t *get(struct negation *n, const char *keyword) {
    const json_t *value = json_object_get(n->schema, keyword);
    if (value) n->c->keyword = keyword;
    return value;
}

static void refuse(struct negation *n, const char *keyword) {
    if (get(n, keyword)) schema_fail(n->c, HEARTH_ERROR_UNSUPPORTED, "under 'not' or 'oneOf'");
}

/* ---- types, numbers, strings ---- */

static void negate_type(struct negation *n) {
    if (!get(n, "type")) return;
    struct form *f = form_new(n->c, VALUE_ANY);
    if (!f) return;
    form_types(n->c, n->schema, f);
    unsigned types = f->types;
    add(n, VALUE_ANY & ~types);
    if ((types & VALUE_NUMBER) && f->number.whole == WHOLE_ONLY) {
        struct form *other = add(n, VALUE_NUMBER);
        if (other) other->number.whole = WHOLE_NEVER;
    }
}

static void negate_bound(struct negation *n, const char *keyword, bool high, bool exclusive) {
    const json_t *value = get(n, keyword);
    if (!value) return;
    if (json_is_boolean(value)) {
        refuse(n, keyword);
        return;
    }
    struct bound bound = {.set = true, .exclusive = !exclusive};
    struct form *f = add(n, VALUE_NUMBER);
    if (!decimal_read(&bound.value, value))
        schema_fail(n->c, HEARTH_ERROR_UNSUPPORTED, "more digits than can be held to");
    if (f && high)
        f->number.low = bound;
    else if (f)
        f->number.high = bound;
}

static void negate_string(struct negation *n) {
    uint32_t least = schema_count(n->c, n->schema, "minLength", 0);
    uint32_t most = schema_count(n->c, n->schema, "maxLength", SCHEMA_NO_MAXIMUM);
    struct form *f = least > 0 ? add(n, VALUE_STRING) : NULL;
    if (f) f->string.most = least - 1;
    f = most < SCHEMA_NO_MAXIMUM ? add(n, VALUE_STRING) : NULL;
    if (f) f->string.least = most + 1;
    const json_t *pattern = get(n, "pattern");
    if (pattern)
        form_language(n->c, add(n, VALUE_STRING),
                      (struct language){.kind = LANGUAGE_PATTERN,
                                        .text = json_string_value(pattern),
                                        .n = json_string_length(pattern),
                                        .negated = true});
    refuse(n, "format");
}

/* ---- arrays ---- */

static struct form *array_with(struct negation *n, uint32_t at, const struct goal *goal) {
    struct form *f = add(n, VALUE_ARRAY);
    if (!f) return NULL;
    form_first_items(n->c, f, at + 1);
    if (f->array.n_first > at) {
        const struct goal **first = schema_alloc(n->c, at + 1, sizeof *first);
        if (!first) return NULL;
        for (uint32_t i = 0; i < at; i++)
            first[i] = f->array.first[i];
        first[at] = goal;
        f->array.first = first;
    }
    f->array.least = at + 1;
    return f;
}

/* Some item behind the first ones is not as `items` asks. */
static void negate_items(struct negation *n, const json_t *items, size_t n_first) {
    if (n_first > 0) {
        n->c->keyword = "items";
        schema_fail(n->c, HEARTH_ERROR_UNSUPPORTED, "after others, under 'not' or 'oneOf'");
        return;
    }
    struct form *f = add(n, VALUE_ARRAY);
    struct contains *contains = schema_alloc(n->c, 1, sizeof *contains);
    if (!f || !contains) return;
    *contains = (struct contains){
        .goal = goal_of(n->c, items, true, false), .least = 1, .most = SCHEMA_NO_MAXIMUM};
    f->array.contains = contains;
}

static void negate_contains(struct negation *n) {
    const json_t *value = get(n, "contains");
    if (!value) return;
    if (json_object_get(n->schema, "maxContains") ||
        schema_count(n->c, n->schema, "minContains", 1) != 1) {
        refuse(n, "contains");
        return;
    }
    struct form *f = add(n, VALUE_ARRAY);
    if (f) f->array.rest = goal_of(n->c, value, true, false);
}

static void negate_array(struct negation *n) {
    const json_t *first = get(n, "prefixItems"), *items = get(n, "items"), *item;
    size_t i;
    if (json_is_array(items)) {
        first = items;
        items = get(n, "additionalItems");
    }
    json_array_foreach(first, i, item) {
        array_with(n, (uint32_t)i, goal_of(n->c, item, true, false));
    }
    if (json_is_false(items)) {
        struct form *f = add(n, VALUE_ARRAY);
        if (f) f->array.least = (uint32_t)json_array_size(first) + 1;
    } else if (items) {
        negate_items(n, items, json_array_size(first));
    }
    uint32_t least = schema_count(n->c, n->schema, "minItems", 0);
    uint32_t most = schema_count(n->c, n->schema, "maxItems", SCHEMA_NO_MAXIMUM);
    struct form *f = least > 0 ? add(n, VALUE_ARRAY) : NULL;
    if (f) f->array.most = least - 1;
    f = most < SCHEMA_NO_MAXIMUM ? add(n, VALUE_ARRAY) : NULL;
    if (f) f->array.least = most + 1;
    negate_contains(n);
    if (json_is_true(get(n, "uniqueItems"))) refuse(n, "uniqueItems");
    refuse(n, "unevaluatedItems");
}

/* ---- objects ---- */

static void add_object(struct negation *n, const char *name, const struct goal *goal,
                       bool required) {
    struct form *f = add(n, VALUE_OBJECT);
    if (f) form_names(n->c, f, &(struct name){name, strlen(name), goal, required}, 1);
}

static void negate_object(struct negation *n) {
    json_t *map = json_object_get(n->schema, "properties"), *value;
    const json_t *item;
    const char *key;
    size_t i;
    json_object_foreach(map, key, value) {
        add_object(n, key, goal_of(n->c, value, true, false), true);
    }
    json_array_foreach(json_object_get(n->schema, "required"), i, item) {
        if (json_is_string(item)) add_object(n, json_string_value(item), goal_none(n->c), false);
    }
    uint32_t least = schema_count(n->c, n->schema, "minProperties", 0);
    uint32_t most = schema_count(n->c, n->schema, "maxProperties", SCHEMA_NO_MAXIMUM);
    struct form *f = least > 0 ? add(n, VALUE_OBJECT) : NULL;
    if (f) f->object.most = least - 1;
    f = most < SCHEMA_NO_MAXIMUM ? add(n, VALUE_OBJECT) : NULL;
    if (f) f->object.least = most + 1;
    refuse(n, "patternProperties");
    refuse(n, "propertyNames");
    refuse(n, "unevaluatedProperties");
    const json_t *others = get(n, "additionalProperties");
    if (others && !json_is_true(others)) refuse(n, "additionalProperties");
}

struct form *forms_without_schema(struct schema_compiler *c, const json_t *schema) {
    const json_t *outer = c->at;
    struct negation n = {.c = c, .schema = schema};
    if (!schema_ok(c)) return NULL;
    if (json_is_boolean(schema)) return json_is_true(schema) ? NULL : form_new(c, VALUE_ANY);
    if (!json_is_object(schema)) return schema_fail(c, HEARTH_ERROR_ARGUMENT, "expected a schema");
    if (c->depth == SCHEMA_MAX_DEPTH)
        return schema_fail(c, HEARTH_ERROR_UNSUPPORTED, "nested deeper than %d, or in a circle",
                           SCHEMA_MAX_DEPTH);
    c->depth++;
    c->at = schema;
    negate_type(&n);
    negate_bound(&n, "minimum", false, false);
    negate_bound(&n, "exclusiveMinimum", false, true);
    negate_bound(&n, "maximum", true, false);
    negate_bound(&n, "exclusiveMaximum", true, true);
    refuse(&n, "multipleOf");
    negate_string(&n);
    negate_array(&n);
    negate_object(&n);
    n.either = forms_either(c, n.either, forms_without_in_place(c, schema));
    for (struct form *f = n.either; f; f = f->next)
        f->seen = (struct names_seen){0}; /* what stands under `not` has seen nothing */
    c->depth--;
    if (schema_ok(c)) c->at = outer;
    return n.either;
}
