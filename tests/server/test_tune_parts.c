/* The parts of tuning over HTTP, one by one: ids, recipes, kept files, what is in them, courses. */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/remove_tree.h"
#include "server/run_course.h"
#include "server/run_queue.h"
#include "server/served_run.h"
#include "server/tune_inspect.h"
#include "server/tune_recipe.h"
#include "server/tune_uploads.h"
#include "testdata.h"

static char home[64];

static int set_up(void **state) {
    (void)state;
    snprintf(home, sizeof home, "/tmp/hearth-tune-XXXXXX");
    if (!mkdtemp(home)) return -1;
    return setenv("HEARTH_HOME", home, 1);
}

static int tear_down(void **state) {
    (void)state;
    return remove_tree(home, NULL) == HEARTH_OK ? 0 : -1;
}

/* ---- ids ------------------------------------------------------------------------------------- */

static void test_ids_are_harmless_names_of_folders(void **state) {
    static const char *const bad[] = {"",    ".",   "..",  "../x", "a/b", "A",     "1",
                                      "-rf", "a b", "a\n", ".a",   "é",   "_under"};
    static const struct {
        const char *text, *id;
    } made[] = {{"Office", "office"},
                {"My  Run!", "my-run"},
                {"../../etc/passwd", "etc-passwd"},
                {"--output-dir", "output-dir"},
                {"Ämber", "mber"},
                {"123", "run"},
                {"", "run"},
                {"a..b", "a.b"},
                {"qwen3:4b", "qwen3-4b"},
                {"x---", "x"}};
    char id[SERVED_RUN_ID_BYTES], long_text[500];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(served_run_id_is_valid(bad[i]));
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        served_run_make_id(made[i].text, id);
        assert_string_equal(id, made[i].id);
        assert_true(served_run_id_is_valid(id));
    }
    memset(long_text, 'a', sizeof long_text);
    long_text[sizeof long_text - 1] = '\0';
    assert_false(served_run_id_is_valid(long_text));
    served_run_make_id(long_text, id);
    assert_true(served_run_id_is_valid(id));
}

/* ---- recipes -----------------------------------------------------------------------------------
 */

static hearth_status make(const char *body, char **recipe, char field[64]) {
    hearth_error err = {0};
    const char *wrong;
    json_t *json = json_loads(body, 0, NULL);
    assert_non_null(json);
    hearth_status status = tune_recipe_make(json, "/models/m.gguf", recipe, &wrong, &err);
    snprintf(field, 64, "%s", wrong);
    json_decref(json);
    return status;
}

static void test_recipes_have_settings_only(void **state) {
    static const char *const refused[] = {
        "output-dir", "output_dir", "output",    "data",     "datasets",   "recipe",
        "base_model", "teacher",    "resume",    "dry_run",  "eval_data",  "chat_template",
        "column",     "json",       "separator", "--epochs", "zero_stage", ""};
    char *recipe, field[64], body[200];
    (void)state;
    assert_int_equal(make("{\"model\":\"m\",\"file\":\"f\",\"name\":\"n\",\"hosts\":\"h\","
                          "\"epochs\":2,\"learning_rate\":0.001,\"rslora\":true,"
                          "\"method\":\"lora\"}",
                          &recipe, field),
                     HEARTH_OK);
    json_t *made = json_loads(recipe, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(made, "model")), "/models/m.gguf");
    assert_int_equal(json_integer_value(json_object_get(made, "epochs")), 2);
    assert_non_null(json_object_get(made, "learning-rate"));
    assert_null(json_object_get(made, "hosts"));
    assert_null(json_object_get(made, "file"));
    json_decref(made);
    free(recipe);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        snprintf(body, sizeof body, "{\"%s\":\"x\"}", refused[i]);
        assert_int_equal(make(body, &recipe, field), HEARTH_ERROR_ARGUMENT);
        assert_string_equal(field, refused[i]);
        assert_null(recipe);
    }
    assert_int_equal(make("{\"epochs\":[1]}", &recipe, field), HEARTH_ERROR_ARGUMENT);
    assert_int_equal(make("{\"epochs\":null}", &recipe, field), HEARTH_ERROR_ARGUMENT);
}

/* ---- kept files ---------------------------------------------------------------------------------
 */

