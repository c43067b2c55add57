/* failing_memory.h - SQLite and jansson take their memory from base/mem.h, so that a test can make
 * the N-th allocation of the two fail like any other. */
#ifndef HEARTH_TESTS_FAILING_MEMORY_H
#define HEARTH_TESTS_FAILING_MEMORY_H

#include <jansson.h>
#include <malloc.h>
#include <sqlite3.h>

#include "base/mem.h"

static inline void *failing_alloc(int n) {
    return mem_alloc((size_t)n);
}
static inline void *failing_realloc(void *old, int n) {
    return mem_realloc_array(old, (size_t)n, 1);
}
static inline int failing_size(void *block) {
    return (int)malloc_usable_size(block);
}
static inline int failing_round(int n) {
    return (n + 7) & ~7;
}
static inline int failing_start(void *context) {
    (void)context;
    return SQLITE_OK;
}
static inline void failing_stop(void *context) {
    (void)context;
}

/* Before anything else uses either. */
static inline bool failing_memory_install(void) {
    static const sqlite3_mem_methods methods = {failing_alloc, mem_free,      failing_realloc,
                                                failing_size,  failing_round, failing_start,
                                                failing_stop,  NULL};
    json_set_alloc_funcs(mem_alloc, mem_free);
    return sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK;
}

/* 1, 2, … and then in growing steps, a `part` of the way: allocations of a path are much alike. */
static inline uint64_t failing_next(uint64_t n, uint64_t part) {
    return n + 1 + n / part;
}

#endif
