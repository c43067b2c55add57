/* Models fetched, made, named and removed over HTTP, with a hub on this machine. */
#include "hub/hub_scene.h"
#include "hub/hub_server.h"

#include <unistd.h>

#include "base/clock.h"
#include "route/local_backend.h"
#include "serving.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define OWN "/api/hearth/v1/models"

enum { BIG = 1 << 20 };

static uint8_t noise[BIG];
static struct hub_server_file files[] = {
    {.name = "tiny-Q4_K_M.gguf", .data = noise, .size = BIG, .is_large = true},
    {.name = "tiny-Q8_0.gguf", .data = noise + 1, .size = BIG / 2, .is_large = true},
};

static struct serving s;
static struct hub_server *hub_side;
static struct hub_faults *faults;
static struct store_pool *store;

static void begin(const struct http_server_settings *settings) {
    const struct script script = {.pieces = {"Hello"}, .n_pieces = 1, .rounds = 1};
    char endpoint[64];
    scene_set_up();
    hub_side =
        hub_server_start("acme/tiny", COMMIT, "hf_right", files, sizeof files / sizeof *files);
    faults = hub_server_faults(hub_side);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u/", hub_server_port(hub_side));
    setenv("HF_ENDPOINT", endpoint, 1);
    setenv("HEARTH_MODELS", scene_path("plain"), 1);
    serving_begin(&s, scripted_open(&script), settings);
}

