/* constraint_keyword.c - the keywords that say something of one value themselves. */
#include <string.h>

#include "chat/constraint_schema.h"

static const struct {
    const char *name;
    unsigned types;
} type_names[] = {{"null", VALUE_NULL},     {"boolean", VALUE_TRUE | VALUE_FALSE},
                  {"number", VALUE_NUMBER}, {"string", VALUE_STRING},
                  {"array", VALUE_ARRAY},   {"object", VALUE_OBJECT}};

/* Errors name the schema and keyword that are being read. */
static const json_t *get(struct schema_compiler *c, const json_t *schema, const char *keyword) {
    const json_t *value = json_object_get(schema, keyword);
    if (value) c->keyword = keyword;
    return value;
}

static void *malformed(struct schema_compiler *c, const char *expected) {
    return schema_fail(c, HEARTH_ERROR_ARGUMENT, "expected %s", expected);
}

uint32_t schema_count(struct schema_compiler *c, const json_t *schema, const char *keyword,
                      uint32_t without) {
    const json_t *value = get(c, schema, keyword);
    double n = json_number_value(value);
    if (!value) return without;
    if (!json_is_number(value) || n < 0 || n != (double)(uint64_t)(n < 1e18 ? n : 0)) {
        if (n < 1e18 || !json_is_number(value)) malformed(c, "a whole number, 0 or more");
        return without;
    }
    return n < (double)(SCHEMA_NO_MAXIMUM - 1) ? (uint32_t)n : SCHEMA_NO_MAXIMUM - 1;
}

/* ---- type ---- */

static void add_type(struct schema_compiler *c, const json_t *type, struct form *f) {
    const char *name = json_string_value(type);
    if (name && strcmp(name, "integer") == 0) {
        if (!(f->types & VALUE_NUMBER)) f->number.whole = WHOLE_ONLY;
        f->types |= VALUE_NUMBER;
        return;
    }
    for (size_t i = 0; name && i < sizeof type_names / sizeof *type_names; i++) {
        if (strcmp(name, type_names[i].name) != 0) continue;
        f->types |= type_names[i].types;
        if (type_names[i].types & VALUE_NUMBER) f->number.whole = WHOLE_ANY;
        return;
    }
    malformed(c, "the name of a type");
}

void form_types(struct schema_compiler *c, const json_t *schema, struct form *f) {
    const json_t *type = get(c, schema, "type"), *item;
    size_t i;
    if (!type) return;
    f->types = 0;
    if (!json_is_array(type)) add_type(c, type, f);
    json_array_foreach(type, i, item) {
        add_type(c, item, f);
    }
    if (json_is_true(json_object_get(schema, "nullable"))) f->types |= VALUE_NULL;
}

/* ---- numbers ---- */

static void read_bound(struct schema_compiler *c, const json_t *schema, const char *inclusive,
                       const char *exclusive, struct bound *bound, int sign) {
    const json_t *value = get(c, schema, inclusive), *other = json_object_get(schema, exclusive);
    if (value && !decimal_read(&bound->value, value))
        schema_fail(c, HEARTH_ERROR_UNSUPPORTED, "more digits than can be held to");
    bound->set = value != NULL;
    bound->exclusive = value && json_is_true(other); /* as before draft 6 */
    if (!other || json_is_boolean(other)) return;
    struct decimal limit;
    c->keyword = exclusive;
    if (!decimal_read(&limit, other)) {
        schema_fail(c, HEARTH_ERROR_UNSUPPORTED, "more digits than can be held to");
        return;
    }
    if (!bound->set || decimal_compare(&limit, &bound->value) * sign >= 0)
        *bound = (struct bound){true, true, limit};
}

static void read_number(struct schema_compiler *c, const json_t *schema, struct form *f) {
    read_bound(c, schema, "minimum", "exclusiveMinimum", &f->number.low, 1);
    read_bound(c, schema, "maximum", "exclusiveMaximum", &f->number.high, -1);
    const json_t *step = get(c, schema, "multipleOf");
    if (step && !number_step(&f->number, step))
        schema_fail(c, HEARTH_ERROR_UNSUPPORTED, "not a number, or too fine");
}

/* ---- strings ---- */

static void read_string(struct schema_compiler *c, const json_t *schema, struct form *f) {
    f->string.least = schema_count(c, schema, "minLength", 0);
    f->string.most = schema_count(c, schema, "maxLength", SCHEMA_NO_MAXIMUM);
    const json_t *pattern = get(c, schema, "pattern");
    if (pattern && !json_is_string(pattern)) malformed(c, "a regular expression");
    if (pattern)
        form_language(c, f,
                      (struct language){.kind = LANGUAGE_PATTERN,
                                        .text = json_string_value(pattern),
                                        .n = json_string_length(pattern)});
    const json_t *format = get(c, schema, "format");
    bool known = false;
    const char *text = format ? format_expression(json_string_value(format), &known) : NULL;
    if (known && !text) schema_fail(c, HEARTH_ERROR_UNSUPPORTED, "'%s'", json_string_value(format));
    if (text)
        form_language(c, f,
                      (struct language){.kind = LANGUAGE_FORMAT, .text = text, .n = strlen(text)});
}

