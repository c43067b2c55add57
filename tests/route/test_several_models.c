/* Requests for models that are opened because of them: answered, cancelled meanwhile, refused. */
#include "hub/hub_scene.h"

#include <math.h>

#include "base/clock.h"
#include "base/rng.h"
#include "collected.h"
#include "route/local_backend.h"

static struct backend *backend;

static void put_model(const char *name) {
    struct file_map map;
    char path[64];
    snprintf(path, sizeof path, "models/%s.gguf", name);
    assert_int_equal(file_map_open(&map, testdata("models/stories260K/stories260K.gguf"), NULL),
                     HEARTH_OK);
    scene_write(path, map.data, map.size);
    file_map_close(&map);
}

static int set_up(void **state) {
    static const char *const named[] = {"anna"};
    struct local_backend_settings settings = {.models = named,
                                              .n_models = 1,
                                              .on_demand = true,
                                              .max_models = 2,
                                              .n_parallel = 4,
                                              .keep_alive_s = INFINITY};
    hearth_error err = {0};
    (void)state;
    scene_set_up();
    setenv("HEARTH_MODELS", scene_path("models"), 1);
    put_model("anna");
    put_model("bert");
    put_model("carl");
    engine_settings_init(&settings.engine);
    drafting_settings_init(&settings.drafting);
    settings.engine.n_threads = 1;
    settings.engine.n_ctx = 64;
    if (local_backend_open(&backend, &settings, &err) != HEARTH_OK) fail_msg("%s", err.message);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    backend_close(backend);
    scene_tear_down();
    return 0;
}

/* Continues a text by a few tokens, always the likeliest. */
static void ask(struct request *r, const char *model) {
    request_init(r);
    r->kind = REQUEST_TEXT;
    r->model = model ? mem_strdup(model) : NULL;
    r->inputs = json_pack("[s]", "Once upon a time");
    r->sampling = json_pack("{s:f}", "temperature", 0.0);
    r->max_tokens = 8;
}

static void ask_nothing(struct request *r, const char *model, double keep_alive_s) {
    request_init(r);
    r->kind = REQUEST_CHAT;
    r->model = mem_strdup(model);
    r->messages = json_array();
    r->keep_alive_s = keep_alive_s;
}

static bool is_loaded(const char *name) {
    json_t *models = json_array(), *model;
    size_t i;
    bool loaded = false;
    assert_int_equal(backend_list_models(backend, models, NULL), HEARTH_OK);
    json_array_foreach(models, i, model) {
        if (strcmp(json_string_value(json_object_get(model, "name")), name) == 0)
            loaded = json_is_true(json_object_get(model, "loaded"));
    }
    json_decref(models);
    return loaded;
}

static void run(struct collected *c, struct request *r) {
    collected_run(c, backend, r);
    request_release(r);
}

static void test_each_answers(void **state) {
    static const char *const names[] = {NULL, "bert", "carl", "anna", "bert:latest"};
    struct request r;
    struct collected c, first;
    (void)state;
    ask(&r, NULL);
    run(&first, &r);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ask(&r, names[i]);
        run(&c, &r);
        if (c.failed != HEARTH_OK) fail_msg("%s", c.message);
        assert_int_equal(c.usage.n_answer, 8);
        assert_string_equal(buf_text(&c.text[0]), buf_text(&first.text[0]));
        collected_release(&c);
    }
    collected_release(&first);
    assert_false(is_loaded("carl")); /* two at a time, and "anna" stays */
}

static void test_unknown_model(void **state) {
    struct request r;
    struct collected c;
    (void)state;
    ask(&r, "nobody");
    run(&c, &r);
    assert_int_equal(c.failed, HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(c.n_started, 0);
    collected_release(&c);
}

static void test_load_and_unload(void **state) {
    struct request r;
    struct collected c;
    (void)state;
    ask_nothing(&r, "bert", NAN);
    run(&c, &r);
    assert_int_equal(c.failed, HEARTH_OK);
    assert_int_equal(c.n_finished, 1);
    collected_release(&c);
    assert_true(is_loaded("bert"));
    ask_nothing(&r, "bert", 0);
    run(&c, &r);
    assert_int_equal(c.failed, HEARTH_OK);
    collected_release(&c);
    assert_false(is_loaded("bert"));
}

/* A time to stay belongs to those that nobody named at the beginning. */
static void test_goes_after_its_answer(void **state) {
    static const char *const names[] = {"anna", "bert"};
    struct request r;
    struct collected c;
    (void)state;
    for (int i = 0; i < 2; i++) {
        ask(&r, names[i]);
        r.keep_alive_s = 0;
        run(&c, &r);
        assert_int_equal(c.usage.n_answer, 8);
        collected_release(&c);
    }
    for (int i = 0; is_loaded("bert"); i++) {
        if (i == 1000) fail_msg("'bert' stays");
        clock_rest(10000000);
    }
    assert_true(is_loaded("anna"));
}

static void test_cancelled_while_it_is_opened(void **state) {
    struct request r;
    struct collected c;
    (void)state;
    ask(&r, "bert");
    collected_init(&c);
    assert_int_equal(collected_start(&c, backend, &r, NULL), HEARTH_OK);
    job_cancel(c.job);
    collected_finish(&c);
    request_release(&r);
    assert_int_equal(c.failed, HEARTH_OK);
    assert_int_equal(c.n_finished, 1);
    if (c.n_started == 0) assert_int_equal(c.reason, FINISH_CANCELLED);
    collected_release(&c);
}

static void *ask_often(void *context) {
    static const char *const names[] = {NULL, "bert", "carl", "nobody"};
    uint64_t seed = (uint64_t)(uintptr_t)context;
    for (uint64_t i = 0; i < 12; i++) {
        uint64_t dice = rng_at(seed, i);
        struct request r;
        struct collected c;
        ask(&r, names[dice % 4]);
        r.keep_alive_s = dice >> 8 & 1 ? 0 : NAN;
        collected_init(&c);
        if (collected_start(&c, backend, &r, NULL) == HEARTH_OK) {
            if (dice >> 9 & 1) job_cancel(c.job);
            collected_finish(&c);
        }
        request_release(&r);
        collected_release(&c);
    }
    return NULL;
}

static void test_many_at_once(void **state) {
    enum { N = 4 };
    pthread_t threads[N];
    struct request r;
    struct collected c;
    (void)state;
    for (size_t i = 0; i < N; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, (void *)(i + 1)), 0);
    for (size_t i = 0; i < N; i++)
        pthread_join(threads[i], NULL);
    ask(&r, "carl");
    run(&c, &r);
    assert_int_equal(c.usage.n_answer, 8);
    collected_release(&c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    if (!testdata_is_there("models/stories260K/stories260K.gguf")) return TEST_SKIPPED;
    const struct CMUnitTest tests[] = {
        TEST(test_each_answers),
        TEST(test_unknown_model),
        TEST(test_load_and_unload),
        TEST(test_goes_after_its_answer),
        TEST(test_cancelled_while_it_is_opened),
        TEST(test_many_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
