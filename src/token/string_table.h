/* string_table.h - strings numbered in the order they were added, found by content.
 *
 * The bytes lie end to end in one block. A string added twice gets two numbers; the
 * first is the one that is found. Empty strings are never found. */
#ifndef HEARTH_TOKEN_STRING_TABLE_H
#define HEARTH_TOKEN_STRING_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "format/metadata.h"

#define STRING_NONE UINT32_MAX

struct string_table {
    char *bytes;
    uint32_t *ends;  /* string i is bytes[ends[i - 1] .. ends[i]) */
    uint32_t *index; /* open addressing: number + 1 */
    size_t n_bytes, bytes_capacity, count, capacity, index_size;
};

void string_table_release(struct string_table *table);
/* False when memory is exhausted or the strings exceed 4 GiB together. */
bool string_table_add(struct string_table *table, const char *data, size_t length);
uint32_t string_table_find(const struct string_table *table, const char *data, size_t length);

static inline struct text string_table_get(const struct string_table *table, size_t i) {
    uint32_t begin = i ? table->ends[i - 1] : 0;
    return (struct text){table->bytes + begin, table->ends[i] - begin};
}

/* Mixes eight bytes at a time: multiply by an odd constant, fold the high half down. */
static inline uint64_t string_hash(const char *data, size_t length) {
    uint64_t h = 0x9E3779B97F4A7C15u ^ length;
    for (; length >= 8; data += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        h = (h ^ word) * 0xD6E8FEB86659FD93u;
        h ^= h >> 32;
    }
    uint64_t tail = 0;
    memcpy(&tail, data, length);
    h = (h ^ tail) * 0xD6E8FEB86659FD93u;
    h ^= h >> 32;
    h *= 0xD6E8FEB86659FD93u;
    return h ^ h >> 29;
}

#endif
