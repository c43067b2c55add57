#include "cli/chat_commands.h"

#include <stdbool.h>
#include <string.h>

#include "base/nearest.h"

static const char whitespace[] = " \t\r\n";

enum wants { NOTHING, OPTIONAL_TEXT, TEXT, NAME_AND_TEXT };

static const struct command_word {
    const char *word;
    enum chat_command_kind kind;
    enum wants wants;
    const char *usage;
} words[] = {
    {"help", CHAT_HELP, NOTHING, "/help"},
    {"?", CHAT_HELP, NOTHING, "/help"},
    {"system", CHAT_SYSTEM, OPTIONAL_TEXT, "/system TEXT"},
    {"save", CHAT_SAVE, TEXT, "/save FILE"},
    {"load", CHAT_LOAD, TEXT, "/load FILE"},
    {"stats", CHAT_STATS, NOTHING, "/stats"},
    {"clear", CHAT_CLEAR, NOTHING, "/clear"},
    {"regen", CHAT_REGEN, NOTHING, "/regen"},
    {"set", CHAT_SET, NAME_AND_TEXT, "/set name value"},
    {"exit", CHAT_EXIT, NOTHING, "/exit"},
    {"quit", CHAT_EXIT, NOTHING, "/exit"},
    {"bye", CHAT_EXIT, NOTHING, "/exit"},
};
enum { N_WORDS = sizeof words / sizeof words[0] };

const char *chat_command_help(void) {
    return "  /help              this list\n"
           "  /system TEXT       set the system prompt; without TEXT: show it\n"
           "  /save FILE         write the conversation as JSON\n"
           "  /load FILE         go on with a saved conversation\n"
           "  /stats             tokens and speed of the last answer\n"
           "  /clear             forget the conversation, keep the system prompt\n"
           "  /regen             answer the last message again\n"
           "  /set name value    change a setting, e.g. /set temperature 0.2; alone: list them\n"
           "  /exit              leave; also Ctrl-D\n"
           "A line that ends in \\ goes on below; \"\"\" begins and ends a block of lines.\n"
           "Ctrl-C stops an answer. Begin with a space to send text that starts with /.\n";
}

/* Ends the word at `text` and returns what follows it, without leading blanks. */
static char *split_word(char *text) {
    char *rest = text + strcspn(text, whitespace);
    if (*rest) *rest++ = '\0';
    return rest + strspn(rest, whitespace);
}

static void trim_end(char *text) {
    size_t n = strlen(text);
    while (n > 0 && strchr(whitespace, text[n - 1]))
        text[--n] = '\0';
}

static hearth_status unknown(const char *word, hearth_error *err) {
    const char *names[N_WORDS];
    for (size_t i = 0; i < N_WORDS; i++)
        names[i] = words[i].word;
    const char *near = nearest_name(word, names, N_WORDS);
    if (near)
        return error_set(err, HEARTH_ERROR_NOT_FOUND, "unknown command /%.40s; did you mean /%s?",
                         word, near);
    return error_set(err, HEARTH_ERROR_NOT_FOUND,
                     "unknown command /%.40s; /help lists all; to send it as text, begin with a "
                     "space",
                     word);
}

static hearth_status check_rest(const struct command_word *word, struct chat_command *command,
                                hearth_error *err) {
    bool has_text = *command->text != '\0', has_name = *command->name != '\0';
    bool ok = true;
    switch (word->wants) {
    case NOTHING: ok = !has_text; break;
    case OPTIONAL_TEXT: break;
    case TEXT: ok = has_text; break;
    case NAME_AND_TEXT: ok = has_name == has_text; break;
    }
    if (ok) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_ARGUMENT, "/%s: expected '%s'", word->word, word->usage);
}

hearth_status chat_command_parse(char *line, struct chat_command *command, hearth_error *err) {
    *command = (struct chat_command){.kind = CHAT_MESSAGE, .name = "", .text = line};
    if (line[0] != '/') return HEARTH_OK;
    char *rest = split_word(line + 1);
    trim_end(rest);
    for (size_t i = 0; i < N_WORDS; i++) {
        if (strcmp(line + 1, words[i].word) != 0) continue;
        command->kind = words[i].kind;
        if (words[i].wants == NAME_AND_TEXT) {
            command->name = rest;
            rest = split_word(rest);
        }
        command->text = rest;
        return check_rest(&words[i], command, err);
    }
    return unknown(line + 1, err);
}
