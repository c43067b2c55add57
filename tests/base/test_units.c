/* Sizes, counts and durations as people write them. */
#include "testdata.h"

#include "base/units.h"

static void durations_are_read(void **state) {
    static const struct {
        const char *text;
        double seconds;
    } good[] = {{"300", 300},  {"0", 0},       {"-1", -1},    {"5m", 300},     {"1h30m", 5400},
                {"1.5s", 1.5}, {"300ms", 0.3}, {"-1m", -60},  {"2h", 7200},    {"1m0.5s", 60.5},
                {"+4s", 4},    {"10us", 1e-5}, {"7ns", 7e-9}, {"1.25h", 4500}, {".5m", 30}};
    static const char *const bad[] = {"",    "m",   "5x",  "5m3",   "five", "1h-30m",
                                      " 5m", "5 m", "--5", "1e400", "5mm",  "0x5"};
    double seconds;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!units_parse_duration(good[i].text, &seconds)) fail_msg("'%s'", good[i].text);
        assert_true(seconds > good[i].seconds - 1e-9 && seconds < good[i].seconds + 1e-9);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (units_parse_duration(bad[i], &seconds)) fail_msg("'%s' is no duration", bad[i]);
}

static void sizes_are_read_and_written(void **state) {
    char text[32];
    uint64_t bytes;
    (void)state;
    assert_true(units_parse_bytes("1.5GiB", &bytes));
    assert_int_equal(bytes, UINT64_C(3) << 29);
    assert_false(units_parse_bytes("much", &bytes));
    assert_string_equal(units_format_bytes(812, text, sizeof text), "812 B");
    assert_string_equal(units_format_bytes(UINT64_C(3) << 29, text, sizeof text), "1.5 GiB");
    assert_string_equal(units_format_count(1240000000, text, sizeof text), "1.24 B");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(sizes_are_read_and_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
