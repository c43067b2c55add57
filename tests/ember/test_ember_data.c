/* ember-data: right answers, true steps, a split that nothing crosses, the same bytes for
 * the same seed. */
#include "cli/program.h"

#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "chat/template.h"
#include "ember_solver.h"
#include "hub/short_names.h"
#include "token/string_table.h"

enum { N_RECORDS = 6000, MAX_FILE = 1 << 26, MAX_TEXT = 4096 };

static void assert_contains(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("'%s' does not contain '%s'", text, part);
}

static void generate(const char *name, const char *split, const char *seed, const char *count) {
    RUN_OK("--help-pages", getenv("EMBER_HELP"), "--source", getenv("HEARTH_SOURCE_ROOT"),
           "--split", split, "--seed", seed, "--count", count, "-o", program_path(name));
}

struct record {
    const char *task, *problem, *expected, *question, *answer;
    const char *steps; /* or NULL */
    size_t n_before;   /* messages */
    bool thinks;
};

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    if (text) return text;
    fail_msg("a record lacks '%s'", key);
    return "";
}

static struct record read_record(const json_t *line) {
    const json_t *messages = json_object_get(line, "messages");
    size_t n = json_array_size(messages), n_system = n % 2;
    assert_true(n >= 2);
    for (size_t i = 0; i < n; i++) {
        const json_t *message = json_array_get(messages, i);
        bool is_earlier_answer = i > n_system && i % 2 != n_system && i + 1 < n;
        assert_string_equal(text_of(message, "role"), i < n_system        ? "system"
                                                      : i % 2 == n_system ? "user"
                                                                          : "assistant");
        assert_int_equal(json_object_get(message, "weight") != NULL, is_earlier_answer);
    }
    const json_t *user = json_array_get(messages, n - 2);
    const json_t *assistant = json_array_get(messages, n - 1);
    return (struct record){.task = text_of(line, "task"),
                           .problem = text_of(line, "problem"),
                           .expected = text_of(line, "expected"),
                           .question = text_of(user, "content"),
                           .answer = text_of(assistant, "content"),
                           .steps =
                               json_string_value(json_object_get(assistant, "reasoning_content")),
                           .n_before = n - 2,
                           .thinks = json_is_true(json_object_get(line, "thinking"))};
}

typedef void record_check(const struct record *record, void *context);

static size_t each_record(const char *name, record_check *check, void *context) {
    char *text;
    size_t size, n = 0;
    assert_int_equal(file_read(program_path(name), MAX_FILE, &text, &size, NULL), HEARTH_OK);
    for (char *line = text, *end; *line; line = end + 1, n++) {
        json_error_t why;
        end = strchr(line, '\n');
        assert_non_null(end);
        json_t *object = json_loadb(line, (size_t)(end - line), 0, &why);
        if (!object) fail_msg("%s", why.text);
        struct record record = read_record(object);
        check(&record, context);
        json_decref(object);
    }
    mem_free(text);
    return n;
}

/* ---- answers and steps ---------------------------------------------------------------------- */

struct tally {
    size_t n_solved, n_statements, n_thinking, n_direct, n_systems, n_histories;
};

static const char *last_line(const char *steps) {
    const char *line = strrchr(steps, '\n');
    return line ? line + 1 : steps;
}

static bool is_in_columns(const char *task) {
    static const char *const tasks[] = {"add", "subtract", "multiply", "divide"};
    for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++)
        if (strcmp(task, tasks[i]) == 0) return true;
    return false;
}

/* Steps end in the answer: as columns, by saying which number, or spelt in the last line. */
static void check_end(const struct record *r) {
    const char *line = last_line(r->steps);
    char number[64], answer[MAX_TEXT];
    snprintf(answer, sizeof answer, "%s", r->expected);
    if (is_in_columns(r->task)) {
        solver_result(line, number, sizeof number);
        answer[strcspn(answer, " ")] = '\0';
        assert_string_equal(number, answer[0] == '-' ? answer + 1 : answer);
        assert_int_equal(strstr(r->steps, "minus") != NULL, answer[0] == '-');
        return;
    }
    if (strcmp(r->task, "compare") == 0) {
        const char *at = strpbrk(r->question, "0123456789");
        bool first = strncmp(at, r->expected, strlen(r->expected)) == 0 &&
                     !strchr("0123456789.", at[strlen(r->expected)]);
        const char *verdict = strchr(line, ':');
        assert_non_null(verdict);
        assert_string_equal(verdict, first ? ": first" : ": second");
        assert_memory_equal(line, r->steps, (size_t)(verdict - line));
        return;
    }
    if (strcmp(r->task, "sort") == 0) { /* "(1 2 3)"; the answer has commas */
        snprintf(answer, sizeof answer, "(%s)", r->expected);
        for (char *comma = answer; (comma = strchr(comma, ',')) != NULL;)
            memmove(comma, comma + 1, strlen(comma));
    }
    size_t n = strlen(line), m = strlen(answer);
    if (n < m || strcmp(line + n - m, answer) != 0) fail_msg("'%s' ends not in '%s'", line, answer);
}

