/* dialogue.h - from messages to a prompt, and from generated text to reasoning and answer.
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

/* ---- reasoning ---- */

enum { REASONING_HELD_BYTES = 96, REASONING_SPACE_MAX = 64 };

/* Splits a stream of generated text into what the model thinks and what it answers. The
 * text between the tags is reasoning, when it stands at the very beginning; white space
 * next to the tags belongs to neither. Bytes that may become a tag are held back until
 * they do or do not. Fields are private. */
struct reasoning_split {
    const char *open, *close;
    enum { SPLIT_START, SPLIT_OPENED, SPLIT_REASONING, SPLIT_CLOSED, SPLIT_CONTENT } state;
    size_t n_held, n_space; /* held: n_space blanks, then the beginning of a tag */
    char held[REASONING_HELD_BYTES];
};

/* `inside`: the prompt already ends with the opening tag. Tags NULL: <think>, </think>.
 * Own tags are borrowed, have 1 to 31 bytes, and their first byte occurs once. */
void reasoning_split_init(struct reasoning_split *s, const char *open, const char *close,
                          bool inside);
/* Appends to the two buffers what is certain by now; a full buffer sets its `failed`. */
void reasoning_split_push(struct reasoning_split *s, const char *text, size_t n,
                          struct buf *reasoning, struct buf *content);
/* The end of the stream: what is still held was no tag. */
void reasoning_split_finish(struct reasoning_split *s, struct buf *reasoning, struct buf *content);
/* Whether a prompt ends (white space aside) with the opening tag. */
bool reasoning_is_open(const char *prompt, size_t n, const char *open);

#endif
