/* Tuning over HTTP, with a script in the place of 'hearth tune': who may, what is refused, how a
 * run is begun, led, followed, exported and deleted, and what becomes of one that fails. */
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/remove_tree.h"
#include "serving.h"

enum { TRIES = 1000, REST_NS = 10 * 1000 * 1000 };
static const char own[] = "/api/hearth/v1/";
static const char model[] = "org/scripted:q8_0"; /* scripted_backend.c */

/* Takes the folder of the run from its last argument and what to do from the seed of its recipe:
 * 1 trains two steps and ends well; 2 says what is wrong; 3 waits to be interrupted the first time
 * and then ends well; 4 dies of a signal; 5 is as 1, and leaves an adapter. An export writes its
 * file. */
static const char script[] =
    "#!/bin/sh\n"
    "for last; do :; done\n"
    "cd \"$last\" || exit 9\n"
    "echo \"$@\" >> arguments\n"
    "if [ \"$2\" = export ]; then while [ \"$1\" != -o ]; do shift; done; echo GGUF > \"$2\"; "
    "exit; "
    "fi\n"
    "be() { echo \"{\\\"state\\\":\\\"$1\\\",\\\"steps\\\":2,\\\"step\\\":$2}\" > new; mv new "
    "run.json; }\n"
    "end() { be $1 $2; exit 0; }\n"
    "step() { echo \"{\\\"step\\\":$1,\\\"loss\\\":0.5,\\\"tokens\\\":9,\\\"seconds\\\":1}\" >> "
    "log.jsonl; }\n"
    "seed=$(sed -n 's/.*\"seed\": \\([0-9]*\\).*/\\1/p' recipe.yaml)\n"
    "[ \"$seed\" = 2 ] && { echo 'step 0'; echo 'hearth: the data is bad' >&2; exit 1; }\n"
    "[ \"$seed\" = 4 ] && kill -9 $$\n"
    "[ \"$seed\" = 5 ] && echo GGUF > adapter.gguf\n"
    "[ \"$seed\" = 3 ] && [ ! -e run.json ] && { step 1; trap 'end stopped 1' INT;\n"
    "  be running 1; while :; do sleep 0.01; done; }\n"
    "[ -e log.jsonl ] || step 1\n"
    "step 2\n"
    "end finished 2\n";

static struct serving s;
static struct store_pool *store;
static char home[64], program[96];

/* As 'hearth tune' would: no more than whole passes here. */
static hearth_status check(const char *recipe, const char *hosts, hearth_error *err) {
    if (strstr(recipe, "\"epochs\": \"many\""))
        return error_set(err, HEARTH_ERROR_ARGUMENT, "'epochs' needs a number");
    return hosts ? error_set(err, HEARTH_ERROR_ARGUMENT, "'%s' is not the name of a host", hosts)
                 : HEARTH_OK;
}

static const struct tune_settings tuning = {.program = program, .check = check};

static void serve(void) {
    const struct script answers = {.pieces = {"Hello"}, .n_pieces = 1, .rounds = 1};
    const struct http_server_settings settings = {.store = store, .tuning = &tuning};
    serving_begin(&s, scripted_open(&answers), &settings);
}

static int set_up(void **state) {
    char path[128];
    (void)state;
    snprintf(home, sizeof home, "/tmp/hearth-tune-XXXXXX");
    if (!mkdtemp(home) || setenv("HEARTH_HOME", home, 1) != 0) return -1;
    snprintf(program, sizeof program, "%s/hearth", home);
    assert_int_equal(file_write(program, script, sizeof script - 1, NULL), HEARTH_OK);
    assert_int_equal(chmod(program, 0700), 0);
    snprintf(path, sizeof path, "%s/test.db", home);
    assert_int_equal(store_pool_open(&store, path, NULL), HEARTH_OK);
    serve();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    serving_end(&s);
    store_pool_close(store);
    return remove_tree(home, NULL) == HEARTH_OK ? 0 : -1;
}

/* ---- asking
 * --------------------------------------------------------------------------------------- */

static char key[300]; /* a line of the head, or "" */

static json_t *asked(int status, const char *method, const char *path, const char *body) {
    char whole[256];
    struct wire_reply reply;
    snprintf(whole, sizeof whole, "%s%s", own, path);
    int found = wire_ask(s.port, method, whole, key, body, &reply);
    if (found != status)
        fail_msg("%s %s: %d, not %d: %s", method, path, found, status, buf_text(&reply.body));
    json_t *value = reply.body.length ? wire_json(&reply) : NULL;
    wire_release(&reply);
    return value;
}

