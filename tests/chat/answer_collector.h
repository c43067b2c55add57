/* answer_collector.h - reads a text with a form, cut as the test likes, and keeps what came out. */
#ifndef HEARTH_TESTS_CHAT_ANSWER_COLLECTOR_H
#define HEARTH_TESTS_CHAT_ANSWER_COLLECTOR_H

#include "testdata.h"

#include <string.h>

#include "base/buf.h"
#include "chat/answer_reader.h"

enum { COLLECTED_CALLS = 64 };

struct collected {
    struct buf reasoning, text, all; /* all: both, in the order they came */
    struct buf names[COLLECTED_CALLS], arguments[COLLECTED_CALLS];
    unsigned n_calls;
    unsigned n_pieces;
};

static inline void collect(void *context, const struct answer_piece *piece) {
    struct collected *c = context;
    c->n_pieces++;
    if (piece->kind == PIECE_REASONING) buf_append(&c->reasoning, piece->text, piece->length);
    if (piece->kind == PIECE_TEXT) buf_append(&c->text, piece->text, piece->length);
    if (piece->kind != PIECE_CALL) buf_append(&c->all, piece->text, piece->length);
    if (piece->kind != PIECE_CALL) return;
    assert_in_range(piece->call, 0, COLLECTED_CALLS - 1);
    if (piece->call_name) {
        assert_int_equal(piece->call, c->n_calls);
        buf_append_text(&c->names[c->n_calls++], piece->call_name);
    }
    assert_int_equal(piece->call + 1, c->n_calls);
    buf_append(&c->arguments[piece->call], piece->text, piece->length);
}

static inline void collected_init(struct collected *c) {
    *c = (struct collected){0};
    buf_init(&c->reasoning, 1 << 24);
    buf_init(&c->text, 1 << 24);
    buf_init(&c->all, 1 << 24);
    for (unsigned i = 0; i < COLLECTED_CALLS; i++) {
        buf_init(&c->names[i], 1 << 16);
        buf_init(&c->arguments[i], 1 << 24);
    }
}

static inline void collected_release(struct collected *c) {
    buf_release(&c->reasoning);
    buf_release(&c->text);
    buf_release(&c->all);
    for (unsigned i = 0; i < COLLECTED_CALLS; i++) {
        buf_release(&c->names[i]);
        buf_release(&c->arguments[i]);
    }
}

static inline bool collected_equal(const struct collected *a, const struct collected *b) {
    bool same = a->n_calls == b->n_calls;
    same = same && strcmp(buf_text(&a->reasoning), buf_text(&b->reasoning)) == 0;
    same = same && strcmp(buf_text(&a->text), buf_text(&b->text)) == 0;
    for (unsigned i = 0; same && i < a->n_calls; i++) {
        same = same && strcmp(buf_text(&a->names[i]), buf_text(&b->names[i])) == 0;
        same = same && strcmp(buf_text(&a->arguments[i]), buf_text(&b->arguments[i])) == 0;
    }
    return same;
}

/* What a piece's size is, one after the other; 0: all that is left. */
typedef size_t (*cutter)(void *context);

static inline void read_cut(const struct answer_form *form, const json_t *tools, bool inside,
                            const char *text, size_t n, cutter cut, void *cut_context,
                            struct collected *out) {
    struct answer_reader *reader;
    hearth_error err;
    collected_init(out);
    assert_int_equal(answer_reader_open(&reader, form, tools, inside, collect, out, &err),
                     HEARTH_OK);
    for (size_t at = 0; at < n;) {
        size_t some = cut ? cut(cut_context) : 0;
        if (some == 0 || some > n - at) some = n - at;
        assert_int_equal(answer_reader_push(reader, text + at, some, &err), HEARTH_OK);
        at += some;
    }
    assert_int_equal(answer_reader_finish(reader, &err), HEARTH_OK);
    assert_int_equal(answer_reader_calls(reader), out->n_calls);
    answer_reader_close(reader);
}

static inline size_t cut_evenly(void *context) {
    return *(const size_t *)context;
}

/* Sizes of 0 to 15 from a linear congruential generator. */
static inline size_t cut_anyhow(void *context) {
    uint32_t *seed = context;
    *seed = *seed * 1664525u + 1013904223u;
    return 1 + (*seed >> 28);
}

#endif
