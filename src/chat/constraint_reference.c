/* constraint_reference.c - where schemas stand, and what $ref means.
 *
 * The document is walked once: every schema gets a site with its parent (for JSON pointers in
 * messages) and the resource it belongs to ($id, section 8.2 of the specification). Only places
 * where schemas stand are entered, so that an "$id" inside an enum is nobody's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/constraint_schema.h"
#include "chat/constraint_uri.h"

enum { SITE_SLOTS = 4 * SCHEMA_MAX_SITES, REFERENCE_MAX_RESOURCES = 1 << 12 };

static const struct site *site_of(const struct schema_compiler *c, const json_t *schema) {
    if (!c->site_slots) return NULL;
    size_t slot = ((uintptr_t)schema >> 4) * 0x9e3779b1u % SITE_SLOTS;
    for (; c->site_slots[slot]; slot = (slot + 1) % SITE_SLOTS)
        if (c->sites[c->site_slots[slot] - 1].schema == schema)
            return &c->sites[c->site_slots[slot] - 1];
    return NULL;
}

void schema_pointer(const struct schema_compiler *c, const json_t *schema, char *out, size_t size) {
    const struct site *path[SCHEMA_MAX_DEPTH + 1], *s = site_of(c, schema);
    uint32_t n = 0;
    size_t length = (size_t)snprintf(out, size, "#");
    for (; s && s->parent != (uint32_t)(s - c->sites) && n <= SCHEMA_MAX_DEPTH;
         s = &c->sites[s->parent])
        path[n++] = s;
    while (n > 0 && length < size)
        length += (size_t)snprintf(out + length, size - length, "/%s", path[--n]->key);
}

/* ---- the walk ---- */

static void *grown(struct schema_compiler *c, void *array, uint32_t n, uint32_t *room,
                   size_t size) {
    if (n < *room) return array;
    uint32_t larger = *room ? 2 * *room : 16;
    char *copy = schema_alloc(c, larger, size);
    if (!copy) return NULL;
    if (n) memcpy(copy, array, n * size);
    *room = larger;
    return copy;
}

static uint32_t add_site(struct schema_compiler *c, const json_t *schema, uint32_t parent,
                         uint32_t base, const char *key) {
    if (c->n_sites == SCHEMA_MAX_SITES) {
        schema_fail(c, HEARTH_ERROR_LIMIT, "more than %d schemas", SCHEMA_MAX_SITES);
        return 0;
    }
    size_t slot = ((uintptr_t)schema >> 4) * 0x9e3779b1u % SITE_SLOTS;
    while (c->site_slots[slot])
        slot = (slot + 1) % SITE_SLOTS;
    c->sites[c->n_sites] =
        (struct site){.schema = schema, .parent = parent, .base = base, .key = key};
    c->site_slots[slot] = ++c->n_sites;
    return c->n_sites - 1;
}

/* A resource of its own where the schema has an $id that is more than a fragment. */
static uint32_t enter_resource(struct schema_compiler *c, const json_t *schema, uint32_t base) {
    char uri[URI_MAX_BYTES];
    const char *id = json_string_value(json_object_get(schema, "$id"));
    if (!id || id[0] == '#' || !schema_ok(c)) return base;
    if (!uri_resolve(uri, c->resources[base].uri, id) ||
        c->n_resources == REFERENCE_MAX_RESOURCES) {
        schema_fail(c, HEARTH_ERROR_LIMIT, "'$id' is too long, or there are too many");
        return base;
    }
    struct resource *r =
        grown(c, c->resources, c->n_resources, &c->resource_room, sizeof *c->resources);
    char *copy = arena_strndup(&c->arena, uri, strlen(uri));
    if (!r || !copy) {
        schema_no_memory(c);
        return base;
    }
    c->resources = r;
    r[c->n_resources] = (struct resource){.uri = copy, .root = schema};
    return c->n_resources++;
}

static void add_anchor(struct schema_compiler *c, const json_t *schema, uint32_t base,
                       const char *keyword) {
    const char *name = json_string_value(json_object_get(schema, keyword));
    if (!name || !schema_ok(c)) return;
    struct anchor *a = grown(c, c->anchors, c->n_anchors, &c->anchor_room, sizeof *c->anchors);
    if (!a) return;
    c->anchors = a;
    a[c->n_anchors++] =
        (struct anchor){.name = name, .base = base, .schema = schema, .dynamic = keyword[1] == 'd'};
}

static void scan(struct schema_compiler *c, const json_t *schema, uint32_t parent, uint32_t base,
                 const char *key, uint32_t depth);

static const char *joined_key(struct schema_compiler *c, const char *keyword, const char *key) {
    char text[256];
    snprintf(text, sizeof text, "%s/%s", keyword, key);
    const char *copy = arena_strndup(&c->arena, text, strlen(text));
    return copy ? copy : keyword;
}

static void scan_list(struct schema_compiler *c, const json_t *list, uint32_t site, uint32_t base,
                      const char *keyword, uint32_t depth) {
    const json_t *item;
    char index[24];
    size_t i;
    json_array_foreach(list, i, item) {
        snprintf(index, sizeof index, "%zu", i);
        scan(c, item, site, base, joined_key(c, keyword, index), depth);
    }
}