static void keep(const char *name, const char *text, char id[UPLOAD_ID_BYTES]) {
    hearth_error err = {0};
    if (tune_uploads_keep(name, text, strlen(text), id, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
}

static void test_files_are_kept_under_harmless_names(void **state) {
    static const char *const names[] = {"../../../../tmp/escaped.csv", "C:\\x\\..\\a.csv",
                                        "-rf.csv", ".hidden.csv", "a\nb.csv"};
    char id[UPLOAD_ID_BYTES], again[UPLOAD_ID_BYTES], *path;
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *text;
        size_t size;
        keep(names[i], "a,b\n1,2\n", id);
        assert_int_equal(tune_uploads_find(id, &path, NULL), HEARTH_OK);
        assert_int_equal(strncmp(path, home, strlen(home)), 0);
        assert_null(strstr(path, ".."));
        assert_string_equal(path + strlen(path) - 4, ".csv");
        assert_null(strpbrk(tune_uploads_name(path), "/\\\n "));
        assert_int_equal(file_read(path, 100, &text, &size, NULL), HEARTH_OK);
        assert_string_equal(text, "a,b\n1,2\n");
        mem_free(text);
        mem_free(path);
        keep(names[i], "a,b\n1,2\n", again); /* the same bytes, the same file */
        assert_string_equal(id, again);
    }
    assert_int_equal(tune_uploads_find("../../x", &path, NULL), HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(tune_uploads_find("", &path, NULL), HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(tune_uploads_find("00000000000000000000000000000000", &path, NULL),
                     HEARTH_ERROR_NOT_FOUND);
}

static void test_only_so_many_files_are_kept(void **state) {
    char ids[UPLOADS_MOST + 5][UPLOAD_ID_BYTES], text[32], *path;
    size_t found = 0;
    (void)state;
    for (size_t i = 0; i < UPLOADS_MOST + 5; i++) {
        snprintf(text, sizeof text, "record %zu", i);
        keep(NULL, text, ids[i]);
    }
    for (size_t i = 0; i < UPLOADS_MOST + 5; i++) {
        if (tune_uploads_find(ids[i], &path, NULL) != HEARTH_OK) continue;
        found++;
        mem_free(path);
    }
    assert_int_equal(found, UPLOADS_MOST);
    assert_int_equal(tune_uploads_find(ids[UPLOADS_MOST + 4], &path, NULL), HEARTH_OK);
    mem_free(path);
}

struct sender {
    const char *name, *text;
    bool failed;
};

static void *send_often(void *context) {
    enum { TIMES = 50 };
    struct sender *sender = context;
    char id[UPLOAD_ID_BYTES], *path;
    for (int i = 0; i < TIMES && !sender->failed; i++) {
        sender->failed = tune_uploads_keep(sender->name, sender->text, strlen(sender->text), id,
                                           NULL) != HEARTH_OK ||
                         tune_uploads_find(id, &path, NULL) != HEARTH_OK || !file_exists(path);
        if (!sender->failed) mem_free(path);
    }
    return NULL;
}

/* Somebody clicks twice while others send theirs. */
static void test_files_that_come_at_once(void **state) {
    enum { SENDERS = 4 };
    struct sender senders[SENDERS] = {{.name = "a.csv", .text = "a,b\n1,2\n"},
                                      {.name = "a.csv", .text = "a,b\n1,2\n"},
                                      {.name = "b.csv", .text = "a,b\n3,4\n"},
                                      {.name = "b.csv", .text = "a,b\n3,4\n"}};
    pthread_t threads[SENDERS];
    (void)state;
    for (int i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_often, &senders[i]), 0);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < SENDERS; i++)
        assert_false(senders[i].failed);
}

/* ---- the queue ------------------------------------------------------------------------------- */

struct adding {
    struct run_queue *queue;
    struct wanted_run wanted;
    char id[SERVED_RUN_ID_BYTES];
    hearth_status status;
};

static void *add_run(void *context) {
    struct adding *a = context;
    a->status = run_queue_add(a->queue, &a->wanted, a->id, NULL);
    return NULL;
}

static void no_tick(void *context) {
    (void)context;
}

/* Whoever asks about runs does not wait until a large file is copied. */
static void test_copying_keeps_nobody_waiting(void **state) {
    enum { MOST_SECONDS = 30 }; /* otherwise it would wait for ever */
    const struct run_queue_settings settings = {.program = "/bin/false", .tick = no_tick};
    char path[128];
    struct adding a = {
        .wanted = {
            .name = "slow", .model = "m", .recipe = "{}", .data = path, .data_name = "a.csv"}};
    pthread_t thread;
    (void)state;
    snprintf(path, sizeof path, "%s/slow.csv", home);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(run_queue_open(&a.queue, &settings, NULL), HEARTH_OK);
    assert_int_equal(pthread_create(&thread, NULL, add_run, &a), 0);
    int fd = open(path, O_WRONLY); /* returns when it is read */
    alarm(MOST_SECONDS);
    assert_false(run_queue_computes(a.queue, "slow"));
    alarm(0);
    assert_int_equal(write(fd, "a,b\n1,2\n", 8), 8);
    close(fd);
    pthread_join(thread, NULL);
    assert_int_equal(a.status, HEARTH_OK);
    assert_string_equal(a.id, "slow");
    run_queue_close(a.queue);
}

/* ---- what is in a file
 * ---------------------------------------------------------------------------- */

static json_t *inspect(const char *name, const char *text, const char *model) {
    char id[UPLOAD_ID_BYTES], *path;
    hearth_error err = {0};
    json_t *found;
    keep(name, text, id);
    assert_int_equal(tune_uploads_find(id, &path, NULL), HEARTH_OK);
    if (tune_inspect(path, model, &found, &err) != HEARTH_OK) fail_msg("%s", err.message);
    mem_free(path);
    return found;
}

/* The text of a sample's trained, or other, spans. */
static void join(const json_t *found, size_t sample, bool trained, char *out, size_t size) {
    const json_t *one = json_array_get(json_object_get(found, "samples"), sample), *span;
    size_t i;
    *out = '\0';
    json_array_foreach(json_object_get(one, "spans"), i, span) {
        size_t n = strlen(out);
        if (json_is_true(json_object_get(span, "trained")) == trained)
            snprintf(out + n, size - n, "%s", json_string_value(json_object_get(span, "text")));
    }
}

static const char alpaca[] = "{\"instruction\":\"Add\",\"input\":\"1 and 2\",\"output\":\"3\"}\n"
                             "broken\n{\"instruction\":\"Say hi\",\"output\":\"hi\"}\n";

static void test_examples_are_shown_in_chatml(void **state) {
    char text[500];
    (void)state;
    json_t *found = inspect("a.jsonl", alpaca, NULL);
    const json_t *problems = json_object_get(found, "problems");
    assert_string_equal(json_string_value(json_object_get(found, "format")), "Alpaca");
    assert_int_equal(json_integer_value(json_object_get(found, "n_records")), 2);
    assert_int_equal(json_array_size(problems), 1);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(problems, 0), "line")), 2);
    join(found, 1, true, text, sizeof text);
    assert_string_equal(text, "hi<|im_end|>");
    join(found, 1, false, text, sizeof text);
    assert_string_equal(text, "<|im_start|>user\nSay hi<|im_end|>\n<|im_start|>assistant\n\n");
    json_decref(found);
}