static void check_pulls(const char *answer) {
    static const char pull[] = "hearth pull ";
    char name[64], quant[32];
    const char *at = strstr(answer, pull);
    assert_non_null(at);
    at += sizeof pull - 1;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(at, " ,"), at);
    if (!short_name_find(name, quant, sizeof quant)) fail_msg("no model is called '%s'", name);
}

static void check_record(const struct record *r, void *context) {
    struct tally *tally = context;
    char answer[MAX_TEXT], wrong[256];
    assert_string_equal(r->answer, r->expected);
    assert_true(r->question[0] && r->answer[0]);
    assert_int_equal(r->steps != NULL, r->thinks);
    if (r->thinks)
        tally->n_thinking++;
    else
        tally->n_direct++;
    tally->n_systems += r->n_before % 2;
    tally->n_histories += r->n_before > 1;
    if (strcmp(r->task, "beyond") == 0) check_pulls(r->answer);
    if (strcmp(r->task, "help") == 0) assert_null(strstr(r->answer, "it lists the commands"));
    if (!solver_answer(r->task, r->problem, r->question, answer, sizeof answer)) return;
    tally->n_solved++;
    if (strcmp(answer, r->expected) != 0)
        fail_msg("'%s' is '%s', not '%s'", r->question, answer, r->expected);
    if (!r->steps) return;
    if (strcmp(r->task, "sort") == 0) {
        if (!solver_insertions_hold(r->steps)) fail_msg("%s", r->steps);
    } else {
        bool hold = is_in_columns(r->task)
                        ? solver_columns_hold(r->steps, &tally->n_statements, wrong, sizeof wrong)
                        : solver_steps_hold(r->steps, &tally->n_statements, wrong, sizeof wrong);
        if (!hold) fail_msg("'%s' in: %s", wrong, r->steps);
    }
    check_end(r);
}

static void answers_are_right_and_steps_lead_there(void **state) {
    (void)state;
    struct tally tally = {0};
    generate("train.jsonl", "train", "7", "6000");
    assert_int_equal(each_record("train.jsonl", check_record, &tally), N_RECORDS);
    generate("test.jsonl", "test", "7", "6000");
    assert_int_equal(each_record("test.jsonl", check_record, &tally), N_RECORDS);
    assert_true(tally.n_solved > N_RECORDS);
    assert_true(tally.n_statements > 2 * tally.n_solved);
    assert_true(tally.n_systems > N_RECORDS / 10 && tally.n_histories > N_RECORDS / 4);
    assert_true(tally.n_direct > 2 * N_RECORDS / 10 && tally.n_thinking > 2 * N_RECORDS / 2);
}