static void expect(int status, const char *method, const char *path, const char *body) {
    json_decref(asked(status, method, path, body));
}

static void take_text(const json_t *object, const char *name, char *out, size_t size) {
    const char *text = json_string_value(json_object_get(object, name));
    snprintf(out, size, "%s", text ? text : "");
}

static void keep_file(char id[64]) {
    json_t *found = asked(200, "POST", "tune/inspect",
                          "{\"text\":\"{\\\"prompt\\\":\\\"a\\\",\\\"completion\\\":\\\"b\\\"}\"}");
    assert_int_equal(json_integer_value(json_object_get(found, "n_records")), 1);
    take_text(found, "file", id, 64);
    json_decref(found);
}

/* Begins a run; `more`: further fields, such as ",\"seed\":1". */
static json_t *begin(int status, const char *name, const char *more) {
    char file[64], body[600];
    keep_file(file);
    snprintf(body, sizeof body, "{\"model\":\"%s\",\"file\":\"%s\",\"name\":\"%s\"%s}", model, file,
             name, more);
    return asked(status, "POST", "tune/runs", body);
}

/* The run, as soon as it is in this state. */
static json_t *await(const char *id, const char *state) {
    char path[128], found[32] = "";
    snprintf(path, sizeof path, "tune/runs/%s", id);
    for (int i = 0; i < TRIES; i++) {
        json_t *run = asked(200, "GET", path, NULL);
        take_text(run, "state", found, sizeof found);
        if (strcmp(found, state) == 0) return run;
        json_decref(run);
        clock_rest(REST_NS);
    }
    fail_msg("run %s is %s, not %s", id, found, state);
    return NULL;
}

static void await_state(const char *id, const char *state) {
    json_decref(await(id, state));
}

static char *file_of(const char *id, const char *name) {
    char path[256], *text;
    size_t size;
    snprintf(path, sizeof path, "%s/data/runs/%s/%s", home, id, name);
    return file_read(path, 1 << 16, &text, &size, NULL) == HEARTH_OK ? text : NULL;
}

/* Until the script has begun. */
static void await_file(const char *id, const char *name) {
    char *text = NULL;
    for (int i = 0; i < TRIES && !(text = file_of(id, name)); i++)
        clock_rest(REST_NS);
    assert_non_null(text);
    mem_free(text);
}

/* ---- runs
 * ------------------------------------------------------------------------------------------- */

static void test_a_run_from_its_file_to_a_model(void **state) {
    char text[300];
    struct wire_reply events;
    (void)state;
    json_t *run = begin(201, "My Office", ",\"seed\":1");
    take_text(run, "id", text, sizeof text);
    assert_string_equal(text, "my-office");
    take_text(run, "name", text, sizeof text);
    assert_string_equal(text, "My Office");
    json_decref(run);
    await_state("my-office", "finished");
    int status =
        wire_ask(s.port, "GET", "/api/hearth/v1/tune/runs/my-office/events", "", NULL, &events);
    assert_int_equal(status, 200);
    assert_non_null(strstr(wire_header(&events, "Content-Type"), "text/event-stream"));
    const char *first = strstr(buf_text(&events.body), "data: {\"step\":1,\"steps\":2,");
    const char *second = strstr(buf_text(&events.body), "data: {\"step\":2,");
    const char *last = strstr(buf_text(&events.body), "data: {\"state\":\"finished\"}");
    assert_true(first && second && last && first < second && second < last);
    wire_release(&events);
    char *arguments = file_of("my-office", "arguments"), *recipe;
    snprintf(text, sizeof text, "tune resume -- %s/data/runs/my-office\n", home);
    assert_string_equal(arguments, text);
    mem_free(arguments);
    recipe = file_of("my-office", "recipe.yaml");
    assert_non_null(strstr(recipe, "scripted.gguf"));
    assert_non_null(strstr(recipe, "data/runs/my-office/data-"));
    mem_free(recipe);
    json_t *made = asked(200, "POST", "tune/runs/my-office/export", "{}");
    take_text(made, "name", text, sizeof text);
    assert_string_equal(text, "my-office");
    json_decref(made);
    char *aliases = path_join(home, "data/aliases.json");
    assert_int_equal(remove(aliases), 0); /* a name that was taken away comes back */
    json_decref(asked(200, "POST", "tune/runs/my-office/export", "{}"));
    assert_true(file_exists(aliases));
    mem_free(aliases);
    arguments = file_of("my-office", "arguments");
    const char *once = strstr(arguments, "tune export ");
    assert_non_null(once);
    assert_null(strstr(once + 1, "tune export "));
    mem_free(arguments);
    run = asked(200, "GET", "tune/runs/my-office", NULL);
    take_text(run, "result", text, sizeof text);
    assert_string_equal(text, "my-office");
    json_decref(run);
    expect(409, "POST", "tune/runs/my-office/resume", "{}");
    expect(409, "POST", "tune/runs/my-office/pause", "{}");
    expect(200, "DELETE", "tune/runs/my-office", NULL);
    expect(404, "GET", "tune/runs/my-office", NULL);
    assert_null(file_of("my-office", "exported.gguf"));
}