/* ---- arrays ---- */

static void read_first_items(struct schema_compiler *c, const json_t *list, struct form *f) {
    const json_t *item;
    size_t i, n = json_array_size(list);
    const struct goal **first = n ? schema_alloc(c, n, sizeof *first) : NULL;
    if (n > GRAMMAR_MAX_NODES || !json_is_array(list)) malformed(c, "a list of schemas");
    if (!first) return;
    json_array_foreach(list, i, item) {
        first[i] = goal_of(c, item, false, false);
    }
    f->array.first = first;
    f->array.n_first = (uint32_t)n;
    f->seen.items = (uint32_t)n;
}

static void read_contains(struct schema_compiler *c, const json_t *schema, struct form *f) {
    const json_t *value = get(c, schema, "contains");
    struct contains *contains = value ? schema_alloc(c, 1, sizeof *contains) : NULL;
    if (!contains) return;
    *contains = (struct contains){
        .goal = goal_of(c, value, false, false),
        .least = schema_count(c, schema, "minContains", 1),
        .most = schema_count(c, schema, "maxContains", SCHEMA_NO_MAXIMUM),
    };
    if (contains->most < SCHEMA_NO_MAXIMUM) contains->other = goal_of(c, value, true, false);
    f->array.contains = contains;
    f->seen.unclear = true;
}

static void read_array(struct schema_compiler *c, const json_t *schema, struct form *f) {
    const json_t *first = get(c, schema, "prefixItems"), *items = get(c, schema, "items");
    if (json_is_array(items)) { /* as before draft 2020-12 */
        first = items;
        items = get(c, schema, "additionalItems");
    }
    if (first) read_first_items(c, first, f);
    if (items) f->array.rest = goal_of(c, items, false, false);
    f->seen.all_items = items != NULL;
    f->array.least = schema_count(c, schema, "minItems", 0);
    f->array.most = schema_count(c, schema, "maxItems", SCHEMA_NO_MAXIMUM);
    read_contains(c, schema, f);
    if (json_is_true(get(c, schema, "uniqueItems")) && f->array.most > 1 &&
        !(json_is_false(items) && f->array.n_first <= 1))
        schema_fail(c, HEARTH_ERROR_UNSUPPORTED, "items that must differ from each other");
}

/* ---- objects ---- */

static void read_properties(struct schema_compiler *c, const json_t *schema, struct form *f) {
    json_t *map = json_object_get(schema, "properties"), *value;
    size_t n = json_object_size(map);
    struct name *names = n ? schema_alloc(c, n, sizeof *names) : NULL;
    const char *key;
    uint32_t i = 0;
    if (map && !json_is_object(map)) malformed(c, "an object of schemas");
    if (map) f->seen.properties[f->seen.n_properties++] = map;
    if (!names) return;
    json_object_foreach(map, key, value) {
        names[i++] = (struct name){key, strlen(key), goal_of(c, value, false, false), false};
    }
    form_names(c, f, names, i);
}

static void read_required(struct schema_compiler *c, const json_t *schema, struct form *f) {
    const json_t *list = get(c, schema, "required"), *item;
    size_t i, n = json_array_size(list);
    struct name *names = n ? schema_alloc(c, n, sizeof *names) : NULL;
    if (!names) return;
    json_array_foreach(list, i, item) {
        if (!json_is_string(item)) malformed(c, "names");
        names[i] =
            (struct name){json_string_value(item), json_string_length(item), goal_any(c), true};
    }
    if (schema_ok(c)) form_names(c, f, names, (uint32_t)n);
}

static void read_patterns(struct schema_compiler *c, const json_t *schema, struct form *f) {
    json_t *map = json_object_get(schema, "patternProperties"), *value;
    const char *key;
    if (json_object_size(map) == 0) return;
    c->keyword = "patternProperties";
    f->seen.patterns[f->seen.n_patterns++] = map;
    json_object_foreach(map, key, value) {
        struct name_pattern *p = schema_alloc(c, 1, sizeof *p);
        if (!p) return;
        *p = (struct name_pattern){f->object.patterns, key, strlen(key),
                                   goal_of(c, value, false, false)};
        f->object.patterns = p;
    }
}

