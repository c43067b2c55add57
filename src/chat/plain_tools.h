/* plain_tools.h - tools for models whose chat template knows nothing of them: a system message says
 * what there is and how to call it, and calls and results in the conversation are written as text.
 * The form is that of Hermes, which many models have seen; answer_form_open_told reads it.
 * Source: https://github.com/NousResearch/Hermes-Function-Calling */
#ifndef HEARTH_CHAT_PLAIN_TOOLS_H
#define HEARTH_CHAT_PLAIN_TOOLS_H

#include <jansson.h>

#include "base/status.h"

/* Whether the messages speak of tools, or tools (NULL: none) are offered. */
bool plain_tools_are_needed(const json_t *messages, const json_t *tools);
/* The messages in words that any template takes: `*out` is given. `messages` and `tools` have the
 * shape of struct request's. */
hearth_status plain_tools_tell(const json_t *messages, const json_t *tools, json_t **out,
                               hearth_error *err);

#endif