static void test_examples_are_shown_as_a_model_sees_them(void **state) {
    char text[500];
    (void)state;
    json_t *found = inspect("a.jsonl", alpaca, testdata("models/stories260K/stories260K.gguf"));
    join(found, 1, true, text, sizeof text);
    assert_non_null(strstr(text, "hi"));
    assert_null(strstr(text, "Say"));
    assert_null(strstr(text, "im_end"));
    json_decref(found);
}

static void test_long_examples_are_cut_between_characters(void **state) {
    enum { CHARACTERS = 3 * INSPECT_SAMPLE_BYTES };
    struct buf text;
    (void)state;
    buf_init(&text, 1 << 20);
    buf_append_text(&text, "x");
    for (size_t i = 0; i < CHARACTERS; i++)
        buf_append_text(&text, "é");
    json_t *found = inspect("long.txt", buf_text(&text), NULL);
    const json_t *sample = json_array_get(json_object_get(found, "samples"), 0);
    const json_t *span = json_array_get(json_object_get(sample, "spans"), 0);
    assert_int_equal(json_string_length(json_object_get(span, "text")), INSPECT_SAMPLE_BYTES - 1);
    json_decref(found);
    buf_release(&text);
}

static void test_what_is_no_data_is_refused(void **state) {
    char id[UPLOAD_ID_BYTES], *path;
    hearth_error err = {0};
    json_t *found;
    (void)state;
    keep("a.json", "[1, 2]", id);
    assert_int_equal(tune_uploads_find(id, &path, NULL), HEARTH_OK);
    assert_int_not_equal(tune_inspect(path, NULL, &found, &err), HEARTH_OK);
    assert_null(found);
    assert_true(strlen(err.message) > 0);
    mem_free(path);
}

