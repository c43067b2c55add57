/* The keys tokenizer.ggml.* that make an equal tokenizer. */
#include <string.h>

#include "base/mem.h"
#include "token/gguf_keys.h"
#include "token/tokenizer_parts.h"

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to write the vocabulary");
}

/* A list of strings end to end in one buffer. */
struct strings {
    struct buf bytes;
    struct text *items;
    size_t count;
};

static bool strings_open(struct strings *s, size_t capacity) {
    buf_init(&s->bytes, SIZE_MAX / 2);
    s->items = mem_alloc_array(capacity, sizeof *s->items);
    s->count = 0;
    return s->items != NULL;
}

/* The bytes appended since the last call are one string. */
static void strings_end(struct strings *s, size_t begin) {
    s->items[s->count++].length = s->bytes.length - begin;
}

static hearth_status strings_write(struct strings *s, struct metadata *m, const char *key,
                                   hearth_error *err) {
    const char *at = buf_text(&s->bytes);
    for (size_t i = 0; i < s->count; at += s->items[i++].length)
        s->items[i].data = at;
    return s->bytes.failed ? no_memory(err) : metadata_set_strings(m, key, s->items, s->count, err);
}

static void strings_close(struct strings *s) {
    buf_release(&s->bytes);
    mem_free(s->items);
}

/* ---- tokens -------------------------------------------------------------------------------- */

/* GGUF marks the start of words, "##" the inside. */
static void append_wordpiece(const struct tokenizer *t, size_t id, struct buf *out) {
    struct text text = vocabulary_text(&t->vocabulary, id);
    size_t n = t->continuation ? strlen(t->continuation) : 0;
    bool is_word = t->vocabulary.bits[id] & TOKEN_BIT_NORMAL;
    if (is_word && n && text.length > n && memcmp(text.data, t->continuation, n) == 0)
        buf_append(out, text.data + n, text.length - n);
    else {
        if (is_word) buf_append_text(out, "\xE2\x96\x81");
        buf_append(out, text.data, text.length);
    }
}

static hearth_status write_tokens(const struct tokenizer *t, struct metadata *m,
                                  hearth_error *err) {
    struct strings tokens;
    size_t n = vocabulary_count(&t->vocabulary);
    bool respell = t->model == MODEL_WORDPIECE && !t->word_start_marked;
    bool ok = strings_open(&tokens, n);
    for (size_t id = 0; ok && id < n; id++) {
        struct text text = vocabulary_text(&t->vocabulary, id);
        size_t begin = tokens.bytes.length;
        if (text.length == 0)
            buf_append_format(&tokens.bytes, "[PAD%zu]", id);
        else if (respell)
            append_wordpiece(t, id, &tokens.bytes);
        else
            buf_append(&tokens.bytes, text.data, text.length);
        strings_end(&tokens, begin);
    }
    hearth_status status = ok ? strings_write(&tokens, m, KEY "tokens", err) : no_memory(err);
    strings_close(&tokens);
    return status;
}

static bool has_word_mark(struct text text) {
    return memmem(text.data, text.length, "\xE2\x96\x81", 3) != NULL;
}

static hearth_status write_kinds(const struct tokenizer *t, struct metadata *m, hearth_error *err) {
    size_t n = vocabulary_count(&t->vocabulary);
    int32_t *kinds = mem_alloc_array(n, sizeof *kinds);
    if (!kinds) return no_memory(err);
    for (size_t id = 0; id < n; id++) {
        kinds[id] = (int32_t)vocabulary_bits_kind(t->vocabulary.bits[id]);
        /* Added tokens that are runs of U+2581 are never met in text as written. */
        if (kinds[id] == TOKEN_KIND_USER_DEFINED && t->added.leftmost &&
            t->piece_kind == PIECE_WORD_MARKS && has_word_mark(vocabulary_text(&t->vocabulary, id)))
            kinds[id] = TOKEN_KIND_NORMAL;
    }
    hearth_status status = metadata_set_array(m, KEY "token_type", META_I32, kinds, n, err);
    mem_free(kinds);
    return status;
}

/* A token made by merges has the place of the first merge that makes it as its score. */
static void score_by_merges(const struct tokenizer *t, float *scores, struct buf *joined) {
    for (size_t i = bpe_n_merges(t->bpe); i-- > 0;) {
        struct text left, right;
        if (!bpe_merge_at(t->bpe, i, &left, &right)) continue;
        buf_clear(joined);
        buf_append(joined, left.data, left.length);
        buf_append(joined, right.data, right.length);
        int32_t id = vocabulary_find(&t->vocabulary, buf_text(joined), joined->length);
        if (id >= 0) scores[id] = -(float)i;
    }
}

static hearth_status write_scores(const struct tokenizer *t, struct metadata *m,
                                  hearth_error *err) {
    size_t n = vocabulary_count(&t->vocabulary);
    float *scores = mem_alloc_array(n, sizeof *scores);
    if (!scores) return no_memory(err);
    memcpy(scores, t->vocabulary.scores, n * sizeof *scores);
    struct buf joined;
    buf_init(&joined, SIZE_MAX / 2);
    if (t->model == MODEL_BPE && !bpe_is_scored(t->bpe)) {
        for (size_t id = 0; id < n; id++)
            scores[id] = -1e9f;
        score_by_merges(t, scores, &joined);
    }
    hearth_status status = metadata_set_array(m, KEY "scores", META_F32, scores, n, err);
    buf_release(&joined);
    mem_free(scores);
    return status;
}

