/* One database for several threads, and for several processes at once. */
#include "store/opened.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "store/database.h"
#include "store/store_pool.h"
#include "store/stored_messages.h"
#include "store/stored_settings.h"
#include "store/usage_queue.h"

enum { WRITERS = 4, READERS = 2, WRITTEN = 50 };

static struct store_pool *open_pool(void) {
    struct store_pool *pool;
    hearth_error err = {0};
    assert_ok(store_pool_open(&pool, scratch("pool.db"), &err), &err);
    return pool;
}

/* ---- jobs -------------------------------------------------------------------------------------
 */

static hearth_status put_setting(struct store *store, void *context, hearth_error *err) {
    return stored_settings_put(store, context, "1", err);
}

static hearth_status put_and_fail(struct store *store, void *context, hearth_error *err) {
    RETURN_IF_ERROR(stored_settings_put(store, context, "1", err));
    return error_set(err, HEARTH_ERROR_CANCELLED, "on purpose");
}

/* As SQLite does by itself when the disk is full. */
static hearth_status undo_everything(struct store *store, void *context, hearth_error *err) {
    RETURN_IF_ERROR(stored_settings_put(store, context, "1", err));
    return store_execute(store, "ROLLBACK", err);
}

struct asked {
    const char *name;
    bool there;
};

static hearth_status get_setting(struct store *store, void *context, hearth_error *err) {
    struct asked *asked = context;
    char *value;
    RETURN_IF_ERROR(stored_settings_get(store, asked->name, &value, err));
    asked->there = value != NULL;
    mem_free(value);
    return HEARTH_OK;
}

static bool is_there(struct store_pool *pool, const char *name) {
    struct asked asked = {.name = name};
    assert_int_equal(store_pool_read(pool, get_setting, &asked, NULL), HEARTH_OK);
    return asked.there;
}

static void a_job_is_done_whole_or_not_at_all(void **state) {
    hearth_error err = {0};
    (void)state;
    struct store_pool *pool = open_pool();
    assert_int_equal(store_pool_write(pool, put_setting, (void *)"a", &err), HEARTH_OK);
    assert_int_equal(store_pool_write(pool, put_and_fail, (void *)"b", &err),
                     HEARTH_ERROR_CANCELLED);
    assert_string_equal(err.message, "on purpose");
    assert_int_equal(store_pool_write(pool, undo_everything, (void *)"c", &err), HEARTH_ERROR_IO);
    assert_int_equal(store_pool_write(pool, put_setting, (void *)"d", &err), HEARTH_OK);
    assert_true(is_there(pool, "a") && is_there(pool, "d"));
    assert_false(is_there(pool, "b") || is_there(pool, "c"));
    store_pool_close(pool);
    scratch_clear();
}

static hearth_status limit_size(struct store *store, void *context, hearth_error *err) {
    return store_execute(store, context, err);
}

static hearth_status put_much(struct store *store, void *context, hearth_error *err) {
    char *text = mem_calloc(1, (size_t)1 << 20);
    memset(text, 'x', ((size_t)1 << 20) - 1);
    hearth_status status = stored_settings_put(store, context, text, err);
    mem_free(text);
    return status;
}

static void a_full_disk_is_said_and_loses_nothing(void **state) {
    hearth_error err = {0};
    (void)state;
    struct store_pool *pool = open_pool();
    assert_int_equal(store_pool_write(pool, put_setting, (void *)"a", &err), HEARTH_OK);
    assert_int_equal(
        store_pool_write(pool, limit_size, (void *)"PRAGMA max_page_count = 100", &err), HEARTH_OK);
    assert_int_equal(store_pool_write(pool, put_much, (void *)"b", &err), HEARTH_ERROR_IO);
    assert_contains(err.message, "no room on the disk");
    assert_int_equal(store_pool_write(pool, put_setting, (void *)"c", &err), HEARTH_OK);
    assert_int_equal(
        store_pool_write(pool, limit_size, (void *)"PRAGMA max_page_count = 10000", &err),
        HEARTH_OK);
    assert_int_equal(store_pool_write(pool, put_much, (void *)"d", &err), HEARTH_OK);
    assert_true(is_there(pool, "a") && is_there(pool, "c") && is_there(pool, "d"));
    assert_false(is_there(pool, "b"));
    store_pool_close(pool);
    scratch_clear();
}

/* ---- together ---------------------------------------------------------------------------------
 */

