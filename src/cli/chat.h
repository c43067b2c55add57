/* chat.h - a conversation with a model on a terminal or through pipes. */
#ifndef HEARTH_CLI_CHAT_H
#define HEARTH_CLI_CHAT_H

#include "chat/event.h"
#include "cli/conversation.h"
#include "cli/prompt_cache.h"
#include "cli/sampling.h"
#include "route/backend.h"

enum chat_thinking { THINKING_AUTO, THINKING_ON, THINKING_OFF };

struct chat_settings {
    struct sampling_settings sampling;
    struct option_list stops;
    int64_t max_tokens;      /* of an answer; 0: no limit */
    int64_t thinking_budget; /* tokens; -1: no limit */
    const char *system;
    int thinking; /* enum chat_thinking: what the template is told */
    bool hide_thinking, ignore_end, show_special, verbose, json;
};

struct chat {
    struct backend *backend; /* borrowed, as what follows */
    struct chat_settings *settings;
    struct prompt_cache *prompt_cache; /* NULL: none */
    const json_t *model;               /* as backend_list_models describes it */
    bool raw;                          /* no template: the text goes to the model as it is */
    struct conversation conversation;
    /* Of the last answer. */
    struct event_usage usage;
    enum finish_reason reason;
    uint32_t n_left_out; /* messages that the context had no room for */
};

/* `raw`: do not use the model's template, if it has one. */
hearth_status chat_open(struct chat *chat, struct backend *backend, const json_t *model,
                        struct chat_settings *settings, bool raw, hearth_error *err);
void chat_close(struct chat *chat);

/* Answers the last user message (or, without a template, continues `text`), writing the
 * answer to stdout as it comes. The answer joins the conversation, also when stopped. */
hearth_status chat_answer(struct chat *chat, const char *text, hearth_error *err);
/* Whether the last answer ended because the context was full. */
bool chat_filled_context(const struct chat *chat);
/* One line of figures about the last answer. */
void chat_print_stats(const struct chat *chat, FILE *stream);
/* Applies /set NAME VALUE; an empty name lists the settings on stdout. */
hearth_status chat_set(struct chat *chat, const char *name, const char *value, hearth_error *err);

#endif
