#include "openapi_schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

enum { MAX_DEPTH = 64, MAX_NODES = 200000 };

struct openapi {
    yaml_document_t document;
    yaml_node_t *schemas;
    json_t *converted; /* by name */
};

/* ---- YAML to JSON ---- */

static yaml_node_t *node_at(struct openapi *api, int index) {
    return yaml_document_get_node(&api->document, index);
}

static yaml_node_t *member(struct openapi *api, const yaml_node_t *mapping, const char *name) {
    if (!mapping || mapping->type != YAML_MAPPING_NODE) return NULL;
    for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
         pair < mapping->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = node_at(api, pair->key);
        if (strcmp((const char *)key->data.scalar.value, name) == 0)
            return node_at(api, pair->value);
    }
    return NULL;
}

static json_t *scalar_json(const yaml_node_t *node) {
    const char *text = (const char *)node->data.scalar.value;
    char *end;
    if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        if (strcmp(text, "true") == 0) return json_true();
        if (strcmp(text, "false") == 0) return json_false();
        if (strcmp(text, "null") == 0) return json_null();
        double number = strtod(text, &end);
        if (end != text && *end == '\0') return json_real(number);
    }
    return json_string(text);
}

static json_t *node_json(struct openapi *api, const yaml_node_t *node, unsigned depth) {
    if (!node || depth > MAX_DEPTH) return json_null();
    if (node->type == YAML_SCALAR_NODE) return scalar_json(node);
    if (node->type == YAML_SEQUENCE_NODE) {
        json_t *list = json_array();
        for (yaml_node_item_t *item = node->data.sequence.items.start;
             item < node->data.sequence.items.top; item++)
            json_array_append_new(list, node_json(api, node_at(api, *item), depth + 1));
        return list;
    }
    json_t *object = json_object();
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++)
        json_object_set_new(object, (const char *)node_at(api, pair->key)->data.scalar.value,
                            node_json(api, node_at(api, pair->value), depth + 1));
    return object;
}

struct openapi *openapi_open(const char *path) {
    struct openapi *api = calloc(1, sizeof *api);
    yaml_parser_t parser;
    FILE *file = fopen(path, "rb");
    if (!api || !file || !yaml_parser_initialize(&parser)) {
        free(api);
        if (file) fclose(file);
        return NULL;
    }
    yaml_parser_set_input_file(&parser, file);
    bool loaded = yaml_parser_load(&parser, &api->document);
    yaml_parser_delete(&parser);
    fclose(file);
    if (!loaded) {
        free(api);
        return NULL;
    }
    yaml_node_t *root = yaml_document_get_root_node(&api->document);
    api->schemas = member(api, member(api, root, "components"), "schemas");
    api->converted = json_object();
    return api;
}

void openapi_close(struct openapi *api) {
    if (!api) return;
    yaml_document_delete(&api->document);
    json_decref(api->converted);
    free(api);
}

static json_t *schema_named(struct openapi *api, const char *name) {
    json_t *schema = json_object_get(api->converted, name);
    if (schema) return schema;
    yaml_node_t *node = member(api, api->schemas, name);
    if (!node) return NULL;
    json_object_set_new(api->converted, name, node_json(api, node, 0));
    return json_object_get(api->converted, name);
}

/* ---- checking ---- */

struct check {
    struct openapi *api;
    char *reason;
    size_t reason_bytes;
    char path[512], what[512];
    unsigned n_nodes;
};

static bool fits(struct check *c, const json_t *schema, const json_t *value);

/* What is wrong, with the place in front of it. */
static bool refuse(struct check *c) {
    snprintf(c->reason, c->reason_bytes, "%s: %s", c->path, c->what);
    return false;
}
#define fail(c, ...) (snprintf((c)->what, sizeof(c)->what, __VA_ARGS__), refuse(c))

static bool has_type(const char *type, const json_t *value) {
    if (strcmp(type, "object") == 0) return json_is_object(value);
    if (strcmp(type, "array") == 0) return json_is_array(value);
    if (strcmp(type, "string") == 0) return json_is_string(value);
    if (strcmp(type, "integer") == 0) return json_is_integer(value);
    if (strcmp(type, "number") == 0) return json_is_number(value);
    if (strcmp(type, "boolean") == 0) return json_is_boolean(value);
    return strcmp(type, "null") == 0 && json_is_null(value);
}

