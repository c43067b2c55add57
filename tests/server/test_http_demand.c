/* The server over several models that are loaded when they are asked for, by whatever asks. */
#include "hub/hub_scene.h"

#include <math.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "route/local_backend.h"
#include "serving.h"

static struct serving s;

static void put_model(const char *name) {
    struct file_map map;
    char path[64];
    snprintf(path, sizeof path, "models/%s.gguf", name);
    assert_int_equal(file_map_open(&map, testdata("models/stories260K/stories260K.gguf"), NULL),
                     HEARTH_OK);
    scene_write(path, map.data, map.size);
    file_map_close(&map);
}

/* With "anna" as the first of two at a time. */
static void begin(bool on_demand, double max_wait_s) {
    static const char *const named[] = {"anna"};
    struct local_backend_settings settings = {.models = named,
                                              .n_models = 1,
                                              .on_demand = on_demand,
                                              .max_models = 2,
                                              .n_parallel = 4,
                                              .keep_alive_s = INFINITY,
                                              .max_wait_s = max_wait_s,
                                              .max_waiting = 2};
    struct backend *backend;
    hearth_error err = {0};
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
    serving_begin(&s, backend, NULL);
}

static int set_up(void **state) {
    (void)state;
    begin(true, INFINITY);
    return 0;
}

static int set_up_named(void **state) {
    (void)state;
    begin(false, INFINITY);
    return 0;
}

static int set_up_impatient(void **state) {
    (void)state;
    begin(true, 0.05);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    serving_end(&s);
    scene_tear_down();
    return 0;
}

static bool is_loaded(const char *name) {
    json_t *models = json_array(), *model;
    size_t i;
    bool loaded = false;
    assert_int_equal(backend_list_models(s.backend, models, NULL), HEARTH_OK);
    json_array_foreach(models, i, model) {
        if (strcmp(json_string_value(json_object_get(model, "name")), name) == 0)
            loaded = json_is_true(json_object_get(model, "loaded"));
    }
    json_decref(models);
    return loaded;
}

static void expect(int status, const char *method, const char *path, const char *body,
                   const char *words) {
    struct wire_reply reply;
    wire_ask(s.port, method, path, "", body, &reply);
    if (reply.status != status || !strstr(buf_text(&reply.body), words))
        fail_msg("%s %s: %d %s", method, path, reply.status, buf_text(&reply.body));
    wire_release(&reply);
}

static void unload(const char *name) {
    char body[64];
    snprintf(body, sizeof body, "{\"name\":\"%s\"}", name);
    expect(200, "POST", "/api/hearth/v1/models/unload", body, "{}");
    assert_false(is_loaded(name));
}

/* Each of them loads the model, and finds it loaded the second time. */
static void test_questions_load_their_model(void **state) {
    static const struct {
        const char *method, *path, *body, *words;
    } questions[] = {
        {"POST", "/tokenize", "{\"model\":\"bert\",\"content\":\"Once\"}", "{\"tokens\":["},
        {"POST", "/tokenize", "{\"model\":\"bert\",\"content\":\"Once\",\"with_pieces\":true}",
         "\"piece\":"},
        {"POST", "/detokenize", "{\"model\":\"bert\",\"tokens\":[403]}", "{\"content\":"},
        {"POST", "/apply-template",
         "{\"model\":\"bert\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
         "<|im_start|>user\\nHi<|im_end|>"},
        {"GET", "/lora-adapters?model=bert", "", "[]"},
        {"POST", "/lora-adapters?model=bert", "[]", "{\"success\":true}"},
        {"GET", "/props?model=bert", "", "\"total_slots\":4"},
        {"GET", "/props?model=Bert", "", "\"model_alias\":\"bert\""}};
    (void)state;
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        assert_false(is_loaded("bert"));
        for (int k = 0; k < 2; k++) {
            expect(200, questions[i].method, questions[i].path, questions[i].body,
                   questions[i].words);
            assert_true(is_loaded("bert"));
        }
        unload("bert");
    }
    assert_true(is_loaded("anna"));
    expect(200, "GET", "/props", "", "\"model_alias\":\"anna\"");
}

/* What is wrong is said as if it had been loaded before. */
static void test_questions_that_are_wrong(void **state) {
    (void)state;
    expect(404, "POST", "/tokenize", "{\"model\":\"nobody\",\"content\":\"a\"}", "nobody");
    expect(404, "GET", "/props?model=nobody", "", "nobody");
    expect(404, "GET", "/lora-adapters?model=%ff", "", "error");
    expect(404, "GET", "/props?model=../outside", "", "outside");
    expect(400, "POST", "/tokenize", "{\"model\":7,\"content\":\"a\"}", "\"param\":\"model\"");
    expect(400, "POST", "/detokenize", "{\"model\":\"bert\",\"tokens\":[-1]}", "error");
    expect(400, "POST", "/tokenize", "{\"model\":\"bert\",\"content\":7}", "\"param\":\"content\"");
    expect(400, "POST", "/lora-adapters?model=bert", "{\"id\":0}", "error");
}

