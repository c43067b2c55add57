/* The pipeline: split at added tokens, normalise, cut, encode. */
#include "token/tokenizer.h"

#include <string.h>

#include "base/mem.h"
#include "token/tokenizer_parts.h"
#include "token/utf8.h"

/* Working memory of one call. */
struct scratch {
    struct bpe_scratch *bpe;
    struct unigram_scratch unigram;
    struct regex_scratch *regexes;
    struct pretokenize_scratch pretokenize;
    struct segment_list segments, inner;
    struct buf valid, normalized[2];
};

/* ---- token lists ------------------------------------------------------------------- */

void token_list_release(struct token_list *list) {
    mem_free(list->ids);
    *list = (struct token_list){0};
}

bool token_list_append(struct token_list *list, const int32_t *ids, size_t count) {
    if (count > list->capacity - list->count) {
        size_t capacity = list->capacity < 64 ? 128 : list->capacity * 2;
        while (capacity - list->count < count)
            capacity *= 2;
        int32_t *grown = mem_realloc_array(list->ids, capacity, sizeof *grown);
        if (!grown) return false;
        list->ids = grown;
        list->capacity = capacity;
    }
    for (size_t i = 0; i < count; i++)
        list->ids[list->count + i] = ids[i];
    list->count += count;
    return true;
}

/* ---- opening and closing ------------------------------------------------------------- */

struct tokenizer *tokenizer_new(hearth_error *err) {
    struct tokenizer *t = mem_calloc(1, sizeof *t);
    if (!t) {
        error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a tokenizer");
        return NULL;
    }
    for (int i = 0; i < TOKEN_ROLES; i++)
        t->roles[i] = TOKEN_NONE;
    return t;
}

/* In GGUF every token of these kinds is looked for in the text; in tokenizer.json those
 * that are listed as added. */
static bool is_searched(const struct tokenizer *t, size_t id) {
    unsigned bits = t->vocabulary.bits[id];
    if (t->added.leftmost) return bits & TOKEN_BIT_ADDED;
    return bits & (TOKEN_BIT_CONTROL | TOKEN_BIT_UNKNOWN | TOKEN_BIT_USER_DEFINED);
}

static hearth_status add_token(struct tokenizer *t, size_t id, struct buf normalized[2],
                               struct regex_scratch *regexes, hearth_error *err) {
    struct text spelling = vocabulary_text(&t->vocabulary, id);
    struct added_tokens *added = &t->added;
    /* Cutting at half a character would leave text that is not UTF-8. */
    if (t->needs_utf8 && !utf8_valid(spelling.data, spelling.length)) return HEARTH_OK;
    if (t->vocabulary.bits[id] & TOKEN_BIT_NORMALIZED && t->normalizer.count) {
        added = &t->added_normalized;
        RETURN_IF_ERROR(
            normalizer_apply(&t->normalizer, spelling, normalized, regexes, &spelling, err));
    }
    return added_tokens_add(added, (int32_t)id, spelling)
               ? HEARTH_OK
               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the added tokens");
}

static hearth_status add_tokens(struct tokenizer *t, hearth_error *err) {
    struct buf normalized[2];
    buf_init(&normalized[0], INT32_MAX);
    buf_init(&normalized[1], INT32_MAX);
    struct regex_scratch *regexes = NULL;
    hearth_status status = regex_scratch_open(&regexes, err);
    t->added.vocabulary = t->added_normalized.vocabulary = &t->vocabulary;
    for (size_t id = 0; status == HEARTH_OK && id < vocabulary_count(&t->vocabulary); id++)
        if (is_searched(t, id)) status = add_token(t, id, normalized, regexes, err);
    regex_scratch_close(regexes);
    buf_release(&normalized[0]);
    buf_release(&normalized[1]);
    return status;
}

hearth_status tokenizer_finish(struct tokenizer *t, hearth_error *err) {
    RETURN_IF_ERROR(add_tokens(t, err));
    if (tokenizer_build_pieces(t)) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the vocabulary");
}

static void scratch_close(struct scratch *s) {
    if (!s) return;
    bpe_scratch_close(s->bpe);
    unigram_scratch_release(&s->unigram);
    regex_scratch_close(s->regexes);
    pretokenize_scratch_release(&s->pretokenize);
    segment_list_release(&s->segments);
    segment_list_release(&s->inner);
    buf_release(&s->valid);
    buf_release(&s->normalized[0]);
    buf_release(&s->normalized[1]);
    mem_free(s);
}

