/* example_spans.h - a conversation as its template writes it, and which of that text the
 * assistant wrote.
 *
 * The template's rendering of the whole conversation is what the model will read; the
 * question is which of its bytes a model would have had to produce. Turn i is what stands
 * between
 *   P = the messages before it and a generation prompt        (what the model was given)
 *   E = the messages up to and including it
 * when both are beginnings of the whole rendering W. Templates that rewrite earlier turns
 * (strip their thinking, say) break that. Then the turn is found by its content: W is
 * rendered again with another content in that turn, and the bytes that differ are the turn;
 * its beginning moves back to the end of a generation prompt that stands before it, its end
 * moves on by whatever closes the turn in E. Content that the template does not show is not
 * in W and so never trained. */
#ifndef HEARTH_TRAIN_EXAMPLE_SPANS_H
#define HEARTH_TRAIN_EXAMPLE_SPANS_H

#include "chat/dialogue.h"

enum { EXAMPLE_MAX_TEXT_BYTES = 256 << 20 };

struct text_span {
    size_t begin, end;
    bool cut; /* it would go on, but what a tool answered stands in the middle */
};

struct rendered_conversation {
    struct buf text;         /* W */
    struct text_span *spans; /* [n_spans] of the assistant, in order, disjoint, not empty */
    size_t n_spans;
    unsigned n_turns;      /* of the assistant that were to be trained */
    unsigned n_hidden;     /* of these, the template does not show */
    unsigned n_rewritten;  /* of these, follow earlier messages that W shows otherwise than
                              they were when the model wrote this turn */
    unsigned n_unprompted; /* of these, do not begin with the template's generation prompt, as
                              when that opens a thought which the turn does not have */
};

/* `conversation`: messages, tools, variables and special texts; the rest is set here.
 * Messages from `first` on are trained where the role is assistant and neither weight is 0
 * nor train false; `only_last`: of these, the last. What follows the last trained message
 * is left out of W. Errors as dialogue_render. */
hearth_status spans_render(struct rendered_conversation *out, const struct chat_template *t,
                           const struct dialogue *conversation, size_t first, bool only_last,
                           hearth_error *err);
void spans_release(struct rendered_conversation *r); /* a zeroed one is fine */

#endif