struct gate {
    struct store_pool *pool;
    _Atomic bool inside, opened;
};

static hearth_status wait_inside(struct store *store, void *context, hearth_error *err) {
    struct gate *gate = context;
    (void)store;
    (void)err;
    atomic_store(&gate->inside, true);
    while (!atomic_load(&gate->opened))
        clock_rest(100000);
    return HEARTH_OK;
}

static void *hold(void *context) {
    struct gate *gate = context;
    return store_pool_write(gate->pool, wait_inside, gate, NULL) == HEARTH_OK ? gate : NULL;
}

struct follower {
    struct store_pool *pool;
    store_job job;
    const char *name;
    hearth_status status;
};

static void *follow(void *context) {
    struct follower *f = context;
    f->status = store_pool_write(f->pool, f->job, (void *)(uintptr_t)f->name, NULL);
    return NULL;
}

/* Jobs that waited go in one transaction: one that fails by itself fails alone; when the whole is
 * undone, all are told so. */
static void follow_together(const struct follower *wanted, struct follower *done, size_t n) {
    struct gate gate = {.pool = open_pool()};
    pthread_t holder, threads[4];
    assert_int_equal(pthread_create(&holder, NULL, hold, &gate), 0);
    while (!atomic_load(&gate.inside))
        clock_rest(100000);
    for (size_t i = 0; i < n; i++) {
        done[i] = wanted[i];
        done[i].pool = gate.pool;
        assert_int_equal(pthread_create(&threads[i], NULL, follow, &done[i]), 0);
        clock_rest(20000000); /* so that they stand in this order, if they can */
    }
    atomic_store(&gate.opened, true);
    for (size_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    pthread_join(holder, NULL);
    for (size_t i = 0; i < n; i++)
        assert_true(is_there(gate.pool, wanted[i].name) == (done[i].status == HEARTH_OK));
    store_pool_close(gate.pool);
    scratch_clear();
}

static void jobs_go_to_the_disk_together(void **state) {
    const struct follower mixed[] = {{.job = put_setting, .name = "a"},
                                     {.job = put_and_fail, .name = "b"},
                                     {.job = put_setting, .name = "c"}};
    const struct follower undone[] = {{.job = put_setting, .name = "a"},
                                      {.job = undo_everything, .name = "b"},
                                      {.job = put_setting, .name = "c"}};
    struct follower done[3];
    (void)state;
    follow_together(mixed, done, 3);
    assert_true(done[0].status == HEARTH_OK && done[2].status == HEARTH_OK);
    assert_int_equal(done[1].status, HEARTH_ERROR_CANCELLED);
    follow_together(undone, done, 3);
    assert_int_not_equal(done[1].status, HEARTH_OK);
}

/* ---- many threads -----------------------------------------------------------------------------
 */

static char conversation[STORE_ID_BYTES];

struct worker_of {
    struct store_pool *pool;
    int number, failures;
    size_t last;
};

static hearth_status add_message(struct store *store, void *context, hearth_error *err) {
    const struct stored_message message = {.role = "user", .content = context, .created = 1};
    char id[STORE_ID_BYTES];
    return stored_messages_add(store, "", conversation, &message, id, err);
}

static void *write_messages(void *context) {
    struct worker_of *w = context;
    char content[64];
    for (int i = 0; i < WRITTEN; i++) {
        snprintf(content, sizeof content, "message %d of %d", i, w->number);
        w->failures += store_pool_write(w->pool, add_message, content, NULL) != HEARTH_OK;
    }
    return NULL;
}

static hearth_status count_one(void *context, const struct stored_message *message,
                               hearth_error *err) {
    (void)message;
    (void)err;
    ++*(size_t *)context;
    return HEARTH_OK;
}

static hearth_status count_messages(struct store *store, void *context, hearth_error *err) {
    *(size_t *)context = 0;
    return stored_messages_each(store, "", conversation, count_one, context, err);
}

/* What a reader sees never becomes less. */
static void *read_messages(void *context) {
    struct worker_of *w = context;
    for (size_t n = 0; n < (size_t)WRITERS * WRITTEN && w->failures == 0; w->last = n) {
        w->failures += store_pool_read(w->pool, count_messages, &n, NULL) != HEARTH_OK;
        w->failures += n < w->last;
    }
    return NULL;
}

static void make_conversation(void) {
    const struct stored_conversation empty = {.title = "t", .settings = "{}"};
    struct store *store = open_store("pool.db");
    assert_int_equal(stored_conversations_add(store, "", &empty, conversation, NULL), HEARTH_OK);
    store_close(store);
}

static void threads_write_and_read_at_once(void **state) {
    pthread_t threads[WRITERS + READERS];
    struct worker_of workers[WRITERS + READERS];
    (void)state;
    make_conversation();
    struct store_pool *pool = open_pool();
    for (int i = 0; i < WRITERS + READERS; i++) {
        workers[i] = (struct worker_of){.pool = pool, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL,
                                        i < WRITERS ? write_messages : read_messages, &workers[i]),
                         0);
    }
    for (int i = 0; i < WRITERS + READERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].failures, 0);
    }
    size_t n;
    assert_int_equal(store_pool_read(pool, count_messages, &n, NULL), HEARTH_OK);
    assert_int_equal(n, WRITERS * WRITTEN);
    store_pool_close(pool);
    scratch_clear();
}

