#include "token/pretokenize.h"

#include <string.h>

#include "base/mem.h"
#include "token/unicode_class.h"
#include "token/utf8.h"

void split_step_release(struct split_step *step) {
    regex_close(step->regex);
    mem_free(step->literal);
    *step = (struct split_step){0};
}

void pretokenizer_release(struct pretokenizer *p) {
    for (size_t i = 0; i < p->count; i++)
        split_step_release(&p->steps[i]);
    mem_free(p->steps);
    *p = (struct pretokenizer){0};
}

hearth_status pretokenizer_add(struct pretokenizer *p, struct split_step *step, hearth_error *err) {
    if (p->count == p->capacity) {
        size_t capacity = p->capacity ? p->capacity * 2 : 4;
        struct split_step *steps = mem_realloc_array(p->steps, capacity, sizeof *steps);
        if (!steps) {
            split_step_release(step);
            return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the pre-tokenizer");
        }
        p->steps = steps;
        p->capacity = capacity;
    }
    p->steps[p->count++] = *step;
    *step = (struct split_step){0};
    return HEARTH_OK;
}

hearth_status pretokenizer_add_regex(struct pretokenizer *p, const char *pattern,
                                     hearth_error *err) {
    struct split_step step = {.kind = SPLIT_REGEX};
    RETURN_IF_ERROR(regex_open(&step.regex, pattern, strlen(pattern), err));
    return pretokenizer_add(p, &step, err);
}

void pretokenize_scratch_init(struct pretokenize_scratch *scratch) {
    *scratch = (struct pretokenize_scratch){0};
    for (int i = 0; i < 2; i++)
        buf_init(&scratch->buffers[i], INT32_MAX);
}

void pretokenize_scratch_release(struct pretokenize_scratch *scratch) {
    for (int i = 0; i < 2; i++) {
        mem_free(scratch->lists[i].items);
        buf_release(&scratch->buffers[i]);
    }
}

/* ---- collecting pieces ---------------------------------------------------------- */

static bool put(struct piece_list *list, size_t begin, size_t end) {
    if (begin == end) return true;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 256;
        struct piece *items = mem_realloc_array(list->items, capacity, sizeof *items);
        if (!items) return false;
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = (struct piece){(uint32_t)begin, (uint32_t)end};
    return true;
}

/* Receives one piece as alternating stretches, matching or not, and applies the
 * behaviour. */
struct cutter {
    const struct split_step *step;
    struct piece_list *out;
    bool ok, joined;     /* joined: the last piece out may be extended */
    bool previous_match; /* MERGED_WITH_PREVIOUS */
    bool pending;        /* MERGED_WITH_NEXT: a match waits for what follows */
    size_t pending_begin, pending_end;
};

static void flush_pending(struct cutter *c) {
    if (c->pending) c->ok = c->ok && put(c->out, c->pending_begin, c->pending_end);
    c->pending = false;
}

static void extend_last(struct cutter *c, size_t begin, size_t end) {
    if (c->joined)
        c->out->items[c->out->count - 1].end = (uint32_t)end;
    else
        c->ok = c->ok && put(c->out, begin, end);
    c->joined = true;
}

static void stretch(struct cutter *c, size_t begin, size_t end, bool is_match) {
    if (begin == end || !c->ok) return;
    is_match ^= c->step->invert;
    switch (c->step->behaviour) {
    case SPLIT_ISOLATED: c->ok = put(c->out, begin, end); break;
    case SPLIT_REMOVED:
        if (!is_match) c->ok = put(c->out, begin, end);
        break;
    case SPLIT_MERGED_WITH_PREVIOUS:
        if (!is_match || c->previous_match) c->joined = false;
        extend_last(c, begin, end);
        c->previous_match = is_match;
        break;
    case SPLIT_MERGED_WITH_NEXT:
        if (is_match) {
            flush_pending(c);
            c->pending = true;
            c->pending_begin = begin;
            c->pending_end = end;
        } else {
            if (c->pending) begin = c->pending_begin;
            c->pending = false;
            c->ok = put(c->out, begin, end);
        }
        break;
    case SPLIT_CONTIGUOUS:
        if (is_match != c->previous_match) c->joined = false;
        extend_last(c, begin, end);
        c->previous_match = is_match;
        break;
    }
}

/* ---- cutting one piece ----------------------------------------------------------- */

