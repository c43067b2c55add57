/* The cache by itself: pages are apart, and a few of them take little memory, whatever the size of
 * the system's pages. */
#include "testdata.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "device/cpu_device.h"
#include "model/cache.h"
#include "model/model.h"

enum { N_PAGES = 21 };

static const struct {
    const char *family;
    enum elem k_type, v_type;
} settings[] = {{"llama-dense", ELEM_F16, ELEM_F16},
                {"llama-dense", ELEM_F32, ELEM_Q8_0},
                {"gemma3-dense", ELEM_F16, ELEM_F32},
                {"deepseek2-moe", ELEM_F16, ELEM_F16}, /* values in keys */
                {"nemotron_h-dense", ELEM_F16, ELEM_F16}};

struct scene {
    struct model model;
    struct device *device;
    struct cache cache;
    uint8_t *bytes, *expected; /* [page] each */
};

static void expect_ok(hearth_status status, const hearth_error *err) {
    if (status != HEARTH_OK) fail_msg("%s", err->message);
}

static void open_scene(struct scene *s, size_t setting, uint32_t n_pages) {
    char path[128];
    hearth_error err = {0};
    struct device_options device = {.n_threads = 1, .max_tokens = 1};
    struct cache_options options = {.n_pages = n_pages,
                                    .n_slots = 1,
                                    .k_type = settings[setting].k_type,
                                    .v_type = settings[setting].v_type};
    snprintf(path, sizeof path, "arch/%s/model.gguf", settings[setting].family);
    expect_ok(model_open(&s->model, testdata(path), &err), &err);
    expect_ok(device_open_cpu(&s->device, &device, &err), &err);
    expect_ok(cache_open(&s->cache, s->device, &s->model.config, &options, &err), &err);
    s->bytes = mem_calloc(2, s->cache.page_bytes);
    assert_non_null(s->bytes);
    s->expected = s->bytes + s->cache.page_bytes;
    for (uint64_t i = 0; i < s->cache.page_bytes; i++)
        s->expected[i] = (uint8_t)(i * 131 >> 3 | 1);
}

static void close_scene(struct scene *s) {
    cache_release(&s->cache);
    assert_int_equal(device_allocated_bytes(s->device), 0);
    device_close(s->device);
    model_close(&s->model);
    mem_free(s->bytes);
}

/* What the operations of a layer find of a page, part after part. */
static const uint8_t *expect_part(const struct scene *s, const struct kv_layout *kv,
                                  device_buffer buffer, uint64_t row_bytes, uint32_t page,
                                  const uint8_t *expected) {
    uint64_t size = CACHE_PAGE_TOKENS * kv->n_head_kv * row_bytes;
    uint64_t at = page / kv->group_pages * kv->group_bytes + page % kv->group_pages * size;
    hearth_error err = {0};
    expect_ok(device_read(s->device, buffer, at, s->bytes, size, &err), &err);
    for (uint64_t i = 0; i < size; i++)
        if (s->bytes[i] != (expected ? expected[i] : 0))
            fail_msg("page %u, byte %llu", page, (unsigned long long)i);
    return expected ? expected + size : NULL;
}

static void expect_page(const struct scene *s, uint32_t page, bool written) {
    const uint8_t *at = written ? s->expected : NULL;
    for (uint32_t i = 0; i < s->cache.n_layers; i++) {
        const struct kv_layout *kv = &s->cache.layers[i].kv;
        if (kv->k) at = expect_part(s, kv, kv->k, elem_row_bytes(kv->k_type, kv->d_k), page, at);
        if (kv->v) at = expect_part(s, kv, kv->v, elem_row_bytes(kv->v_type, kv->d_v), page, at);
    }
    if (written) assert_ptr_equal(at, s->expected + s->cache.page_bytes);
}

/* Whether group g of the memory of all layers holds written bytes alone, or none. */
static void expect_group(const struct scene *s, uint32_t g, bool written) {
    hearth_error err = {0};
    for (uint32_t i = 0; i < s->cache.group_pages; i++) {
        uint64_t size = s->cache.page_bytes, at = (g * s->cache.group_pages + i) * size;
        expect_ok(device_read(s->device, s->cache.pages, at, s->bytes, size, &err), &err);
        for (uint64_t j = 0; j < size; j++)
            if ((s->bytes[j] != 0) != written)
                fail_msg("group %u, byte %llu", g, (unsigned long long)j);
    }
}

static void pages_are_what_was_written(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        struct scene s;
        hearth_error err = {0};
        open_scene(&s, i, N_PAGES);
        expect_ok(cache_write_page(&s.cache, 3, s.expected, &err), &err);
        expect_ok(cache_copy_page(&s.cache, 3, N_PAGES - 1, &err), &err);
        for (uint32_t page = 0; page < N_PAGES; page++)
            expect_page(&s, page, page == 3 || page == N_PAGES - 1);
        expect_ok(cache_read_page(&s.cache, 3, CACHE_PAGE_TOKENS, s.bytes, &err), &err);
        assert_memory_equal(s.bytes, s.expected, s.cache.page_bytes);
        close_scene(&s);
    }
}

static void groups_hold_all_layers(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        struct scene s;
        hearth_error err = {0};
        open_scene(&s, i, 3 * 8);
        assert_int_equal(s.cache.group_pages, 8);
        for (uint32_t page = 8; page < 16; page++)
            expect_ok(cache_write_page(&s.cache, page, s.expected, &err), &err);
        for (uint32_t g = 0; g < 3; g++)
            expect_group(&s, g, g == 1);
        close_scene(&s);
    }
}

static uint64_t resident_bytes(const struct scene *s) {
    static unsigned char resident[1 << 16];
    uint64_t size = s->cache.page_bytes * s->cache.options.n_pages, count = 0;
    uint64_t small = (uint64_t)sysconf(_SC_PAGESIZE), n = (size + small - 1) / small;
    assert_true(n <= sizeof resident);
    assert_int_equal(mincore(buffer_data(s->device, s->cache.pages), size, resident), 0);
    for (uint64_t i = 0; i < n; i++)
        count += resident[i] & 1;
    return count * small;
}

/* No more than the huge pages that the first group lies in, with huge pages or without. */
static void few_pages_take_little_memory(void **state) {
    struct scene s;
    hearth_error err = {0};
    (void)state;
    open_scene(&s, 0, 4096);
    assert_true(s.cache.page_bytes * 4096 > 8 * (uint64_t)HUGE_PAGE_BYTES);
    assert_int_equal(resident_bytes(&s), 0);
    expect_ok(cache_write_page(&s.cache, 0, s.expected, &err), &err);
    expect_ok(cache_write_page(&s.cache, 1, s.expected, &err), &err);
    assert_true(s.cache.page_bytes * 8 < HUGE_PAGE_BYTES);
    assert_in_range(resident_bytes(&s), 2 * s.cache.page_bytes, HUGE_PAGE_BYTES);
    close_scene(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_what_was_written),
        cmocka_unit_test(groups_hold_all_layers),
        cmocka_unit_test(few_pages_take_little_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
