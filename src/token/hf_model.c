/* The `model` and `added_tokens` of a tokenizer.json. */
#include <string.h>

#include "base/mem.h"
#include "token/hf_json.h"

enum {
    /* Ids may have gaps, but not so many that a small file fills the memory. */
    HF_MAX_GAP_FACTOR = 4,
    HF_MIN_ID_LIMIT = 65536,
    HF_DEFAULT_MAX_WORD_CHARS = 100
};

/* ---- tokens by id ------------------------------------------------------------------------ */

struct slot {
    struct text text;
    unsigned bits;
    float score;
};

struct slots {
    struct slot *items;
    size_t count;
};

static bool note_id(const json_t *id, json_int_t *highest) {
    if (!json_is_integer(id) || json_integer_value(id) < 0) return false;
    if (json_integer_value(id) > *highest) *highest = json_integer_value(id);
    return true;
}

/* The number of slots: one more than the highest id of vocabulary and added tokens. */
static hearth_status count_slots(const json_t *vocab, const json_t *added, size_t *count,
                                 hearth_error *err) {
    json_int_t highest = -1;
    bool ok = true;
    const char *key;
    json_t *value;
    size_t i, n_tokens = json_array_size(added);
    if (json_is_array(vocab)) {
        highest = (json_int_t)json_array_size(vocab) - 1;
        n_tokens += json_array_size(vocab);
    } else {
        json_object_foreach((json_t *)(uintptr_t)vocab, key, value) ok =
            ok && note_id(value, &highest);
        n_tokens += json_object_size(vocab);
    }
    json_array_foreach(added, i, value) ok = ok && note_id(json_object_get(value, "id"), &highest);
    if (!ok)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "tokenizer.json has a token whose id is not a number from 0 on");
    if (highest < 0) return error_set(err, HEARTH_ERROR_FORMAT, "tokenizer.json has no vocabulary");
    if (highest >= TOKENIZER_MAX_TOKENS ||
        (size_t)highest > n_tokens * HF_MAX_GAP_FACTOR + HF_MIN_ID_LIMIT)
        return error_set(err, HEARTH_ERROR_LIMIT,
                         "tokenizer.json has token id %lld with only %zu tokens",
                         (long long)highest, n_tokens);
    *count = (size_t)highest + 1;
    return HEARTH_OK;
}

static hearth_status fill_list(struct slots *slots, const json_t *vocab, hearth_error *err) {
    size_t i;
    json_t *entry;
    json_array_foreach(vocab, i, entry) {
        const json_t *score = json_array_get(entry, 1);
        if (!json_is_string(json_array_get(entry, 0)) || !json_is_number(score))
            return error_set(err, HEARTH_ERROR_FORMAT,
                             "entry %zu of the vocabulary is no pair of token and score", i);
        slots->items[i] = (struct slot){hf_text(json_array_get(entry, 0)), TOKEN_BIT_NORMAL,
                                        (float)json_number_value(score)};
    }
    return HEARTH_OK;
}

static void fill_map(struct slots *slots, const json_t *vocab) {
    const char *key;
    json_t *id;
    json_object_foreach((json_t *)(uintptr_t)vocab, key, id) {
        slots->items[json_integer_value(id)] =
            (struct slot){{key, strlen(key)}, TOKEN_BIT_NORMAL, 0};
    }
}

static void fill_added(struct slots *slots, const json_t *added) {
    size_t i;
    json_t *token;
    json_array_foreach(added, i, token) {
        struct slot *slot = &slots->items[json_integer_value(json_object_get(token, "id"))];
        slot->text = hf_text(json_object_get(token, "content"));
        bool is_special = hf_bool(token, "special", false);
        slot->bits = TOKEN_BIT_ADDED | (is_special ? TOKEN_BIT_CONTROL : TOKEN_BIT_USER_DEFINED);
        if (hf_bool(token, "lstrip", false)) slot->bits |= TOKEN_BIT_LSTRIP;
        if (hf_bool(token, "rstrip", false)) slot->bits |= TOKEN_BIT_RSTRIP;
        if (hf_bool(token, "single_word", false)) slot->bits |= TOKEN_BIT_SINGLE_WORD;
        if (hf_bool(token, "normalized", !is_special)) slot->bits |= TOKEN_BIT_NORMALIZED;
    }
}

