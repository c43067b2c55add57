#include "token/normalize.h"

#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "token/unicode_class.h"
#include "token/utf8.h"

void normalize_step_release(struct normalize_step *step) {
    mem_free(step->from);
    mem_free(step->to);
    regex_close(step->regex);
    charsmap_release(&step->charsmap);
    *step = (struct normalize_step){0};
}

void normalizer_release(struct normalizer *n) {
    for (size_t i = 0; i < n->count; i++)
        normalize_step_release(&n->steps[i]);
    mem_free(n->steps);
    *n = (struct normalizer){0};
}

hearth_status normalizer_add(struct normalizer *n, struct normalize_step *step, hearth_error *err) {
    if (n->count == n->capacity) {
        size_t capacity = n->capacity ? n->capacity * 2 : 4;
        struct normalize_step *steps = mem_realloc_array(n->steps, capacity, sizeof *steps);
        if (!steps) {
            normalize_step_release(step);
            return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the text normaliser");
        }
        n->steps = steps;
        n->capacity = capacity;
    }
    n->steps[n->count++] = *step;
    *step = (struct normalize_step){0};
    return HEARTH_OK;
}

hearth_status normalizer_add_replace(struct normalizer *n, struct text from, struct text to,
                                     hearth_error *err) {
    struct normalize_step step = {.kind = NORMALIZE_REPLACE,
                                  .from = mem_strndup(from.data, from.length),
                                  .from_length = from.length,
                                  .to = mem_strndup(to.data, to.length),
                                  .to_length = to.length};
    if (step.from && step.to) return normalizer_add(n, &step, err);
    normalize_step_release(&step);
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the text normaliser");
}

hearth_status normalizer_add_prepend(struct normalizer *n, struct text prefix, hearth_error *err) {
    struct normalize_step step = {.kind = NORMALIZE_PREPEND,
                                  .to = mem_strndup(prefix.data, prefix.length),
                                  .to_length = prefix.length};
    if (step.to) return normalizer_add(n, &step, err);
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the text normaliser");
}

/* ---- single characters ------------------------------------------------------------ */

static void put(struct buf *out, uint32_t code) {
    char bytes[UTF8_MAX_BYTES];
    buf_append(out, bytes, utf8_encode(code, bytes));
}

/* U+0130 is the one character whose lower case is two (SpecialCasing.txt). */
static void put_lower(struct buf *out, uint32_t code) {
    if (code == 0x130)
        buf_append_text(out, "i\xCC\x87");
    else
        put(out, unicode_lower(code));
}

static void lowercase(struct text in, struct buf *out) {
    uint32_t code;
    for (size_t at = 0; at < in.length;) {
        at += utf8_next(in.data + at, in.length - at, &code);
        put_lower(out, code);
    }
}

static void strip_accents(struct text in, struct buf *out) {
    uint32_t code;
    for (size_t at = 0; at < in.length;) {
        at += utf8_next(in.data + at, in.length - at, &code);
        if (!unicode_is_mark(code)) put(out, code);
    }
}

static void strip(const struct normalize_step *step, struct text in, struct buf *out) {
    size_t begin = 0, end = in.length, last = 0;
    uint32_t code;
    bool seen = false;
    for (size_t at = 0, length; at < in.length; at += length) {
        length = utf8_next(in.data + at, in.length - at, &code);
        if (unicode_is_space(code)) continue;
        if (!seen) begin = at;
        seen = true;
        last = at + length;
    }
    if (!seen) begin = step->left ? in.length : 0;
    if (!step->left) begin = 0;
    if (step->right) end = last > begin ? last : begin;
    buf_append(out, in.data + begin, end - begin);
}

