/* hearth run: one answer as JSON, contexts that are too short, and a chat on a terminal. */
#include "program.h"
#include "terminal.h"

#include <jansson.h>
#include <signal.h>

#include "base/mem.h"

#define STORIES "models/stories260K/stories260K.gguf"

static json_t *field(const json_t *object, const char *name) {
    json_t *value = json_object_get(object, name);
    if (!value) fail_msg("no '%s'", name);
    return value;
}

static void one_answer_is_told_as_json(void **state) {
    (void)state;
    char *model = mem_strdup(testdata(STORIES));
#define ANSWER "run", model, "--raw", "--temp", "0", "-n", "12", "-t", "1", "Once upon a time"
    RUN_OK(ANSWER);
    char *text = mem_strdup(program_out(NULL));
    RUN_OK(ANSWER, "--json");
    json_t *answer = json_loads(program_out(NULL), 0, NULL), *usage = field(answer, "usage");
    const char *content = json_string_value(field(answer, "content"));
    assert_non_null(content);
    while (*content == ' ')
        content++;
    assert_memory_equal(content, text, strlen(content)); /* the text ends with a line break */
    assert_int_equal(strlen(content) + 1, strlen(text));
    assert_string_equal(json_string_value(field(answer, "end")), "token limit");
    assert_int_equal(json_integer_value(field(usage, "prompt_tokens")), 5);
    assert_int_equal(json_integer_value(field(usage, "answer_tokens")), 12);
    assert_string_equal(program_err(), "");
    json_decref(answer);
    mem_free(text);
    mem_free(model);
#undef ANSWER
}

static void a_full_context_is_told(void **state) {
    char *long_prompt;
    (void)state;
    RUN_OK("run", testdata(STORIES), "--raw", "--temp", "0", "-c", "64", "-n", "200", "-t", "1",
           "--ignore-eos", "Once upon a time");
    assert_non_null(strstr(program_err(), "context of 64 tokens is full; the answer ends there"));
    assert_true(strlen(program_out(NULL)) > 60);
    long_prompt = mem_calloc(1, 2000);
    for (int i = 0; i < 1990; i += 10)
        memcpy(long_prompt + i, "and there ", 10);
    assert_int_equal(RUN("run", testdata(STORIES), "--raw", "-c", "64", "-t", "1", long_prompt), 1);
    assert_non_null(strstr(program_err(), "tokens, the context of"));
    mem_free(long_prompt);
}

static void templates_come_from_files(void **state) {
    static const char parrot[] = "{{ messages[0].content }}";
    (void)state;
    char *model = mem_strdup(testdata(STORIES)), *file = mem_strdup(program_path("t.jinja"));
    assert_int_equal(file_write(file, parrot, sizeof parrot - 1, NULL), HEARTH_OK);
#define ANSWER "run", model, "--temp", "0", "-n", "12", "-t", "1", "Once upon a time"
    RUN_OK(ANSWER);
    char *plain = mem_strdup(program_out(NULL));
    RUN_OK(ANSWER, "--template", file);
    assert_string_equal(program_out(NULL), plain); /* it has none, and this one adds nothing */
    assert_int_equal(file_write(file, "{% if %}", 8, NULL), HEARTH_OK);
    assert_int_equal(RUN(ANSWER, "--template", file), 1);
    assert_non_null(strstr(program_err(), "t.jinja"));
    assert_int_equal(RUN(ANSWER, "--template", program_path("none.jinja")), 1);
    RUN_OK(ANSWER, "--raw");
    assert_string_equal(program_out(NULL), plain);
    mem_free(plain);
    mem_free(file);
    mem_free(model);
#undef ANSWER
}

/* Names of files and prompts are bytes. */
static void nothing_need_be_utf8(void **state) {
    char *bytes, *path = mem_strdup(program_path("caf\xe9.gguf"));
    size_t size;
    (void)state;
    assert_int_equal(file_read(testdata(STORIES), 1 << 24, &bytes, &size, NULL), HEARTH_OK);
    assert_int_equal(file_write(path, bytes, size, NULL), HEARTH_OK);
    RUN_OK("run", path, "--raw", "--temp", "0", "-n", "12", "-t", "1", "Once upon a time");
    assert_true(strlen(program_out(NULL)) > 10);
    RUN_OK("run", path, "--raw", "--temp", "0", "-n", "12", "-t", "1", "The caf\xe9 was");
    assert_true(strlen(program_out(NULL)) > 10);
    assert_int_equal(RUN("run", path, "--raw", "--stop", "\xe9", "Once"), 1);
    assert_non_null(strstr(program_err(), "UTF-8"));
    mem_free(bytes);
    mem_free(path);
}

