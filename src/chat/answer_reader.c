#include "chat/answer_reader.h"

#include <string.h>

#include "base/mem.h"
#include "chat/answer_reader_parts.h"

/* ---- what comes out ---- */

static void flush_out(struct answer_reader *r) {
    if (r->out.failed) r->failed = true;
    if (r->out.length > 0 && !r->out.failed) {
        struct answer_piece piece = {
            .kind = r->out_kind, .text = buf_text(&r->out), .length = r->out.length};
        if (piece.kind == PIECE_CALL) piece.call = r->n_calls - 1;
        r->taker(r->taker_context, &piece);
    }
    buf_clear(&r->out);
}

/* A full piece ends before a character, never inside one. */
static void put(struct answer_reader *r, enum answer_piece_kind kind, const char *text, size_t n) {
    if (r->out_kind != kind) flush_out(r);
    r->out_kind = kind;
    while (n > 0) {
        size_t room = r->out.length < ANSWER_OUT_BYTES ? ANSWER_OUT_BYTES - r->out.length : 0;
        size_t some = n < room ? n : room;
        while (some < n && (text[some] & 0xC0) == 0x80)
            some++;
        buf_append(&r->out, text, some);
        if (some < n || r->out.failed) flush_out(r);
        text += some;
        n -= some;
    }
}

void answer_put_arguments(struct answer_reader *r, const char *text, size_t n) {
    put(r, PIECE_CALL, text, n);
}

void answer_put_call(struct answer_reader *r, const char *name, const char *text, size_t n) {
    flush_out(r);
    struct answer_piece piece = {
        .kind = PIECE_CALL, .text = text, .length = n, .call = r->n_calls++, .call_name = name};
    r->out_kind = PIECE_CALL;
    r->taker(r->taker_context, &piece);
}

/* ---- text and thinking ---- */

static void put_byte(struct answer_reader *r, char c) {
    enum answer_piece_kind kind = r->mode == READ_THINKING ? PIECE_REASONING : PIECE_TEXT;
    if (json_is_blank(c) && r->after_tag) return;
    if (json_is_blank(c) && r->n_blanks < ANSWER_BLANKS_MAX) {
        r->blanks[r->n_blanks++] = c;
        return;
    }
    put(r, kind, r->blanks, r->n_blanks);
    put(r, kind, &c, 1);
    r->n_blanks = 0;
    r->after_tag = false;
    r->last = c;
}

void answer_put(struct answer_reader *r, const char *text, size_t n) {
    for (size_t i = 0; i < n; i++)
        put_byte(r, text[i]);
}

enum tag_match tag_match(const char *const *tags, size_t n_tags, const char *text, size_t n,
                         size_t *which) {
    enum tag_match best = TAG_NONE;
    for (size_t i = 0; i < n_tags; i++) {
        if (!tags[i] || strncmp(tags[i], text, n) != 0) continue;
        *which = i;
        if (tags[i][n] == '\0') return TAG_WHOLE;
        best = TAG_BEGUN;
    }
    return best;
}

enum text_tag {
    TEXT_TAG_OPEN,
    TEXT_TAG_CLOSE,
    TEXT_TAG_DROPPED,
    TEXT_TAG_DROPPED_TOO,
    TEXT_TAG_SECTION,
    TEXT_TAG_CALL,
    N_TEXT_TAGS
};

void answer_enter(struct answer_reader *r, enum read_mode mode) {
    if (mode == READ_THINKING && r->mode != READ_THINKING) buf_clear(&r->thought);
    r->mode = mode;
    r->n_blanks = 0;
    r->after_tag = true;
}

void answer_begin_text(struct answer_reader *r) {
    answer_enter(r, READ_TEXT);
    if (r->tools && r->form->call->bare) call_open(r, NULL);
}