static hearth_status store(struct tokenizer *t, const struct slots *slots, bool byte_fallback,
                           hearth_error *err) {
    for (size_t id = 0; id < slots->count; id++) {
        struct slot slot = slots->items[id];
        if (slot.bits == 0) slot.bits = TOKEN_BIT_UNUSED;
        if (byte_fallback && slot.bits == TOKEN_BIT_NORMAL && vocabulary_byte_value(slot.text) >= 0)
            slot.bits = TOKEN_BIT_BYTE;
        if (!vocabulary_add(&t->vocabulary, slot.text, slot.bits, slot.score))
            return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %zu tokens", slots->count);
    }
    return HEARTH_OK;
}

hearth_status hf_read_vocabulary(struct hf_reader *r, const json_t *root, hearth_error *err) {
    const json_t *model = json_object_get(root, "model");
    const json_t *vocab = json_object_get(model, "vocab");
    const json_t *added = json_object_get(root, "added_tokens");
    if (!json_is_object(vocab) && !json_is_array(vocab))
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "tokenizer.json has no vocabulary: 'model.vocab' is missing");
    struct slots slots = {0};
    RETURN_IF_ERROR(count_slots(vocab, added, &slots.count, err));
    slots.items = mem_calloc(slots.count, sizeof *slots.items);
    if (!slots.items)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %zu tokens", slots.count);
    for (size_t i = 0; i < slots.count; i++)
        slots.items[i].text = (struct text){"", 0};
    hearth_status status = HEARTH_OK;
    if (json_is_array(vocab))
        status = fill_list(&slots, vocab, err);
    else
        fill_map(&slots, vocab);
    fill_added(&slots, added);
    if (status == HEARTH_OK)
        status = store(r->t, &slots, hf_bool(model, "byte_fallback", false), err);
    mem_free(slots.items);
    return status;
}

/* ---- models -------------------------------------------------------------------------------- */

static int32_t find_token(const struct tokenizer *t, const char *text) {
    return text ? vocabulary_find(&t->vocabulary, text, strlen(text)) : TOKEN_NONE;
}

/* "left right" or ["left", "right"]. */
static bool read_merge(const json_t *merge, struct merge_pair *pair) {
    if (json_is_array(merge) && json_array_size(merge) == 2) {
        *pair = (struct merge_pair){hf_text(json_array_get(merge, 0)),
                                    hf_text(json_array_get(merge, 1))};
        return true;
    }
    struct text whole = hf_text(merge);
    const char *cut = whole.length ? memchr(whole.data, ' ', whole.length) : NULL;
    if (!cut) return false;
    size_t left = (size_t)(cut - whole.data);
    *pair = (struct merge_pair){{whole.data, left}, {cut + 1, whole.length - left - 1}};
    return true;
}

static hearth_status open_merges(struct tokenizer *t, const json_t *merges,
                                 struct bpe_options options, hearth_error *err) {
    size_t n = json_array_size(merges);
    if (n > TOKENIZER_MAX_MERGES)
        return error_set(err, HEARTH_ERROR_LIMIT, "tokenizer.json has %zu merges, at most %d", n,
                         TOKENIZER_MAX_MERGES);
    struct merge_pair *pairs = mem_alloc_array(n, sizeof *pairs);
    if (!pairs) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %zu merges", n);
    hearth_status status = HEARTH_OK;
    for (size_t i = 0; i < n && status == HEARTH_OK; i++)
        if (!read_merge(json_array_get(merges, i), &pairs[i]))
            status = error_set(err, HEARTH_ERROR_FORMAT,
                               "merge %zu of tokenizer.json is no pair of tokens", i);
    if (status == HEARTH_OK) status = bpe_open(&t->bpe, &t->vocabulary, pairs, n, options, err);
    mem_free(pairs);
    return status;
}