static void processes_write_at_once(void **state) {
    enum { PROCESSES = 2 };
    pid_t children[PROCESSES];
    int how;
    size_t n;
    (void)state;
    make_conversation();
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] > 0) continue;
        struct worker_of worker = {.number = i};
        if (store_pool_open(&worker.pool, scratch("pool.db"), NULL) != HEARTH_OK) _exit(1);
        write_messages(&worker);
        _exit(worker.failures ? 2 : 0);
    }
    for (int i = 0; i < PROCESSES; i++) {
        assert_int_equal(waitpid(children[i], &how, 0), children[i]);
        assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    }
    struct store_pool *pool = open_pool();
    assert_int_equal(store_pool_read(pool, count_messages, &n, NULL), HEARTH_OK);
    assert_int_equal(n, PROCESSES * WRITTEN);
    store_pool_close(pool);
    scratch_clear();
}

/* ---- usage on its way ---------------------------------------------------------------------------
 */

struct sums {
    size_t count;
    int64_t requests, tokens;
};

static hearth_status add_sum(void *context, const struct usage_sum *sum, hearth_error *err) {
    struct sums *sums = context;
    (void)err;
    sums->count++;
    sums->requests += sum->requests;
    sums->tokens += sum->prompt_tokens + sum->answer_tokens;
    return HEARTH_OK;
}

static hearth_status sum_usage(struct store *store, void *context, hearth_error *err) {
    return stored_usage_sum(store, USAGE_BY_MODEL, NULL, 0, add_sum, context, err);
}

static void *use(void *context) {
    struct usage_row row = {.time = 1, .model = "m", .status = 200, .answer_tokens = 2};
    for (int i = 0; i < WRITTEN; i++)
        usage_queue_put(context, &row);
    return NULL;
}

static void usage_arrives_in_the_end(void **state) {
    struct usage_queue *queue;
    struct sums sums = {0};
    pthread_t threads[WRITERS];
    (void)state;
    struct store_pool *pool = open_pool();
    assert_int_equal(usage_queue_open(&queue, pool, NULL), HEARTH_OK);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use, queue), 0);
    assert_int_equal(usage_queue_flush(queue, 1, NULL), HEARTH_OK); /* in the middle */
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(usage_queue_flush(queue, 1, NULL), HEARTH_OK);
    assert_int_equal(usage_queue_flush(queue, 1, NULL), HEARTH_OK);
    assert_int_equal(store_pool_read(pool, sum_usage, &sums, NULL), HEARTH_OK);
    assert_true(sums.count == 1 && sums.requests == WRITERS * WRITTEN &&
                sums.tokens == 2 * WRITERS * WRITTEN);
    struct usage_row row = {.time = 1, .model = "m"};
    for (int i = 0; i < USAGE_QUEUE_MAX + 3; i++)
        usage_queue_put(queue, &row);
    assert_true(usage_queue_dropped(queue) == 3);
    usage_queue_close(queue);
    store_pool_close(pool);
    scratch_clear();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_is_done_whole_or_not_at_all),
        cmocka_unit_test(a_full_disk_is_said_and_loses_nothing),
        cmocka_unit_test(jobs_go_to_the_disk_together),
        cmocka_unit_test(threads_write_and_read_at_once),
        cmocka_unit_test(processes_write_at_once),
        cmocka_unit_test(usage_arrives_in_the_end),
    };
    return cmocka_run_group_tests_name("store/pool", tests, scratch_open, scratch_close);
}
