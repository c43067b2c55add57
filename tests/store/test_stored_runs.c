/* The database of runs: what is stored is there again, whatever happens to processes and files. */
#include "format/scratch.h"

#include <math.h>
#include <signal.h>
#include <sys/wait.h>

#include "store/stored_runs.h"

static struct store *open_store(const char *name) {
    struct store *store;
    hearth_error err = {0};
    assert_ok(store_open(&store, scratch(name), &err), &err);
    return store;
}

static struct stored_run a_run(const char *folder, const char *began, uint64_t step) {
    return (struct stored_run){.folder = folder,
                               .began = began,
                               .name = "a",
                               .model = "model.gguf",
                               .state = "running",
                               .step = step,
                               .steps = 100,
                               .tokens = 512 * step,
                               .loss = 1.5,
                               .best_loss = NAN};
}

static void put(struct store *store, const struct stored_run *run) {
    hearth_error err = {0};
    assert_ok(stored_runs_put(store, run, &err), &err);
}

static void runs_are_there_again_the_last_one_first(void **state) {
    struct stored_run_list list;
    struct stored_run first = a_run("/a", "2026-01-01T00:00:00Z", 1),
                      second = a_run("/b", "2026-01-02T00:00:00Z", 2),
                      third = a_run("/a", "2026-01-02T00:00:00Z", 3);
    (void)state;
    struct store *store = open_store("runs.db");
    put(store, &first);
    put(store, &second);
    put(store, &third);
    store_close(store);
    store = open_store("runs.db");
    first.state = "finished";
    first.ended = "2026-01-03T00:00:00Z";
    first.step = 100;
    first.loss = NAN;
    first.best_loss = 0.25;
    put(store, &first);
    assert_int_equal(stored_runs_read(store, &list, NULL), HEARTH_OK);
    assert_int_equal(list.count, 3);
    assert_int_equal(list.runs[0].step, 3);
    assert_string_equal(list.runs[1].folder, "/b");
    assert_null(list.runs[1].ended);
    assert_null(list.runs[1].data);
    assert_true(isnan(list.runs[1].best_loss) && list.runs[1].loss == 1.5);
    const struct stored_run *last = &list.runs[2];
    assert_string_equal(last->folder, "/a");
    assert_string_equal(last->began, "2026-01-01T00:00:00Z");
    assert_string_equal(last->ended, "2026-01-03T00:00:00Z");
    assert_string_equal(last->model, "model.gguf");
    assert_string_equal(last->state, "finished");
    assert_true(last->step == 100 && last->steps == 100 && last->tokens == 512);
    assert_true(isnan(last->loss) && last->best_loss == 0.25);
    stored_runs_release(&list);
    store_close(store);
    scratch_clear();
}

static void refused(const char *name, hearth_status expected, const char *part) {
    struct store *store;
    hearth_error err = {0};
    assert_int_equal(store_open(&store, scratch(name), &err), expected);
    assert_null(store);
    assert_contains(err.message, part);
    assert_contains(err.message, name);
}

/* Bytes of a file replaced. */
static void change(const char *name, size_t at, const void *bytes, size_t n) {
    char *data;
    size_t size;
    assert_int_equal(file_read(scratch(name), 1 << 20, &data, &size, NULL), HEARTH_OK);
    assert_true(at + n <= size);
    memcpy(data + at, bytes, n);
    scratch_put(name, data, size);
    mem_free(data);
}

static void damaged_files_are_refused_and_left_alone(void **state) {
    static const char text[] = "this was never a database, and is long enough to be looked at: "
                               "one hundred bytes are a database's header";
    static const uint8_t newer[4] = {0, 0, 0, 99};
    enum { USER_VERSION_AT = 60 };
    char *data;
    size_t size;
    (void)state;
    scratch_put_text("text.db", text);
    refused("text.db", HEARTH_ERROR_FORMAT, "move it away");
    assert_int_equal(file_read(scratch("text.db"), 1000, &data, &size, NULL), HEARTH_OK);
    assert_string_equal(data, text);
    mem_free(data);
    store_close(open_store("newer.db"));
    change("newer.db", USER_VERSION_AT, newer, sizeof newer);
    refused("newer.db", HEARTH_ERROR_UNSUPPORTED, "version 99");
    refused("nowhere/x.db", HEARTH_ERROR_IO, "unable to open");
    scratch_clear();
}

