/* arena.h - many small allocations that live and die together.
 *
 * Memory comes in chunks; nothing is freed before arena_release. An arena has a
 * maximum; an allocation beyond it returns NULL. Not thread-safe. */
#ifndef HEARTH_BASE_ARENA_H
#define HEARTH_BASE_ARENA_H

#include <stddef.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first */
    size_t used_bytes, max_bytes;
};

void arena_init(struct arena *arena, size_t max_bytes);
void arena_release(struct arena *arena);
void *arena_alloc(struct arena *arena, size_t size_bytes); /* zeroed, 16-byte aligned */
void *arena_calloc(struct arena *arena, size_t count, size_t size_bytes); /* overflow checked */
char *arena_strndup(struct arena *arena, const char *text, size_t length_bytes);

#endif
