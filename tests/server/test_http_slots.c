/* What answers have computed, kept in files over HTTP and taken back by another server. */
#include "hub/hub_scene.h"

#include "route/local_backend.h"
#include "serving.h"

static struct serving s;

static void begin(void) {
    struct local_backend_settings settings = {
        .name = "stories", .n_parallel = 2, .keeps_slots = true};
    const struct http_server_settings http = {.slot_folder = scene_path("slots")};
    struct backend *backend;
    hearth_error err = {0};
    engine_settings_init(&settings.engine);
    drafting_settings_init(&settings.drafting);
    settings.engine.n_threads = 1;
    settings.engine.n_ctx = 256;
    settings.engine.model = testdata("models/stories260K/stories260K.gguf");
    if (local_backend_open(&backend, &settings, &err) != HEARTH_OK) fail_msg("%s", err.message);
    serving_begin(&s, backend, &http);
}

static int set_up(void **state) {
    (void)state;
    scene_set_up();
    assert_int_equal(file_make_folders(scene_path("slots"), NULL), HEARTH_OK);
    begin();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    serving_end(&s);
    scene_tear_down();
    return 0;
}

static void restart(void) {
    serving_end(&s);
    begin();
}

/* The body of the answer, a new reference. */
static json_t *asked(int status, const char *path, const char *body) {
    struct wire_reply reply;
    wire_ask(s.port, "POST", path, "", body, &reply);
    if (reply.status != status)
        fail_msg("%s %.100s: %d %s", path, body, reply.status, buf_text(&reply.body));
    json_t *json = wire_json(&reply);
    wire_release(&reply);
    return json;
}

static json_int_t number_in(int status, const char *path, const char *body, const char *name) {
    json_t *json = asked(status, path, body);
    json_t *value = json_object_get(json, name);
    if (!json_is_integer(value)) fail_msg("%s says no '%s'", path, name);
    json_int_t number = json_integer_value(value);
    json_decref(json);
    return number;
}

static void refused(int status, const char *path, const char *body, const char *param) {
    json_t *json = asked(status, path, body);
    const json_t *error = json_object_get(json, "error");
    const char *found = json_string_value(json_object_get(error, "param"));
    if (param && (!found || strcmp(found, param) != 0))
        fail_msg("%s %s: not of '%s'", path, body, param);
    assert_true(json_is_string(json_object_get(error, "message")));
    json_decref(json);
}

/* Some hundred tokens and a few more; how many of the prompt were found computed. */
static json_int_t tell_story(int slot) {
    struct buf body;
    buf_init(&body, 1 << 16);
    buf_append_text(&body, "{\"max_tokens\":8,\"temperature\":0,\"prompt\":\"");
    for (int i = 0; i < 12; i++)
        buf_append_text(&body, "Once upon a time there was a dog. ");
    buf_append_format(&body, "\",\"id_slot\":%d}", slot);
    json_t *answer = asked(200, "/v1/completions", buf_text(&body));
    const json_t *usage = json_object_get(answer, "usage");
    json_int_t n = json_integer_value(
        json_object_get(json_object_get(usage, "prompt_tokens_details"), "cached_tokens"));
    assert_true(json_integer_value(json_object_get(usage, "prompt_tokens")) > 96);
    json_decref(answer);
    buf_release(&body);
    return n;
}

static void test_save_and_restore(void **state) {
    uint64_t size;
    (void)state;
    assert_int_equal(tell_story(-1), 0);
    json_t *saved = asked(200, "/slots/0?action=save", "{\"filename\":\"story.bin\"}");
    json_int_t n = json_integer_value(json_object_get(saved, "n_saved"));
    assert_true(n >= 96 && n % 32 == 0);
    assert_string_equal(json_string_value(json_object_get(saved, "filename")), "story.bin");
    assert_int_equal(json_integer_value(json_object_get(saved, "id_slot")), 0);
    assert_true(json_is_real(json_object_get(json_object_get(saved, "timings"), "save_ms")));
    assert_int_equal(file_size(scene_path("slots/story.bin"), &size, NULL), HEARTH_OK);
    assert_int_equal(json_integer_value(json_object_get(saved, "n_written")), size);
    json_decref(saved);

    restart();
    assert_int_equal(number_in(200, "/slots/1?action=restore&model=stories",
                               "{\"filename\":\"story.bin\"}", "n_restored"),
                     n);
    assert_true(tell_story(0) >= 96);
    /* What was restored can be saved again, by the slot that has it. */
    assert_int_equal(
        number_in(200, "/slots/1?action=save", "{\"filename\":\"again.bin\"}", "n_saved"), n);
}

