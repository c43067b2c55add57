/* Calls of models that forget to close their thinking. While they think, a call is no call: they
 * may be trying one out. But when the text ends inside the thinking and with calls, nothing else
 * can have been meant. */
#include <string.h>

#include "chat/answer_reader_parts.h"

/* The calls that nothing follows, among those in a text. */
struct last_calls {
    struct answer_reader *reader;
    unsigned n_calls, n_followed;
    bool giving; /* the second time the text is read */
};

static void take_piece(void *context, const struct answer_piece *piece) {
    struct last_calls *last = context;
    if (piece->kind != PIECE_CALL) {
        if (!last->giving) last->n_followed = last->n_calls;
        return;
    }
    if (piece->call_name) last->n_calls++;
    if (!last->giving || piece->call < last->n_followed) return;
    if (piece->call_name)
        answer_put_call(last->reader, piece->call_name, piece->text, piece->length);
    else
        answer_put_arguments(last->reader, piece->text, piece->length);
}

static hearth_status read_again(const struct answer_reader *r, struct last_calls *last) {
    struct answer_reader *inner;
    RETURN_IF_ERROR(answer_reader_open(&inner, r->form, r->tools, false, take_piece, last, NULL));
    inner->reads_thought = true;
    hearth_status status =
        answer_reader_push(inner, buf_text(&r->thought), r->thought.length, NULL);
    if (status == HEARTH_OK) status = answer_reader_finish(inner, NULL);
    answer_reader_close(inner);
    return status;
}

void unclosed_keep(struct answer_reader *r, char c) {
    if (r->thought.length == r->thought.max_bytes) {
        size_t half = r->thought.max_bytes / 2;
        memmove(r->thought.data, r->thought.data + half, half);
        r->thought.length = half;
    }
    if (!buf_append_char(&r->thought, c)) r->failed = true;
}

void unclosed_finish(struct answer_reader *r) {
    struct last_calls last = {.reader = r};
    hearth_status status = read_again(r, &last);
    last.giving = true;
    if (status == HEARTH_OK && last.n_followed < last.n_calls) status = read_again(r, &last);
    if (status != HEARTH_OK) r->failed = true;
}
