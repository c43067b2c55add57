#include "terminal.h"

#include <sys/stat.h>

#include "base/mem.h"
#include "cli/lineedit.h"

/* ---- pipes ---------------------------------------------------------------- */

/* Reads all messages of `input` and checks that nothing was written. */
static size_t read_all(const char *input, size_t size, char **messages, size_t most,
                       hearth_status *status) {
    char *written = NULL;
    size_t n_written, count = 0;
    struct lineedit *editor;
    FILE *in = fmemopen((void *)(uintptr_t)input, size ? size : 1, "r");
    FILE *out = open_memstream(&written, &n_written);
    if (size == 0) fseek(in, 0, SEEK_END);
    struct lineedit_options options = {.in = in, .out = out, .prompt = "> "};
    assert_int_equal(lineedit_open(&editor, &options, NULL), HEARTH_OK);
    assert_false(lineedit_is_interactive(editor));
    while (count < most) {
        *status = lineedit_read(editor, &messages[count], NULL);
        if (*status != HEARTH_OK || !messages[count]) break;
        count++;
    }
    lineedit_close(editor);
    fclose(in);
    fclose(out);
    assert_int_equal(n_written, 0);
    free(written);
    return count;
}

static void assert_messages(const char *input, const char *const *expected, size_t n_expected) {
    char *messages[16];
    hearth_status status;
    size_t count = read_all(input, strlen(input), messages, 16, &status);
    assert_int_equal(status, HEARTH_OK);
    assert_int_equal(count, n_expected);
    for (size_t i = 0; expected && i < n_expected; i++) {
        assert_string_equal(messages[i], expected[i]);
        mem_free(messages[i]);
    }
}

#define ASSERT_MESSAGES(input, ...)                                                                \
    do {                                                                                           \
        const char *const expected_[] = {__VA_ARGS__};                                             \
        assert_messages(input, expected_, sizeof expected_ / sizeof expected_[0]);                 \
    } while (0)

static void every_line_of_a_pipe_is_a_message(void **state) {
    (void)state;
    ASSERT_MESSAGES("one\ntwo\r\n\nlast without end", "one", "two", "", "last without end");
    assert_messages("", NULL, 0);
}

static void a_backslash_joins_lines(void **state) {
    (void)state;
    ASSERT_MESSAGES("one\\\ntwo\\\nthree\nfour\n", "one\ntwo\nthree", "four");
    ASSERT_MESSAGES("open\\\n", "open");
    ASSERT_MESSAGES("\\\n\\\nx", "\n\nx");
}

static void quotes_make_blocks(void **state) {
    (void)state;
    ASSERT_MESSAGES("\"\"\"\none\n\n  two\\\n\"\"\"\nafter\n", "one\n\n  two\\", "after");
    ASSERT_MESSAGES("\"\"\"one\ntwo\"\"\"\n", "one\ntwo");
    ASSERT_MESSAGES("\"\"\"one line\"\"\"\nx\n", "one line", "x");
    ASSERT_MESSAGES("\"\"\"\"\"\"\nx\n", "", "x");
    ASSERT_MESSAGES("say \"\"\" now\n", "say \"\"\" now");
    ASSERT_MESSAGES("\"\"\"\nnever closed\n", "never closed");
}

static void hostile_input_is_refused(void **state) {
    (void)state;
    char *messages[4];
    hearth_status status;
    assert_int_equal(read_all("a\0b\n", 4, messages, 4, &status), 0);
    assert_int_equal(status, HEARTH_ERROR_FORMAT);
    size_t size = (size_t)LINEEDIT_MAX_BYTES / 10 * 11;
    char *endless = mem_alloc(size);
    memset(endless, 'x', size);
    assert_int_equal(read_all(endless, size, messages, 4, &status), 0);
    assert_int_equal(status, HEARTH_ERROR_LIMIT);
    for (size_t i = 2; i < size; i += 100)
        memcpy(endless + i - 2, "\\\n", 2);
    assert_int_equal(read_all(endless, size, messages, 4, &status), 0);
    assert_int_equal(status, HEARTH_ERROR_LIMIT);
    mem_free(endless);
}

/* ---- a terminal ----------------------------------------------------------- */

/* The child prints each message as <<message>> and BYE at the end. */
static void chat(const char *history_path) {
    struct lineedit *editor;
    struct lineedit_options options = {
        .in = stdin, .out = stdout, .prompt = "ask ", .history_path = history_path};
    char *message;
    if (lineedit_open(&editor, &options, NULL) != HEARTH_OK) _exit(3);
    while (lineedit_read(editor, &message, NULL) == HEARTH_OK && message) {
        printf("<<%s>>\n", message);
        fflush(stdout);
        mem_free(message);
    }
    lineedit_close(editor);
    printf("BYE\n");
    fflush(stdout);
    _exit(0);
}

