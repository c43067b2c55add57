/* Tuning over HTTP with the program itself: from a file to a tuned model, and a run that outlives
 * the server. */
#include <signal.h>
#include <string.h>

#include "../server/wire.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tune_model.h"

enum { TRIES = 3000, REST_NS = 10 * 1000 * 1000 };
static const char runs[] = "/api/hearth/v1/tune/runs";

static pid_t server;
static unsigned port;

static void start(void) {
    const char *const args[] = {"serve",     "model.gguf", "--port",  "0",
                                "--threads", "1",          "--quiet", NULL};
    server = program_start(NULL, args);
    port = 0;
    for (int i = 0; i < TRIES && port == 0; i++) {
        char *text = NULL;
        size_t size;
        clock_rest(REST_NS);
        if (file_read(program_path("stdout"), 1 << 16, &text, &size, NULL) != HEARTH_OK) continue;
        const char *at = strstr(text, "127.0.0.1:");
        if (at && strchr(at, '(')) port = (unsigned)strtoul(at + 10, NULL, 10);
        mem_free(text);
    }
    assert_true(port > 0);
}

static void stop(void) {
    kill(server, SIGTERM);
    assert_int_equal(program_wait(server), 0);
}

static json_t *asked(int status, const char *method, const char *path, const json_t *body) {
    char *text = body ? json_dumps(body, 0) : NULL;
    struct wire_reply reply;
    int found = wire_ask(port, method, path, "", text, &reply);
    if (found != status) fail_msg("%s %s: %d: %s", method, path, found, buf_text(&reply.body));
    json_t *value = wire_json(&reply);
    wire_release(&reply);
    free(text);
    return value;
}

static json_t *run_of(const char *id, const char *action) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s%s", runs, id, action);
    return asked(200, *action ? "POST" : "GET", path, NULL);
}

static bool is_in(const json_t *run, const char *state) {
    return strcmp(json_string_value(json_object_get(run, "state")), state) == 0;
}

static json_t *await(const char *id, const char *state) {
    for (int i = 0; i < TRIES; i++) {
        json_t *run = run_of(id, "");
        if (is_in(run, state)) return run;
        if (is_in(run, "failed")) fail_msg("%s", json_string_value(json_object_get(run, "error")));
        json_decref(run);
        clock_rest(REST_NS);
    }
    fail_msg("run %s is not %s", id, state);
    return NULL;
}

/* Looks at data.jsonl and begins a run of so many steps on it. */
static void begin(const char *name, int steps) {
    char *text = tune_read("data.jsonl");
    json_t *upload =
        json_pack("{s:s, s:s, s:s}", "text", text, "name", "data.jsonl", "model", "model");
    json_t *found = asked(200, "POST", "/api/hearth/v1/tune/inspect", upload);
    assert_true(json_integer_value(json_object_get(found, "n_records")) > 10);
    assert_true(json_array_size(json_object_get(found, "samples")) > 0);
    json_t *order = json_pack("{s:s, s:O, s:s, s:i, s:i, s:i, s:i, s:i}", "model", "model", "file",
                              json_object_get(found, "file"), "name", name, "max_steps", steps,
                              "batch_tokens", 128, "step_tokens", 128, "threads", 1, "samples", 1);
    json_t *run = asked(201, "POST", runs, order);
    assert_string_equal(json_string_value(json_object_get(run, "id")), name);
    json_decref(run);
    json_decref(order);
    json_decref(found);
    json_decref(upload);
    mem_free(text);
}

static size_t count(const char *text, const char *part) {
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        n++;
    return n;
}

/* As 'hearth tune' would. */
static void refuse_mistakes(void) {
    static const char *const mistakes[][2] = {{"epochs", "many"}, {"method", "none"},
                                              {"outtype", "Q9"},  {"hosts", "-oProxyCommand=x"},
                                              {"hosts", "a,,b"},  {"seed", "1\n2"}};
    json_t *upload = json_pack("{s:s}", "text", "{\"prompt\":\"a\",\"completion\":\"b\"}");
    json_t *found = asked(200, "POST", "/api/hearth/v1/tune/inspect", upload);
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        json_t *order = json_pack("{s:s, s:O, s:s}", "model", "model", "file",
                                  json_object_get(found, "file"), mistakes[i][0], mistakes[i][1]);
        json_decref(asked(400, "POST", runs, order));
        json_decref(order);
    }
    json_decref(found);
    json_decref(upload);
}

static void test_from_a_file_to_a_model(void **state) {
    struct wire_reply events;
    (void)state;
    start();
    begin("short", 6);
    assert_int_equal(
        wire_ask(port, "GET", "/api/hearth/v1/tune/runs/short/events", "", NULL, &events), 200);
    const char *body = buf_text(&events.body);
    assert_true(count(body, "\"tokens_per_second\"") >= 6);
    assert_true(count(body, "\"eval_loss\"") >= 1);
    assert_contains(body, "\"text\":"); /* an answer on the way */
    assert_contains(body, "\"before\":");
    assert_contains(body, "data: {\"step\":6,\"steps\":6,");
    assert_contains(body, "data: {\"state\":\"finished\"}");
    wire_release(&events);
    json_t *run = await("short", "finished"), *made = run_of("short", "/export");
    assert_non_null(json_object_get(run, "adapter"));
    assert_string_equal(json_string_value(json_object_get(made, "name")), "short");
    assert_true(file_exists(json_string_value(json_object_get(made, "path"))));
    json_decref(made);
    json_decref(run);
    refuse_mistakes();
    stop();
    RUN_OK("list");
    assert_contains(program_out(NULL), "short");
    RUN_OK("tune", "list"); /* the command knows it, too */
    assert_contains(program_out(NULL), "short");
}

static void test_a_run_outlives_the_server(void **state) {
    (void)state;
    start();
    begin("lasting", 100000);
    json_decref(await("lasting", "running"));
    char *log = path_join(program_path("data/runs/lasting"), "log.jsonl");
    uint64_t size = 0;
    for (int i = 0; i < TRIES && size == 0; i++) {
        clock_rest(REST_NS);
        file_size(log, &size, NULL);
    }
    kill(server, SIGKILL);
    assert_int_equal(program_wait(server), 128 + SIGKILL);
    start();
    json_decref(await("lasting", "running"));
    json_decref(run_of("lasting", "/pause"));
    json_decref(await("lasting", "paused"));
    json_decref(run_of("lasting", "/resume"));
    json_decref(await("lasting", "running"));
    json_decref(run_of("lasting", "/stop"));
    json_decref(await("lasting", "stopped"));
    stop();
    RUN_OK("tune", "show", program_path("data/runs/lasting"));
    assert_contains(program_out(NULL), "checkpoints"); /* it has saved when it was told to end */
    mem_free(log);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_a_file_to_a_model),
        cmocka_unit_test(test_a_run_outlives_the_server),
    };
    return cmocka_run_group_tests(tests, tune_model_set_up, program_tear_down);
}
