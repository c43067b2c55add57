/* chat.h - a conversation with a model on a terminal or through pipes. */
#ifndef HEARTH_CLI_CHAT_H
#define HEARTH_CLI_CHAT_H

#include "chat/answer_reader.h"
#include "chat/template.h"
#include "cli/conversation.h"
#include "cli/drafting_options.h"
#include "cli/engine_options.h"
#include "cli/prompt_cache.h"
#include "cli/sampling.h"
#include "infer/generator.h"

enum chat_thinking { THINKING_AUTO, THINKING_ON, THINKING_OFF };

struct chat_settings {
    struct sampling_settings sampling;
    struct option_list stops;
    int64_t max_tokens;
    const char *system;
    int thinking; /* enum chat_thinking: what the template is told */
    bool hide_thinking, ignore_end, show_special, verbose;
};

struct chat {
    struct engine *engine;
    struct chat_settings *settings;
    struct chat_template *template; /* NULL: the text goes to the model as it is */
    struct answer_form *form;       /* likewise */
    struct session *session;
    struct sampler *sampler;
    struct sampler_workspace *workspace;
    struct speculation *speculation;   /* borrowed; NULL: none */
    struct prompt_cache *prompt_cache; /* likewise */
    struct conversation conversation;
    struct generation_stats stats; /* of the last answer */
    struct token_list prompt;
    bool prompt_thinks; /* the prompt ends inside the model's thinking */
};

/* Opens template, session and sampler. `raw`: do not use the model's template. */
hearth_status chat_open(struct chat *chat, struct engine *engine, struct chat_settings *settings,
                        const char *template_file, bool raw, hearth_error *err);
void chat_close(struct chat *chat);

/* Answers the last user message (or, without a template, continues `text`), writing the
 * answer to stdout as it comes. The answer joins the conversation, also when stopped. */
hearth_status chat_answer(struct chat *chat, const char *text, hearth_error *err);
/* One line of figures about the last answer. */
void chat_print_stats(const struct chat *chat, FILE *stream);
/* Applies /set NAME VALUE; an empty name lists the settings on stdout. */
hearth_status chat_set(struct chat *chat, const char *name, const char *value, hearth_error *err);

#endif
