#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

enum { ARENA_CHUNK_BYTES = 64 * 1024, ARENA_ALIGNMENT = 16 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t size, used;
    alignas(ARENA_ALIGNMENT) unsigned char data[];
};

void arena_init(struct arena *arena, size_t max_bytes) {
    *arena = (struct arena){.max_bytes = max_bytes};
}

void arena_release(struct arena *arena) {
    for (struct arena_chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        mem_free(chunk);
    }
    arena->chunks = NULL;
    arena->used_bytes = 0;
}

static struct arena_chunk *add_chunk(struct arena *arena, size_t need) {
    size_t size = need > ARENA_CHUNK_BYTES ? need : ARENA_CHUNK_BYTES;
    if (size > SIZE_MAX - sizeof(struct arena_chunk)) return NULL;
    struct arena_chunk *chunk = mem_alloc(sizeof *chunk + size);
    if (!chunk) return NULL;
    *chunk = (struct arena_chunk){.next = arena->chunks, .size = size};
    arena->chunks = chunk;
    return chunk;
}

void *arena_alloc(struct arena *arena, size_t size_bytes) {
    if (size_bytes > SIZE_MAX - ARENA_ALIGNMENT) return NULL;
    size_t need = (size_bytes + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
    if (need > arena->max_bytes - arena->used_bytes) return NULL;
    struct arena_chunk *chunk = arena->chunks;
    if (!chunk || need > chunk->size - chunk->used) chunk = add_chunk(arena, need);
    if (!chunk) return NULL;
    void *result = chunk->data + chunk->used;
    chunk->used += need;
    arena->used_bytes += need;
    memset(result, 0, need);
    return result;
}

void *arena_calloc(struct arena *arena, size_t count, size_t size_bytes) {
    size_t total;
    if (__builtin_mul_overflow(count, size_bytes, &total)) return NULL;
    return arena_alloc(arena, total);
}

char *arena_strndup(struct arena *arena, const char *text, size_t length_bytes) {
    if (length_bytes == SIZE_MAX) return NULL;
    char *copy = arena_alloc(arena, length_bytes + 1);
    if (copy && length_bytes) memcpy(copy, text, length_bytes);
    return copy;
}
