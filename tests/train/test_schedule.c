/* Learning rates at the steps that matter. */
#include "testdata.h"

#include <math.h>

#include "train/schedule.h"

static void expect_rate(const struct schedule *s, uint64_t step, double expected) {
    double rate = (double)schedule_rate(s, step);
    if (fabs(rate - expected) > 1e-6)
        fail_msg("step %llu has rate %g, not %g", (unsigned long long)step, rate, expected);
}

static void the_rate_grows_then_falls(void **state) {
    (void)state;
    struct schedule s = {SCHEDULE_LINEAR, 1, 0.1f, 4, 15};
    expect_rate(&s, 0, 0.25);
    expect_rate(&s, 3, 1);
    expect_rate(&s, 4, 1);
    expect_rate(&s, 9, 0.55);
    expect_rate(&s, 14, 0.1);
    expect_rate(&s, 1000, 0.1);
    s.kind = SCHEDULE_COSINE;
    expect_rate(&s, 4, 1);
    expect_rate(&s, 9, 0.55);
    expect_rate(&s, 14, 0.1);
    expect_rate(&s, 6, 0.1 + 0.9 * 0.5 * (1 + cos(0.2 * acos(-1))));
    s.kind = SCHEDULE_CONSTANT;
    expect_rate(&s, 1, 0.5);
    expect_rate(&s, 14, 1);
}

static void short_runs_have_a_rate_too(void **state) {
    (void)state;
    struct schedule one = {SCHEDULE_COSINE, 1, 0, 0, 1}, all_warmup = {SCHEDULE_LINEAR, 1, 0, 5, 3};
    expect_rate(&one, 0, 1);
    expect_rate(&all_warmup, 2, 0.6);
    expect_rate(&all_warmup, 7, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rate_grows_then_falls),
        cmocka_unit_test(short_runs_have_a_rate_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