/* The checks above do notice what is wrong. */
static void wrong_steps_are_noticed(void **state) {
    char wrong[64];
    size_t n = 0;
    (void)state;
    assert_true(solver_steps_hold("b4<B8\n3=3 0-5<0 47/6=7 rest 5\n47+85:12 13=132 52-17:15 03=35",
                                  &n, wrong, sizeof wrong));
    assert_int_equal(n, 6);
    assert_false(solver_steps_hold("47+85:12 12=132", &n, wrong, sizeof wrong));
    assert_string_equal(wrong, "47+85:12 12=132");
    assert_false(solver_steps_hold("47+85:12=132", &n, wrong, sizeof wrong));
    assert_true(solver_insertions_hold("(41)\nup 12: 41> (12 41\n(12 41)"));
    assert_false(solver_insertions_hold("(41)\nup 12: 41< 41 12)\n(41 12)"));
    assert_false(solver_insertions_hold("(41 50)\nup 12: 41>50> (12 41\n(12 41 50)"));
    assert_false(solver_steps_hold("47/6=7 rest 4", &n, wrong, sizeof wrong));
    assert_false(solver_steps_hold("b9<B3", &n, wrong, sizeof wrong));
    n = 0;
    assert_true(solver_columns_hold("a4b7\nA8B5\nb7+B5=12\na4+A8=132", &n, wrong, sizeof wrong));
    assert_true(solver_columns_hold("a4\nA8\na4-A8=16\nminus\nA8-a4=04", &n, wrong, sizeof wrong));
    assert_true(
        solver_columns_hold("a1b2\nA7\nb2*A7:14=14\na1*A7:07=084", &n, wrong, sizeof wrong));
    assert_true(solver_columns_hold("a9b7\n0a9/4:08=2r1\n1b7/4:16=24r1", &n, wrong, sizeof wrong));
    assert_int_equal(n, 8);
    assert_false(solver_columns_hold("a4\nA8\na4+A8=13", &n, wrong, sizeof wrong));
    assert_string_equal(wrong, "a4+A8=13");
    assert_false(solver_columns_hold("a4\nA8\na5+A8=13", &n, wrong, sizeof wrong));
    assert_false(solver_columns_hold("a2\nA7\na2*A7:15=14", &n, wrong, sizeof wrong));
    assert_false(solver_columns_hold("a9b7\n0a9/4:08=2r1\n0b7/4:04=21r3", &n, wrong, sizeof wrong));
}

/* ---- the split ------------------------------------------------------------------------------ */

static void keep_problem(const struct record *r, void *context) {
    struct string_table *problems = context;
    if (string_table_find(problems, r->problem, strlen(r->problem)) == STRING_NONE)
        assert_true(string_table_add(problems, r->problem, strlen(r->problem)));
}

static void no_problem_is_in_both_splits(void **state) {
    struct string_table train = {0}, test = {0};
    size_t n_tasks = 0;
    char seen[64][32];
    (void)state;
    generate("train.jsonl", "train", "1", "30000");
    generate("test.jsonl", "test", "1", "5000"); /* the same seed: other problems all the same */
    each_record("train.jsonl", keep_problem, &train);
    each_record("test.jsonl", keep_problem, &test);
    assert_true(train.count > 15000 && test.count > 1500);
    for (size_t i = 0; i < test.count; i++) {
        struct text problem = string_table_get(&test, i);
        if (string_table_find(&train, problem.data, problem.length) != STRING_NONE)
            fail_msg("'%.*s' is in both", (int)problem.length, problem.data);
        char name[32];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(problem.data, " "), problem.data);
        size_t k = 0;
        while (k < n_tasks && strcmp(seen[k], name) != 0)
            k++;
        if (k == n_tasks) memcpy(seen[n_tasks++], name, sizeof name);
    }
    assert_int_equal(n_tasks, 19); /* every kind is tested; talk and repeat have two */
    string_table_release(&train);
    string_table_release(&test);
}

/* ---- the same again ------------------------------------------------------------------------- */

static void a_seed_is_a_file(void **state) {
    static const char *const names[] = {"a.jsonl", "b.jsonl", "c.jsonl"};
    static const char *const seeds[] = {"3", "3", "4"};
    char *text[3] = {NULL};
    size_t size[3];
    (void)state;
    for (int i = 0; i < 3; i++) {
        generate(names[i], "train", seeds[i], "4000");
        assert_int_equal(file_read(program_path(names[i]), MAX_FILE, &text[i], &size[i], NULL),
                         HEARTH_OK);
    }
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(text[0], text[1], size[0]);
    assert_true(size[2] != size[0] || memcmp(text[0], text[2], size[0]) != 0);
    for (int i = 0; i < 3; i++)
        mem_free(text[i]);
}

/* ---- Hearth's own help ---------------------------------------------------------------------- */

static void find_seed_option(const struct record *r, void *context) {
    bool *found = context;
    if (strncmp(r->problem, "help synth --seed ", 18) != 0) return;
    assert_string_equal(r->answer, "--seed N: the same seed makes the same file (default: 1).");
    *found = true;
}

static void help_is_what_the_program_says(void **state) {
    bool found = false;
    (void)state;
    RUN_OK("--tasks", "help", "--help-pages", getenv("EMBER_HELP"), "--source",
           getenv("HEARTH_SOURCE_ROOT"), "--count", "10000", "-o", program_path("help.jsonl"));
    each_record("help.jsonl", find_seed_option, &found);
    assert_true(found);
}

