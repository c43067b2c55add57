/* Points in time as texts, and files that only their owner may read. */
#include "format/scratch.h"

#include <sys/stat.h>

#include "base/date.h"
#include "base/private_file.h"

static void dates_come_back(void **state) {
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {951782400123, "2000-02-29T00:00:00.123Z"},
        {1767225599999, "2025-12-31T23:59:59.999Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
    };
    char text[DATE_TEXT_BYTES];
    int64_t ms;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(date_format(cases[i].ms, text), cases[i].text);
        assert_true(date_parse(text, &ms) && ms == cases[i].ms);
    }
    assert_string_equal(date_format(-5, text), cases[0].text);
    assert_string_equal(date_format(INT64_MAX, text), cases[3].text);
    assert_true(date_now_ms() > INT64_C(1700000000000));
}

static void other_ways_to_write_dates(void **state) {
    int64_t ms;
    (void)state;
    assert_true(date_parse("1970-01-01T00:00:01Z", &ms) && ms == 1000);
    assert_true(date_parse("1970-01-01T00:00:00.5Z", &ms) && ms == 500);
    assert_true(date_parse("1970-01-01T00:00:00.123456789Z", &ms) && ms == 123);
    assert_true(date_parse("1970-01-01T02:30:00+02:30", &ms) && ms == 0);
    assert_true(date_parse("1969-12-31T23:00:00-01:00", &ms) && ms == 0);
}

static void no_dates(void **state) {
    static const char *const texts[] = {"",
                                        "yesterday",
                                        "1",
                                        "2026-01-01",
                                        "2026-01-01T00:00:00",
                                        "2026-01-01 00:00:00Z",
                                        "2026-13-01T00:00:00Z",
                                        "2026-02-29T00:00:00Z",
                                        "2026-00-10T00:00:00Z",
                                        "2026-01-01T24:00:00Z",
                                        "2026-01-01T00:60:00Z",
                                        "2026-01-01T00:00:60Z",
                                        "2026-01-01T00:00:00.Z",
                                        "2026-01-01T00:00:00.1234567890Z",
                                        "2026-01-01T00:00:00Zx",
                                        "2026-01-01T00:00:00+1:00",
                                        "2026-01-01T00:00:00+24:00",
                                        "2026-01-01T00:00:00+01:60",
                                        "2026-01-01T00:00:00+01",
                                        "1969-12-31T23:59:59Z",
                                        "-026-01-01T00:00:00Z",
                                        "2026-1-01T00:00:00Z"};
    int64_t ms;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (date_parse(texts[i], &ms)) fail_msg("'%s' was taken for a date", texts[i]);
}

static void private_files(void **state) {
    struct stat info;
    char data[4] = "", *text;
    size_t size;
    hearth_error err = {0};
    (void)state;
    assert_int_equal(private_file_read(scratch("p"), data, 4, &err), HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(private_file_make(scratch("p"), "abcd", 4, &err), HEARTH_OK);
    assert_int_equal(stat(scratch("p"), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(private_file_make(scratch("p"), "efgh", 4, &err), HEARTH_OK);
    assert_int_equal(private_file_read(scratch("p"), data, 4, &err), HEARTH_OK);
    assert_memory_equal(data, "abcd", 4); /* the first one stays */
    assert_int_equal(scratch_count(), 1);
    assert_int_equal(private_file_read(scratch("p"), data, 3, &err), HEARTH_ERROR_FORMAT);
    assert_int_equal(chmod(scratch("p"), 0640), 0);
    assert_int_equal(private_file_read(scratch("p"), data, 4, &err), HEARTH_ERROR_FORMAT);
    assert_contains(err.message, "0640");
    assert_int_equal(chmod(scratch("p"), 0604), 0);
    assert_int_equal(private_file_text(scratch("p"), 4, &text, &size, &err), HEARTH_ERROR_ARGUMENT);
    private_file_prepare(scratch("p"));
    assert_int_equal(private_file_read(scratch("p"), data, 4, &err), HEARTH_OK);
    assert_int_equal(private_file_text(scratch("p"), 4, &text, &size, &err), HEARTH_OK);
    assert_true(size == 4 && strcmp(text, "abcd") == 0);
    mem_free(text);
    assert_int_equal(private_file_text(scratch("p"), 3, &text, &size, &err), HEARTH_ERROR_LIMIT);
    assert_int_equal(private_file_text(scratch("none"), 3, &text, &size, &err), HEARTH_ERROR_IO);
    private_file_prepare(scratch("q"));
    assert_int_equal(stat(scratch("q"), &info), 0);
    assert_true((info.st_mode & 07777) == 0600 && info.st_size == 0);
    assert_int_equal(private_file_make(scratch("none/p"), "abcd", 4, &err), HEARTH_ERROR_IO);
    assert_int_equal(private_file_read(scratch_folder, data, 4, &err), HEARTH_ERROR_FORMAT);
    scratch_clear();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_come_back),
        cmocka_unit_test(other_ways_to_write_dates),
        cmocka_unit_test(no_dates),
        cmocka_unit_test(private_files),
    };
    return cmocka_run_group_tests_name("base/date", tests, scratch_open, scratch_close);
}
