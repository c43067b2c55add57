#include "testdata.h"

#include <string.h>

#include "cli/chat_commands.h"

static void assert_parsed(const char *line, enum chat_command_kind kind, const char *name,
                          const char *text) {
    char copy[256];
    struct chat_command command;
    hearth_error err = {0};
    snprintf(copy, sizeof copy, "%s", line);
    if (chat_command_parse(copy, &command, &err) != HEARTH_OK)
        fail_msg("%s: %s", line, err.message);
    assert_int_equal(command.kind, kind);
    assert_string_equal(command.name, name);
    assert_string_equal(command.text, text);
}

static void assert_refused(const char *line, hearth_status expected, const char *part) {
    char copy[256];
    struct chat_command command;
    hearth_error err = {0};
    snprintf(copy, sizeof copy, "%s", line);
    assert_int_equal(chat_command_parse(copy, &command, &err), expected);
    if (!strstr(err.message, part)) fail_msg("'%s' does not contain '%s'", err.message, part);
}

static void every_command_is_understood(void **state) {
    (void)state;
    assert_parsed("/help", CHAT_HELP, "", "");
    assert_parsed("/?", CHAT_HELP, "", "");
    assert_parsed("/system You are brief. ", CHAT_SYSTEM, "", "You are brief.");
    assert_parsed("/system\nTwo\nlines", CHAT_SYSTEM, "", "Two\nlines");
    assert_parsed("/system", CHAT_SYSTEM, "", "");
    assert_parsed("/save  my chat.json", CHAT_SAVE, "", "my chat.json");
    assert_parsed("/load\tx.json\t", CHAT_LOAD, "", "x.json");
    assert_parsed("/stats", CHAT_STATS, "", "");
    assert_parsed("/clear ", CHAT_CLEAR, "", "");
    assert_parsed("/regen", CHAT_REGEN, "", "");
    assert_parsed("/set temperature 0.2", CHAT_SET, "temperature", "0.2");
    assert_parsed("/set  stop   a b", CHAT_SET, "stop", "a b");
    assert_parsed("/set", CHAT_SET, "", "");
    assert_parsed("/exit", CHAT_EXIT, "", "");
    assert_parsed("/bye", CHAT_EXIT, "", "");
}

static void other_lines_are_messages(void **state) {
    (void)state;
    assert_parsed("", CHAT_MESSAGE, "", "");
    assert_parsed("hello /help", CHAT_MESSAGE, "", "hello /help");
    assert_parsed(" /help me", CHAT_MESSAGE, "", " /help me");
}

static void mistakes_are_explained(void **state) {
    (void)state;
    assert_refused("/hlep", HEARTH_ERROR_NOT_FOUND, "unknown command /hlep; did you mean /help?");
    assert_refused("/regne", HEARTH_ERROR_NOT_FOUND, "did you mean /regen?");
    assert_refused("/etc/passwd is a file", HEARTH_ERROR_NOT_FOUND, "begin with a space");
    assert_refused("/", HEARTH_ERROR_NOT_FOUND, "unknown command");
    assert_refused("/save", HEARTH_ERROR_ARGUMENT, "/save: expected '/save FILE'");
    assert_refused("/load  ", HEARTH_ERROR_ARGUMENT, "'/load FILE'");
    assert_refused("/set temperature", HEARTH_ERROR_ARGUMENT, "'/set name value'");
    assert_refused("/clear all", HEARTH_ERROR_ARGUMENT, "'/clear'");
}

static void help_names_every_command(void **state) {
    (void)state;
    const char *const all[] = {"/help",  "/system", "/save", "/load", "/stats",
                               "/clear", "/regen",  "/set",  "/exit"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        assert_non_null(strstr(chat_command_help(), all[i]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_is_understood),
        cmocka_unit_test(other_lines_are_messages),
        cmocka_unit_test(mistakes_are_explained),
        cmocka_unit_test(help_names_every_command),
    };
    return cmocka_run_group_tests_name("cli/chat_commands", tests, NULL, NULL);
}