static hearth_status write_merges(const struct tokenizer *t, struct metadata *m,
                                  hearth_error *err) {
    struct strings merges;
    size_t n = bpe_n_merges(t->bpe);
    bool ok = strings_open(&merges, n);
    for (size_t i = 0; ok && i < n; i++) {
        struct text left, right;
        size_t begin = merges.bytes.length;
        if (!bpe_merge_at(t->bpe, i, &left, &right)) continue;
        buf_append(&merges.bytes, left.data, left.length);
        buf_append_char(&merges.bytes, ' ');
        buf_append(&merges.bytes, right.data, right.length);
        strings_end(&merges, begin);
    }
    hearth_status status = ok ? strings_write(&merges, m, KEY "merges", err) : no_memory(err);
    strings_close(&merges);
    return status;
}

/* ---- the rest ----------------------------------------------------------------------------------
 */

static hearth_status write_roles(const struct tokenizer *t, struct metadata *m, hearth_error *err) {
    for (size_t i = N_OLD_ROLE_KEYS; i < N_ROLE_KEYS; i++) {
        int32_t id = t->roles[role_keys[i].role];
        if (id >= 0)
            RETURN_IF_ERROR(
                metadata_set_uint(m, role_keys[i].key, META_U32, (uint64_t)(uint32_t)id, err));
    }
    RETURN_IF_ERROR(metadata_set_bool(m, KEY "add_bos_token", t->adds_bos, err));
    RETURN_IF_ERROR(metadata_set_bool(m, KEY "add_eos_token", t->adds_eos, err));
    if (t->adds_sep) RETURN_IF_ERROR(metadata_set_bool(m, KEY "add_sep_token", true, err));
    return HEARTH_OK;
}

static hearth_status write_spaces(const struct tokenizer *t, struct metadata *m,
                                  hearth_error *err) {
    RETURN_IF_ERROR(metadata_set_bool(m, KEY "add_space_prefix", t->adds_space_prefix, err));
    RETURN_IF_ERROR(
        metadata_set_bool(m, KEY "remove_extra_whitespaces", t->removes_extra_spaces, err));
    if (!t->charsmap) return HEARTH_OK;
    return metadata_set_array(m, KEY "precompiled_charsmap", META_U8, t->charsmap,
                              t->charsmap_length, err);
}

static hearth_status write_model(const struct tokenizer *t, struct metadata *m, hearth_error *err) {
    bool has_merges = t->model == MODEL_BPE && !bpe_is_scored(t->bpe);
    bool is_llama = strcmp(t->gguf_model, "llama") == 0;
    if (is_llama || t->model == MODEL_UNIGRAM) {
        RETURN_IF_ERROR(write_scores(t, m, err));
        RETURN_IF_ERROR(write_spaces(t, m, err));
    }
    if (has_merges) RETURN_IF_ERROR(write_merges(t, m, err));
    if (has_merges && is_llama && !t->json)
        RETURN_IF_ERROR(
            metadata_set_string(m, SOURCE_KEY, SOURCE_MERGES, sizeof SOURCE_MERGES - 1, err));
    if (t->has_nfc) RETURN_IF_ERROR(metadata_set_bool(m, NFC_KEY, true, err));
    if (t->model != MODEL_WORDPIECE || !t->word_start_marked) return HEARTH_OK;
    RETURN_IF_ERROR(metadata_set_bool(m, KEY "normalizer.lowercase", t->lowercases, err));
    return metadata_set_bool(m, KEY "normalizer.strip_accents", t->strips_accents, err);
}

static hearth_status write_json(const struct tokenizer *t, struct metadata *m, hearth_error *err) {
    if (!t->json) return HEARTH_OK;
    RETURN_IF_ERROR(metadata_set_string(m, JSON_KEY, t->json, t->json_length, err));
    RETURN_IF_ERROR(metadata_set_string(m, SOURCE_KEY, SOURCE_JSON, sizeof SOURCE_JSON - 1, err));
    RETURN_IF_ERROR(
        metadata_set_array(m, PREFIX_KEY, META_I32, t->prefix.ids, t->prefix.count, err));
    return metadata_set_array(m, SUFFIX_KEY, META_I32, t->suffix.ids, t->suffix.count, err);
}

hearth_status tokenizer_to_metadata(const struct tokenizer *t, struct metadata *m,
                                    hearth_error *err) {
    const char *pre = t->pre ? t->pre : "default";
    RETURN_IF_ERROR(metadata_set_string(m, KEY "model", t->gguf_model, strlen(t->gguf_model), err));
    RETURN_IF_ERROR(metadata_set_string(m, KEY "pre", pre, strlen(pre), err));
    RETURN_IF_ERROR(write_tokens(t, m, err));
    RETURN_IF_ERROR(write_kinds(t, m, err));
    RETURN_IF_ERROR(write_model(t, m, err));
    RETURN_IF_ERROR(write_roles(t, m, err));
    return write_json(t, m, err);
}
