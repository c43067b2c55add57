#include "token/charsmap.h"

#include <string.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "token/utf8.h"

void charsmap_release(struct charsmap *map) {
    mem_free(map->units);
    mem_free(map->strings);
    *map = (struct charsmap){0};
}

hearth_status charsmap_open(struct charsmap *map, const void *data, size_t n, hearth_error *err) {
    *map = (struct charsmap){0};
    struct cursor c = cursor_over(data, n);
    uint32_t trie_bytes = cursor_u32(&c);
    if (c.failed || trie_bytes >= cursor_left(&c) || trie_bytes % 4 != 0 ||
        ((const char *)data)[n - 1] != '\0')
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "precompiled charsmap of %zu bytes is damaged: its trie claims %u bytes",
                         n, (unsigned)trie_bytes);
    map->n_units = trie_bytes / 4;
    map->units = mem_alloc_array(map->n_units, sizeof *map->units);
    map->n_strings = n - 4 - trie_bytes;
    map->strings = mem_alloc(map->n_strings);
    if (!map->units || !map->strings) {
        charsmap_release(map);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the precompiled charsmap");
    }
    for (size_t i = 0; i < map->n_units; i++)
        map->units[i] = cursor_u32(&c);
    memcpy(map->strings, (const char *)data + 4 + trie_bytes, map->n_strings);
    return HEARTH_OK;
}

static uint32_t unit_offset(uint32_t unit) {
    return (unit >> 10) << ((unit & (1u << 9)) >> 6);
}

static uint32_t unit_label(uint32_t unit) {
    return unit & ((1u << 31) | 0xFF);
}

static bool unit_has_leaf(uint32_t unit) {
    return unit >> 8 & 1;
}

/* The longest rule that the text begins with: its length in bytes and its value. */
static size_t longest_rule(const struct charsmap *map, const char *data, size_t n,
                           uint32_t *value) {
    if (map->n_units == 0) return 0;
    size_t longest = 0;
    uint32_t node = unit_offset(map->units[0]);
    for (size_t i = 0; i < n && data[i]; i++) {
        node ^= (unsigned char)data[i];
        if (node >= map->n_units || unit_label(map->units[node]) != (unsigned char)data[i]) break;
        bool has_leaf = unit_has_leaf(map->units[node]);
        node ^= unit_offset(map->units[node]);
        if (!has_leaf) continue;
        if (node >= map->n_units) break;
        longest = i + 1;
        *value = map->units[node] & INT32_MAX;
    }
    return longest;
}

bool charsmap_apply(const struct charsmap *map, struct text in, struct buf *out) {
    for (size_t at = 0; at < in.length;) {
        uint32_t value = 0, code;
        size_t length = longest_rule(map, in.data + at, in.length - at, &value);
        if (length && value < map->n_strings) {
            buf_append_text(out, map->strings + value); /* the last byte is NUL: checked */
        } else if ((length = utf8_decode(in.data + at, in.length - at, &code)) > 0) {
            buf_append(out, in.data + at, length);
        } else {
            length = 1;
            buf_append_text(out, "\xEF\xBF\xBD");
        }
        at += length;
    }
    return !out->failed;
}
