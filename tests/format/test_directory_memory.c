/* Weights in memory of their own and locked in RAM: the same bytes, and what is said where
 * the system refuses. */
#include "scratch.h"

#include <sys/resource.h>
#include <sys/wait.h>

#define STORIES "models/stories260K/stories260K.gguf"

/* n_threads 0: directory_copy; otherwise spread over three nodes. */
static void copy_and_compare(const char *path, unsigned n_threads) {
    struct directory mapped, copied;
    struct topology_nodes nodes = {.count = 3, .cores = {1, 2, 1}};
    hearth_error err = {0};
    assert_ok(gguf_open(&mapped, testdata(path), &err), &err);
    assert_ok(gguf_open(&copied, testdata(path), &err), &err);
    if (n_threads == 0) {
        assert_ok(directory_copy(&copied, &err), &err);
    } else {
        struct pool *pool;
        assert_ok(pool_open(&pool, n_threads, &err), &err);
        pool_tie(pool, &nodes);
        assert_ok(directory_spread(&copied, pool, &err), &err);
        pool_close(pool);
    }
    const uint8_t *start = copied.maps[0].data, *end = start + copied.maps[0].size;
    for (size_t i = 0; i < copied.n_tensors; i++)
        assert_false(copied.tensors[i].data >= start && copied.tensors[i].data < end);
    assert_same_tensors(&mapped, &copied);
    assert_same_metadata(&mapped.metadata, &copied.metadata);
    directory_close(&copied);
    directory_close(&mapped);
}

static void a_copy_has_the_same_tensors(void **state) {
    (void)state;
    for (unsigned n_threads = 0; n_threads <= 5; n_threads++) {
        copy_and_compare(STORIES, n_threads);
        copy_and_compare("arch/deepseek2-moe/model.gguf", n_threads);
    }
}

static void without_memory_there_is_no_copy(void **state) {
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        struct directory dir;
        hearth_error err = {0};
        assert_ok(gguf_open(&dir, testdata(STORIES), &err), &err);
        mem_fail_after(n);
        assert_int_equal(directory_copy(&dir, &err), HEARTH_ERROR_NO_MEMORY);
        mem_fail_after(0);
        directory_close(&dir);
    }
}

static void huge_pages_are_aligned_and_zero(void **state) {
    static const size_t sizes[] = {0, 1, 4096, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, 5000000};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *pages = mem_huge_pages_alloc(sizes[i]);
        assert_non_null(pages);
        assert_int_equal((uintptr_t)pages % (sizes[i] < 2 << 20 ? 4096 : 2 << 20), 0);
        for (size_t at = 0; at < sizes[i]; at++)
            if (pages[at] != 0) fail_msg("byte %zu of %zu", at, sizes[i]);
        if (sizes[i]) pages[0] = pages[sizes[i] - 1] = 1;
        mem_pages_free(pages, sizes[i]);
    }
    assert_null(mem_huge_pages_alloc(SIZE_MAX));
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

/* Who may do everything may lock everything: the child gives that up first. */
static void a_lock_beyond_the_limit_says_so(void **state) {
    (void)state;
#ifdef SANITIZED
    skip(); /* the sanitizers lock nothing and say they did */
#endif
    const char *path = testdata(STORIES);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit limit = {.rlim_cur = 65536, .rlim_max = 65536};
        struct directory dir;
        hearth_error err = {0};
        char *copy = mem_strdup(path);
        if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) _exit(99);
        if (gguf_open(&dir, copy, &err) != HEARTH_OK) _exit(98);
        if (geteuid() == 0 && setuid(65534) != 0) _exit(97);
        if (directory_lock(&dir, &err) != HEARTH_ERROR_LIMIT) _exit(96);
        if (!strstr(err.message, "the limit is 64.0 KiB") || !strstr(err.message, "ulimit -l"))
            _exit(95);
        _exit(0);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_has_the_same_tensors),
        cmocka_unit_test(without_memory_there_is_no_copy),
        cmocka_unit_test(huge_pages_are_aligned_and_zero),
        cmocka_unit_test(a_lock_beyond_the_limit_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