static int set_up(void **state) {
    (void)state;
    begin(NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    serving_end(&s);
    hub_server_stop(hub_side);
    scene_tear_down();
    return 0;
}

/* The body of the reply, given (free). */
static char *asked(int status, const char *method, const char *path, const char *extra,
                   const char *body) {
    struct wire_reply reply;
    int found = wire_ask(s.port, method, path, extra, body, &reply);
    if (found != status)
        fail_msg("%s %s: %d, not %d: %s", method, path, found, status, buf_text(&reply.body));
    char *text = strdup(buf_text(&reply.body));
    wire_release(&reply);
    return text;
}

static void expect(int status, const char *method, const char *path, const char *body,
                   const char *words) {
    char *text = asked(status, method, path, "", body);
    if (!strstr(text, words)) fail_msg("'%s' is not in '%s'", words, text);
    free(text);
}

static bool has_model(const char *name) {
    struct hub *hub;
    struct hub_model *models;
    size_t count;
    bool found = false;
    assert_int_equal(hub_open(&hub, NULL), HEARTH_OK);
    assert_int_equal(hub_list(hub, &models, &count, NULL), HEARTH_OK);
    for (size_t i = 0; i < count; i++)
        found = found || strcmp(models[i].name, name) == 0;
    hub_models_free(models, count);
    hub_close(hub);
    return found;
}

/* The last message of a stream: what begins after `mark`. A new reference. */
static json_t *last_message(const char *text, const char *mark) {
    const char *last = text;
    for (const char *at = text; (at = strstr(at, mark)) != NULL;)
        last = at += strlen(mark);
    json_t *message = json_loadb(last, strcspn(last, "\n"), 0, NULL);
    assert_non_null(message);
    return message;
}

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* ---- fetching ----------------------------------------------------------------------- */

static void test_pull(void **state) {
    struct wire_reply reply;
    (void)state;
    assert_int_equal(
        wire_ask(s.port, "POST", OWN "/pull", "", "{\"name\":\"acme/tiny:Q4_K_M\"}", &reply), 200);
    assert_string_equal(wire_header(&reply, "Content-Type"), "text/event-stream");
    json_t *last = last_message(buf_text(&reply.body), "data: ");
    assert_string_equal(text_of(last, "status"), "success");
    json_decref(last);
    assert_non_null(strstr(buf_text(&reply.body), "\"total_bytes\":1048576"));
    wire_release(&reply);
    assert_true(has_model("acme/tiny:Q4_K_M"));
    assert_false(has_model("acme/tiny:Q8_0"));
}

static void test_pull_fails(void **state) {
    (void)state;
    expect(404, "POST", OWN "/pull", "{\"name\":\"nothing\"}", "no model 'nothing'");
    expect(400, "POST", OWN "/pull", "{\"name\":7}", "\"field\":\"name\"");
    expect(400, "POST", OWN "/pull", "{}", "\"field\":\"name\"");
    expect(400, "POST", OWN "/pull", "{\"name\":\"a/b\",\"to\":\"c\"}", "\"field\":\"to\"");
    atomic_store(&faults->wrong_bytes, true);
    char *text = asked(200, "POST", OWN "/pull", "", "{\"name\":\"acme/tiny:Q4_K_M\"}");
    json_t *last = last_message(text, "data: ");
    assert_true(text_of(json_object_get(last, "error"), "message")[0]);
    json_decref(last);
    free(text);
    setenv("HF_HUB_OFFLINE", "1", 1);
    expect(500, "POST", OWN "/pull", "{\"name\":\"acme/tiny:Q8_0\"}", "HF_HUB_OFFLINE");
    assert_false(has_model("acme/tiny:Q4_K_M"));
}

static void test_pull_as_ollama(void **state) {
    struct wire_reply reply;
    (void)state;
    assert_int_equal(
        wire_ask(s.port, "POST", "/api/pull", "", "{\"model\":\"acme/tiny:Q8_0\"}", &reply), 200);
    assert_string_equal(wire_header(&reply, "Content-Type"), "application/x-ndjson");
    const char *text = buf_text(&reply.body);
    assert_memory_equal(text, "{\"status\":\"pulling manifest\"}\n", 30);
    assert_non_null(strstr(text, "\"digest\":\"sha256:"));
    assert_non_null(strstr(text, "\"total\":524288,\"completed\":524288}\n"));
    assert_non_null(strstr(text, "}\n{\"status\":\"success\"}\n"));
    wire_release(&reply);
    expect(200, "POST", "/api/pull", "{\"name\":\"acme/tiny:Q8_0:latest\",\"stream\":false}",
           "{\"status\":\"success\"}");
    expect(200, "POST", "/api/pull", "{\"model\":\"nothing\"}", "{\"error\":\"no model");
    expect(404, "POST", "/api/pull", "{\"model\":\"nothing\",\"stream\":false}", "no model");
    expect(400, "POST", "/api/pull", "{\"model\":\"\"}", "error");
}

static void await_bodies(unsigned n) {
    struct hub_server_counts *counts = hub_server_counts(hub_side);
    for (int i = 0; atomic_load(&counts->running) != n; i++) {
        if (i == 1000) fail_msg("%u pulls run, not %u", atomic_load(&counts->running), n);
        clock_rest(10000000);
    }
}

static int begin_pull(const char *name) {
    char request[512];
    int fd = wire_connect(s.port);
    snprintf(request, sizeof request,
             "POST " OWN "/pull HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n"
             "{\"name\":\"%s\"}",
             strlen(name) + 11, name);
    wire_send_text(fd, request);
    return fd;
}

/* Two at a time; a third may begin when one's client has left. */
static void test_hanging_up_ends_a_pull(void **state) {
    (void)state;
    atomic_store(&faults->stall, true);
    int first = begin_pull("acme/tiny:Q4_K_M"), second = begin_pull("acme/tiny:Q8_0");
    await_bodies(2);
    expect(429, "POST", OWN "/pull", "{\"name\":\"acme/tiny:Q4_K_M\"}", "try again later");
    close(first);
    close(second);
    for (int i = 0, status = 0; status != 404; i++) {
        struct wire_reply reply;
        if (i == 1000) fail_msg("nothing can begin: %d", status);
        status = wire_ask(s.port, "POST", OWN "/pull", "", "{\"name\":\"nothing\"}", &reply);
        wire_release(&reply);
        clock_rest(10000000);
    }
    assert_false(has_model("acme/tiny:Q8_0"));
}

static void test_stopping_ends_a_pull(void **state) {
    (void)state;
    atomic_store(&faults->stall, true);
    int fd = begin_pull("acme/tiny:Q4_K_M");
    await_bodies(1);
    http_server_drain(s.server, 0); /* and tear_down stops it */
    close(fd);
}

/* ---- making, naming, removing ------------------------------------------------------------ */

static void put_plain(const char *name) {
    struct file_map map;
    char path[64];
    snprintf(path, sizeof path, "plain/%s.gguf", name);
    assert_int_equal(file_map_open(&map, testdata("models/stories260K/stories260K.gguf"), NULL),
                     HEARTH_OK);
    scene_write(path, map.data, map.size);
    file_map_close(&map);
}

static void test_quantize(void **state) {
    (void)state;
    put_plain("story");
    char *text = asked(200, "POST", OWN "/quantize", "",
                       "{\"name\":\"story\",\"type\":\"Q8_0\",\"as\":\"story-Q8_0\"}");
    json_t *last = last_message(text, "data: ");
    assert_string_equal(text_of(last, "status"), "success");
    json_decref(last);
    free(text);
    assert_true(has_model("story-Q8_0"));
    expect(400, "POST", OWN "/quantize",
           "{\"name\":\"story\",\"type\":\"Q8_0\",\"as\":\"story-Q8_0\"}", "already");
    expect(400, "POST", OWN "/quantize",
           "{\"name\":\"story\",\"type\":\"Q8_0\",\"as\":\"../story\"}", "cannot be");
    expect(400, "POST", OWN "/quantize", "{\"name\":\"story\",\"type\":\"Q8_9\",\"as\":\"other\"}",
           "Q8_9");
    expect(404, "POST", OWN "/quantize", "{\"name\":\"nobody\",\"type\":\"Q8_0\",\"as\":\"other\"}",
           "no model 'nobody'");
    expect(200, "DELETE", OWN "/story-Q8_0", NULL, "{}");
    assert_false(has_model("story-Q8_0"));
}

static void test_delete(void **state) {
    (void)state;
    free(asked(200, "POST", OWN "/pull", "", "{\"name\":\"acme/tiny:Q8_0\"}"));
    free(asked(200, "POST", OWN "/pull", "", "{\"name\":\"acme/tiny:Q4_K_M\"}"));
    expect(200, "DELETE", OWN "/acme%2Ftiny%3AQ8_0", NULL, "{}");
    assert_false(has_model("acme/tiny:Q8_0"));
    assert_true(has_model("acme/tiny:Q4_K_M"));
    expect(404, "DELETE", OWN "/acme/tiny:Q8_0", NULL, "not on this machine");
    expect(200, "DELETE", "/api/delete", "{\"model\":\"acme/tiny:Q4_K_M\"}", "{}");
    assert_false(has_model("acme/tiny:Q4_K_M"));
    put_plain("story");
    expect(400, "DELETE", OWN "/story", NULL, "outside the model cache");
    assert_true(has_model("story"));
    /* The scripted model says that it is loaded, always: it answers. */
    expect(409, "DELETE", OWN "/org%2Fscripted:q8_0", NULL, "answering");
}

static void test_copy(void **state) {
    (void)state;
    put_plain("story");
    expect(200, "POST", "/api/copy", "{\"source\":\"story\",\"destination\":\"tale\"}", "{}");
    assert_true(has_model("tale"));
    expect(404, "POST", "/api/copy", "{\"source\":\"none\",\"destination\":\"tale\"}", "no model");
    expect(400, "POST", "/api/copy", "{\"source\":\"story\"}", "destination");
    expect(400, "POST", "/api/copy", "{\"source\":\"story\",\"destination\":\"-x\"}", "error");
    expect(200, "DELETE", "/api/delete", "{\"name\":\"tale:latest\"}", "{}");
    assert_false(has_model("tale"));
    assert_true(has_model("story"));
}

/* ---- models of this machine ------------------------------------------------------------------ */

static int set_up_local(void **state) {
    static const char *const named[] = {"anna"};
    struct local_backend_settings settings = {
        .models = named, .n_models = 1, .on_demand = true, .keep_alive_s = 100, .n_parallel = 2};
    struct backend *backend;
    hearth_error err = {0};
    set_up(state);
    serving_end(&s);
    put_plain("anna");
    put_plain("bert");
    scene_write("plain/broken.gguf", noise, 5000);
    engine_settings_init(&settings.engine);
    drafting_settings_init(&settings.drafting);
    settings.engine.n_threads = 1;
    settings.engine.n_ctx = 64;
    if (local_backend_open(&backend, &settings, &err) != HEARTH_OK) fail_msg("%s", err.message);
    serving_begin(&s, backend, NULL);
    return 0;
}

static json_t *asked_json(const char *path) {
    char *text = asked(200, "GET", path, "", NULL);
    json_t *value = json_loads(text, 0, NULL);
    free(text);
    return value;
}

/* What a list of Ollama's says of a model; NULL: it is not there. A new reference. */
static json_t *row_of(const char *path, const char *name) {
    json_t *all = asked_json(path), *row, *found = NULL;
    size_t i;
    json_array_foreach(json_object_get(all, "models"), i, row) {
        if (strcmp(text_of(row, "name"), name) == 0) found = json_incref(row);
    }
    json_decref(all);
    return found;
}

static bool is_loaded(const char *name) {
    json_t *row = row_of("/api/ps", name);
    json_decref(row);
    return row != NULL;
}

static const char to_anna[] = "{\"prompt\":\"Once\",\"max_tokens\":2}";
static const char to_bert[] = "{\"prompt\":\"Once\",\"max_tokens\":2,\"model\":\"bert\"}";

static void test_models_come_when_named(void **state) {
    (void)state;
    expect(200, "POST", "/v1/completions", to_anna, "\"model\":\"anna\"");
    assert_false(is_loaded("bert"));
    expect(200, "POST", "/v1/completions", to_bert, "\"model\":\"bert\"");
    json_t *bert = row_of("/api/ps", "bert"), *anna = row_of("/api/ps", "anna");
    assert_memory_equal(text_of(anna, "expires_at"), "9999", 4);
    assert_memory_not_equal(text_of(bert, "expires_at"), "9999", 4);
    json_decref(anna);
    json_decref(bert);
    expect(404, "POST", "/v1/completions", "{\"prompt\":\"Once\",\"model\":\"carl\"}", "carl");
    for (int i = 0; i < 2; i++)
        expect(500, "POST", "/v1/completions", "{\"prompt\":\"Once\",\"model\":\"broken\"}",
               "broken.gguf");
    expect(200, "POST", "/v1/completions", to_anna, "\"model\":\"anna\"");
}

static void test_lists_tell_what_is_loaded(void **state) {
    (void)state;
    json_t *own = asked_json(OWN), *models = json_object_get(own, "models");
    assert_int_equal(json_array_size(models), 3);
    assert_true(json_is_true(json_object_get(json_array_get(models, 0), "loaded")));
    json_decref(own);
    json_t *bert = row_of(OWN, "bert"), *broken = row_of(OWN, "broken");
    assert_false(json_is_true(json_object_get(bert, "loaded")));
    assert_true(json_is_true(json_object_get(bert, "fits")));
    assert_false(json_is_true(json_object_get(broken, "fits")));
    assert_true(text_of(broken, "problem")[0]);
    json_decref(bert);
    json_decref(broken);
    assert_null(row_of("/api/tags", "broken")); /* others need not know */
    json_t *tag = row_of("/api/tags", "bert");
    assert_string_equal(text_of(json_object_get(tag, "details"), "family"), "llama");
    json_decref(tag);
    expect(200, "POST", "/api/show", "{\"model\":\"bert\"}", "\"completion\"");
    expect(200, "GET", "/v1/models", NULL, "\"value\":\"unloaded\"");
}

static void test_keep_alive(void **state) {
    (void)state;
    expect(200, "POST", "/api/generate", "{\"model\":\"bert\",\"stream\":false}",
           "\"done_reason\":\"load\"");
    assert_true(is_loaded("bert"));
    expect(200, "POST", "/api/generate", "{\"model\":\"bert\",\"stream\":false,\"keep_alive\":0}",
           "\"done_reason\":\"unload\"");
    assert_false(is_loaded("bert"));
    expect(404, "POST", "/api/generate", "{\"model\":\"carl\",\"keep_alive\":0}", "carl");
}

static void test_load_and_unload_by_name(void **state) {
    (void)state;
    expect(200, "POST", OWN "/load", "{\"name\":\"bert\"}", "{}");
    assert_true(is_loaded("bert"));
    expect(200, "POST", OWN "/unload", "{\"name\":\"bert\"}", "{}");
    expect(200, "POST", OWN "/unload", "{\"name\":\"anna\"}", "{}");
    assert_false(is_loaded("bert"));
    assert_false(is_loaded("anna"));
    expect(404, "POST", OWN "/load", "{\"name\":\"carl\"}", "carl");
    expect(404, "POST", OWN "/unload", "{\"name\":\"carl\"}", "carl");
    expect(500, "POST", OWN "/load", "{\"name\":\"broken\"}", "broken.gguf");
    expect(200, "POST", "/tokenize", "{\"content\":\"Once\",\"model\":\"bert\"}", "tokens");
    assert_true(is_loaded("bert")); /* again */
    expect(200, "POST", "/v1/completions", to_anna, "\"model\":\"anna\""); /* it comes back */
}

/* What is made is there at once; what is removed is gone, loaded or not. */
static void test_made_models_answer(void **state) {
    (void)state;
    free(asked(200, "POST", OWN "/quantize", "",
               "{\"name\":\"bert\",\"type\":\"Q8_0\",\"as\":\"small\"}"));
    expect(200, "POST", "/v1/completions", "{\"prompt\":\"Once\",\"model\":\"small\"}", "small");
    assert_true(is_loaded("small"));
    expect(200, "DELETE", OWN "/small", NULL, "{}");
    assert_false(is_loaded("small"));
    expect(404, "POST", "/v1/completions", "{\"prompt\":\"Once\",\"model\":\"small\"}", "small");
}

/* ---- memory, and who may -------------------------------------------------------------------- */

static void test_load_and_unload(void **state) {
    (void)state;
    expect(200, "POST", OWN "/load", "{\"name\":\"org/scripted:q8_0\"}", "{}");
    expect(200, "POST", OWN "/unload", "{\"name\":\"org/scripted:q8_0\"}", "{}");
    assert_int_equal(scripted_counts(s.backend).started, 2);
}

static int set_up_stored(void **state) {
    struct http_server_settings settings = {0};
    (void)state;
    begin(NULL);
    serving_end(&s);
    scene_write("home/x", "", 0);
    assert_int_equal(store_pool_open(&store, scene_path("home/test.db"), NULL), HEARTH_OK);
    settings.store = store;
    const struct script script = {.pieces = {"Hello"}, .n_pieces = 1, .rounds = 1};
    serving_begin(&s, scripted_open(&script), &settings);
    return 0;
}

static int tear_down_stored(void **state) {
    (void)state;
    serving_end(&s);
    store_pool_close(store);
    hub_server_stop(hub_side);
    scene_tear_down();
    return 0;
}

/* A key as a header. */
static void make_key(const char *extra, const char *body, char header[256]) {
    char *text = asked(201, "POST", "/api/hearth/v1/keys", extra, body);
    json_t *made = json_loads(text, 0, NULL);
    snprintf(header, 256, "Authorization: Bearer %s\r\n", text_of(made, "key"));
    json_decref(made);
    free(text);
}

static void test_only_admins(void **state) {
    static const char *const places[][3] = {
        {"POST", OWN "/pull", "{\"name\":\"acme/tiny:Q8_0\"}"},
        {"POST", OWN "/load", "{\"name\":\"org/scripted:q8_0\"}"},
        {"POST", OWN "/unload", "{\"name\":\"org/scripted:q8_0\"}"},
        {"POST", OWN "/quantize", "{\"name\":\"a\",\"type\":\"Q8_0\",\"as\":\"b\"}"},
        {"DELETE", OWN "/acme%2Ftiny:Q8_0", NULL},
        {"POST", "/api/pull", "{\"name\":\"acme/tiny:Q8_0\"}"},
        {"DELETE", "/api/delete", "{\"name\":\"acme/tiny:Q8_0\"}"},
        {"POST", "/api/copy", "{\"source\":\"a\",\"destination\":\"b\"}"},
    };
    char admin[256], user[256];
    (void)state;
    make_key("", "{\"name\":\"first\"}", admin);
    make_key(admin, "{\"name\":\"second\",\"role\":\"user\"}", user);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        free(asked(401, places[i][0], places[i][1], "", places[i][2]));
        free(asked(403, places[i][0], places[i][1], user, places[i][2]));
    }
    assert_int_equal(scripted_counts(s.backend).started, 0);
    free(asked(200, places[0][0], places[0][1], admin, places[0][2]));
    assert_true(has_model("acme/tiny:Q8_0"));
}