/* ---- states
 * ---------------------------------------------------------------------------------------- */

static void put(const char *folder, const char *name, const char *text) {
    char *path = path_join(folder, name);
    assert_int_equal(file_make_folders(folder, NULL), HEARTH_OK);
    assert_int_equal(file_write(path, text, strlen(text), NULL), HEARTH_OK);
    mem_free(path);
}

static void test_states(void **state) {
    static const struct {
        const char *asked, *found;
        bool computes;
        const char *expected;
    } cases[] = {{"run", NULL, false, "waiting"},
                 {"run", NULL, true, "running"},
                 {"run", "stopped", false, "waiting"},
                 {"run", "running", true, "running"},
                 {"run", "running", false, "waiting"}, /* its process has died */
                 {"pause", "running", true, "paused"},
                 {"pause", "stopped", false, "paused"},
                 {"stop", "stopped", false, "stopped"},
                 {"run", "finished", false, "finished"},
                 {"pause", "early stop", false, "finished"},
                 {"nothing", "failed", false, "failed"},
                 {NULL, "stopped", false, "paused"},
                 {NULL, "failed", false, "failed"},
                 {NULL, "finished", false, "finished"}};
    char folder[128], text[100];
    (void)state;
    snprintf(folder, sizeof folder, "%s/run", home);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct served_run run;
        assert_int_equal(remove_tree(folder, NULL), HEARTH_OK);
        put(folder, "recipe.yaml", "{}");
        snprintf(text, sizeof text, "{\"wanted\":\"%s\"}", cases[i].asked);
        if (cases[i].asked) put(folder, "served.json", text);
        snprintf(text, sizeof text, "{\"state\":\"%s\"}", cases[i].found);
        if (cases[i].found) put(folder, "run.json", text);
        assert_int_equal(served_run_open(&run, "run", folder, NULL), HEARTH_OK);
        assert_string_equal(served_run_state(&run, cases[i].computes), cases[i].expected);
        json_t *described = served_run_describe(&run, cases[i].computes);
        assert_non_null(described);
        json_decref(described);
        served_run_close(&run);
    }
}

static void test_damaged_runs_are_refused(void **state) {
    struct served_run run;
    char folder[128];
    (void)state;
    snprintf(folder, sizeof folder, "%s/damaged", home);
    assert_int_equal(served_run_open(&run, "damaged", folder, NULL), HEARTH_ERROR_NOT_FOUND);
    served_run_close(&run);
    put(folder, "recipe.yaml", "{}");
    put(folder, "served.json", "[1]");
    assert_int_equal(served_run_open(&run, "damaged", folder, NULL), HEARTH_ERROR_FORMAT);
    served_run_close(&run);
    put(folder, "served.json", "{\"wanted\":5,\"name\":{}}");
    put(folder, "run.json", "{\"state\":7,\"steps\":\"x\",\"samples\":3}");
    assert_int_equal(served_run_open(&run, "damaged", folder, NULL), HEARTH_OK);
    json_t *described = served_run_describe(&run, false);
    assert_string_equal(json_string_value(json_object_get(described, "state")), "paused");
    json_decref(described);
    served_run_close(&run);
}

/* ---- courses
 * ---------------------------------------------------------------------------------------- */

