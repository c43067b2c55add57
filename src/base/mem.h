/* mem.h - allocation, so that tests can make the N-th one fail.
 *
 * Every heap allocation of the library goes through these. They return NULL on
 * failure and never end the process. `mem_alloc_array` checks the product. */
#ifndef HEARTH_BASE_MEM_H
#define HEARTH_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { HUGE_PAGE_BYTES = 2 << 20 }; /* of x86-64, and of ARM64 with small pages of 4 KiB */

void *mem_alloc(size_t size_bytes);                     /* uninitialised */
void *mem_calloc(size_t count, size_t size_bytes);      /* zeroed, overflow checked */
void *mem_alloc_array(size_t count, size_t size_bytes); /* uninitialised, overflow checked */
void *mem_realloc_array(void *old, size_t count, size_t size_bytes);
void *mem_alloc_aligned(size_t alignment, size_t size_bytes); /* free with mem_free */
char *mem_strdup(const char *text);
char *mem_strndup(const char *text, size_t length_bytes);
void mem_free(void *pointer); /* NULL is fine */

/* Large blocks straight from the operating system: zeroed, aligned to its pages, and
 * taking memory only where they are written. Freed with their size. */
void *mem_pages_alloc(size_t size_bytes);
/* The same made of huge pages where the system has some, for what is read from end to end
 * again and again: a huge page is taken, and cleared, as soon as one byte of it is. */
void *mem_huge_pages_alloc(size_t size_bytes);
/* The same of small pages, each on the node (numa.h) of the thread that first writes it. */
void *mem_near_pages_alloc(size_t size_bytes);
void mem_pages_free(void *pages, size_t size_bytes); /* NULL is fine */
/* A stretch of such a block becomes zero; pages that lie in it whole are given back, until they
 * are written again. */
void mem_pages_drop(void *begin, size_t size_bytes);

/* Keeps pages in RAM until they are unmapped, reading them if they are a file's.
 * HEARTH_ERROR_LIMIT: the system allows this user less (the message says how much). */
hearth_status mem_lock(const void *data, size_t size_bytes, hearth_error *err);

/* Tests only: the n-th allocation from now (1 = the next) returns NULL, once;
 * 0 switches it off. `mem_fail_pending` says whether it has not happened yet. */
void mem_fail_after(uint64_t n);
int mem_fail_pending(void);

#endif
