/* Ids to text: the bytes each token stands for, whole sequences, and streams. */
#include <string.h>

#include "base/mem.h"
#include "token/tokenizer_parts.h"
#include "token/utf8.h"

static const char word_mark[] = "\xE2\x96\x81"; /* U+2581 */

/* ---- pieces ------------------------------------------------------------------------ */

static void append_unmarked(struct text text, struct buf *out) {
    for (size_t at = 0; at < text.length;) {
        if (text.length - at >= 3 && memcmp(text.data + at, word_mark, 3) == 0) {
            buf_append_char(out, ' ');
            at += 3;
        } else {
            buf_append_char(out, text.data[at++]);
        }
    }
}

/* Characters outside the byte alphabet stay as they are. */
static void append_bytes(struct text text, struct buf *out) {
    uint32_t code;
    for (size_t at = 0, length; at < text.length; at += length) {
        length = utf8_next(text.data + at, text.length - at, &code);
        int byte = byte_alphabet_byte(code);
        if (byte >= 0)
            buf_append_char(out, (char)byte);
        else
            buf_append(out, text.data + at, length);
    }
}

static void append_spelling(const struct tokenizer *t, size_t id, struct buf *out) {
    struct text text = vocabulary_text(&t->vocabulary, id);
    unsigned bits = t->vocabulary.bits[id];
    int byte = vocabulary_byte_value(text);
    bool is_literal = bits & (TOKEN_BIT_CONTROL | TOKEN_BIT_UNKNOWN | TOKEN_BIT_USER_DEFINED);
    /* Added tokens of tokenizer.json that are not special go through the decoder. */
    if (bits & TOKEN_BIT_ADDED && bits & TOKEN_BIT_USER_DEFINED &&
        t->piece_kind == PIECE_WORD_MARKS)
        is_literal = false;
    if (is_literal) {
        buf_append(out, text.data, text.length);
    } else if (bits & TOKEN_BIT_BYTE && byte >= 0) {
        buf_append_char(out, (char)byte);
    } else if (t->piece_kind == PIECE_BYTE_LEVEL) {
        append_bytes(text, out);
    } else if (t->piece_kind == PIECE_WORD_MARKS || t->word_start_marked) {
        append_unmarked(text, out);
    } else {
        buf_append(out, text.data, text.length);
    }
}

bool tokenizer_build_pieces(struct tokenizer *t) {
    struct buf piece;
    buf_init(&piece, INT32_MAX);
    bool ok = true;
    for (size_t id = 0; ok && id < vocabulary_count(&t->vocabulary); id++) {
        buf_clear(&piece);
        append_spelling(t, id, &piece);
        ok = !piece.failed && string_table_add(&t->pieces, buf_text(&piece), piece.length);
    }
    buf_release(&piece);
    mem_free(t->pieces.index); /* pieces are looked up by id only */
    t->pieces.index = NULL;
    t->pieces.index_size = 0;
    return ok;
}

/* WordPiece spelt with "##": what does not begin so is a word of its own. */
static bool append_wordpiece(const struct tokenizer *t, struct text piece, bool is_first,
                             struct buf *out) {
    size_t n = strlen(t->continuation);
    if (!is_first && n && piece.length >= n && memcmp(piece.data, t->continuation, n) == 0)
        return buf_append(out, piece.data + n, piece.length - n);
    if (!is_first) buf_append_char(out, ' ');
    return buf_append(out, piece.data, piece.length);
}

bool tokenizer_append_piece(const struct tokenizer *t, int32_t id, bool is_first, struct buf *out) {
    struct text piece = tokenizer_piece(t, id);
    if (t->piece_kind == PIECE_WORDPIECE && t->continuation)
        return append_wordpiece(t, piece, is_first, out);
    if (is_first && t->strips_first_space && piece.length && piece.data[0] == ' ') {
        piece.data++;
        piece.length--;
    }
    return buf_append(out, piece.data, piece.length);
}

/* ---- sequences ----------------------------------------------------------------------- */

static hearth_status check_id(const struct tokenizer *t, int32_t id, hearth_error *err) {
    if (id >= 0 && (size_t)id < tokenizer_n_vocab(t)) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_ARGUMENT,
                     "token id %d is not in the vocabulary of %zu tokens", (int)id,
                     tokenizer_n_vocab(t));
}

