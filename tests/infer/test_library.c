/* The public interface: conversations keep what was answered, and nothing of what was thought. */
#include "testdata.h"

#include <string.h>

#include "base/mem.h"
#include "hearth.h"

enum { MOST_TEXT = 16384 };

struct said {
    char text[MOST_TEXT];
    size_t length, pieces, stop_after; /* pieces; 0: never */
};

static bool hear(void *context, const char *text, size_t n) {
    struct said *said = context;
    assert_true(said->length + n < MOST_TEXT);
    memcpy(said->text + said->length, text, n);
    said->text[said->length += n] = '\0';
    return ++said->pieces != said->stop_after;
}

static hearth_model *model;
static hearth_session *session;

static void open_session(const char *path) {
    hearth_error err = {0};
    hearth_options *options = hearth_options_create();
    assert_non_null(options);
    assert_int_equal(hearth_options_set(options, "temp", "0", &err), HEARTH_OK);
    assert_int_equal(hearth_options_set(options, "threads", "1", &err), HEARTH_OK);
    if (hearth_model_open(&model, path, &err) != HEARTH_OK ||
        hearth_session_open(&session, model, options, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    hearth_options_free(options);
}

static void close_session(void) {
    hearth_session_close(session);
    hearth_model_close(model);
}

/* Opens Ember, which thinks; skips where its file is not there. */
static void open_ember(void) {
    char path[512];
    const char *source = getenv("HEARTH_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/ember/ember.gguf", source ? source : ".");
    if (!file_exists(path)) skip();
    open_session(path);
}

/* All tokens of the session as text. */
static void timeline(char *text, size_t capacity) {
    size_t n_tokens, n;
    hearth_error err = {0};
    const int32_t *tokens = hearth_session_tokens(session, &n_tokens);
    assert_int_equal(hearth_detokenize(model, tokens, n_tokens, true, text, capacity - 1, &n, &err),
                     HEARTH_OK);
    assert_true(n < capacity);
    text[n] = '\0';
}

static void thoughts_do_not_join_the_conversation(void **state) {
    static struct said first, second;
    static char text[MOST_TEXT];
    hearth_error err = {0};
    (void)state;
    open_ember();
    memset(&first, 0, sizeof first);
    memset(&second, 0, sizeof second);
    assert_int_equal(hearth_chat_begin(session, NULL, &err), HEARTH_OK);
    if (hearth_chat(session, "What is 17 + 25?", hear, &first, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    const char *end = strstr(first.text, "</think>"); /* the prompt opens the thinking */
    assert_true(end && end - first.text > 8);
    assert_non_null(strstr(end, "42"));
    if (hearth_chat(session, "Thank you.", hear, &second, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    timeline(text, sizeof text);
    const char *question = strstr(text, "What is 17"), *thanks = strstr(text, "Thank you.");
    assert_non_null(question);
    assert_non_null(thanks);
    const char *answer = strstr(question, "42");
    assert_true(answer && answer < thanks);
    char *turn = mem_strndup(question, (size_t)(thanks - question));
    assert_null(strstr(turn, "think>"));
    first.text[8] = '\0';
    assert_null(strstr(turn, first.text)); /* what it was thinking */
    mem_free(turn);
    close_session();
}

static void an_answer_that_was_stopped_is_part_of_the_conversation(void **state) {
    static struct said first, second;
    static char text[MOST_TEXT];
    hearth_error err = {0};
    (void)state;
    open_ember();
    memset(&second, 0, sizeof second);
    first = (struct said){.stop_after = 4};
    assert_int_equal(hearth_chat_begin(session, NULL, &err), HEARTH_OK);
    assert_int_equal(hearth_chat(session, "Hello!", hear, &first, &err), HEARTH_OK);
    assert_int_equal(first.pieces, 4);
    assert_int_equal(hearth_chat(session, "Goodbye!", hear, &second, &err), HEARTH_OK);
    timeline(text, sizeof text);
    const char *hello = strstr(text, "Hello!"), *goodbye = strstr(text, "Goodbye!");
    assert_true(hello && goodbye && hello < goodbye);
    assert_int_equal(hearth_chat_begin(session, "Be brief.", &err), HEARTH_OK);
    assert_int_equal(hearth_chat(session, "Hello!", hear, &second, &err), HEARTH_OK);
    timeline(text, sizeof text);
    assert_non_null(strstr(text, "Be brief."));
    assert_null(strstr(text, "Goodbye!"));
    close_session();
}

static void what_cannot_be_answered_changes_nothing(void **state) {
    static struct said said;
    static char text[MOST_TEXT];
    hearth_error err = {0};
    (void)state;
    open_session(testdata("models/stories260K/stories260K.gguf"));
    assert_int_equal(hearth_chat(session, "Hello!", hear, &said, &err), HEARTH_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "no chat template"));
    close_session();
    open_ember();
    assert_int_equal(hearth_chat_begin(session, NULL, &err), HEARTH_OK);
    assert_int_equal(hearth_chat(session, "\xff", hear, &said, &err), HEARTH_ERROR_ARGUMENT);
    assert_int_equal(hearth_chat(session, "Hello!", hear, &said, &err), HEARTH_OK);
    timeline(text, sizeof text);
    assert_null(strstr(text, "\xff"));
    close_session();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thoughts_do_not_join_the_conversation),
        cmocka_unit_test(an_answer_that_was_stopped_is_part_of_the_conversation),
        cmocka_unit_test(what_cannot_be_answered_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