static void test_an_adapter_is_loaded(void **state) {
    char text[64];
    (void)state;
    json_decref(begin(201, "Better", ",\"seed\":5"));
    await_state("better", "finished");
    json_t *loaded = asked(200, "POST", "tune/runs/better/load", "{}");
    take_text(loaded, "model", text, sizeof text);
    assert_string_equal(text, model);
    take_text(loaded, "adapter", text, sizeof text);
    assert_string_equal(text, "better-adapter");
    json_decref(loaded);
    assert_true(isnan(scripted_counts(s.backend).keep_alive_s));
    json_decref(begin(201, "full", ",\"seed\":1")); /* leaves none */
    await_state("full", "finished");
    expect(409, "POST", "tune/runs/full/load", "{}");
    expect(405, "GET", "tune/runs/none/load", NULL);
    expect(404, "POST", "tune/runs/none/load", "{}");
    expect(404, "POST", "tune/runs/better/load/adapter.gguf", "{}");
    expect(400, "POST", "tune/runs/..%2fbetter/load", "{}");
    expect(200, "DELETE", "tune/runs/better", NULL);
    expect(200, "DELETE", "tune/runs/full", NULL);
}

static void test_a_run_is_paused_and_goes_on(void **state) {
    (void)state;
    json_decref(begin(201, "pausing", ",\"seed\":3"));
    await_file("pausing", "run.json");
    json_decref(begin(201, "second", ",\"seed\":1"));
    await_state("second", "waiting"); /* one at a time */
    expect(409, "DELETE", "tune/runs/pausing", NULL);
    expect(409, "POST", "tune/runs/pausing/export", "{}");
    expect(409, "POST", "tune/runs/pausing/load", "{}");
    expect(200, "POST", "tune/runs/pausing/pause", "{}");
    await_state("pausing", "paused");
    await_state("second", "finished");
    expect(200, "POST", "tune/runs/pausing/resume", "{}");
    await_state("pausing", "finished");
    json_t *list = asked(200, "GET", "tune/runs", NULL);
    assert_int_equal(json_array_size(json_object_get(list, "runs")), 2);
    json_decref(list);
    expect(200, "DELETE", "tune/runs/pausing", NULL);
    expect(200, "DELETE", "tune/runs/second", NULL);
}

static void test_a_run_is_stopped(void **state) {
    (void)state;
    json_decref(begin(201, "stopping", ",\"seed\":3"));
    await_file("stopping", "run.json");
    expect(200, "POST", "tune/runs/stopping/stop", "{}");
    await_state("stopping", "stopped");
    expect(409, "POST", "tune/runs/stopping/stop", "{}");
    expect(200, "POST", "tune/runs/stopping/load", "{}");
    await_file("stopping", "adapter.gguf");                          /* which is written for that */
    for (int i = 0, status = 409; i < TRIES && status == 409; i++) { /* it may still be saving */
        struct wire_reply reply;
        status = wire_ask(s.port, "DELETE", "/api/hearth/v1/tune/runs/stopping", "", NULL, &reply);
        wire_release(&reply);
        clock_rest(REST_NS);
    }
    expect(404, "GET", "tune/runs/stopping", NULL);
}

