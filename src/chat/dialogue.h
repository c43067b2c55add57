/* dialogue.h - from messages to a prompt.
 *
 * Clients write the same conversation in different shapes: content as a string or as
 * parts, tool arguments as an object or as JSON text, content null beside tool calls. A
 * template was written for one of them. dialogue_render offers the shape templates are
 * documented for first (text parts joined, arguments as objects) and the others only when
 * the template fails on it. */
#ifndef HEARTH_CHAT_DIALOGUE_H
#define HEARTH_CHAT_DIALOGUE_H

#include "chat/template.h"

struct dialogue {
    const json_t *messages;  /* array of {role, content, …}, OpenAI's shape */
    const json_t *tools;     /* array, or NULL */
    const json_t *documents; /* array, or NULL */
    const json_t *variables; /* object of further variables (enable_thinking, …), or NULL */
    const char *bos_text, *eos_text; /* of the model's tokens; NULL: empty */
    bool add_generation_prompt;
    time_t now; /* see chat_template_render */
};

/* Appends the prompt to `out`. Errors as chat_template_render; with several shapes tried,
 * the first one's. Borrows everything. */
hearth_status dialogue_render(const struct chat_template *t, const struct dialogue *d,
                              const struct template_limits *limits, struct buf *out,
                              hearth_error *err);

/* ChatML, for a model that brings no template; choosing it is the caller's decision. */
hearth_status dialogue_open_chatml(struct chat_template **t, hearth_error *err);

#endif