static void mistakes_are_named(void **state) {
    (void)state;
    assert_int_equal(RUN("--count", "3"), 2);
    assert_int_equal(RUN("--count", "3", "--tasks", "add,ad", "-o", program_path("x")), 1);
    assert_contains(program_err(), "'ad'");
    assert_int_equal(RUN("--count", "3", "--tasks", "help", "-o", program_path("x")), 1);
    assert_contains(program_err(), "--help-pages");
    assert_int_equal(file_write(program_path("help.txt"), "nothing\n", 8, NULL), HEARTH_OK);
    assert_int_equal(
        RUN("--count", "3", "--help-pages", program_path("help.txt"), "-o", program_path("x")), 1);
    assert_contains(program_err(), "no commands");
    assert_false(file_exists(program_path("x")));
}

/* ---- the chat template ---------------------------------------------------------------------- */

static void assert_renders(const char *context, const char *expected) {
    char path[1024], *source;
    size_t n;
    struct chat_template *t;
    struct buf out;
    hearth_error err = {0};
    snprintf(path, sizeof path, "%s/ember/ember.jinja", getenv("HEARTH_SOURCE_ROOT"));
    assert_int_equal(file_read(path, MAX_FILE, &source, &n, NULL), HEARTH_OK);
    if (chat_template_open(&t, source, n, &err) != HEARTH_OK) fail_msg("%s", err.message);
    json_t *json = json_loads(context, 0, NULL);
    assert_non_null(json);
    buf_init(&out, MAX_FILE);
    if (chat_template_render(t, json, 0, NULL, &out, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    assert_string_equal(buf_text(&out), expected);
    buf_release(&out);
    json_decref(json);
    chat_template_close(t);
    mem_free(source);
}

#define USER "{\"role\":\"user\",\"content\":\"1+1\"}"
#define TURN "<|im_start|>user\n1+1<|im_end|>\n"

static void the_template_thinks_or_not(void **state) {
    (void)state;
    assert_renders("{\"messages\":[" USER "],\"add_generation_prompt\":true}",
                   TURN "<|im_start|>assistant\n<think>\n");
    assert_renders("{\"messages\":[" USER
                   "],\"add_generation_prompt\":true,\"enable_thinking\":false}",
                   TURN "<|im_start|>assistant\n<think></think>\n\n");
    assert_renders("{\"messages\":[" USER ",{\"role\":\"assistant\",\"content\":\"2\","
                   "\"reasoning_content\":\"1+1=2\"}]}",
                   TURN "<|im_start|>assistant\n<think>\n1+1=2\n</think>\n\n2<|im_end|>\n");
    assert_renders("{\"messages\":[" USER ",{\"role\":\"assistant\",\"content\":\"2\"}]}",
                   TURN "<|im_start|>assistant\n<think></think>\n\n2<|im_end|>\n");
    /* Earlier answers go without their thinking, wherever it was. */
    assert_renders("{\"messages\":[" USER ",{\"role\":\"assistant\",\"content\":"
                   "\"<think>\\n1+1=2\\n</think>\\n\\n2\"}," USER "],"
                   "\"add_generation_prompt\":true,\"enable_thinking\":true}",
                   TURN "<|im_start|>assistant\n2<|im_end|>\n" TURN
                        "<|im_start|>assistant\n<think>\n");
    assert_renders("{\"messages\":[{\"role\":\"system\",\"content\":\"Be short.\"}," USER
                   ",{\"role\":\"assistant\",\"content\":\"<think>\\n1+1=2\\n</think>\\n\\n2\"}]}",
                   "<|im_start|>system\nBe short.<|im_end|>\n" TURN
                   "<|im_start|>assistant\n<think>\n1+1=2\n</think>\n\n2<|im_end|>\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_right_and_steps_lead_there),
        cmocka_unit_test(wrong_steps_are_noticed),
        cmocka_unit_test(no_problem_is_in_both_splits),
        cmocka_unit_test(a_seed_is_a_file),
        cmocka_unit_test(help_is_what_the_program_says),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(the_template_thinks_or_not),
    };
    return cmocka_run_group_tests_name("ember/data", tests, program_set_up, program_tear_down);
}