static void test_failures_are_told(void **state) {
    char text[200];
    (void)state;
    json_decref(begin(201, "failing", ",\"seed\":2"));
    json_t *run = await("failing", "failed");
    take_text(run, "error", text, sizeof text);
    assert_string_equal(text, "the data is bad");
    json_decref(run);
    json_decref(begin(201, "dying", ",\"seed\":4"));
    run = await("dying", "failed");
    take_text(run, "error", text, sizeof text);
    assert_non_null(strstr(text, "signal 9"));
    json_decref(run);
    expect(200, "DELETE", "tune/runs/failing", NULL);
    expect(200, "DELETE", "tune/runs/dying", NULL);
}

static void test_a_run_goes_on_after_the_server(void **state) {
    (void)state;
    json_decref(begin(201, "lasting", ",\"seed\":3"));
    await_file("lasting", "run.json");
    serving_end(&s); /* which has it save and end */
    char *found = file_of("lasting", "run.json");
    assert_non_null(strstr(found, "stopped"));
    mem_free(found);
    serve();
    await_state("lasting", "finished");
    expect(200, "DELETE", "tune/runs/lasting", NULL);
}

/* ---- what is refused
 * ----------------------------------------------------------------------------- */

static void test_places(void **state) {
    (void)state;
    expect(404, "GET", "tune/", NULL);
    expect(404, "GET", "tune/nothing", NULL);
    expect(405, "GET", "tune/inspect", NULL);
    expect(404, "PUT", "tune/runs", "{}");
    expect(405, "DELETE", "tune/runs", NULL);
    expect(404, "GET", "tune/runs/none", NULL);
    expect(404, "GET", "tune/runs/none/events", NULL);
    expect(404, "DELETE", "tune/runs/none", NULL);
    expect(404, "POST", "tune/runs/none/pause", "{}");
    expect(404, "POST", "tune/runs/none/export", "{}");
    expect(404, "POST", "tune/runs/none/other", "{}");
    expect(400, "GET", "tune/runs/%2e%2e/events", NULL);
    expect(400, "DELETE", "tune/runs/%2e%2e", NULL);
    expect(400, "DELETE", "tune/runs/..%2fruns", NULL);
    expect(404, "DELETE", "tune/runs/...", NULL);
    expect(404, "GET", "tune/runs/a/b/c/d", NULL);
}

static void test_bodies(void **state) {
    static const char *const bodies[] = {
        "[]",
        "{}",
        "{\"model\":5}",
        "{\"model\":\"org/scripted:q8_0\"}",
        "{\"model\":\"org/scripted:q8_0\",\"file\":\"\"}",
        "{\"model\":\"org/scripted:q8_0\",\"file\":\"x\\ny\"}",
        "{\"model\":\"org/scripted:q8_0\",\"file\":\"x\\u0000y\"}"};
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        expect(400, "POST", "tune/runs", bodies[i]);
    expect(404, "POST", "tune/runs", "{\"model\":\"/etc/passwd\",\"file\":\"x\"}");
    expect(404, "POST", "tune/runs", "{\"model\":\"scripted.gguf\",\"file\":\"x\"}");
    expect(404, "POST", "tune/runs",
           "{\"model\":\"org/scripted:q8_0\",\"file\":\"../../../etc/passwd\"}");
    json_decref(begin(400, "x", ",\"output_dir\":\"/tmp/x\""));
    json_decref(begin(400, "x", ",\"data\":\"/etc/passwd\""));
    json_decref(begin(400, "x", ",\"epochs\":\"many\""));
    json_decref(begin(400, "x", ",\"epochs\":{}"));
    json_decref(begin(400, "x", ",\"hosts\":\"-oProxyCommand=x\""));
    json_decref(begin(400, "x\\u0007", ""));
    json_t *list = asked(200, "GET", "tune/runs", NULL);
    assert_int_equal(json_array_size(json_object_get(list, "runs")), 0);
    json_decref(list);
    expect(400, "POST", "tune/inspect", "{}");
    expect(400, "POST", "tune/inspect", "{\"text\":\"\"}");
    expect(400, "POST", "tune/inspect", "{\"text\":\"[1]\"}");
    expect(404, "POST", "tune/inspect", "{\"text\":\"a\",\"model\":\"none\"}");
}

/* A form of these parts; `end`: what stands behind the last. */
static json_t *send_form(int status, const char *parts, const char *end) {
    struct wire_reply reply;
    struct buf body;
    buf_init(&body, 1 << 16);
    buf_append_format(&body, "%s%s", parts, end);
    int found =
        wire_ask(s.port, "POST", "/api/hearth/v1/tune/inspect",
                 "Content-Type: multipart/form-data; boundary=cut\r\n", buf_text(&body), &reply);
    buf_release(&body);
    if (found != status) fail_msg("%d, not %d: %s", found, status, buf_text(&reply.body));
    json_t *value = wire_json(&reply);
    wire_release(&reply);
    return value;
}