static hearth_status cut_regex(struct cutter *c, const char *text, struct piece piece,
                               struct regex_scratch *regexes, hearth_error *err) {
    const char *base = text + piece.begin;
    size_t n = piece.end - piece.begin, done = 0;
    for (size_t from = 0; from < n && c->ok;) {
        size_t begin, end;
        enum regex_result result = regex_find(c->step->regex, regexes, base, n, from, &begin, &end);
        if (result == REGEX_GAVE_UP)
            return error_set(err, HEARTH_ERROR_LIMIT,
                             "the pre-tokenizer pattern of this model takes too long on this text");
        if (result == REGEX_NO_MATCH) break;
        if (begin > done) stretch(c, piece.begin + done, piece.begin + begin, false);
        if (begin >= done && end > begin) stretch(c, piece.begin + begin, piece.begin + end, true);
        if (end > done) done = end;
        uint32_t code;
        from = end > from ? end : from;
        if (end == begin && from < n) from += utf8_next(base + from, n - from, &code);
    }
    stretch(c, piece.begin + done, piece.end, false);
    return HEARTH_OK;
}

static void cut_literal(struct cutter *c, const char *text, struct piece piece) {
    size_t at = piece.begin;
    while (c->step->literal_length) {
        const char *found =
            memmem(text + at, piece.end - at, c->step->literal, c->step->literal_length);
        if (!found) break;
        size_t begin = (size_t)(found - text);
        stretch(c, at, begin, false);
        at = begin + c->step->literal_length;
        stretch(c, begin, at, true);
    }
    stretch(c, at, piece.end, false);
}

static bool is_ascii_punctuation(uint32_t c) {
    return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
           (c >= 123 && c <= 126);
}

static bool is_cut_character(enum split_kind kind, uint32_t code) {
    switch (kind) {
    case SPLIT_SPACE: return unicode_is_space(code);
    case SPLIT_NUMBER:
    case SPLIT_NUMBERS: return unicode_is_number(code);
    default: return is_ascii_punctuation(code) || unicode_is_punctuation(code);
    }
}

static void cut_characters(struct cutter *c, const char *text, struct piece piece) {
    size_t gap = piece.begin;
    uint32_t code;
    for (size_t at = piece.begin, length; at < piece.end; at += length) {
        length = utf8_next(text + at, piece.end - at, &code);
        if (!is_cut_character(c->step->kind, code)) continue;
        stretch(c, gap, at, false);
        stretch(c, at, at + length, true);
        gap = at + length;
    }
    stretch(c, gap, piece.end, false);
}

/* White space goes, punctuation and ideographs stand alone. */
static void cut_bert(struct cutter *c, const char *text, struct piece piece) {
    size_t begin = piece.begin;
    uint32_t code;
    for (size_t at = piece.begin, length; at < piece.end; at += length) {
        length = utf8_next(text + at, piece.end - at, &code);
        bool is_space = unicode_is_space(code);
        if (!is_space && !is_cut_character(SPLIT_PUNCTUATION, code) &&
            !(c->step->cut && unicode_is_cjk(code)))
            continue;
        c->ok = c->ok && put(c->out, begin, at);
        if (!is_space) c->ok = c->ok && put(c->out, at, at + length);
        begin = at + length;
    }
    c->ok = c->ok && put(c->out, begin, piece.end);
}

static bool is_digit(const struct split_step *step, uint32_t code) {
    return step->decimal_words ? unicode_is_decimal(code) : unicode_is_number(code);
}

/* One run of digits text[begin .. end): n % 3 of them, then threes. */
static void cut_run(struct cutter *c, const char *text, size_t begin, size_t end, size_t n) {
    uint32_t code;
    size_t at = begin, start = begin;
    for (size_t i = 0; at < end; i++) {
        if (i && (n - i) % 3 == 0) {
            c->ok = c->ok && put(c->out, start, at);
            start = at;
        }
        at += utf8_next(text + at, end - at, &code);
    }
    c->ok = c->ok && put(c->out, start, end);
}

static void cut_digit_groups(struct cutter *c, const char *text, struct piece piece) {
    size_t gap = piece.begin;
    for (size_t at = piece.begin; at < piece.end;) {
        uint32_t code = 0;
        size_t begin = at, n = 0, length = 0;
        for (; at < piece.end; at += length, n++) {
            length = utf8_next(text + at, piece.end - at, &code);
            if (!is_digit(c->step, code)) break;
        }
        bool counts = n && !(c->step->decimal_words && at < piece.end && unicode_is_word(code));
        if (counts) {
            c->ok = c->ok && put(c->out, gap, begin);
            cut_run(c, text, begin, at, n);
            gap = at;
        }
        if (at < piece.end) at += length;
    }
    c->ok = c->ok && put(c->out, gap, piece.end);
}

