/* cmocka.h - the part of the cmocka interface that the tests of the base and kernels
 * rooms use, for cross builds, where the library itself is not at hand.
 *
 * Same names, same meaning, same lines of output; one test at a time, in one
 * thread. Source of the interface: the cmocka 1.1 manual. */
#ifndef HEARTH_TESTS_ARM64_CMOCKA_H
#define HEARTH_TESTS_ARM64_CMOCKA_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef void (*CMUnitTestFunction)(void **state);
typedef int (*CMFixtureFunction)(void **state);

struct CMUnitTest {
    const char *name;
    CMUnitTestFunction test_func;
    CMFixtureFunction setup_func, teardown_func;
    void *initial_state;
};

#define cmocka_unit_test(f)                                                                        \
    { #f, f, NULL, NULL, NULL }
#define cmocka_unit_test_prestate(f, state)                                                        \
    { #f, f, NULL, NULL, state }
#define cmocka_unit_test_setup_teardown(f, setup, teardown)                                        \
    { #f, f, setup, teardown, NULL }
#define cmocka_unit_test_prestate_setup_teardown(f, setup, teardown, state)                        \
    { #f, f, setup, teardown, state }

#define cmocka_run_group_tests_name(name, tests, setup, teardown)                                  \
    small_run_group(name, tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)
#define cmocka_run_group_tests(tests, setup, teardown)                                             \
    cmocka_run_group_tests_name(#tests, tests, setup, teardown)

int small_run_group(const char *name, const struct CMUnitTest *tests, size_t count,
                    CMFixtureFunction setup, CMFixtureFunction teardown);

void print_message(const char *format, ...) __attribute__((format(printf, 1, 2)));
void print_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void small_skip(void);
_Noreturn void small_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define skip() small_skip()
#define fail() small_fail(__FILE__, __LINE__, "failed")
#define fail_msg(...) small_fail(__FILE__, __LINE__, __VA_ARGS__)

#define SMALL_CHECK(holds, text)                                                                   \
    do {                                                                                           \
        if (!(holds)) small_fail(__FILE__, __LINE__, "does not hold: %s", text);                   \
    } while (0)
#define SMALL_COMPARE(a, op, b)                                                                    \
    do {                                                                                           \
        uintmax_t a_ = (uintmax_t)(a), b_ = (uintmax_t)(b);                                        \
        if (!(a_ op b_))                                                                           \
            small_fail(__FILE__, __LINE__, "%#jx %s %#jx does not hold: %s, %s", a_, #op, b_, #a,  \
                       #b);                                                                        \
    } while (0)

#define assert_true(c) SMALL_CHECK((c), #c)
#define assert_false(c) SMALL_CHECK(!(c), "!(" #c ")")
#define assert_null(p) SMALL_CHECK((p) == NULL, #p " == NULL")
#define assert_non_null(p) SMALL_CHECK((p) != NULL, #p " != NULL")
#define assert_ptr_equal(a, b) SMALL_CHECK((const void *)(a) == (const void *)(b), #a " == " #b)
#define assert_ptr_not_equal(a, b) SMALL_CHECK((const void *)(a) != (const void *)(b), #a " != " #b)
#define assert_int_equal(a, b) SMALL_COMPARE(a, ==, b)
#define assert_int_not_equal(a, b) SMALL_COMPARE(a, !=, b)
#define assert_in_range(v, low, high)                                                              \
    do {                                                                                           \
        SMALL_COMPARE(v, >=, low);                                                                 \
        SMALL_COMPARE(v, <=, high);                                                                \
    } while (0)
#define assert_return_code(rc, error) SMALL_CHECK((rc) >= 0, #rc " >= 0")
#define assert_string_equal(a, b) SMALL_CHECK(strcmp((a), (b)) == 0, #a " == " #b)
#define assert_string_not_equal(a, b) SMALL_CHECK(strcmp((a), (b)) != 0, #a " != " #b)
#define assert_memory_equal(a, b, n) SMALL_CHECK(memcmp((a), (b), (n)) == 0, #a " == " #b)
#define assert_memory_not_equal(a, b, n) SMALL_CHECK(memcmp((a), (b), (n)) != 0, #a " != " #b)
#define assert_float_equal(a, b, epsilon)                                                          \
    SMALL_CHECK((a) - (b) <= (epsilon) && (b) - (a) <= (epsilon), #a " == " #b)
#define assert_float_not_equal(a, b, epsilon)                                                      \
    SMALL_CHECK((a) - (b) > (epsilon) || (b) - (a) > (epsilon), #a " != " #b)

#endif