#define PART(name, more)                                                                           \
    "--cut\r\nContent-Disposition: form-data; name=\"" name "\"" more "\r\n\r\n"
static const char row[] = "a,b\n1,2\n";

static void test_forms(void **state) {
    char parts[600];
    (void)state;
    snprintf(parts, sizeof parts, "%sorg/scripted:q8_0\r\n%signored\r\n%s%s", PART("model", ""),
             PART("other", ""), PART("file", "; filename=\"../../a.csv\""),
             "prompt,completion\nhello,world\n");
    json_t *found = send_form(200, parts, "\r\n--cut--\r\n");
    assert_int_equal(json_integer_value(json_object_get(found, "n_records")), 1);
    assert_int_equal(json_array_size(json_object_get(found, "samples")), 1);
    json_decref(found);
    json_decref(send_form(400, "", ""));
    json_decref(send_form(400, "no form at all", ""));
    snprintf(parts, sizeof parts, "%s%s", PART("other", ""), row);
    json_decref(send_form(400, parts, "\r\n--cut--\r\n"));
    snprintf(parts, sizeof parts, "%s%0500d", PART("model", ""), 0); /* longer than any name */
    json_decref(send_form(400, parts, "\r\n--cut--\r\n"));
}

/* ---- who may
 * ------------------------------------------------------------------------------------- */

static void take_key(const char *body, char header[300]) {
    json_t *made = asked(201, "POST", "keys", body);
    const char *text = json_string_value(json_object_get(made, "key"));
    assert_non_null(text);
    snprintf(header, 300, "Authorization: Bearer %s\r\n", text);
    json_decref(made);
}

static void a_cookie_alone_changes_nothing(void) {
    char body[400], cookie[600];
    struct wire_reply reply;
    snprintf(body, sizeof body, "{\"key\":\"%.*s\"}", (int)strcspn(key + 22, "\r"), key + 22);
    assert_int_equal(wire_ask(s.port, "POST", "/api/hearth/v1/session", "", body, &reply), 200);
    const char *set = wire_header(&reply, "Set-Cookie");
    assert_non_null(set);
    snprintf(cookie, sizeof cookie, "Cookie: %.*s\r\n", (int)strcspn(set, ";"), set);
    wire_release(&reply);
    static const char runs[] = "/api/hearth/v1/tune/runs";
    int status = wire_ask(s.port, "GET", runs, cookie, NULL, &reply);
    wire_release(&reply);
    assert_int_equal(status, 200);
    status = wire_ask(s.port, "POST", runs, cookie, "{}", &reply);
    wire_release(&reply);
    assert_int_equal(status, 403);
}

static void test_only_those_who_look_after_the_server(void **state) {
    char admin[300], user[300];
    (void)state;
    take_key("{\"name\":\"first\"}", admin);
    expect(401, "GET", "tune/runs", NULL);
    expect(401, "POST", "tune/inspect", "{\"text\":\"a\"}");
    memcpy(key, admin, sizeof key);
    take_key("{\"name\":\"other\",\"role\":\"user\"}", user);
    expect(200, "GET", "tune/runs", NULL);
    memcpy(key, user, sizeof key);
    expect(403, "GET", "tune/runs", NULL);
    expect(403, "POST", "tune/inspect", "{\"text\":\"a\"}");
    expect(403, "GET", "tune/runs/x/events", NULL);
    expect(403, "DELETE", "tune/runs/x", NULL);
    expect(403, "POST", "tune/runs/x/load", "{}");
    memcpy(key, admin, sizeof key);
    a_cookie_alone_changes_nothing();
    key[0] = '\0';
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_run_from_its_file_to_a_model),
        cmocka_unit_test(test_an_adapter_is_loaded),
        cmocka_unit_test(test_a_run_is_paused_and_goes_on),
        cmocka_unit_test(test_a_run_is_stopped),
        cmocka_unit_test(test_failures_are_told),
        cmocka_unit_test(test_a_run_goes_on_after_the_server),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_only_those_who_look_after_the_server),
    };
    return cmocka_run_group_tests_name("server/http_tune", tests, set_up, tear_down);
}