static hearth_status open_bpe(struct hf_reader *r, const json_t *model, hearth_error *err) {
    static const char *const refused[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (int i = 0; i < 2; i++) {
        const char *value = hf_string(model, refused[i]);
        if (value && *value)
            return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                             "tokenizer.json uses '%s', which is not supported", refused[i]);
    }
    struct tokenizer *t = r->t;
    int32_t unknown = find_token(t, hf_string(model, "unk_token"));
    if (unknown >= 0) t->roles[TOKEN_UNK] = unknown;
    struct bpe_options options = {.byte_level = r->byte_level,
                                  .byte_fallback = hf_bool(model, "byte_fallback", false),
                                  .ignore_merges = hf_bool(model, "ignore_merges", false),
                                  .fuse_unknown = hf_bool(model, "fuse_unk", false),
                                  .unknown = unknown};
    t->model = MODEL_BPE;
    return open_merges(t, json_object_get(model, "merges"), options, err);
}

static hearth_status open_unigram(struct hf_reader *r, const json_t *model, hearth_error *err) {
    struct tokenizer *t = r->t;
    const json_t *unknown = json_object_get(model, "unk_id");
    if (json_is_integer(unknown) && json_integer_value(unknown) >= 0 &&
        json_integer_value(unknown) < (json_int_t)vocabulary_count(&t->vocabulary))
        t->roles[TOKEN_UNK] = (int32_t)json_integer_value(unknown);
    t->model = MODEL_UNIGRAM;
    return unigram_open(&t->unigram, &t->vocabulary, t->roles[TOKEN_UNK],
                        hf_bool(model, "byte_fallback", false), err);
}

static hearth_status open_wordpiece(struct hf_reader *r, const json_t *model, hearth_error *err) {
    struct tokenizer *t = r->t;
    const char *continuation = hf_string(model, "continuing_subword_prefix");
    const char *unknown = hf_string(model, "unk_token");
    const json_t *longest = json_object_get(model, "max_input_chars_per_word");
    json_int_t max_chars =
        json_is_integer(longest) ? json_integer_value(longest) : HF_DEFAULT_MAX_WORD_CHARS;
    t->roles[TOKEN_UNK] = find_token(t, unknown ? unknown : "[UNK]");
    t->model = MODEL_WORDPIECE;
    return wordpiece_open(&t->wordpiece, &t->vocabulary, continuation ? continuation : "##", "",
                          max_chars > 0 ? (size_t)max_chars : 0, t->roles[TOKEN_UNK], err);
}

static hearth_status open_words(struct hf_reader *r, const json_t *model) {
    r->t->roles[TOKEN_UNK] = find_token(r->t, hf_string(model, "unk_token"));
    r->t->model = MODEL_WORDS;
    return HEARTH_OK;
}

/* Files older than the `type` key are told by what they hold. */
static const char *model_type(const json_t *model) {
    const char *type = hf_string(model, "type");
    if (type) return type;
    if (json_object_get(model, "merges")) return "BPE";
    if (json_is_array(json_object_get(model, "vocab"))) return "Unigram";
    return json_object_get(model, "continuing_subword_prefix") ? "WordPiece" : "WordLevel";
}

hearth_status hf_read_model(struct hf_reader *r, const json_t *model, hearth_error *err) {
    const char *type = model_type(model);
    bool has_scores = json_is_array(json_object_get(model, "vocab"));
    if (strcmp(type, "Unigram") == 0 ? !has_scores : has_scores)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "the vocabulary of this '%.40s' tokenizer.json has the wrong form", type);
    if (r->byte_level && strcmp(type, "BPE") != 0)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "a byte-level pre-tokenizer with a '%.40s' model is not supported", type);
    if (strcmp(type, "BPE") == 0) return open_bpe(r, model, err);
    if (strcmp(type, "Unigram") == 0) return open_unigram(r, model, err);
    if (strcmp(type, "WordPiece") == 0) return open_wordpiece(r, model, err);
    if (strcmp(type, "WordLevel") == 0) return open_words(r, model);
    return error_set(err, HEARTH_ERROR_UNSUPPORTED, "tokenizer model '%.40s' is not supported",
                     type);
}