static bool check_type(struct check *c, const json_t *type, const json_t *value) {
    const json_t *one;
    size_t i;
    if (json_is_string(type))
        return has_type(json_string_value(type), value) ||
               fail(c, "is no %s", json_string_value(type));
    json_array_foreach(type, i, one) {
        if (has_type(json_string_value(one), value)) return true;
    }
    return fail(c, "has none of the types");
}

static bool is_listed(const json_t *list, const json_t *value) {
    const json_t *one;
    size_t i;
    json_array_foreach(list, i, one) {
        if (json_equal(one, value)) return true;
    }
    return false;
}

static bool check_below(struct check *c, const char *name, size_t index, const json_t *schema,
                        const json_t *value) {
    size_t n = strlen(c->path);
    if (name)
        snprintf(c->path + n, sizeof c->path - n, ".%s", name);
    else
        snprintf(c->path + n, sizeof c->path - n, "[%zu]", index);
    bool ok = fits(c, schema, value);
    c->path[n] = '\0';
    return ok;
}

static bool check_object(struct check *c, const json_t *schema, const json_t *value) {
    const json_t *properties = json_object_get(schema, "properties"), *name;
    const json_t *others = json_object_get(schema, "additionalProperties");
    json_t *field;
    const char *key;
    size_t i;
    if (!json_is_object(value)) return true;
    json_array_foreach(json_object_get(schema, "required"), i, name) {
        if (!json_object_get(value, json_string_value(name)))
            return fail(c, "has no '%s'", json_string_value(name));
    }
    json_object_foreach((json_t *)value, key, field) {
        const json_t *property = json_object_get(properties, key);
        if (!property && json_is_false(others)) return fail(c, "has '%s'", key);
        if (!property) property = others;
        if (property && !check_below(c, key, 0, property, field)) return false;
    }
    return true;
}

static bool check_items(struct check *c, const json_t *schema, const json_t *value) {
    const json_t *items = json_object_get(schema, "items"), *element;
    size_t i;
    if (!json_is_array(value) || !items) return true;
    json_array_foreach(value, i, element) {
        if (!check_below(c, NULL, i, items, element)) return false;
    }
    return true;
}

static bool check_range(struct check *c, const json_t *schema, const json_t *value) {
    const json_t *min = json_object_get(schema, "minimum"),
                 *max = json_object_get(schema, "maximum");
    if (!json_is_number(value)) return true;
    if (min && json_number_value(value) < json_number_value(min)) return fail(c, "is too small");
    if (max && json_number_value(value) > json_number_value(max)) return fail(c, "is too large");
    return true;
}

/* The least that is wanted of oneOf is what anyOf wants: one of them fits. The reason is that of
 * the one that came deepest. */
static bool check_some(struct check *c, const json_t *list, const json_t *value) {
    const json_t *one;
    size_t i;
    char best[512] = "fits none";
    if (!list) return true;
    json_array_foreach(list, i, one) {
        if (fits(c, one, value)) return true;
        if (strlen(c->reason) > strlen(best)) snprintf(best, sizeof best, "%s", c->reason);
    }
    snprintf(c->reason, c->reason_bytes, "%s", best);
    return false;
}

static bool check_all(struct check *c, const json_t *list, const json_t *value) {
    const json_t *one;
    size_t i;
    json_array_foreach(list, i, one) {
        if (!fits(c, one, value)) return false;
    }
    return true;
}

static bool check_reference(struct check *c, const json_t *reference, const json_t *value) {
    static const char prefix[] = "#/components/schemas/";
    const char *name = json_string_value(reference);
    if (!name) return true;
    if (strncmp(name, prefix, sizeof prefix - 1) != 0) return fail(c, "refers to %s", name);
    const json_t *schema = schema_named(c->api, name + sizeof prefix - 1);
    return schema ? fits(c, schema, value) : fail(c, "there is no schema '%s'", name);
}