static void scan_below(struct schema_compiler *c, const json_t *schema, uint32_t site,
                       uint32_t base, uint32_t depth) {
    static const char *const ones[] = {"not",
                                       "if",
                                       "then",
                                       "else",
                                       "additionalProperties",
                                       "items",
                                       "contains",
                                       "propertyNames",
                                       "unevaluatedItems",
                                       "unevaluatedProperties",
                                       "contentSchema",
                                       "additionalItems"};
    static const char *const maps[] = {"properties",  "patternProperties", "$defs",
                                       "definitions", "dependentSchemas",  "dependencies"};
    static const char *const lists[] = {"allOf", "anyOf", "oneOf", "prefixItems", "items"};
    for (size_t i = 0; i < sizeof ones / sizeof *ones; i++)
        scan(c, json_object_get(schema, ones[i]), site, base, ones[i], depth);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        scan_list(c, json_object_get(schema, lists[i]), site, base, lists[i], depth);
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        json_t *map = json_object_get(schema, maps[i]), *value;
        const char *key;
        json_object_foreach(map, key, value) {
            scan(c, value, site, base, joined_key(c, maps[i], key), depth);
        }
    }
}

static void scan(struct schema_compiler *c, const json_t *schema, uint32_t parent, uint32_t base,
                 const char *key, uint32_t depth) {
    if (!json_is_object(schema) || !schema_ok(c) || site_of(c, schema)) return;
    if (depth == SCHEMA_MAX_DEPTH) {
        schema_fail(c, HEARTH_ERROR_LIMIT, "nested deeper than %d", SCHEMA_MAX_DEPTH);
        return;
    }
    base = enter_resource(c, schema, base);
    add_anchor(c, schema, base, "$anchor");
    add_anchor(c, schema, base, "$dynamicAnchor");
    uint32_t site = add_site(c, schema, parent, base, key);
    scan_below(c, schema, site, base, depth + 1);
}

void schema_scan(struct schema_compiler *c) {
    c->sites = schema_alloc(c, SCHEMA_MAX_SITES, sizeof *c->sites);
    c->site_slots = schema_alloc(c, SITE_SLOTS, sizeof *c->site_slots);
    c->resources = grown(c, NULL, 0, &c->resource_room, sizeof *c->resources);
    if (!schema_ok(c)) return;
    c->resources[c->n_resources++] = (struct resource){.uri = "", .root = c->root};
    scan(c, c->root, 0, 0, "", 0);
}

/* ---- references ---- */

static const json_t *follow_pointer(const json_t *at, char *pointer) {
    while (at && *pointer == '/') {
        char *segment = ++pointer, *out = segment;
        size_t n = strcspn(segment, "/");
        pointer = segment + n;
        bool last = *pointer == '\0';
        for (const char *in = segment; in < segment + n; in++) {
            if (in[0] == '~' && in + 1 < segment + n && (in[1] == '0' || in[1] == '1'))
                *out++ = *++in == '0' ? '~' : '/';
            else
                *out++ = *in;
        }
        *out = '\0';
        if (json_is_array(at)) {
            char *end;
            unsigned long index = strtoul(segment, &end, 10);
            at = *segment && !*end ? json_array_get(at, index) : NULL;
        } else {
            at = json_object_get(at, segment);
        }
        if (last) break;
        *pointer = '/';
    }
    return at;
}

static const struct anchor *find_anchor(const struct schema_compiler *c, uint32_t base,
                                        const char *name) {
    for (uint32_t i = 0; i < c->n_anchors; i++)
        if (c->anchors[i].base == base && strcmp(c->anchors[i].name, name) == 0)
            return &c->anchors[i];
    return NULL;
}

static bool is_ambiguous(const struct schema_compiler *c, const struct anchor *anchor) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n_anchors; i++)
        n += c->anchors[i].dynamic && strcmp(c->anchors[i].name, anchor->name) == 0;
    return n > 1;
}

static const json_t *resolve_fragment(struct schema_compiler *c, uint32_t resource,
                                      const char *fragment, bool dynamic) {
    char text[URI_MAX_BYTES];
    if (!*fragment) return c->resources[resource].root;
    if (strlen(fragment) >= sizeof text) return NULL;
    uri_unescape(text, fragment);
    if (text[0] == '/') return follow_pointer(c->resources[resource].root, text);
    const struct anchor *anchor = find_anchor(c, resource, text);
    if (anchor && anchor->dynamic && dynamic && is_ambiguous(c, anchor))
        return schema_fail(c, HEARTH_ERROR_UNSUPPORTED,
                           "'%s' is the name of several dynamic anchors", text);
    return anchor ? anchor->schema : NULL;
}

/* The first resource of this URI; the last one's number where none has it. */
static uint32_t find_resource(const struct schema_compiler *c, const char *uri) {
    uint32_t i = 0;
    while (i < c->n_resources && strcmp(c->resources[i].uri, uri) != 0)
        i++;
    return i;
}

const json_t *schema_resolve(struct schema_compiler *c, const json_t *schema, const char *reference,
                             bool dynamic) {
    char uri[URI_MAX_BYTES];
    const struct site *site = site_of(c, schema);
    uint32_t base = site ? site->base : 0, resource = base;
    const char *fragment = strchr(reference, '#');
    if (reference != fragment) {
        if (!uri_resolve(uri, c->resources[base].uri, reference))
            return schema_fail(c, HEARTH_ERROR_LIMIT, "the reference is too long");
        resource = find_resource(c, uri);
        if (resource == c->n_resources)
            return schema_fail(c, HEARTH_ERROR_UNSUPPORTED, "'%s' is not part of the schema",
                               reference);
    }
    const json_t *target = resolve_fragment(c, resource, fragment ? fragment + 1 : "", dynamic);
    if (!schema_ok(c)) return NULL;
    if (!json_is_object(target) && !json_is_boolean(target))
        return schema_fail(c, HEARTH_ERROR_ARGUMENT, "'%s' leads to no schema", reference);
    scan(c, target, site ? (uint32_t)(site - c->sites) : 0, resource, reference, 0);
    return target;
}