static void take_text_tag(struct answer_reader *r, enum text_tag which, const char *tag) {
    switch (which) {
    case TEXT_TAG_OPEN: answer_enter(r, READ_THINKING); break;
    case TEXT_TAG_CLOSE:
        if (r->mode == READ_THINKING)
            answer_begin_text(r);
        else
            answer_enter(r, READ_TEXT);
        break;
    case TEXT_TAG_SECTION:
    case TEXT_TAG_CALL: call_open(r, tag); break;
    default: answer_enter(r, r->mode);
    }
}

/* A tag in quotes is spoken of, not used. */
static bool is_quoted(const struct answer_reader *r) {
    return r->mode == READ_TEXT && r->n_blanks == 0 &&
           (r->last == '`' || r->last == '"' || r->last == '\'');
}

/* The tags that may come in text and thinking. */
static size_t text_tags(const struct answer_reader *r, const char *tags[N_TEXT_TAGS]) {
    const struct think_form *think = r->form->think;
    const struct call_form *call = r->form->call;
    bool calls = r->tools && r->mode == READ_TEXT;
    if (call->style == CALLS_CHANNEL) {
        memcpy(tags, channel_tags, sizeof channel_tags);
        return N_CHANNEL_TAGS;
    }
    tags[TEXT_TAG_OPEN] = r->has_thought ? NULL : think->open;
    tags[TEXT_TAG_CLOSE] = r->has_thought ? NULL : think->close;
    tags[TEXT_TAG_DROPPED] = r->has_thought ? NULL : think->dropped[0];
    tags[TEXT_TAG_DROPPED_TOO] = r->has_thought ? NULL : think->dropped[1];
    tags[TEXT_TAG_SECTION] = calls ? call->section_open : NULL;
    tags[TEXT_TAG_CALL] = calls ? call->open : NULL;
    return N_TEXT_TAGS;
}

static void feed_text(struct answer_reader *r, char c) {
    const char *tags[N_TEXT_TAGS];
    size_t n_tags = text_tags(r, tags), which = 0;
    r->tag[r->n_tag++] = c;
    while (r->n_tag > 0) {
        enum tag_match match = tag_match(tags, n_tags, r->tag, r->n_tag, &which);
        if (match == TAG_BEGUN) return;
        if (match == TAG_WHOLE && !is_quoted(r)) {
            r->n_tag = 0;
            if (r->form->call->style == CALLS_CHANNEL)
                channel_open(r, tags[which]);
            else
                take_text_tag(r, (enum text_tag)which, tags[which]);
            return;
        }
        put_byte(r, r->tag[0]);
        memmove(r->tag, r->tag + 1, --r->n_tag);
    }
}

void answer_feed(struct answer_reader *r, char c) {
    if (r->mode == READ_THINKING && r->tools) unclosed_keep(r, c);
    switch (r->mode) {
    case READ_CALL: call_feed(r, c); break;
    case READ_HEADER: channel_feed_header(r, c); break;
    default: feed_text(r, c);
    }
}

/* ---- marks ---- */

void answer_mark_call(struct answer_reader *r, const char *text) {
    r->mark = (struct answer_mark){r->mark.number + 1, text, r->n_pushed};
}

struct answer_mark answer_reader_mark(const struct answer_reader *reader) {
    return reader->mark;
}

const char *answer_reader_before_mark(const struct answer_reader *r, size_t *n) {
    *n = 0;
    if (!r->tools || r->mode == READ_THINKING) return NULL;
    if (r->mode == READ_HEADER) {
        size_t skip =
            r->call.held.length > ANSWER_TAG_MAX ? r->call.held.length - ANSWER_TAG_MAX : 0;
        *n = r->call.held.length - skip;
        return buf_text(&r->call.held) + skip;
    }
    if (r->mode == READ_CALL && r->call.step == STEP_OBJECT)
        return call_object_key(&r->call.object, n);
    if (!is_quoted(r)) *n = r->n_tag;
    return r->tag;
}

/* ---- the reader ---- */