/* Keywords that are checked, or that say nothing about the values of answers. */
static bool keyword_is_known(const char *name) {
    static const char *const known[] = {"$ref",          "additionalProperties",
                                        "allOf",         "anyOf",
                                        "const",         "enum",
                                        "items",         "maximum",
                                        "minimum",       "nullable",
                                        "oneOf",         "properties",
                                        "required",      "type",
                                        "default",       "deprecated",
                                        "description",   "discriminator",
                                        "example",       "examples",
                                        "format",        "maxItems",
                                        "maxLength",     "minItems",
                                        "minLength",     "pattern",
                                        "propertyNames", "readOnly",
                                        "title",         "maxProperties"};
    if (strncmp(name, "x-", 2) == 0) return true;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i], name) == 0) return true;
    return false;
}

static bool fits(struct check *c, const json_t *schema, const json_t *value) {
    const json_t *list = json_object_get(schema, "enum"), *type = json_object_get(schema, "type");
    const json_t *constant = json_object_get(schema, "const");
    const char *key;
    json_t *ignored;
    if (++c->n_nodes > MAX_NODES) return fail(c, "takes too many steps");
    json_object_foreach((json_t *)schema, key, ignored) {
        if (!keyword_is_known(key)) return fail(c, "the keyword '%s' is not known", key);
    }
    if (json_is_null(value) && json_is_true(json_object_get(schema, "nullable"))) return true;
    if (type && !check_type(c, type, value)) return false;
    if (list && !is_listed(list, value)) return fail(c, "is not among the allowed values");
    if (constant && !json_equal(constant, value)) return fail(c, "is not the only allowed value");
    return check_reference(c, json_object_get(schema, "$ref"), value) &&
           check_object(c, schema, value) && check_items(c, schema, value) &&
           check_range(c, schema, value) &&
           check_some(c, json_object_get(schema, "anyOf"), value) &&
           check_some(c, json_object_get(schema, "oneOf"), value) &&
           check_all(c, json_object_get(schema, "allOf"), value);
}

bool openapi_fits(struct openapi *api, const char *name, const json_t *value, char *reason,
                  size_t reason_bytes) {
    struct check c = {.api = api, .reason = reason, .reason_bytes = reason_bytes};
    const json_t *schema = schema_named(api, name);
    snprintf(c.path, sizeof c.path, "%s", name);
    return schema ? fits(&c, schema, value) : fail(&c, "there is no such schema");
}

/* ---- fields ---- */

struct field_walk {
    struct openapi *api;
    openapi_field_visit visit;
    void *context;
    json_t *seen; /* paths */
};

static void walk_schema(struct field_walk *w, const json_t *schema, const char *path,
                        unsigned depth, unsigned references);

static void walk_properties(struct field_walk *w, const json_t *schema, const char *path,
                            unsigned depth, unsigned references) {
    const char *key;
    json_t *property;
    char below[512];
    json_object_foreach(json_object_get(schema, "properties"), key, property) {
        snprintf(below, sizeof below, "%s%s%s", path, *path ? "." : "", key);
        if (!json_object_get(w->seen, below)) {
            json_object_set_new(w->seen, below, json_true());
            w->visit(w->context, below);
        }
        if (depth > 1) walk_schema(w, property, below, depth - 1, references);
    }
}

/* References may go in circles. */
static void walk_schema(struct field_walk *w, const json_t *schema, const char *path,
                        unsigned depth, unsigned references) {
    static const char *const lists[] = {"allOf", "anyOf", "oneOf"};
    const char *reference = json_string_value(json_object_get(schema, "$ref"));
    const json_t *items = json_object_get(schema, "items"), *one;
    char below[512];
    size_t k;
    if (reference && references > 0)
        walk_schema(w, schema_named(w->api, strrchr(reference, '/') + 1), path, depth,
                    references - 1);
    walk_properties(w, schema, path, depth, references);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        json_array_foreach(json_object_get(schema, lists[i]), k, one) {
            walk_schema(w, one, path, depth, references);
        }
    snprintf(below, sizeof below, "%s[]", path);
    if (items) walk_schema(w, items, below, depth, references);
}

void openapi_each_field(struct openapi *api, const char *name, unsigned depth,
                        openapi_field_visit visit, void *context) {
    struct field_walk w = {api, visit, context, json_object()};
    walk_schema(&w, schema_named(api, name), "", depth, 8);
    json_decref(w.seen);
}