static void add_others(struct schema_compiler *c, struct form *f, const json_t *value) {
    struct other_names *others = schema_alloc(c, 1, sizeof *others);
    if (!others) return;
    *others = (struct other_names){f->object.others, f->seen, goal_of(c, value, false, false)};
    f->object.others = others;
}

/* "type": "object" with `properties` and not a word of others. */
static bool is_closed(const json_t *schema) {
    static const char *const words[] = {"additionalProperties", "unevaluatedProperties",
                                        "patternProperties", "propertyNames", "minProperties"};
    const char *type = json_string_value(json_object_get(schema, "type"));
    bool closed = type && strcmp(type, "object") == 0 &&
                  json_object_size(json_object_get(schema, "properties")) > 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        closed &= json_object_get(schema, words[i]) == NULL;
    return closed;
}

static void read_object(struct schema_compiler *c, const json_t *schema, struct form *f) {
    read_properties(c, schema, f);
    read_required(c, schema, f);
    read_patterns(c, schema, f);
    const json_t *others = get(c, schema, "additionalProperties");
    if (others) add_others(c, f, others);
    f->seen.all = others != NULL;
    const json_t *names = get(c, schema, "propertyNames");
    if (names) f->object.name_goal = goal_of(c, names, false, false);
    f->object.least = schema_count(c, schema, "minProperties", 0);
    f->object.most = schema_count(c, schema, "maxProperties", SCHEMA_NO_MAXIMUM);
    f->object.closed = is_closed(schema);
}

/* ---- a whole schema ---- */

/* unevaluatedProperties and unevaluatedItems: what no other keyword has seen in this form. */
static void apply_unevaluated(struct schema_compiler *c, const json_t *schema, struct form *f) {
    const json_t *names = get(c, schema, "unevaluatedProperties");
    if (names && !f->seen.all) add_others(c, f, names);
    const json_t *items = get(c, schema, "unevaluatedItems");
    if (items && !f->seen.all_items) {
        if (f->seen.unclear) schema_fail(c, HEARTH_ERROR_UNSUPPORTED, "together with 'contains'");
        struct form *rest = form_new(c, VALUE_ANY);
        if (!rest) return;
        form_first_items(c, rest, f->seen.items);
        rest->array.rest = goal_of(c, items, false, false);
        struct form *met = forms_both(c, f, rest);
        f->array = met ? met->array : f->array;
        if (!met) f->types &= ~(unsigned)VALUE_ARRAY;
    }
    f->seen.all |= names != NULL;
    f->seen.all_items |= items != NULL;
}

static struct form *read_schema(struct schema_compiler *c, const json_t *schema) {
    bool watches = json_object_get(schema, "unevaluatedProperties") ||
                   json_object_get(schema, "unevaluatedItems");
    struct form *base = form_new(c, VALUE_ANY);
    if (!base) return NULL;
    form_types(c, schema, base);
    read_number(c, schema, base);
    read_string(c, schema, base);
    read_array(c, schema, base);
    read_object(c, schema, base);
    c->watched += watches;
    struct form *forms = forms_in_place(c, schema, base);
    c->watched -= watches;
    for (struct form *f = watches ? forms : NULL; f && schema_ok(c); f = f->next)
        apply_unevaluated(c, schema, f);
    return forms;
}

struct form *forms_of_schema(struct schema_compiler *c, const json_t *schema) {
    const json_t *outer = c->at;
    if (!schema_ok(c)) return NULL;
    if (json_is_boolean(schema)) return json_is_true(schema) ? form_new(c, VALUE_ANY) : NULL;
    c->at = schema;
    c->keyword = NULL;
    if (!json_is_object(schema)) return malformed(c, "a schema");
    if (c->depth == SCHEMA_MAX_DEPTH)
        return schema_fail(c, HEARTH_ERROR_UNSUPPORTED,
                           "references and conditions go deeper than %d, or in a circle",
                           SCHEMA_MAX_DEPTH);
    c->depth++;
    struct form *forms = read_schema(c, schema);
    c->depth--;
    if (schema_ok(c)) c->at = outer;
    return forms;
}

struct form *forms_of_goal(struct schema_compiler *c, const struct goal *goal) {
    struct form *forms = goal ? form_new(c, VALUE_ANY) : NULL;
    for (uint32_t i = 0; forms && i < goal->n && schema_ok(c); i++) {
        const struct atom *a = &goal->atoms[i];
        struct form *more = a->value     ? (a->negated ? forms_without_value(c, a->schema)
                                                       : forms_of_value(c, a->schema))
                            : a->negated ? forms_without_schema(c, a->schema)
                                         : forms_of_schema(c, a->schema);
        forms = forms_both(c, forms, more);
    }
    return forms;
}