static json_t *event_of(struct run_course *course, const char *line) {
    struct buf out;
    buf_init(&out, 1 << 16);
    run_course_take(course, line, strlen(line), &out);
    json_t *event = NULL;
    if (out.length > 0) {
        const char *text = buf_text(&out);
        assert_int_equal(strncmp(text, "data: ", 6), 0);
        event = json_loadb(text + 6, out.length - 6, JSON_DISABLE_EOF_CHECK, NULL);
        assert_non_null(event);
    }
    buf_release(&out);
    return event;
}

static double number(const json_t *event, const char *key) {
    assert_true(json_is_number(json_object_get(event, key)));
    return json_number_value(json_object_get(event, key));
}

static void test_lines_become_events(void **state) {
    struct run_course course = {.steps = 10};
    (void)state;
    assert_null(event_of(&course, "{\"step\":0,\"eval_loss\":3}"));
    json_t *event =
        event_of(&course, "{\"step\": 4, \"loss\": 1.5, \"rate\": 0.001, \"tokens\": 50, "
                          "\"seconds\": 0.5, \"memory\": 1000}");
    assert_float_equal(number(event, "step"), 4, 0);
    assert_float_equal(number(event, "steps"), 10, 0);
    assert_float_equal(number(event, "loss"), 1.5, 1e-9);
    assert_float_equal(number(event, "tokens_per_second"), 100, 1e-9);
    assert_float_equal(number(event, "memory_bytes"), 1000, 0);
    assert_float_equal(number(event, "seconds_left"), 3, 1e-9);
    json_decref(event);
    event = event_of(&course, "{\"step\": 4, \"eval_loss\": 2.5, \"best\": true}");
    assert_float_equal(number(event, "eval_loss"), 2.5, 1e-9);
    assert_float_equal(number(event, "loss"), 1.5, 1e-9);
    json_decref(event);
    event = event_of(&course, "{\"step\":4,\"sample\":{\"prompt\":\"p\",\"after\":\"a\"}}");
    const json_t *sample = json_object_get(event, "sample");
    assert_string_equal(json_string_value(json_object_get(sample, "text")), "a");
    assert_float_equal(number(sample, "step"), 4, 0);
    json_decref(event);
    event = event_of(&course,
                     "{\"step\":4,\"sample\":{\"prompt\":\"p\",\"before\":\"b\",\"after\":\"a\"}}");
    sample = json_object_get(event, "sample");
    assert_string_equal(json_string_value(json_object_get(sample, "after")), "a");
    assert_null(json_object_get(sample, "step"));
    json_decref(event);
}

static void test_other_lines_are_passed_over(void **state) {
    static const char *const lines[] = {"",
                                        "x",
                                        "[]",
                                        "{}",
                                        "5",
                                        "{\"step\":1}",
                                        "{\"loss\":\"a\"}",
                                        "{\"step\":1,\"sample\":3}",
                                        "{\"sample\":{\"prompt\":5}}",
                                        "{\"loss\":1e999}",
                                        "{\"eval_loss\":null}"};
    struct run_course course = {.steps = 10};
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_null(event_of(&course, lines[i]));
    json_decref(event_of(&course, "{\"loss\":1,\"step\":-5,\"seconds\":-1,\"memory\":1e300}"));
    json_t *event = event_of(&course, "{\"loss\":1,\"step\":2,\"seconds\":1,\"tokens\":3}");
    assert_float_equal(number(event, "memory_bytes"), 0, 0);
    json_decref(event);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_are_harmless_names_of_folders),
        cmocka_unit_test(test_recipes_have_settings_only),
        cmocka_unit_test(test_files_are_kept_under_harmless_names),
        cmocka_unit_test(test_only_so_many_files_are_kept),
        cmocka_unit_test(test_files_that_come_at_once),
        cmocka_unit_test(test_copying_keeps_nobody_waiting),
        cmocka_unit_test(test_examples_are_shown_in_chatml),
        cmocka_unit_test(test_examples_are_shown_as_a_model_sees_them),
        cmocka_unit_test(test_long_examples_are_cut_between_characters),
        cmocka_unit_test(test_what_is_no_data_is_refused),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_damaged_runs_are_refused),
        cmocka_unit_test(test_lines_become_events),
        cmocka_unit_test(test_other_lines_are_passed_over),
    };
    return cmocka_run_group_tests_name("server/tune_parts", tests, set_up, tear_down);
}