static void test_only_named_models_answer(void **state) {
    (void)state;
    expect(404, "POST", "/tokenize", "{\"model\":\"bert\",\"content\":\"a\"}", "bert");
    expect(404, "GET", "/props?model=bert", "", "bert");
    assert_false(is_loaded("bert"));
    expect(200, "POST", "/tokenize", "{\"model\":\"anna\",\"content\":\"a\"}", "tokens");
    unload("anna");
    expect(200, "POST", "/tokenize", "{\"content\":\"a\"}", "tokens");
    assert_true(is_loaded("anna"));
}

/* ---- models in use ------------------------------------------------------------------------- */

static bool note_end(void *context, const struct event *event) {
    if (event->kind == EVENT_DONE) atomic_store((atomic_bool *)context, true);
    return true;
}

/* Somebody's job that has "bert" until job_finish. */
static struct job *use_bert(void) {
    static atomic_bool ended;
    struct request request;
    struct job *job;
    atomic_store(&ended, false);
    request_init(&request);
    request.kind = REQUEST_CHAT;
    request.model = mem_strdup("bert");
    request.messages = json_array();
    assert_int_equal(
        backend_start(s.backend, &request, (struct event_sink){note_end, &ended}, &job, NULL),
        HEARTH_OK);
    request_release(&request);
    for (int i = 0; !atomic_load(&ended); i++) {
        if (i == 1000) fail_msg("'bert' does not come");
        clock_rest(10000000);
    }
    assert_true(is_loaded("bert"));
    return job;
}

static int ask_carl(const char *path) {
    static const char body[] = "{\"model\":\"carl\",\"prompt\":\"Once\",\"content\":\"Once\","
                               "\"max_tokens\":2}";
    char request[512];
    int fd = wire_connect(s.port);
    snprintf(request, sizeof request,
             "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s", path,
             sizeof body - 1, body);
    wire_send_text(fd, request);
    return fd;
}

static void await_waiting(double n) {
    for (int i = 0; wire_metric(s.port, "hearth_requests_waiting") != n; i++) {
        if (i == 1000) fail_msg("not %g requests wait", n);
        clock_rest(10000000);
    }
}

static void read_answer(int fd, int status, const char *words) {
    struct wire_reply reply;
    wire_read(fd, &reply);
    if (reply.status != status || !strstr(buf_text(&reply.body), words))
        fail_msg("%d %s", reply.status, buf_text(&reply.body));
    wire_release(&reply);
    close(fd);
}

static void test_waits_for_a_model_in_use(void **state) {
    (void)state;
    struct job *job = use_bert();
    int answer = ask_carl("/v1/completions"), tokens = ask_carl("/tokenize");
    await_waiting(2);
    assert_false(is_loaded("carl"));
    read_answer(ask_carl("/v1/completions"), 429, "waiting already"); /* as --max-queue says */
    expect(200, "POST", "/tokenize", "{\"model\":\"bert\",\"content\":\"a\"}", "tokens");
    job_finish(job);
    read_answer(answer, 200, "\"model\":\"carl\"");
    read_answer(tokens, 200, "tokens");
    assert_false(is_loaded("bert"));
}

static void test_hanging_up_while_waiting(void **state) {
    (void)state;
    struct job *job = use_bert();
    int answer = ask_carl("/v1/completions"), tokens = ask_carl("/tokenize");
    await_waiting(2);
    close(answer);
    await_waiting(1);
    close(tokens);
    await_waiting(0);
    assert_true(is_loaded("bert"));
    job_finish(job);
    assert_false(is_loaded("carl"));
}

static void test_waiting_comes_to_an_end(void **state) {
    static const char *const paths[] = {"/v1/completions", "/tokenize"};
    (void)state;
    struct job *job = use_bert();
    for (size_t i = 0; i < 2; i++) {
        struct wire_reply reply;
        int fd = ask_carl(paths[i]);
        wire_read(fd, &reply);
        assert_int_equal(reply.status, 503);
        assert_non_null(wire_header(&reply, "Retry-After"));
        assert_non_null(strstr(buf_text(&reply.body), "--max-models"));
        wire_release(&reply);
        close(fd);
    }
    job_finish(job);
    read_answer(ask_carl("/v1/completions"), 200, "carl");
}

int main(void) {
    if (!testdata_is_there("models/stories260K/stories260K.gguf")) return TEST_SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_questions_load_their_model, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_questions_that_are_wrong, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_only_named_models_answer, set_up_named, tear_down),
        cmocka_unit_test_setup_teardown(test_waits_for_a_model_in_use, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hanging_up_while_waiting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_waiting_comes_to_an_end, set_up_impatient, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
