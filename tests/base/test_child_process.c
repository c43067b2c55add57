/* Programs that run beside this one: started, signalled, what they find, how their end is heard. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/child_process.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "testdata.h"

enum { TRIES = 1000, REST_NS = 10 * 1000 * 1000 };
static char folder[64], output[96];

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/hearth-child-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(output, sizeof output, "%s/output", folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    remove(output);
    return remove(folder);
}

static int end_of(struct child_process *child) {
    int code = -1;
    for (int i = 0; i < TRIES && !child_process_ended(child, &code); i++)
        clock_rest(REST_NS);
    assert_int_equal(child->id, 0);
    return code;
}

static char *printed(void) {
    char *text;
    size_t size;
    assert_int_equal(file_read(output, 1 << 16, &text, &size, NULL), HEARTH_OK);
    return text;
}

static void start(struct child_process *child, const char *script) {
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    hearth_error err = {0};
    if (child_process_start(child, argv, output, &err) != HEARTH_OK) fail_msg("%s", err.message);
    assert_true(child->id > 0);
}

/* Until the child has printed something. */
static void await_output(void) {
    uint64_t size = 0;
    for (int i = 0; i < TRIES && size == 0; i++) {
        clock_rest(REST_NS);
        file_size(output, &size, NULL);
    }
    assert_true(size > 0);
}

static void test_what_it_prints_and_how_it_ends(void **state) {
    struct child_process child;
    (void)state;
    start(&child, "echo one; echo two >&2; cat; exit 7");
    assert_int_equal(end_of(&child), 7);
    char *text = printed();
    assert_string_equal(text, "one\ntwo\n");
    mem_free(text);
    start(&child, "kill -9 $$");
    assert_int_equal(end_of(&child), 128 + SIGKILL);
    child_process_interrupt(&child); /* none any more: nothing happens */
    assert_false(child_process_ended(&child, &(int){0}));
}

static void test_a_program_that_is_not_there(void **state) {
    const char *const argv[] = {"/nowhere/program", NULL};
    struct child_process child;
    hearth_error err = {0};
    (void)state;
    assert_int_equal(child_process_start(&child, argv, output, &err), HEARTH_ERROR_NOT_FOUND);
    assert_non_null(strstr(err.message, "/nowhere/program"));
    assert_int_equal(child.id, 0);
}

/* Nothing of this process: neither its files nor what it does with signals. */
static void test_it_begins_clean(void **state) {
    struct child_process child;
    sigset_t blocked, before;
    (void)state;
    int kept = dup2(STDOUT_FILENO, 200);
    assert_int_equal(kept, 200);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    start(&child, "[ -e /proc/self/fd/200 ] && exit 3; "
                  "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.01; done");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(kept);
    await_output();
    child_process_interrupt(&child);
    assert_int_equal(end_of(&child), 5);
    char *text = printed();
    assert_string_equal(text, "ready\ncaught\n");
    mem_free(text);
}

static void test_its_own_children_are_signalled_too(void **state) {
    struct child_process child;
    (void)state;
    start(&child, "trap : INT; sh -c 'trap \"echo inner; exit\" INT; echo ready; "
                  "while :; do sleep 0.01; done'; exit 4");
    await_output();
    child_process_interrupt(&child);
    assert_int_equal(end_of(&child), 4);
    char *text = printed();
    assert_string_equal(text, "ready\ninner\n");
    mem_free(text);
    start(&child, "echo ready; sleep 100");
    await_output();
    child_process_kill(&child);
    assert_int_equal(end_of(&child), 128 + SIGKILL);
}

static void *start_and_end(void *context) {
    start(context, "trap 'echo told; exit 6' TERM; echo ready; while :; do sleep 0.01; done");
    await_output();
    return NULL;
}

static void test_it_is_told_when_its_thread_ends(void **state) {
    struct child_process child;
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, start_and_end, &child), 0);
    pthread_join(thread, NULL);
    assert_int_equal(end_of(&child), 6);
    char *text = printed();
    assert_string_equal(text, "ready\ntold\n");
    mem_free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_it_prints_and_how_it_ends),
        cmocka_unit_test(test_a_program_that_is_not_there),
        cmocka_unit_test(test_it_begins_clean),
        cmocka_unit_test(test_its_own_children_are_signalled_too),
        cmocka_unit_test(test_it_is_told_when_its_thread_ends),
    };
    return cmocka_run_group_tests_name("base/child_process", tests, set_up, tear_down);
}
