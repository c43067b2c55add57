/* Ember's whole way in small: problems, a vocabulary, a new model, training, quantisation,
 * answers, their score. */
#include "cli/program.h"

#include <jansson.h>
#include <string.h>

#include "base/mem.h"

enum { MAX_FILE = 1 << 26, N_PROBLEMS = 12 };

/* The next runs are of the program that this variable of the environment names. */
static void use(const char *variable) {
    const char *path = getenv(variable);
    if (path)
        setenv("HEARTH_PROGRAM", path, 1);
    else
        fail_msg("%s does not name a program", variable);
}

static void read_text(const char *name, char **text, size_t *size) {
    hearth_error err = {0};
    if (file_read(program_path(name), MAX_FILE, text, size, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
}

static void assert_same_file(const char *a, const char *b) {
    char *x, *y;
    size_t n, m;
    read_text(a, &x, &n);
    read_text(b, &y, &m);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    mem_free(x);
    mem_free(y);
}

static void make_problems(const char *name, const char *split, const char *count) {
    use("EMBER_DATA");
    RUN_OK("--tasks", "add", "--direct", "0", "--split", split, "--count", count, "-o",
           program_path(name));
}

static void make_fresh_model(void) {
    char template[1024];
    snprintf(template, sizeof template, "%s/ember/ember.jinja", getenv("HEARTH_SOURCE_ROOT"));
    use("EMBER_HEARTH");
    RUN_OK("tokenizer", "train", "-o", program_path("tokenizer.json"), "--vocab-size", "300",
           "--special", "<|endoftext|>", "--special", "<|im_start|>", "--special", "<|im_end|>",
           "--added", "<think>", "--added", "</think>", program_path("train.jsonl"));
    RUN_OK("init", "--layers", "2", "--width", "64", "--heads", "2", "--ff", "128", "--context",
           "256", "--init-std", "0.08", "--tokenizer", program_path("tokenizer.json"),
           "--chat-template", template, "--name", "Toy", "--license", "Apache-2.0", "--description",
           "adds numbers", "-o", program_path("fresh.gguf"));
}

static void train(const char *folder, const char *threads) {
    use("EMBER_HEARTH");
    RUN_OK("tune", program_path("fresh.gguf"), "--method", "full", "--data",
           program_path("train.jsonl"), "--output-dir", program_path(folder), "--max-steps", "60",
           "--step-tokens", "1024", "--learning-rate", "5e-3", "--warmup-steps", "5",
           "--adam-beta2", "0.95", "--weight-decay", "0.1", "--eval-split", "0", "-t", threads);
}

static double loss_of_step(const char *log, size_t size, int step) {
    const char *line = log;
    for (; step > 1 && line; step--)
        if ((line = memchr(line, '\n', size - (size_t)(line - log))) != NULL) line++;
    json_t *object = line ? json_loads(line, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
    assert_non_null(object);
    double loss = json_real_value(json_object_get(object, "loss"));
    json_decref(object);
    return loss;
}

/* From chance over the vocabulary to far below what its frequencies alone would give. */
static void assert_learnt(const char *log_name) {
    char *log;
    size_t size;
    read_text(log_name, &log, &size);
    double first = loss_of_step(log, size, 1), last = loss_of_step(log, size, 60);
    if (!(first > 4 && last < 2)) fail_msg("loss %g at the beginning, %g at the end", first, last);
    mem_free(log);
}

static void answer(const char *name, const char *sequences) {
    use("EMBER_ANSWER");
    RUN_OK("-m", "ember", "-n", "100", "--sequences", sequences, "-t", "1", "-o",
           program_path(name), program_path("test.jsonl"));
}

static void it_learns_and_answers(void **state) {
    (void)state;
    make_problems("train.jsonl", "train", "1500");
    make_problems("test.jsonl", "test", "12");
    make_fresh_model();
    train("one", "1");
    assert_learnt("one/log.jsonl");
    train("two", "2");
    assert_same_file("one/model.gguf", "two/model.gguf");

    use("EMBER_HEARTH");
    assert_int_equal(file_make_folders(program_path("data"), NULL), HEARTH_OK);
    RUN_OK("quantize", program_path("one/model.gguf"), program_path("data/ember.gguf"), "Q8_0");
    RUN_OK("show", "ember");
    assert_non_null(strstr(program_out(NULL), "Toy"));
    RUN_OK("list");
    assert_non_null(strstr(program_out(NULL), "ember"));
    RUN_OK("run", "ember", "Which is larger, 12 or 31?", "--temp", "0", "-n", "100", "-t", "1");

    answer("alone.jsonl", "1");
    answer("together.jsonl", "5");
    assert_same_file("alone.jsonl", "together.jsonl");
    use("EMBER_SCORE");
    RUN_OK("--json", program_path("alone.jsonl"));
    json_t *score = json_loads(program_out(NULL), 0, NULL);
    json_int_t with = 0, without = 0;
    assert_int_equal(json_unpack(score, "{s:{s:{s:{s:I}, s:{s:I}}}}", "tasks", "add",
                                 "with_thinking", "n", &with, "without_thinking", "n", &without),
                     0);
    assert_int_equal(with, N_PROBLEMS);
    assert_int_equal(without, N_PROBLEMS);
    json_decref(score);
}

static void mistakes_are_named(void **state) {
    (void)state;
    use("EMBER_ANSWER");
    assert_int_equal(RUN("-m", program_path("fresh.gguf"), program_path("test.jsonl")), 1);
    assert_non_null(strstr(program_err(), "-o FILE"));
    assert_int_equal(
        RUN("-m", program_path("fresh.gguf"), "-o", program_path("x"), program_path("fresh.gguf")),
        1);
    assert_non_null(strstr(program_err(), "line 1"));
    assert_false(file_exists(program_path("x")));
}

static void remove_folder(const char *name) {
    char path[1024], **names;
    size_t n;
    snprintf(path, sizeof path, "%s", program_path(name));
    if (file_list(path, &names, &n, NULL) != HEARTH_OK) return;
    for (size_t i = 0; i < n; i++) {
        char *inner = path_join(path, names[i]);
        remove(inner);
        mem_free(inner);
    }
    file_names_free(names, n);
    remove(path);
}

static int tear_down(void **state) {
    static const char *const folders[] = {"one/checkpoints", "one", "two/checkpoints", "two",
                                          "data"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        remove_folder(folders[i]);
    return program_tear_down(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_learns_and_answers),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests_name("ember/model", tests, program_set_up, tear_down);
}