void tokenizer_close(struct tokenizer *t) {
    if (!t) return;
    for (int i = 0; i < TOKENIZER_SPARE_SCRATCHES; i++)
        scratch_close(atomic_load(&t->spare[i]));
    vocabulary_release(&t->vocabulary);
    added_tokens_release(&t->added);
    added_tokens_release(&t->added_normalized);
    normalizer_release(&t->normalizer);
    pretokenizer_release(&t->pretokenizer);
    bpe_close(t->bpe);
    unigram_close(t->unigram);
    wordpiece_close(t->wordpiece);
    string_table_release(&t->pieces);
    mem_free(t->continuation);
    mem_free(t->pre);
    mem_free(t->json);
    mem_free(t->charsmap);
    mem_free(t);
}

/* ---- working memory --------------------------------------------------------------------- */

static hearth_status scratch_open(const struct tokenizer *t, struct scratch **out,
                                  hearth_error *err) {
    struct scratch *s = mem_calloc(1, sizeof *s);
    if (!s) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to encode text");
    pretokenize_scratch_init(&s->pretokenize);
    buf_init(&s->valid, INT32_MAX);
    buf_init(&s->normalized[0], INT32_MAX);
    buf_init(&s->normalized[1], INT32_MAX);
    hearth_status status = t->bpe ? bpe_scratch_open(&s->bpe, err) : HEARTH_OK;
    if (status == HEARTH_OK) status = regex_scratch_open(&s->regexes, err);
    if (status == HEARTH_OK)
        *out = s;
    else
        scratch_close(s);
    return status;
}

static hearth_status scratch_take(const struct tokenizer *shared, struct scratch **out,
                                  hearth_error *err) {
    struct tokenizer *t = (struct tokenizer *)(uintptr_t)shared; /* only `spare` changes */
    for (int i = 0; i < TOKENIZER_SPARE_SCRATCHES; i++)
        if ((*out = atomic_exchange(&t->spare[i], NULL)) != NULL) return HEARTH_OK;
    return scratch_open(t, out, err);
}

static void scratch_give(const struct tokenizer *shared, struct scratch *s) {
    struct tokenizer *t = (struct tokenizer *)(uintptr_t)shared;
    for (int i = 0; i < TOKENIZER_SPARE_SCRATCHES; i++) {
        struct scratch *none = NULL;
        if (atomic_compare_exchange_strong(&t->spare[i], &none, s)) return;
    }
    scratch_close(s);
}

/* ---- encoding ------------------------------------------------------------------------------ */

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to encode text");
}

static bool encode_piece(const struct tokenizer *t, struct scratch *s, const char *piece, size_t n,
                         struct token_list *out) {
    switch (t->model) {
    case MODEL_BPE: return bpe_encode(t->bpe, s->bpe, piece, n, out);
    case MODEL_UNIGRAM: return unigram_encode(t->unigram, &s->unigram, piece, n, out);
    case MODEL_WORDPIECE: return wordpiece_encode(t->wordpiece, piece, n, out);
    case MODEL_WORDS: break;
    }
    int32_t id = n ? vocabulary_find(&t->vocabulary, piece, n) : TOKEN_NONE;
    if (id < 0) id = t->roles[TOKEN_UNK];
    return n == 0 || id < 0 || token_list_append(out, &id, 1);
}

static hearth_status encode_words(const struct tokenizer *t, struct scratch *s, struct text text,
                                  bool at_start, struct token_list *out, hearth_error *err) {
    if (t->pretokenizer.count == 0)
        return encode_piece(t, s, text.data, text.length, out) ? HEARTH_OK : no_memory(err);
    const struct piece_list *pieces;
    RETURN_IF_ERROR(pretokenizer_apply(&t->pretokenizer, text, at_start, &s->pretokenize,
                                       s->regexes, &text, &pieces, err));
    for (size_t i = 0; i < pieces->count; i++) {
        struct piece p = pieces->items[i];
        if (!encode_piece(t, s, text.data + p.begin, p.end - p.begin, out)) return no_memory(err);
    }
    return HEARTH_OK;
}

/* Text between added tokens: normalise, look for tokens that are found after that. */
static hearth_status encode_text(const struct tokenizer *t, struct scratch *s, struct text text,
                                 bool at_start, bool parse_special, struct token_list *out,
                                 hearth_error *err) {
    RETURN_IF_ERROR(normalizer_apply(&t->normalizer, text, s->normalized, s->regexes, &text, err));
    if (t->added_normalized.trie.n_nodes == 0) return encode_words(t, s, text, at_start, out, err);
    s->inner.count = 0;
    if (!added_tokens_split(&t->added_normalized, text.data, text.length, parse_special, &s->inner))
        return no_memory(err);
    for (size_t i = 0; i < s->inner.count; i++) {
        struct segment segment = s->inner.items[i];
        if (segment.id >= 0) {
            if (!token_list_append(out, &segment.id, 1)) return no_memory(err);
            continue;
        }
        struct text part = {text.data + segment.begin, segment.end - segment.begin};
        RETURN_IF_ERROR(encode_words(t, s, part, at_start && segment.begin == 0, out, err));
    }
    return HEARTH_OK;
}