static void test_erase(void **state) {
    (void)state;
    tell_story(1);
    assert_int_equal(number_in(200, "/slots/0?action=save", "{\"filename\":\"none\"}", "n_saved"),
                     0);
    assert_true(number_in(200, "/slots/1?action=erase", "", "n_erased") > 96);
    assert_int_equal(number_in(200, "/slots/1?action=erase", "{}", "n_erased"), 0);
    assert_int_equal(number_in(200, "/slots/1?action=save", "{\"filename\":\"none\"}", "n_written"),
                     0);
    assert_false(file_exists(scene_path("slots/none")));
}

static void test_names_of_files(void **state) {
    static const char *const bodies[] = {"",
                                         "{}",
                                         "[]",
                                         "{\"filename\":7}",
                                         "{\"filename\":\"\"}",
                                         "{\"filename\":\".\"}",
                                         "{\"filename\":\"..\"}",
                                         "{\"filename\":\".hidden\"}",
                                         "{\"filename\":\"../story.bin\"}",
                                         "{\"filename\":\"a/../../story.bin\"}",
                                         "{\"filename\":\"/tmp/story.bin\"}",
                                         "{\"filename\":\"a\\\\b\"}",
                                         "{\"filename\":\"C:story\"}",
                                         "{\"filename\":\"a\\nb\"}"};
    char long_name[400];
    (void)state;
    tell_story(0);
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        refused(400, "/slots/0?action=save", bodies[i], "filename");
        refused(400, "/slots/0?action=restore", bodies[i], "filename");
    }
    snprintf(long_name, sizeof long_name, "{\"filename\":\"%0300d\"}", 0);
    refused(400, "/slots/0?action=save", long_name, "filename");
    assert_false(file_exists(scene_path("story.bin")));
}

static void test_slots_that_are_none(void **state) {
    static const char body[] = "{\"filename\":\"story.bin\"}";
    (void)state;
    refused(400, "/slots/2?action=save", body, NULL);
    refused(400, "/slots/9999?action=erase", body, NULL);
    refused(400, "/slots/99999?action=erase", body, NULL);
    refused(400, "/slots/-1?action=save", body, NULL);
    refused(400, "/slots/one?action=save", body, NULL);
    refused(400, "/slots/?action=save", body, NULL);
    refused(400, "/slots/0?action=burn", body, NULL);
    refused(400, "/slots/0", body, NULL);
    refused(404, "/slots/0?action=save&model=nobody", body, "model");
    refused(404, "/slots/0?action=save&model=%ff", body, "model");
}

static void test_files_that_are_none(void **state) {
    static const char notes[] = "my notes";
    char *data;
    size_t n;
    (void)state;
    tell_story(0);
    scene_write("slots/notes", notes, sizeof notes);
    refused(400, "/slots/0?action=save", "{\"filename\":\"notes\"}", "filename");
    refused(400, "/slots/0?action=restore", "{\"filename\":\"notes\"}", "filename");
    refused(400, "/slots/0?action=restore", "{\"filename\":\"missing\"}", "filename");
    number_in(200, "/slots/0?action=save", "{\"filename\":\"story\"}", "n_saved");
    assert_int_equal(file_read(scene_path("slots/story"), 1 << 26, &data, &n, NULL), HEARTH_OK);
    scene_write("slots/cut", data, n - 100);
    refused(400, "/slots/0?action=restore", "{\"filename\":\"cut\"}", "filename");
    data[n - 1] ^= 1;
    scene_write("slots/bent", data, n);
    refused(400, "/slots/0?action=restore", "{\"filename\":\"bent\"}", "filename");
    mem_free(data);
    assert_int_equal(file_read(scene_path("slots/notes"), 1 << 10, &data, &n, NULL), HEARTH_OK);
    assert_string_equal(data, notes);
    mem_free(data);
    assert_true(tell_story(0) >= 96); /* the server goes on */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    if (!testdata_is_there("models/stories260K/stories260K.gguf")) return TEST_SKIPPED;
    const struct CMUnitTest tests[] = {
        TEST(test_save_and_restore),    TEST(test_erase),
        TEST(test_names_of_files),      TEST(test_slots_that_are_none),
        TEST(test_files_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