/* ---- a terminal ------------------------------------------------------------ */

static char *ember(void) {
    const char *source = getenv("HEARTH_SOURCE_ROOT");
    char *path = path_join(source ? source : ".", "ember/ember.gguf");
    if (path && file_exists(path)) return path;
    mem_free(path);
    skip();
    return NULL;
}

static const char *program(void) {
    const char *path = getenv("HEARTH_PROGRAM");
    assert_non_null(path);
    return path;
}

/* Ember goes on as long as the context when its end of an answer is ignored. */
static void ctrl_c_ends_an_answer_and_not_the_chat(void **state) {
    static struct terminal t;
    const char *path = program();
    char *model = ember();
    (void)state;
    if (terminal_start(&t, "dumb")) {
        execl(path, "hearth", "run", model, "--temp", "0", "-c", "200000", "--ignore-eos", "-t",
              "1", (char *)NULL);
        _exit(127);
    }
    terminal_expect(&t, "Ctrl-D leaves");
    for (int turn = 0; turn < 2; turn++) {
        terminal_expect(&t, "> ");
        terminal_send(&t, "Hello!\n");
        terminal_expect(&t, "What can I do for you?");
        terminal_send(&t, "\x03");
        terminal_expect(&t, "(stopped)");
        terminal_expect(&t, "> ");
        terminal_send(&t, "/stats\n");
        terminal_expect(&t, "stopped by you");
        terminal_expect(&t, "> ");
        terminal_send(&t, "/clear\n");
    }
    terminal_expect(&t, "> ");
    terminal_send(&t, "/exit\n");
    terminal_finish(&t);
    mem_free(model);
}