static hearth_status no_room(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no room for the decoded text");
}

hearth_status tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n,
                               bool special, struct buf *out, hearth_error *err) {
    bool is_first = true;
    for (size_t i = 0; i < n; i++) {
        RETURN_IF_ERROR(check_id(t, ids[i], err));
        if (!special && tokenizer_is_special(t, ids[i])) continue;
        if (!tokenizer_append_piece(t, ids[i], is_first, out)) return no_room(err);
        is_first = false;
    }
    return HEARTH_OK;
}

/* ---- streams --------------------------------------------------------------------------- */

void token_stream_init(struct token_stream *stream, const struct tokenizer *t, bool special) {
    *stream = (struct token_stream){.tokenizer = t, .special = special};
}

/* Could these bytes, fewer than a character has, still become one? */
static bool may_become_char(const char *data, size_t n) {
    static const unsigned char fill[2] = {0x80, 0xBF};
    size_t length = utf8_lead_length((unsigned char)data[0]);
    if (n >= length) return false;
    /* Only the second byte's range depends on the first (RFC 3629, section 4). */
    for (int i = 0; i < 2; i++) {
        char whole[UTF8_MAX_BYTES];
        uint32_t code;
        memset(whole, fill[i], sizeof whole);
        memcpy(whole, data, n);
        if (utf8_decode(whole, length, &code)) return true;
    }
    return false;
}

/* Moves through data[0 .. n) to the first byte that is not part of a whole character. */
static size_t whole_prefix(const char *data, size_t n) {
    size_t at = 0, length;
    uint32_t code;
    while (at < n && (length = utf8_decode(data + at, n - at, &code)) > 0)
        at += length;
    return at;
}

/* The unsettled bytes at the end of `out`, from `start` on, hold something that is no
 * character: rebuilds them with U+FFFD in its place. */
static void replace_invalid(struct buf *out, size_t start) {
    struct buf rest;
    buf_init(&rest, out->max_bytes);
    buf_append(&rest, out->data + start, out->length - start);
    out->length = start;
    out->failed = out->failed || rest.failed;
    for (size_t at = 0, length; at < rest.length; at += length) {
        size_t left = rest.length - at;
        length = whole_prefix(rest.data + at, left);
        if (!length && may_become_char(rest.data + at, left)) length = left;
        if (length)
            buf_append(out, rest.data + at, length);
        else
            buf_append_text(out, "\xEF\xBF\xBD");
        if (!length) length = 1;
    }
    buf_release(&rest);
}

/* Takes the unfinished character at the end of `out` back into the stream. */
static void hold_back(struct token_stream *stream, struct buf *out, size_t start) {
    size_t used = start + whole_prefix(out->data + start, out->length - start);
    if (used < out->length && !may_become_char(out->data + used, out->length - used)) {
        replace_invalid(out, used);
        used += whole_prefix(out->data + used, out->length - used);
    }
    stream->n_held = (uint8_t)(out->length - used);
    memcpy(stream->held, out->data + used, stream->n_held);
    out->length = used;
    out->data[used] = '\0';
}

hearth_status token_stream_push(struct token_stream *stream, int32_t id, struct buf *out,
                                hearth_error *err) {
    const struct tokenizer *t = stream->tokenizer;
    RETURN_IF_ERROR(check_id(t, id, err));
    if (!stream->special && tokenizer_is_special(t, id)) return HEARTH_OK;
    size_t start = out->length;
    if (!buf_append(out, stream->held, stream->n_held) ||
        !tokenizer_append_piece(t, id, !stream->started, out))
        return no_room(err);
    stream->started = true;
    hold_back(stream, out, start);
    return out->failed ? no_room(err) : HEARTH_OK;
}

hearth_status token_stream_finish(struct token_stream *stream, struct buf *out, hearth_error *err) {
    bool unfinished = stream->n_held > 0;
    stream->n_held = 0;
    stream->started = false;
    if (unfinished && !buf_append_text(out, "\xEF\xBF\xBD")) return no_room(err);
    return HEARTH_OK;
}