static void terminal_open(struct terminal *t, const char *kind, const char *history_path) {
    if (terminal_start(t, kind)) chat(history_path);
}

static void terminal_close(struct terminal *t) {
    terminal_expect(t, "BYE");
    terminal_finish(t);
}

static void a_terminal_edits_pastes_and_remembers(void **state) {
    (void)state;
    char folder[] = "/tmp/hearth-lineedit-XXXXXX", path[64];
    struct terminal t;
    struct stat info;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/history", folder);
    terminal_open(&t, "xterm", path);
    terminal_expect(&t, "ask ");
    terminal_send(&t, "helloo\x7f\r");
    terminal_expect(&t, "<<hello>>");
    terminal_expect(&t, "ask ");
    terminal_send(&t, "na\xc3\xafve \x1b[200~one\rtwo \xe2\x82\xac\x1b[201~ three\r");
    terminal_expect(&t, "<<na\xc3\xafve one\r\ntwo \xe2\x82\xac three>>");
    terminal_expect(&t, "ask ");
    terminal_send(&t, "half a line\x03");
    terminal_expect(&t, "ask ");
    terminal_send(&t, "\x1b[A\x1b[A\r"); /* two up: hello */
    terminal_expect(&t, "<<hello>>");
    terminal_expect(&t, "ask ");
    terminal_send(&t, "\x03");
    terminal_expect(&t, "again");
    terminal_expect(&t, "ask ");
    terminal_send(&t, "still here\r");
    terminal_expect(&t, "<<still here>>");
    terminal_expect(&t, "ask ");
    terminal_send(&t, "go\x1a on\r"); /* Ctrl-Z: nobody can resume this one, so it goes on */
    terminal_expect(&t, "<<go on>>");
    terminal_expect(&t, "ask ");
    terminal_send(&t, "first\\\r");
    terminal_expect(&t, ". ");
    terminal_send(&t, "second\r");
    terminal_expect(&t, "<<first\r\nsecond>>");
    terminal_expect(&t, "ask ");
    terminal_send(&t, "\x03");
    terminal_expect(&t, "ask ");
    terminal_send(&t, "\x03");
    terminal_close(&t);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    terminal_open(&t, "xterm", path); /* the history outlives the program */
    terminal_expect(&t, "ask ");
    terminal_send(&t, "\x1b[A\x1b[A\r");
    terminal_expect(&t, "<<go on>>");
    terminal_expect(&t, "ask ");
    terminal_send(&t, "\x04");
    terminal_close(&t);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

static void a_large_paste_arrives_whole(void **state) {
    (void)state;
    static char text[3000], framed[3100];
    struct terminal t;
    for (size_t i = 0; i + 1 < sizeof text; i++)
        text[i] = i % 50 == 49 ? ' ' : (char)('a' + i % 26);
    snprintf(framed, sizeof framed, "\x1b[200~%s\x1b[201~\r", text);
    terminal_open(&t, "xterm", NULL);
    terminal_expect(&t, "ask ");
    terminal_send(&t, framed);
    terminal_expect(&t, "<<");
    terminal_expect(&t, text);
    terminal_expect(&t, ">>");
    terminal_expect(&t, "ask ");
    terminal_send(&t, "\x04");
    terminal_close(&t);
}

static void a_dumb_terminal_gets_a_prompt_and_no_escapes(void **state) {
    (void)state;
    struct terminal t;
    terminal_open(&t, "dumb", NULL);
    terminal_expect(&t, "ask ");
    terminal_send(&t, "hello\r");
    terminal_expect(&t, "<<hello>>");
    terminal_expect(&t, "ask ");
    terminal_send(&t, "\x04");
    terminal_close(&t);
    assert_null(strchr(t.seen, '\x1b'));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line_of_a_pipe_is_a_message),
        cmocka_unit_test(a_backslash_joins_lines),
        cmocka_unit_test(quotes_make_blocks),
        cmocka_unit_test(hostile_input_is_refused),
        cmocka_unit_test(a_terminal_edits_pastes_and_remembers),
        cmocka_unit_test(a_large_paste_arrives_whole),
        cmocka_unit_test(a_dumb_terminal_gets_a_prompt_and_no_escapes),
    };
    return cmocka_run_group_tests_name("cli/lineedit", tests, NULL, NULL);
}