/* The prompt is saved when it is computed: whatever becomes of its answer. */
static void the_prompt_cache_outlives_a_killed_answer(void **state) {
    static const char prompt[] =
        "Hello! What is the sum of 17 and 25, and of 30 and 30, and which of them is larger? ";
    static struct terminal t;
    const char *path = program();
    char *model = ember(), *cache = mem_strdup(program_path("prompt.cache"));
    (void)state;
    if (terminal_start(&t, "dumb")) {
        execl(path, "hearth", "run", model, "--temp", "0", "-c", "200000", "--ignore-eos", "-t",
              "1", "--prompt-cache", cache, prompt, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 6000 && !file_exists(cache); i++)
        usleep(10000);
    assert_true(file_exists(cache));
    assert_int_equal(waitpid(t.child, NULL, WNOHANG), 0); /* it still answers */
    assert_int_equal(kill(t.child, SIGKILL), 0);
    assert_int_equal(waitpid(t.child, NULL, 0), t.child);
    close(t.master);
    RUN_OK("run", model, "--temp", "0", "-c", "200000", "-n", "4", "-t", "1", "-v",
           "--prompt-cache", cache, prompt);
    assert_non_null(strstr(program_err(), "(32 reused)"));
    mem_free(cache);
    mem_free(model);
}

static void a_chat_goes_on_where_it_was(void **state) {
    static struct terminal t;
    const char *path = program();
    char *model = ember(), *file = mem_strdup(program_path("chat.json"));
    char save[600], load[600];
    (void)state;
    snprintf(save, sizeof save, "/save %s\n", file);
    snprintf(load, sizeof load, "/load %s\n", file);
    if (terminal_start(&t, "dumb")) {
        execl(path, "hearth", "run", model, "--temp", "0", "-c", "128", "-t", "1", "-v",
              (char *)NULL);
        _exit(127);
    }
    static const char *const turns[][2] = {{"What is 17 + 25?\n", "42"},
                                           {"/regen\n", "42"},
                                           {"/set mirostat 1\n", "mirostat must be 0"},
                                           {"What is 30 + 30?\n", "60"}};
    for (size_t i = 0; i < sizeof turns / sizeof turns[0]; i++) {
        terminal_expect(&t, "> ");
        terminal_send(&t, turns[i][0]);
        terminal_expect(&t, turns[i][1]);
        if (turns[i][0][0] == 'W') terminal_expect(&t, "drafted accepted");
    }
    terminal_expect(&t, "> ");
    terminal_send(&t, save);
    terminal_expect(&t, "saved 4 messages");
    terminal_send(&t, "/clear\n");
    terminal_send(&t, load);
    terminal_expect(&t, "loaded 4 messages");
    for (int i = 0; i < 2; i++) {
        terminal_expect(&t, "> ");
        terminal_send(&t, "Hello, who are you and what can you do?\n");
        terminal_expect(&t, "drafted accepted");
    }
    terminal_expect(&t, "> ");
    terminal_send(&t, "And what is 2 + 2?\n");
    terminal_expect(&t, "context of 128 tokens is full; the oldest messages are left out");
    terminal_expect(&t, "drafted accepted");
    terminal_expect(&t, "> ");
    terminal_send(&t, "\x04");
    terminal_finish(&t);
    mem_free(file);
    mem_free(model);
}

/* What the help says of /clear and /set, and an answer that cannot be made again. */
static void commands_do_what_their_help_says(void **state) {
    static struct terminal t;
    const char *path = program();
    char *model = ember(), *file = mem_strdup(program_path("long.json")), load[600];
    json_t *chat = json_pack("[{s:s, s:o}, {s:s, s:s}]", "role", "user", "content", json_null(),
                             "role", "assistant", "content", "Too much.");
    char *words = mem_calloc(1, 4000);
    (void)state;
    for (int i = 0; i < 3990; i += 10)
        memcpy(words + i, "and there ", 10);
    json_object_set_new(json_array_get(chat, 0), "content", json_string(words));
    assert_int_equal(json_dump_file(chat, file, 0), 0);
    snprintf(load, sizeof load, "/load %s\n", file);
    if (terminal_start(&t, "dumb")) {
        execl(path, "hearth", "run", model, "--system", "You are Ember.", "-c", "256", "-t", "1",
              (char *)NULL);
        _exit(127);
    }
    const char *const turns[][2] = {{"/clear\n", "> "},
                                    {"/system\n", "You are Ember."},
                                    {"/set temperature 9999\n", "to 100, found '9999'"},
                                    {load, "loaded 2 messages"},
                                    {"/regen\n", "tokens, the context of"},
                                    {"/save /dev/null/x\n", "Not a directory"},
                                    {"/regen\n", "tokens, the context of"}};
    terminal_expect(&t, "> ");
    for (size_t i = 0; i < sizeof turns / sizeof turns[0]; i++) {
        terminal_send(&t, turns[i][0]);
        terminal_expect(&t, turns[i][1]);
    }
    terminal_expect(&t, "> ");
    terminal_send(&t, "\x04");
    terminal_finish(&t);
    json_decref(chat);
    mem_free(words);
    mem_free(file);
    mem_free(model);
}

/* A text would be cut there. */
static void prompts_have_no_zero_bytes(void **state) {
    char *file = mem_strdup(program_path("binary"));
    (void)state;
    assert_int_equal(file_write(file, "Once\0upon", 9, NULL), HEARTH_OK);
    assert_int_equal(RUN("run", testdata(STORIES), "--raw", "-n", "1", "-f", file), 1);
    assert_non_null(strstr(program_err(), "byte 5 of 9 is zero"));
    mem_free(file);
}

#define PROGRAM_TEST(name) cmocka_unit_test_setup_teardown(name, program_set_up, program_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        PROGRAM_TEST(one_answer_is_told_as_json),
        PROGRAM_TEST(a_full_context_is_told),
        PROGRAM_TEST(templates_come_from_files),
        PROGRAM_TEST(nothing_need_be_utf8),
        PROGRAM_TEST(ctrl_c_ends_an_answer_and_not_the_chat),
        PROGRAM_TEST(the_prompt_cache_outlives_a_killed_answer),
        PROGRAM_TEST(a_chat_goes_on_where_it_was),
        PROGRAM_TEST(commands_do_what_their_help_says),
        PROGRAM_TEST(prompts_have_no_zero_bytes),
    };
    return cmocka_run_group_tests_name("cli/run_command", tests, NULL, NULL);
}
