#include "cmocka.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

enum outcome { PASSED, FAILED, SKIPPED, OUTCOMES };

static const char *const labels[OUTCOMES] = {"[       OK ]", "[  FAILED  ]", "[  SKIPPED ]"};

/* Where the running test returns to when it ends early. */
static jmp_buf ended;

void print_message(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
}

void print_error(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
}

void small_skip(void) {
    longjmp(ended, 1 + SKIPPED);
}

void small_fail(const char *file, int line, const char *format, ...) {
    va_list args;
    printf("[   LINE   ] --- %s:%d: ", file, line);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    longjmp(ended, 1 + FAILED);
}

static enum outcome run_test(const struct CMUnitTest *test) {
    void *state = test->initial_state;
    if (test->setup_func && test->setup_func(&state) != 0) return FAILED;
    volatile enum outcome outcome = PASSED;
    int how = setjmp(ended);
    if (how == 0)
        test->test_func(&state);
    else
        outcome = (enum outcome)(how - 1);
    if (test->teardown_func && test->teardown_func(&state) != 0) outcome = FAILED;
    return outcome;
}

int small_run_group(const char *name, const struct CMUnitTest *tests, size_t count,
                    CMFixtureFunction setup, CMFixtureFunction teardown) {
    size_t counts[OUTCOMES] = {0};
    void *group_state = NULL;
    printf("[==========] %s: running %zu test(s).\n", name, count);
    if (setup && setup(&group_state) != 0) {
        printf("[  FAILED  ] GROUP SETUP\n");
        return 1;
    }
    for (size_t i = 0; i < count; i++) {
        struct CMUnitTest test = tests[i];
        if (!test.initial_state) test.initial_state = group_state;
        printf("[ RUN      ] %s\n", test.name);
        fflush(stdout);
        enum outcome outcome = run_test(&test);
        printf("%s %s\n", labels[outcome], test.name);
        counts[outcome]++;
    }
    bool broken = teardown && teardown(&group_state) != 0;
    if (broken) printf("[  FAILED  ] GROUP TEARDOWN\n");
    printf("[==========] %s: %zu test(s) run.\n", name, count);
    printf("[  PASSED  ] %zu test(s).\n", counts[PASSED]);
    if (counts[SKIPPED]) printf("[  SKIPPED ] %zu test(s).\n", counts[SKIPPED]);
    if (counts[FAILED]) printf("[  FAILED  ] %zu test(s).\n", counts[FAILED]);
    return (int)counts[FAILED] + (broken ? 1 : 0);
}
