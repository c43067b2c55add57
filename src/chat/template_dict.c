/* template_dict.c - dictionaries in insertion order, keyed by any hashable value. */
#include "chat/template_value.h"

enum { DICT_LINEAR_MAX = 8 }; /* up to here a scan is faster than a table */

struct dict *tpl_dict_new(struct render *r) {
    return tpl_alloc(r, 1, sizeof(struct dict));
}

static size_t *const no_slot = NULL;

/* The entry's number, or `count` when it is not there; `slot` receives the table slot
 * where it is or belongs. */
static size_t find_entry(struct render *r, const struct dict *d, struct value key, uint64_t hash,
                         size_t *slot) {
    if (!d->slots) {
        for (size_t i = 0; i < d->count; i++)
            if (d->entries[i].hash == hash && tpl_equal(r, d->entries[i].key, key)) return i;
        return d->count;
    }
    size_t mask = d->n_slots - 1, at = (size_t)hash & mask;
    for (; d->slots[at] && tpl_charge(r, 1); at = (at + 1) & mask) {
        size_t i = d->slots[at] - 1;
        if (d->entries[i].hash == hash && tpl_equal(r, d->entries[i].key, key)) break;
    }
    if (slot) *slot = at;
    return d->slots[at] ? d->slots[at] - 1 : d->count;
}

static bool rebuild(struct render *r, struct dict *d) {
    if (d->capacity <= DICT_LINEAR_MAX) return true;
    size_t n_slots = 32;
    while (n_slots < 2 * d->capacity)
        n_slots *= 2;
    if (n_slots != d->n_slots) {
        d->slots = tpl_alloc(r, n_slots, sizeof *d->slots);
        if (!d->slots) return false;
        d->n_slots = n_slots;
    } else {
        memset(d->slots, 0, n_slots * sizeof *d->slots);
    }
    for (size_t i = 0; i < d->count; i++) {
        size_t at = (size_t)d->entries[i].hash & (n_slots - 1);
        while (d->slots[at] && tpl_charge(r, 1))
            at = (at + 1) & (n_slots - 1);
        d->slots[at] = (uint32_t)(i + 1);
    }
    return !r->failed;
}

static bool grow(struct render *r, struct dict *d) {
    size_t capacity = d->capacity ? 2 * d->capacity : 4;
    if (capacity > UINT32_MAX / 4) return tpl_fail(r, "dict is too large"), false;
    struct dict_entry *grown = tpl_alloc(r, capacity, sizeof *grown);
    if (!grown) return false;
    if (d->count) memcpy(grown, d->entries, d->count * sizeof *grown);
    d->entries = grown;
    d->capacity = capacity;
    return rebuild(r, d);
}

bool tpl_dict_set(struct render *r, struct dict *d, struct value key, struct value v) {
    if (!d) return false;
    uint64_t hash = tpl_hash(r, key);
    if (r->failed) return false;
    size_t slot = 0, i = find_entry(r, d, key, hash, &slot);
    if (r->failed) return false;
    if (i < d->count) {
        d->entries[i].value = v;
        return true;
    }
    if (d->count == d->capacity) {
        if (!grow(r, d)) return false;
        find_entry(r, d, key, hash, &slot);
    }
    if (d->slots) d->slots[slot] = (uint32_t)(d->count + 1);
    d->entries[d->count++] = (struct dict_entry){key, v, hash};
    return !r->failed;
}

struct value *tpl_dict_get(struct render *r, const struct dict *d, struct value key) {
    uint64_t hash = tpl_hash(r, key);
    if (r->failed) return NULL;
    size_t i = find_entry(r, d, key, hash, no_slot);
    return i < d->count && !r->failed ? &d->entries[i].value : NULL;
}

struct value *tpl_dict_get_string(struct render *r, const struct dict *d, const struct str *key) {
    return tpl_dict_get(r, d, tpl_string_of(key));
}

bool tpl_dict_remove(struct render *r, struct dict *d, struct value key) {
    struct value *found = tpl_dict_get(r, d, key);
    if (!found) return false;
    struct dict_entry *entry =
        (struct dict_entry *)((char *)found - offsetof(struct dict_entry, value));
    size_t i = (size_t)(entry - d->entries);
    tpl_charge(r, d->count / 8);
    memmove(entry, entry + 1, (d->count - i - 1) * sizeof *entry);
    d->count--;
    return rebuild(r, d);
}

struct dict *tpl_dict_copy(struct render *r, const struct dict *from) {
    struct dict *d = tpl_dict_new(r);
    for (size_t i = 0; i < from->count && !r->failed; i++)
        tpl_dict_set(r, d, from->entries[i].key, from->entries[i].value);
    return r->failed ? NULL : d;
}

struct value tpl_dict_view(struct render *r, const struct dict *d, enum list_view what) {
    struct list *list = tpl_list_new(r, d->count);
    for (size_t i = 0; i < d->count && !r->failed; i++) {
        const struct dict_entry *e = &d->entries[i];
        tpl_list_append(r, list,
                        what == VIEW_KEYS     ? e->key
                        : what == VIEW_VALUES ? e->value
                                              : tpl_pair(r, e->key, e->value));
    }
    struct value v = tpl_list_of(list);
    v.flag = (uint8_t)what;
    return v;
}