static hearth_status cut_piece(struct cutter *c, const char *text, struct piece piece,
                               struct regex_scratch *regexes, hearth_error *err) {
    c->joined = c->previous_match = false;
    switch (c->step->kind) {
    case SPLIT_REGEX: RETURN_IF_ERROR(cut_regex(c, text, piece, regexes, err)); break;
    case SPLIT_METASPACE:
    case SPLIT_LITERAL: cut_literal(c, text, piece); break;
    case SPLIT_BERT: cut_bert(c, text, piece); break;
    case SPLIT_DIGIT_GROUPS: cut_digit_groups(c, text, piece); break;
    default: cut_characters(c, text, piece); break;
    }
    flush_pending(c);
    return c->ok ? HEARTH_OK
                 : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to cut text into words");
}

/* ---- steps that change the text -------------------------------------------------- */

static bool begins_with(const char *data, size_t n, const char *prefix, size_t length) {
    return n >= length && memcmp(data, prefix, length) == 0;
}

static void rewrite_metaspace(const struct split_step *step, struct text in, bool at_start,
                              struct buf *out) {
    bool prepend =
        step->prepend == SPLIT_PREPEND_ALWAYS || (step->prepend == SPLIT_PREPEND_FIRST && at_start);
    bool has = begins_with(in.data, in.length, " ", 1) ||
               begins_with(in.data, in.length, step->literal, step->literal_length);
    if (prepend && !has) buf_append(out, step->literal, step->literal_length);
    for (size_t at = 0; at < in.length;) {
        const char *space = memchr(in.data + at, ' ', in.length - at);
        size_t end = space ? (size_t)(space - in.data) : in.length;
        buf_append(out, in.data + at, end - at);
        if (space) buf_append(out, step->literal, step->literal_length);
        at = end + (space != NULL);
    }
}

static void rewrite(const struct split_step *step, struct text in, bool at_start, struct buf *out) {
    if (step->kind == SPLIT_METASPACE) {
        rewrite_metaspace(step, in, at_start, out);
        return;
    }
    uint32_t code = 0;
    if (in.length) utf8_next(in.data, in.length, &code);
    if (in.length && !unicode_is_space(code)) buf_append_char(out, ' ');
    buf_append(out, in.data, in.length);
}

/* Rebuilds the text of all pieces, end to end. */
static hearth_status rewrite_pieces(const struct split_step *step, struct text in, bool at_start,
                                    const struct piece_list *pieces, struct buf *out,
                                    struct piece_list *rebuilt, hearth_error *err) {
    buf_clear(out);
    bool ok = true;
    for (size_t i = 0; ok && i < pieces->count; i++) {
        struct piece p = pieces->items[i];
        size_t begin = out->length;
        rewrite(step, (struct text){in.data + p.begin, p.end - p.begin}, at_start && p.begin == 0,
                out);
        ok = !out->failed && put(rebuilt, begin, out->length);
    }
    return ok ? HEARTH_OK
              : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to cut text into words");
}

/* ---- all steps -------------------------------------------------------------------- */

static bool rewrites(const struct split_step *step) {
    return step->kind == SPLIT_METASPACE || step->kind == SPLIT_PREFIX_SPACE;
}

static bool cuts(const struct split_step *step) {
    return step->kind == SPLIT_METASPACE ? step->cut : step->kind != SPLIT_PREFIX_SPACE;
}

hearth_status pretokenizer_apply(const struct pretokenizer *p, struct text in, bool at_start,
                                 struct pretokenize_scratch *scratch, struct regex_scratch *regexes,
                                 struct text *text, const struct piece_list **pieces,
                                 hearth_error *err) {
    unsigned list = 0, buffer = 0;
    scratch->lists[0].count = 0;
    if (!put(&scratch->lists[0], 0, in.length))
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to cut text into words");
    for (size_t i = 0; i < p->count; i++) {
        const struct split_step *step = &p->steps[i];
        if (rewrites(step)) {
            struct buf *out = &scratch->buffers[buffer ^= 1];
            scratch->lists[list ^ 1].count = 0;
            RETURN_IF_ERROR(rewrite_pieces(step, in, at_start, &scratch->lists[list], out,
                                           &scratch->lists[list ^ 1], err));
            in = (struct text){buf_text(out), out->length};
            list ^= 1;
        }
        if (!cuts(step)) continue;
        struct cutter cutter = {.step = step, .out = &scratch->lists[list ^ 1], .ok = true};
        cutter.out->count = 0;
        for (size_t k = 0; k < scratch->lists[list].count; k++)
            RETURN_IF_ERROR(
                cut_piece(&cutter, in.data, scratch->lists[list].items[k], regexes, err));
        list ^= 1;
    }
    *text = in;
    *pieces = &scratch->lists[list];
    return HEARTH_OK;
}
