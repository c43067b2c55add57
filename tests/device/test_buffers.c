/* Buffers of the device: parts share the memory of the whole, and huge pages change nothing. */
#include "testdata.h"

#include <string.h>

#include "base/mem.h"
#include "device/device.h"

static struct device *open_device(uint64_t max_bytes) {
    struct device *device;
    struct device_options options = {.n_threads = 1, .max_tokens = 1, .max_bytes = max_bytes};
    assert_int_equal(device_open_cpu(&device, &options, NULL), HEARTH_OK);
    return device;
}

static void a_part_shares_the_memory_of_the_whole(void **state) {
    struct device *device = open_device(0);
    device_buffer whole, part, inner;
    char text[8] = {0};
    (void)state;
    assert_int_equal(device_alloc(device, 16, &whole, NULL), HEARTH_OK);
    assert_int_equal(device_part(device, whole, 4, 8, &part, NULL), HEARTH_OK);
    assert_int_equal(device_part(device, part, 2, 6, &inner, NULL), HEARTH_OK);
    assert_int_not_equal(part, whole);
    assert_int_equal(device_write(device, part, 1, "abcd", 4, NULL), HEARTH_OK);
    assert_int_equal(device_read(device, whole, 4, text, 6, NULL), HEARTH_OK);
    assert_memory_equal(text, "\0abcd\0", 6);
    assert_int_equal(device_read(device, inner, 0, text, 3, NULL), HEARTH_OK);
    assert_memory_equal(text, "bcd", 3);
    assert_int_equal(device_allocated_bytes(device), 16);
    device_free(device, inner);
    device_free(device, part);
    assert_int_equal(device_allocated_bytes(device), 16);
    assert_int_equal(device_read(device, whole, 5, text, 4, NULL), HEARTH_OK);
    assert_memory_equal(text, "abcd", 4);
    device_free(device, whole);
    assert_int_equal(device_allocated_bytes(device), 0);
    device_close(device);
}

static void a_part_ends_where_it_says(void **state) {
    struct device *device = open_device(0);
    device_buffer whole, part;
    (void)state;
    assert_int_equal(device_alloc(device, 16, &whole, NULL), HEARTH_OK);
    assert_int_equal(device_part(device, whole, 9, 8, &part, NULL), HEARTH_ERROR_ARGUMENT);
    assert_int_equal(device_part(device, whole, 17, 0, &part, NULL), HEARTH_ERROR_ARGUMENT);
    assert_int_equal(device_part(device, whole, 1, UINT64_MAX, &part, NULL), HEARTH_ERROR_ARGUMENT);
    assert_int_equal(device_part(device, whole, 4, 8, &part, NULL), HEARTH_OK);
    assert_int_equal(device_write(device, part, 5, "abcd", 4, NULL), HEARTH_ERROR_ARGUMENT);
    assert_int_equal(device_write(device, part, 4, "abcd", 4, NULL), HEARTH_OK);
    device_close(device);
}

static void huge_pages_are_buffers_like_others(void **state) {
    enum { SIZE = 2 * HUGE_PAGE_BYTES + 4096 };
    struct device *device = open_device(SIZE);
    device_buffer buffer, more;
    char *bytes = mem_calloc(2, SIZE);
    (void)state;
    assert_non_null(bytes);
    assert_int_equal(device_alloc_huge(device, SIZE, &buffer, NULL), HEARTH_OK);
    assert_int_equal(device_alloc_huge(device, 1, &more, NULL), HEARTH_ERROR_NO_MEMORY);
    assert_int_equal(device_allocated_bytes(device), SIZE);
    memset(bytes, 1, SIZE);
    assert_int_equal(device_read(device, buffer, 0, bytes, SIZE, NULL), HEARTH_OK);
    assert_memory_equal(bytes, bytes + SIZE, SIZE); /* zeros */
    memset(bytes, 2, SIZE);
    assert_int_equal(device_write(device, buffer, 0, bytes, SIZE, NULL), HEARTH_OK);
    /* a part of a huge page, and what remains of it */
    assert_int_equal(device_drop(device, buffer, 8192, HUGE_PAGE_BYTES, NULL), HEARTH_OK);
    assert_int_equal(device_read(device, buffer, 0, bytes + SIZE, SIZE, NULL), HEARTH_OK);
    memset(bytes + 8192, 0, HUGE_PAGE_BYTES);
    assert_memory_equal(bytes, bytes + SIZE, SIZE);
    device_free(device, buffer);
    assert_int_equal(device_allocated_bytes(device), 0);
    mem_free(bytes);
    device_close(device);
}

static void without_memory_there_is_no_buffer(void **state) {
    struct device *device = open_device(0);
    device_buffer buffer;
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) { /* the memory, and the list of buffers */
        mem_fail_after(n);
        assert_int_equal(device_alloc_huge(device, HUGE_PAGE_BYTES, &buffer, NULL),
                         HEARTH_ERROR_NO_MEMORY);
        assert_false(mem_fail_pending());
        assert_int_equal(device_allocated_bytes(device), 0);
    }
    device_close(device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_part_shares_the_memory_of_the_whole),
        cmocka_unit_test(a_part_ends_where_it_says),
        cmocka_unit_test(huge_pages_are_buffers_like_others),
        cmocka_unit_test(without_memory_there_is_no_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