/* The header is sound, the tables behind it are not. */
static void a_damaged_table_is_a_failure_not_an_end(void **state) {
    static const uint8_t zeros[3000];
    struct stored_run run = a_run("/a", "2026-01-01T00:00:00Z", 1);
    struct stored_run_list list;
    struct store *store;
    hearth_error err = {0};
    (void)state;
    store_close(open_store("torn.db"));
    change("torn.db", 100, zeros, sizeof zeros);
    hearth_status status = store_open(&store, scratch("torn.db"), &err);
    if (status == HEARTH_OK) status = stored_runs_put(store, &run, &err);
    if (status == HEARTH_OK) {
        status = stored_runs_read(store, &list, &err);
        stored_runs_release(&list);
    }
    store_close(store);
    assert_int_equal(status, HEARTH_ERROR_FORMAT);
    assert_contains(err.message, "torn.db");
    scratch_clear();
}

/* ---- processes ------------------------------------------------------------------------ */

enum { WRITERS = 2, WRITTEN = 40 };

/* Opens a database that may not be there yet, and adds runs of its own; says after each, by a
 * byte, that it is stored. Ends without closing. */
static void write_runs(int writer, int n, int said) {
    char folder[32];
    struct store *store;
    if (store_open(&store, scratch("shared.db"), NULL) != HEARTH_OK) _exit(1);
    for (int i = 0; i < n; i++) {
        snprintf(folder, sizeof folder, "/%d/%d", writer, i);
        struct stored_run run = a_run(folder, "2026-01-01T00:00:00Z", (uint64_t)i);
        if (stored_runs_put(store, &run, NULL) != HEARTH_OK) _exit(2);
        if (write(said, "", 1) != 1) _exit(3);
    }
    _exit(0);
}

static pid_t start_writer(int writer, int n, int said) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) write_runs(writer, n, said);
    return child;
}

static size_t count_runs(void) {
    struct stored_run_list list;
    struct store *store = open_store("shared.db");
    assert_int_equal(stored_runs_read(store, &list, NULL), HEARTH_OK);
    size_t count = list.count;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(list.runs[i].tokens, 512 * list.runs[i].step);
    stored_runs_release(&list);
    store_close(store);
    return count;
}

static void two_writers_lose_nothing(void **state) {
    int ends[2], how;
    pid_t writers[WRITERS];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    for (int w = 0; w < WRITERS; w++)
        writers[w] = start_writer(w, WRITTEN, ends[1]);
    for (int w = 0; w < WRITERS; w++) {
        assert_int_equal(waitpid(writers[w], &how, 0), writers[w]);
        assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    }
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(count_runs(), WRITERS * WRITTEN);
    scratch_clear();
}

/* Killed in the middle of its work, at one moment after the other. */
static void a_killed_writer_leaves_what_it_stored(void **state) {
    int ends[2], how;
    (void)state;
    for (int kills = 1; kills <= 8; kills++) {
        char said[WRITTEN * 100];
        size_t stored = 0;
        assert_int_equal(pipe(ends), 0);
        pid_t writer = start_writer(kills, WRITTEN * 100, ends[1]);
        close(ends[1]);
        for (; stored < (size_t)kills; stored++)
            assert_int_equal(read(ends[0], said, 1), 1);
        kill(writer, SIGKILL);
        assert_int_equal(waitpid(writer, &how, 0), writer);
        for (ssize_t n; (n = read(ends[0], said, sizeof said)) > 0;)
            stored += (size_t)n;
        close(ends[0]);
        size_t count = count_runs();
        assert_in_range(count, stored, stored + 1);
        scratch_clear();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_are_there_again_the_last_one_first),
        cmocka_unit_test(damaged_files_are_refused_and_left_alone),
        cmocka_unit_test(a_damaged_table_is_a_failure_not_an_end),
        cmocka_unit_test(two_writers_lose_nothing),
        cmocka_unit_test(a_killed_writer_leaves_what_it_stored),
    };
    return cmocka_run_group_tests_name("store/runs", tests, scratch_open, scratch_close);
}