/* The set that the NMT rules of SentencePiece remove or turn into spaces. */
static void nmt(struct text in, struct buf *out) {
    uint32_t c;
    for (size_t at = 0; at < in.length;) {
        at += utf8_next(in.data + at, in.length - at, &c);
        if ((c >= 0x1 && c <= 0x8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F ||
            c == 0x8F || c == 0x9F)
            continue;
        bool is_space = c == 9 || c == 10 || c == 12 || c == 13 || c == 0x1680 ||
                        (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
                        c == 0xFEFF || c == 0xFFFD;
        put(out, is_space ? ' ' : c);
    }
}

/* ---- normal forms ------------------------------------------------------------------ */

static bool is_ascii(struct text in) {
    for (size_t i = 0; i < in.length; i++)
        if ((unsigned char)in.data[i] >= 0x80) return false;
    return true;
}

static bool normal_form(enum normalize_kind kind, struct text in, struct buf *out) {
    if (is_ascii(in)) return buf_append(out, in.data, in.length);
    static const int options[] = {
        [NORMALIZE_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
        [NORMALIZE_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
        [NORMALIZE_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
        [NORMALIZE_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT};
    utf8proc_uint8_t *result = NULL;
    utf8proc_ssize_t length =
        utf8proc_map((const utf8proc_uint8_t *)in.data, (utf8proc_ssize_t)in.length, &result,
                     (utf8proc_option_t)options[kind]);
    if (length < 0) return false;
    buf_append(out, result, (size_t)length);
    mem_free(result);
    return !out->failed;
}

/* ---- BERT ---------------------------------------------------------------------------- */

static bool bert_drops(uint32_t c) {
    return c == 0 || c == UTF8_REPLACEMENT ||
           (unicode_is_control(c) && c != '\t' && c != '\n' && c != '\r');
}

static void bert_clean(const struct normalize_step *step, struct text in, struct buf *out) {
    uint32_t c;
    for (size_t at = 0; at < in.length;) {
        at += utf8_next(in.data + at, in.length - at, &c);
        if (step->clean && unicode_is_space(c))
            c = ' ';
        else if (step->clean && bert_drops(c))
            continue;
        bool is_word = step->cjk && unicode_is_cjk(c);
        if (is_word) buf_append_char(out, ' ');
        put(out, c);
        if (is_word) buf_append_char(out, ' ');
    }
}

/* The first character of the canonical decomposition. */
static uint32_t base_character(uint32_t c) {
    if (c < 0xC0) return c;
    utf8proc_int32_t parts[32];
    int boundary = 0;
    utf8proc_ssize_t n =
        utf8proc_decompose_char((utf8proc_int32_t)c, parts, 32, UTF8PROC_DECOMPOSE, &boundary);
    return n > 0 && n <= 32 ? (uint32_t)parts[0] : c;
}

/* GGUF's `bert`: every character becomes the first of its decomposition, marks go. */
static void bert_base(const struct normalize_step *step, struct text in, struct buf *out) {
    uint32_t c;
    for (size_t at = 0; at < in.length;) {
        at += utf8_next(in.data + at, in.length - at, &c);
        if (step->strip_accents) c = base_character(c);
        if (unicode_is_space(c)) {
            buf_append_char(out, ' ');
            continue;
        }
        if (c == 0 || c == UTF8_REPLACEMENT || unicode_is_control(c)) continue;
        if (step->strip_accents && unicode_is_mark(c)) continue;
        put(out, step->lowercase ? unicode_lower(c) : c);
    }
}

static bool bert(const struct normalize_step *step, struct text in, struct buf *out) {
    struct buf cleaned, decomposed;
    buf_init(&cleaned, out->max_bytes);
    buf_init(&decomposed, out->max_bytes);
    bert_clean(step, in, &cleaned);
    struct text text = {buf_text(&cleaned), cleaned.length};
    bool ok = !cleaned.failed;
    if (ok && step->strip_accents) {
        ok = normal_form(NORMALIZE_NFD, text, &decomposed);
        text = (struct text){buf_text(&decomposed), decomposed.length};
    }
    uint32_t c;
    for (size_t at = 0; ok && at < text.length;) {
        at += utf8_next(text.data + at, text.length - at, &c);
        if (step->strip_accents && unicode_is_nonspacing_mark(c)) continue;
        if (step->lowercase)
            put_lower(out, c);
        else
            put(out, c);
    }
    buf_release(&cleaned);
    buf_release(&decomposed);
    return ok && !out->failed;
}

/* ---- replacing ----------------------------------------------------------------------- */

static void replace(const struct normalize_step *step, struct text in, struct buf *out) {
    const char *at = in.data, *end = in.data + in.length;
    while (at < end) {
        const char *found = step->from_length
                                ? memmem(at, (size_t)(end - at), step->from, step->from_length)
                                : NULL;
        if (!found) break;
        buf_append(out, at, (size_t)(found - at));
        buf_append(out, step->to, step->to_length);
        at = found + step->from_length;
    }
    buf_append(out, at, (size_t)(end - at));
}

static hearth_status replace_regex(const struct normalize_step *step, struct text in,
                                   struct regex_scratch *regexes, struct buf *out,
                                   hearth_error *err) {
    size_t done = 0;
    for (size_t from = 0; from <= in.length;) {
        size_t begin, end;
        enum regex_result result =
            regex_find(step->regex, regexes, in.data, in.length, from, &begin, &end);
        if (result == REGEX_GAVE_UP)
            return error_set(err, HEARTH_ERROR_LIMIT,
                             "a normaliser pattern of this tokenizer takes too long on this text");
        if (result == REGEX_NO_MATCH) break;
        if (begin >= done) {
            buf_append(out, in.data + done, begin - done);
            buf_append(out, step->to, step->to_length);
            done = end;
        }
        uint32_t code;
        from = end > from ? end : from;
        if (end == begin)
            from += from < in.length ? utf8_next(in.data + from, in.length - from, &code) : 1;
    }
    buf_append(out, in.data + done, in.length - done);
    return HEARTH_OK;
}

/* SentencePiece's treatment of spaces, U+2581 for each that stays. */
static void word_marks(const struct normalize_step *step, struct text in, struct buf *out) {
    static const char mark[] = "\xE2\x96\x81";
    bool in_word = false, prepended = false;
    for (size_t i = 0; i < in.length; i++) {
        if (in.data[i] == ' ') {
            in_word = false;
            if (!step->merge) buf_append_text(out, mark);
            continue;
        }
        if (!in_word && ((step->left && !prepended) || step->merge)) {
            buf_append_text(out, mark);
            prepended = true;
        }
        in_word = true;
        buf_append_char(out, in.data[i]);
    }
    if (step->right) buf_append_text(out, mark);
}

/* ---- all steps ------------------------------------------------------------------------ */

static hearth_status apply(const struct normalize_step *step, struct text in, struct buf *out,
                           struct regex_scratch *regexes, hearth_error *err) {
    hearth_status status = HEARTH_OK;
    switch (step->kind) {
    case NORMALIZE_NFC:
    case NORMALIZE_NFD:
    case NORMALIZE_NFKC:
    case NORMALIZE_NFKD:
        if (!normal_form(step->kind, in, out)) out->failed = true;
        break;
    case NORMALIZE_LOWERCASE: lowercase(in, out); break;
    case NORMALIZE_STRIP_ACCENTS: strip_accents(in, out); break;
    case NORMALIZE_STRIP: strip(step, in, out); break;
    case NORMALIZE_REPLACE: replace(step, in, out); break;
    case NORMALIZE_REPLACE_REGEX: status = replace_regex(step, in, regexes, out, err); break;
    case NORMALIZE_PREPEND:
        if (in.length) buf_append(out, step->to, step->to_length);
        buf_append(out, in.data, in.length);
        break;
    case NORMALIZE_BERT:
        if (!bert(step, in, out)) out->failed = true;
        break;
    case NORMALIZE_BERT_BASE: bert_base(step, in, out); break;
    case NORMALIZE_NMT: nmt(in, out); break;
    case NORMALIZE_CHARSMAP: charsmap_apply(&step->charsmap, in, out); break;
    case NORMALIZE_WORD_MARKS: word_marks(step, in, out); break;
    }
    if (status == HEARTH_OK && out->failed)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to normalise %zu bytes of text",
                         in.length);
    return status;
}

hearth_status normalizer_apply(const struct normalizer *n, struct text in, struct buf buffers[2],
                               struct regex_scratch *regexes, struct text *out, hearth_error *err) {
    for (size_t i = 0; i < n->count; i++) {
        struct buf *next = &buffers[i % 2];
        buf_clear(next);
        RETURN_IF_ERROR(apply(&n->steps[i], in, next, regexes, err));
        in = (struct text){buf_text(next), next->length};
    }
    *out = in;
    return HEARTH_OK;
}