static hearth_status encode_all(const struct tokenizer *t, struct scratch *s, struct text text,
                                bool parse_special, struct token_list *out, hearth_error *err) {
    s->segments.count = 0;
    if (!added_tokens_split(&t->added, text.data, text.length, parse_special, &s->segments))
        return no_memory(err);
    for (size_t i = 0; i < s->segments.count; i++) {
        struct segment segment = s->segments.items[i];
        if (segment.id >= 0) {
            if (!token_list_append(out, &segment.id, 1)) return no_memory(err);
            continue;
        }
        struct text part = {text.data + segment.begin, segment.end - segment.begin};
        RETURN_IF_ERROR(encode_text(t, s, part, segment.begin == 0, parse_special, out, err));
    }
    return HEARTH_OK;
}

bool tokenizer_make_valid(struct text *text, struct buf *repaired) {
    if (utf8_valid(text->data, text->length)) return true;
    buf_clear(repaired);
    uint32_t code;
    for (size_t at = 0, length; at < text->length; at += length) {
        length = utf8_decode(text->data + at, text->length - at, &code);
        if (length)
            buf_append(repaired, text->data + at, length);
        else
            buf_append_text(repaired, "\xEF\xBF\xBD");
        if (!length) length = 1;
    }
    *text = (struct text){buf_text(repaired), repaired->length};
    return !repaired->failed;
}

hearth_status tokenizer_encode(const struct tokenizer *t, const char *text, size_t n,
                               bool add_special, bool parse_special, struct token_list *out,
                               hearth_error *err) {
    if (n > TOKENIZER_MAX_TEXT_BYTES)
        return error_set(err, HEARTH_ERROR_LIMIT, "text has %zu bytes, at most %d are encoded", n,
                         TOKENIZER_MAX_TEXT_BYTES);
    size_t before = out->count;
    struct scratch *s;
    RETURN_IF_ERROR(scratch_take(t, &s, err));
    struct text whole = {n ? text : "", n};
    hearth_status status = HEARTH_OK;
    if (add_special && !token_list_append(out, t->prefix.ids, t->prefix.count))
        status = no_memory(err);
    if (status == HEARTH_OK && t->needs_utf8 && !tokenizer_make_valid(&whole, &s->valid))
        status = no_memory(err);
    if (status == HEARTH_OK) status = encode_all(t, s, whole, parse_special, out, err);
    if (status == HEARTH_OK && add_special &&
        !token_list_append(out, t->suffix.ids, t->suffix.count))
        status = no_memory(err);
    scratch_give(t, s);
    if (status != HEARTH_OK) out->count = before;
    return status;
}

/* ---- the vocabulary ----------------------------------------------------------------------------
 */

static bool within(const struct tokenizer *t, int32_t id) {
    return id >= 0 && (size_t)id < vocabulary_count(&t->vocabulary);
}

size_t tokenizer_n_vocab(const struct tokenizer *t) {
    return vocabulary_count(&t->vocabulary);
}

int32_t tokenizer_role(const struct tokenizer *t, enum token_role role) {
    return role < TOKEN_ROLES ? t->roles[role] : TOKEN_NONE;
}

struct text tokenizer_text(const struct tokenizer *t, int32_t id) {
    return within(t, id) ? vocabulary_text(&t->vocabulary, (size_t)id) : (struct text){"", 0};
}

struct text tokenizer_piece(const struct tokenizer *t, int32_t id) {
    return within(t, id) ? string_table_get(&t->pieces, (size_t)id) : (struct text){"", 0};
}

int32_t tokenizer_find(const struct tokenizer *t, const char *text, size_t n) {
    return vocabulary_find(&t->vocabulary, text, n);
}

bool tokenizer_is_special(const struct tokenizer *t, int32_t id) {
    return within(t, id) && t->vocabulary.bits[id] & (TOKEN_BIT_CONTROL | TOKEN_BIT_UNKNOWN);
}

bool tokenizer_is_end_of_generation(const struct tokenizer *t, int32_t id) {
    return within(t, id) && t->vocabulary.bits[id] & TOKEN_BIT_END;
}

bool tokenizer_adds_bos(const struct tokenizer *t) {
    return t->adds_bos;
}

bool tokenizer_adds_eos(const struct tokenizer *t) {
    return t->adds_eos;
}