/* A cookie alone does not say that it was the app which asked. */
static void test_sessions_show_their_mark(void **state) {
    static const char load[] = "{\"name\":\"org/scripted:q8_0\"}";
    char admin[256], body[256], cookie[256], both[512];
    struct wire_reply reply;
    (void)state;
    make_key("", "{\"name\":\"first\"}", admin);
    snprintf(body, sizeof body, "{\"key\":\"%.*s\"}", (int)strcspn(admin + 22, "\r"), admin + 22);
    assert_int_equal(wire_ask(s.port, "POST", "/api/hearth/v1/session", "", body, &reply), 200);
    const char *set = wire_header(&reply, "Set-Cookie");
    assert_non_null(set);
    snprintf(cookie, sizeof cookie, "Cookie: %.*s\r\n", (int)strcspn(set, ";"), set);
    json_t *session = wire_json(&reply);
    snprintf(both, sizeof both, "%sX-Hearth-CSRF: %s\r\n", cookie, text_of(session, "csrf"));
    json_decref(session);
    wire_release(&reply);
    free(asked(403, "POST", OWN "/load", cookie, load));
    free(asked(403, "DELETE", OWN "/story", cookie, NULL));
    free(asked(200, "POST", OWN "/load", both, load));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    if (!testdata_is_there("models/stories260K/stories260K.gguf")) return TEST_SKIPPED;
    const struct CMUnitTest tests[] = {
        TEST(test_pull),
        TEST(test_pull_fails),
        TEST(test_pull_as_ollama),
        TEST(test_hanging_up_ends_a_pull),
        TEST(test_stopping_ends_a_pull),
        TEST(test_quantize),
        TEST(test_delete),
        TEST(test_copy),
        TEST(test_load_and_unload),
        cmocka_unit_test_setup_teardown(test_models_come_when_named, set_up_local, tear_down),
        cmocka_unit_test_setup_teardown(test_lists_tell_what_is_loaded, set_up_local, tear_down),
        cmocka_unit_test_setup_teardown(test_keep_alive, set_up_local, tear_down),
        cmocka_unit_test_setup_teardown(test_load_and_unload_by_name, set_up_local, tear_down),
        cmocka_unit_test_setup_teardown(test_made_models_answer, set_up_local, tear_down),
        cmocka_unit_test_setup_teardown(test_only_admins, set_up_stored, tear_down_stored),
        cmocka_unit_test_setup_teardown(test_sessions_show_their_mark, set_up_stored,
                                        tear_down_stored),
    };
    for (size_t i = 0; i < BIG; i++)
        noise[i] = (uint8_t)(i * 7919 >> 5);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
