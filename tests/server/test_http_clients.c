/* Two keys ask one model: the one that floods the server neither keeps the other waiting nor out.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "route/local_backend.h"
#include "serving.h"

enum { PLACES = 8, FLOOD = 6 }; /* three quarters of the places */

static const char flood_key[] = "Authorization: Bearer of-the-flood\r\n";
static const char other_key[] = "Authorization: Bearer of-another\r\n";

static struct serving s;
static struct key_list keys;

static struct backend *open_model(void) {
    struct local_backend_settings settings = {
        .name = "stories", .n_parallel = 1, .max_waiting = PLACES};
    struct backend *backend;
    hearth_error err = {0};
    engine_settings_init(&settings.engine);
    drafting_settings_init(&settings.drafting);
    settings.engine.n_threads = 1;
    settings.engine.n_ctx = 128;
    settings.engine.model = testdata("models/stories260K/stories260K.gguf");
    if (local_backend_open(&backend, &settings, &err) != HEARTH_OK) fail_msg("%s", err.message);
    return backend;
}

static int set_up(void **state) {
    static struct key_check check;
    (void)state;
    keys = (struct key_list){0};
    assert_int_equal(key_list_add(&keys, "of-the-flood", 12, NULL), HEARTH_OK);
    assert_int_equal(key_list_add(&keys, "of-another", 10, NULL), HEARTH_OK);
    check = key_list_check(&keys);
    serving_begin(&s, open_model(), &(struct http_server_settings){.keys = &check});
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    serving_end(&s);
    return 0;
}

/* ---- an answer that holds the only place until told -------------------------------- */

struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool reached, open;
    struct job *job;
};

static bool wait_at_gate(void *context, const struct event *event) {
    struct gate *g = context;
    if (event->kind != EVENT_STARTED) return true;
    pthread_mutex_lock(&g->mutex);
    g->reached = true;
    pthread_cond_broadcast(&g->changed);
    while (!g->open)
        pthread_cond_wait(&g->changed, &g->mutex);
    pthread_mutex_unlock(&g->mutex);
    return true;
}

static void close_gate(struct gate *g) {
    struct request r;
    hearth_error err = {0};
    *g = (struct gate){0};
    pthread_mutex_init(&g->mutex, NULL);
    pthread_cond_init(&g->changed, NULL);
    request_init(&r);
    r.kind = REQUEST_TEXT;
    r.inputs = json_pack("[s]", "Once");
    r.max_tokens = 2;
    if (backend_start(s.backend, &r, (struct event_sink){wait_at_gate, g}, &g->job, &err))
        fail_msg("%s", err.message);
    request_release(&r);
    pthread_mutex_lock(&g->mutex);
    while (!g->reached)
        pthread_cond_wait(&g->changed, &g->mutex);
    pthread_mutex_unlock(&g->mutex);
}

static void open_gate(struct gate *g) {
    pthread_mutex_lock(&g->mutex);
    g->open = true;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->mutex);
    job_finish(g->job);
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->mutex);
}

/* Until so many answers wait in the scheduler's queue. */
static void await_waiting(json_int_t n) {
    for (int i = 0; i < 5000; i++) {
        json_t *status = json_object();
        assert_int_equal(backend_status(s.backend, status, NULL), HEARTH_OK);
        const json_t *model = json_array_get(json_object_get(status, "models"), 0);
        const json_t *scheduler = json_object_get(model, "scheduler");
        bool reached = json_integer_value(json_object_get(scheduler, "waiting")) == n;
        json_decref(status);
        if (reached) return;
        clock_rest(2000000);
    }
    fail_msg("never %d that wait", (int)n);
}

/* ---- clients ------------------------------------------------------------------------ */

static atomic_int n_answered;

struct client {
    const char *key;
    int n_tokens, status, place;
    pthread_t thread;
};

static void *ask(void *context) {
    struct client *c = context;
    struct wire_reply reply;
    char body[128];
    snprintf(body, sizeof body, "{\"prompt\":\"Lily\",\"max_tokens\":%d,\"ignore_eos\":true}",
             c->n_tokens);
    c->status = wire_ask(s.port, "POST", "/v1/completions", c->key, body, &reply);
    c->place = atomic_fetch_add(&n_answered, 1) + 1;
    wire_release(&reply);
    return NULL;
}

static void begin(struct client *c, const char *key, int n_tokens) {
    *c = (struct client){.key = key, .n_tokens = n_tokens};
    assert_int_equal(pthread_create(&c->thread, NULL, ask, c), 0);
}

static void test_a_flood_keeps_no_other_key_waiting(void **state) {
    struct client flood[FLOOD], one_more = {.key = flood_key, .n_tokens = 4}, other;
    struct gate gate;
    (void)state;
    ask(&one_more);
    assert_int_equal(one_more.status, 200);
    close_gate(&gate);
    atomic_store(&n_answered, 0);
    for (int i = 0; i < FLOOD; i++)
        begin(&flood[i], flood_key, 100);
    await_waiting(FLOOD);
    ask(&one_more);
    assert_int_equal(one_more.status, 429);
    begin(&other, other_key, 2);
    await_waiting(FLOOD + 1);
    atomic_store(&n_answered, 0);
    open_gate(&gate);
    pthread_join(other.thread, NULL);
    assert_int_equal(other.status, 200);
    for (int i = 0; i < FLOOD; i++) {
        pthread_join(flood[i].thread, NULL);
        assert_int_equal(flood[i].status, 200);
    }
    assert_in_range(other.place, 1, 3); /* the first, unless its client is slow to hear */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_flood_keeps_no_other_key_waiting, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
