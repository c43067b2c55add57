#include "token/string_table.h"

#include "base/mem.h"

void string_table_release(struct string_table *table) {
    mem_free(table->bytes);
    mem_free(table->ends);
    mem_free(table->index);
    *table = (struct string_table){0};
}

static void insert(struct string_table *table, uint32_t number) {
    struct text s = string_table_get(table, number);
    size_t mask = table->index_size - 1, at = string_hash(s.data, s.length) & mask;
    for (; table->index[at]; at = (at + 1) & mask) {
        struct text other = string_table_get(table, table->index[at] - 1);
        if (other.length == s.length && memcmp(other.data, s.data, s.length) == 0) return;
    }
    table->index[at] = number + 1;
}

static bool grow(struct string_table *table) {
    size_t capacity = table->capacity ? table->capacity * 2 : 256;
    uint32_t *ends = mem_realloc_array(table->ends, capacity, sizeof *ends);
    if (!ends) return false;
    table->ends = ends;
    uint32_t *index = mem_calloc(capacity * 2, sizeof *index);
    if (!index) return false;
    mem_free(table->index);
    table->index = index;
    table->index_size = capacity * 2;
    table->capacity = capacity;
    for (size_t i = 0; i < table->count; i++)
        if (string_table_get(table, i).length) insert(table, (uint32_t)i);
    return true;
}

static bool reserve_bytes(struct string_table *table, size_t extra) {
    if (extra > UINT32_MAX - table->n_bytes) return false;
    size_t need = table->n_bytes + extra;
    if (need < table->bytes_capacity) return true;
    size_t capacity = need < 1024 ? 2048 : need * 2;
    char *bytes = mem_realloc_array(table->bytes, capacity, 1);
    if (!bytes) return false;
    table->bytes = bytes;
    table->bytes_capacity = capacity;
    return true;
}

bool string_table_add(struct string_table *table, const char *data, size_t length) {
    if (table->count == UINT32_MAX / 2 || !reserve_bytes(table, length)) return false;
    if (table->count == table->capacity && !grow(table)) return false;
    if (length) memcpy(table->bytes + table->n_bytes, data, length);
    table->n_bytes += length;
    table->ends[table->count] = (uint32_t)table->n_bytes;
    table->count++;
    if (length) insert(table, (uint32_t)(table->count - 1));
    return true;
}

uint32_t string_table_find(const struct string_table *table, const char *data, size_t length) {
    if (table->index_size == 0 || length == 0) return STRING_NONE;
    size_t mask = table->index_size - 1, at = string_hash(data, length) & mask;
    for (; table->index[at]; at = (at + 1) & mask) {
        struct text s = string_table_get(table, table->index[at] - 1);
        if (s.length == length && memcmp(s.data, data, length) == 0) return table->index[at] - 1;
    }
    return STRING_NONE;
}