hearth_status answer_reader_open(struct answer_reader **out, const struct answer_form *form,
                                 const json_t *tools, bool inside_thinking,
                                 answer_piece_taker taker, void *taker_context, hearth_error *err) {
    *out = NULL;
    if (tools && (!json_is_array(tools) || json_array_size(tools) == 0)) tools = NULL;
    struct answer_reader *r = mem_calloc(1, sizeof *r);
    json_t *copy = tools && r ? json_deep_copy(tools) : NULL;
    if (!r || (tools && !copy)) {
        mem_free(r);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to read an answer");
    }
    r->form = form;
    r->tools = form->call->style == CALLS_NONE ? NULL : copy;
    if (!r->tools) json_decref(copy);
    r->taker = taker;
    r->taker_context = taker_context;
    buf_init(&r->out, 2 * ANSWER_OUT_BYTES);
    buf_init(&r->thought, ANSWER_CALL_MAX);
    buf_init(&r->call.held, ANSWER_CALL_MAX);
    buf_init(&r->call.arguments, (ESCAPED_MAX + 1) * ANSWER_CALL_MAX);
    buf_init(&r->call.raw, ANSWER_CALL_MAX);
    buf_init(&r->call.key, ANSWER_HEADER_MAX);
    if (inside_thinking)
        answer_enter(r, READ_THINKING);
    else if (form->call->style == CALLS_CHANNEL)
        channel_open(r, NULL);
    else if (r->tools && form->call->bare)
        call_open(r, NULL);
    *out = r;
    return HEARTH_OK;
}

void answer_reader_close(struct answer_reader *reader) {
    if (!reader) return;
    json_decref(reader->tools);
    buf_release(&reader->out);
    buf_release(&reader->thought);
    buf_release(&reader->call.held);
    buf_release(&reader->call.arguments);
    buf_release(&reader->call.raw);
    buf_release(&reader->call.key);
    mem_free(reader);
}

static hearth_status end_of_push(struct answer_reader *r, hearth_error *err) {
    flush_out(r);
    if (!r->failed) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to read an answer");
}

hearth_status answer_reader_push(struct answer_reader *reader, const char *text, size_t n,
                                 hearth_error *err) {
    for (size_t i = 0; i < n && !reader->failed; i++) {
        reader->n_pushed = i + 1;
        answer_feed(reader, text[i]);
    }
    return end_of_push(reader, err);
}

void answer_reader_cut(struct answer_reader *reader) {
    if (reader->mode == READ_CALL) call_drop(reader);
}

hearth_status answer_reader_finish(struct answer_reader *reader, hearth_error *err) {
    enum answer_piece_kind kind;
    if (reader->mode == READ_HEADER) channel_finish(reader);
    if (reader->mode == READ_CALL) call_refuse(reader);
    kind = reader->mode == READ_THINKING ? PIECE_REASONING : PIECE_TEXT;
    answer_put(reader, reader->tag, reader->n_tag);
    put(reader, kind, reader->blanks, reader->n_blanks);
    reader->n_tag = reader->n_blanks = 0;
    if (kind == PIECE_REASONING && reader->tools && reader->n_calls == 0 && !reader->reads_thought)
        unclosed_finish(reader);
    return end_of_push(reader, err);
}

void answer_reader_end_thinking(struct answer_reader *reader) {
    reader->has_thought = true;
}

bool answer_reader_is_thinking(const struct answer_reader *reader) {
    return reader->mode == READ_THINKING;
}

bool answer_reader_is_answering(const struct answer_reader *reader) {
    if (reader->mode == READ_CALL) return reader->form->call->bare && !reader->call.certain;
    return reader->mode == READ_TEXT;
}

size_t answer_reader_held(const struct answer_reader *reader) {
    return reader->n_tag + reader->n_blanks;
}

unsigned answer_reader_calls(const struct answer_reader *reader) {
    return reader->n_calls;
}
