#include "base/mem.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/units.h"

enum { POLICY_LOCAL = 4 }; /* MPOL_LOCAL of <linux/mempolicy.h> */

static _Atomic uint64_t fail_countdown;

static int must_fail(void) {
    if (atomic_load_explicit(&fail_countdown, memory_order_relaxed) == 0) return 0;
    return atomic_fetch_sub(&fail_countdown, 1) == 1;
}

void mem_fail_after(uint64_t n) {
    atomic_store(&fail_countdown, n);
}

int mem_fail_pending(void) {
    return atomic_load(&fail_countdown) != 0;
}

void *mem_alloc(size_t size_bytes) {
    if (must_fail()) return NULL;
    return malloc(size_bytes ? size_bytes : 1);
}

void *mem_calloc(size_t count, size_t size_bytes) {
    if (must_fail()) return NULL;
    return calloc(count ? count : 1, size_bytes ? size_bytes : 1);
}

void *mem_alloc_array(size_t count, size_t size_bytes) {
    size_t total;
    if (__builtin_mul_overflow(count, size_bytes, &total)) return NULL;
    return mem_alloc(total);
}

void *mem_realloc_array(void *old, size_t count, size_t size_bytes) {
    size_t total;
    if (must_fail() || __builtin_mul_overflow(count, size_bytes, &total)) return NULL;
    return realloc(old, total ? total : 1);
}

void *mem_alloc_aligned(size_t alignment, size_t size_bytes) {
    if (must_fail()) return NULL;
    if (size_bytes > SIZE_MAX - alignment) return NULL;
    size_t rounded = (size_bytes + alignment - 1) / alignment * alignment;
    return aligned_alloc(alignment, rounded ? rounded : alignment);
}

char *mem_strndup(const char *text, size_t length_bytes) {
    if (length_bytes == SIZE_MAX) return NULL;
    char *copy = mem_alloc(length_bytes + 1);
    if (!copy) return NULL;
    if (length_bytes) memcpy(copy, text, length_bytes);
    copy[length_bytes] = '\0';
    return copy;
}

char *mem_strdup(const char *text) {
    return mem_strndup(text, strlen(text));
}

void mem_free(void *pointer) {
    free(pointer);
}

void *mem_pages_alloc(size_t size_bytes) {
    if (must_fail()) return NULL;
    void *pages = mmap(NULL, size_bytes ? size_bytes : 1, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    // cppcheck-suppress memleak ; the caller owns the pages
    return pages == MAP_FAILED ? NULL : pages;
}

/* Cuts off what lies before the first boundary of a huge page and behind `size_bytes`. */
static void *align_to_huge(uint8_t *pages, size_t size_bytes) {
    size_t before = (HUGE_PAGE_BYTES - (uintptr_t)pages % HUGE_PAGE_BYTES) % HUGE_PAGE_BYTES;
    size_t small = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *end = pages + size_bytes + HUGE_PAGE_BYTES, *aligned = pages + before;
    uint8_t *behind = aligned + (size_bytes + small - 1) / small * small;
    if (before) munmap(pages, before);
    if (behind < end) munmap(behind, (size_t)(end - behind));
    return aligned;
}

void *mem_huge_pages_alloc(size_t size_bytes) {
    if (size_bytes < HUGE_PAGE_BYTES || size_bytes > SIZE_MAX / 2)
        return mem_pages_alloc(size_bytes);
    uint8_t *pages = mem_pages_alloc(size_bytes + HUGE_PAGE_BYTES);
    if (!pages) return NULL;
    void *aligned = align_to_huge(pages, size_bytes);
    madvise(aligned, size_bytes, MADV_HUGEPAGE); /* a wish: small pages do, too */
    return aligned;
}

/* Huge pages would hold rows of several nodes. The policy is the default; said once more, it
 * also keeps the kernel from watching these pages, to move them where they are read. */
void *mem_near_pages_alloc(size_t size_bytes) {
    void *pages = mem_pages_alloc(size_bytes);
    if (!pages) return NULL;
    madvise(pages, size_bytes, MADV_NOHUGEPAGE);
    syscall(SYS_mbind, pages, size_bytes, POLICY_LOCAL, NULL, 0, 0);
    return pages;
}

hearth_status mem_lock(const void *data, size_t size_bytes, hearth_error *err) {
    char need[32], have[32];
    struct rlimit limit = {0};
    if (mlock(data, size_bytes) == 0) return HEARTH_OK;
    int code = errno;
    getrlimit(RLIMIT_MEMLOCK, &limit);
    if (limit.rlim_cur == RLIM_INFINITY || (code != ENOMEM && code != EPERM && code != EAGAIN))
        return error_set_errno(err, "cannot lock %s in memory",
                               units_format_bytes(size_bytes, need, sizeof need));
    return error_set(err, HEARTH_ERROR_LIMIT,
                     "cannot lock %s in memory: the limit is %s in all; raise it with 'ulimit -l "
                     "unlimited' or LimitMEMLOCK=infinity of the service",
                     units_format_bytes(size_bytes, need, sizeof need),
                     units_format_bytes(limit.rlim_cur, have, sizeof have));
}

void mem_pages_drop(void *begin, size_t size_bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t before = (page - (uintptr_t)begin % page) % page;
    uint8_t *first = (uint8_t *)begin + before;
    if (before >= size_bytes) {
        memset(begin, 0, size_bytes);
        return;
    }
    size_t whole = (size_bytes - before) / page * page;
    memset(begin, 0, before);
    memset(first + whole, 0, size_bytes - before - whole);
    if (whole > 0 && madvise(first, whole, MADV_DONTNEED) != 0) memset(first, 0, whole);
}

void mem_pages_free(void *pages, size_t size_bytes) {
    if (pages) munmap(pages, size_bytes ? size_bytes : 1);
}
