/* A tokenizer from the keys tokenizer.ggml.* of a GGUF header. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "token/gguf_keys.h"
#include "token/pre_rules.h"
#include "token/tokenizer_parts.h"

/* What a kind of vocabulary means when the file does not say. */
struct gguf_kind {
    const char *name;
    hearth_status (*open)(struct tokenizer *t, const struct metadata *m, hearth_error *err);
    int32_t bos, eos, unk, sep, pad, mask;
    bool adds_bos, adds_eos, adds_sep, adds_space_prefix;
};

/* ---- tokens ------------------------------------------------------------------------- */

static hearth_status read_tokens(struct tokenizer *t, const struct metadata *m, hearth_error *err) {
    const struct meta_array *tokens = metadata_array(m, KEY "tokens");
    const struct meta_array *scores = metadata_array(m, KEY "scores");
    const struct meta_array *kinds = metadata_array(m, KEY "token_type");
    if (!tokens || tokens->type != META_STRING || tokens->count == 0)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "the vocabulary is missing: key '" KEY "tokens' is no list of strings");
    if (tokens->count > TOKENIZER_MAX_TOKENS)
        return error_set(err, HEARTH_ERROR_LIMIT, "vocabulary has %zu tokens, at most %d are read",
                         tokens->count, TOKENIZER_MAX_TOKENS);
    if (scores && scores->count < tokens->count)
        return error_set(err, HEARTH_ERROR_FORMAT, "vocabulary has %zu tokens but %zu scores",
                         tokens->count, scores->count);
    if (kinds && kinds->count < tokens->count)
        return error_set(err, HEARTH_ERROR_FORMAT, "vocabulary has %zu tokens but %zu token types",
                         tokens->count, kinds->count);
    for (size_t i = 0; i < tokens->count; i++) {
        float score = scores ? (float)meta_array_float(scores, i) : 0;
        unsigned bits = vocabulary_kind_bits(kinds ? meta_array_int(kinds, i) : TOKEN_KIND_NORMAL);
        if (!vocabulary_add(&t->vocabulary, tokens->strings[i], bits, score))
            return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %zu tokens",
                             tokens->count);
    }
    return HEARTH_OK;
}

/* ---- special tokens -------------------------------------------------------------------- */

static void set_role(struct tokenizer *t, enum token_role role, int32_t id) {
    bool exists = id >= 0 && (size_t)id < vocabulary_count(&t->vocabulary);
    t->roles[role] = exists ? id : TOKEN_NONE;
}

/* Ids outside the vocabulary (4294967295 is common) are as good as absent. */
static void read_roles(struct tokenizer *t, const struct gguf_kind *kind,
                       const struct metadata *m) {
    set_role(t, TOKEN_BOS, kind->bos);
    set_role(t, TOKEN_EOS, kind->eos);
    set_role(t, TOKEN_UNK, kind->unk);
    set_role(t, TOKEN_SEP, kind->sep);
    set_role(t, TOKEN_PAD, kind->pad);
    set_role(t, TOKEN_MASK, kind->mask);
    for (size_t i = 0; i < sizeof role_keys / sizeof *role_keys; i++) {
        uint32_t id;
        if (metadata_u32(m, role_keys[i].key, &id) && id < vocabulary_count(&t->vocabulary))
            t->roles[role_keys[i].role] = (int32_t)id;
    }
}

static void read_affixes(struct tokenizer *t, const struct metadata *m) {
    metadata_bool(m, KEY "add_bos_token", &t->adds_bos);
    metadata_bool(m, KEY "add_eos_token", &t->adds_eos);
    metadata_bool(m, KEY "add_sep_token", &t->adds_sep);
    if (strcmp(t->gguf_model, "gemma4") == 0) t->adds_bos = true; /* files say false by mistake */
    if (t->model == MODEL_WORDPIECE) return;                      /* always both */
    if (t->adds_bos && t->roles[TOKEN_BOS] >= 0)
        t->prefix.ids[t->prefix.count++] = t->roles[TOKEN_BOS];
    if (t->adds_eos && t->roles[TOKEN_EOS] >= 0)
        t->suffix.ids[t->suffix.count++] = t->roles[TOKEN_EOS];
}

static bool contains_ignoring_case(struct text text, const char *needle) {
    size_t n = strlen(needle);
    for (size_t i = 0; i + n <= text.length; i++)
        if (strncasecmp(text.data + i, needle, n) == 0) return true;
    return false;
}

/* Phi-3's tokens take the white space after them, but for three; GGUF does not carry
 * that, so it goes by the model's name. */
static void set_phi3_strip(struct tokenizer *t, const struct metadata *m) {
    struct text name;
    if (!metadata_string(m, "general.name", &name) ||
        !(contains_ignoring_case(name, "phi-3") || contains_ignoring_case(name, "phi3")))
        return;
    static const char *const exceptions[] = {"<unk>", "<s>", "<|endoftext|>"};
    uint16_t *bits = t->vocabulary.bits;
    for (size_t id = 0; id < vocabulary_count(&t->vocabulary); id++)
        if (bits[id] & (TOKEN_BIT_CONTROL | TOKEN_BIT_USER_DEFINED | TOKEN_BIT_UNKNOWN) ||
            text_equal(vocabulary_text(&t->vocabulary, id), "</s>"))
            bits[id] |= TOKEN_BIT_RSTRIP;
    for (size_t i = 0; i < sizeof exceptions / sizeof *exceptions; i++) {
        int32_t id = tokenizer_find(t, exceptions[i], strlen(exceptions[i]));
        if (id >= 0) bits[id] = (uint16_t)(bits[id] & ~(unsigned)TOKEN_BIT_RSTRIP);
    }
}

/* ---- kinds ------------------------------------------------------------------------------- */

static const struct text space = {" ", 1}, word_mark = {"\xE2\x96\x81", 3};

/* "left right", cut at the first space after the first byte. */
static struct merge_pair cut_merge(struct text merge) {
    const char *cut = merge.length > 1 ? memchr(merge.data + 1, ' ', merge.length - 1) : NULL;
    if (!cut) return (struct merge_pair){{"", 0}, {"", 0}};
    size_t left = (size_t)(cut - merge.data);
    return (struct merge_pair){{merge.data, left}, {cut + 1, merge.length - left - 1}};
}

static hearth_status open_merges(struct tokenizer *t, const struct metadata *m,
                                 struct bpe_options options, hearth_error *err) {
    const struct meta_array *merges = metadata_array(m, KEY "merges");
    if (!merges || merges->type != META_STRING)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "the vocabulary has no merges: key '" KEY "merges' is no list of strings");
    if (merges->count > TOKENIZER_MAX_MERGES)
        return error_set(err, HEARTH_ERROR_LIMIT, "vocabulary has %zu merges, at most %d are read",
                         merges->count, TOKENIZER_MAX_MERGES);
    struct merge_pair *pairs = mem_alloc_array(merges->count, sizeof *pairs);
    if (!pairs)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %zu merges", merges->count);
    for (size_t i = 0; i < merges->count; i++)
        pairs[i] = cut_merge(merges->strings[i]);
    t->model = MODEL_BPE;
    hearth_status status = bpe_open(&t->bpe, &t->vocabulary, pairs, merges->count, options, err);
    mem_free(pairs);
    return status;
}

static hearth_status open_word_mark_bpe(struct tokenizer *t, const struct metadata *m,
                                        const struct pre_name *pre, hearth_error *err) {
    t->piece_kind = PIECE_WORD_MARKS;
    t->needs_utf8 = true;
    RETURN_IF_ERROR(normalizer_add_replace(&t->normalizer, space, word_mark, err));
    RETURN_IF_ERROR(pre_add_steps(pre->rules, &t->pretokenizer, err));
    struct bpe_options options = {
        .byte_fallback = true, .whole_newlines = true, .unknown = TOKEN_NONE};
    return open_merges(t, m, options, err);
}

static hearth_status open_gemma4(struct tokenizer *t, const struct metadata *m, hearth_error *err) {
    return open_word_mark_bpe(t, m, pre_find("gemma4", 6), err);
}

static hearth_status open_gpt2(struct tokenizer *t, const struct metadata *m, hearth_error *err) {
    struct text name = {"", 0};
    metadata_string(m, KEY "pre", &name);
    const struct pre_name *pre = pre_find(name.data, name.length);
    if (!pre) {
        log_message(LOG_WARNING,
                    "the model's pre-tokenizer '%.*s' is not known: text is cut by the default "
                    "rules and the model may do worse; a newer file or program may help",
                    (int)(name.length < 60 ? name.length : 60), name.data);
        pre = pre_find("default", 7);
    }
    t->pre = mem_strdup(pre->name);
    if (!t->pre) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a tokenizer");
    t->adds_bos = pre->adds_bos;
    t->adds_sep = pre->adds_sep;
    if (pre->word_marks) return open_word_mark_bpe(t, m, pre, err);
    t->piece_kind = PIECE_BYTE_LEVEL;
    t->needs_utf8 = true;
    metadata_bool(m, NFC_KEY, &t->has_nfc);
    struct normalize_step nfc = {.kind = NORMALIZE_NFC};
    if (t->has_nfc) RETURN_IF_ERROR(normalizer_add(&t->normalizer, &nfc, err));
    RETURN_IF_ERROR(pre_add_steps(pre->rules, &t->pretokenizer, err));
    struct bpe_options options = {
        .byte_level = true, .ignore_merges = pre->ignore_merges, .unknown = TOKEN_NONE};
    return open_merges(t, m, options, err);
}

/* Pieces at the start of a word are spelt with U+2581; text goes through BERT's own
 * cleaning, with every accented letter reduced to its base. */
static hearth_status open_bert(struct tokenizer *t, const struct metadata *m, hearth_error *err) {
    t->lowercases = true;
    metadata_bool(m, KEY "normalizer.lowercase", &t->lowercases);
    t->strips_accents = t->lowercases;
    metadata_bool(m, KEY "normalizer.strip_accents", &t->strips_accents);
    struct normalize_step clean = {.kind = NORMALIZE_BERT_BASE,
                                   .lowercase = t->lowercases,
                                   .strip_accents = t->strips_accents};
    struct split_step words = {.kind = SPLIT_BERT, .cut = true};
    RETURN_IF_ERROR(normalizer_add(&t->normalizer, &clean, err));
    RETURN_IF_ERROR(pretokenizer_add(&t->pretokenizer, &words, err));
    t->model = MODEL_WORDPIECE;
    t->piece_kind = PIECE_WORDPIECE;
    t->word_start_marked = t->strips_first_space = true;
    if (t->roles[TOKEN_BOS] >= 0) t->prefix.ids[t->prefix.count++] = t->roles[TOKEN_BOS];
    if (t->roles[TOKEN_SEP] >= 0) t->suffix.ids[t->suffix.count++] = t->roles[TOKEN_SEP];
    return wordpiece_open(&t->wordpiece, &t->vocabulary, "", word_mark.data, SIZE_MAX,
                          t->roles[TOKEN_UNK], err);
}

/* Files that Hearth made from a tokenizer.json carry its merges, which are exact where
 * ranks made up as scores are only nearly so. */
static hearth_status open_llama(struct tokenizer *t, const struct metadata *m, hearth_error *err) {
    struct text source;
    if (!metadata_string(m, SOURCE_KEY, &source) || !text_equal(source, SOURCE_MERGES))
        return spm_open_bpe(t, err);
    RETURN_IF_ERROR(spm_add_marks(t, err));
    struct bpe_options options = {
        .byte_fallback = true, .fuse_unknown = true, .unknown = t->roles[TOKEN_UNK]};
    return open_merges(t, m, options, err);
}

static hearth_status open_t5(struct tokenizer *t, const struct metadata *m, hearth_error *err) {
    const struct meta_array *map = metadata_array(m, KEY "precompiled_charsmap");
    if (map && meta_type_bytes(map->type) != 1)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "key '" KEY "precompiled_charsmap' is no array of bytes");
    struct text bytes = {map ? map->data : "", map ? map->count : 0};
    return spm_open_unigram(t, bytes, false, false, err);
}

static const struct gguf_kind kinds[] = {
    {"bert", open_bert, 101, -1, 100, 102, 0, 103, true, false, true, false},
    {"t5", open_t5, -1, 1, 2, -1, 0, -1, false, true, false, false},
    {"gpt2", open_gpt2, -1, -1, -1, -1, -1, -1, false, false, false, false},
    {"gemma4", open_gemma4, -1, -1, -1, -1, -1, -1, true, false, false, false},
    {"llama", open_llama, 1, 2, 0, -1, -1, -1, true, false, false, true},
};

static const struct gguf_kind *find_kind(struct text name) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (text_equal(name, kinds[i].name)) return &kinds[i];
    return NULL;
}

static hearth_status open_kind(struct tokenizer *t, const struct gguf_kind *kind,
                               const struct metadata *m, hearth_error *err) {
    snprintf(t->gguf_model, sizeof t->gguf_model, "%s", kind->name);
    t->adds_bos = kind->adds_bos;
    t->adds_eos = kind->adds_eos;
    t->adds_sep = kind->adds_sep;
    t->adds_space_prefix = kind->adds_space_prefix;
    metadata_bool(m, KEY "add_space_prefix", &t->adds_space_prefix);
    metadata_bool(m, KEY "remove_extra_whitespaces", &t->removes_extra_spaces);
    RETURN_IF_ERROR(read_tokens(t, m, err));
    read_roles(t, kind, m);
    tokenizer_mark_ends(t);
    set_phi3_strip(t, m);
    RETURN_IF_ERROR(kind->open(t, m, err));
    read_affixes(t, m);
    return tokenizer_finish(t, err);
}

static void read_row(const struct tokenizer *t, const struct metadata *m, const char *key,
                     struct id_row *row) {
    const struct meta_array *ids = metadata_array(m, key);
    row->count = 0;
    for (size_t i = 0; ids && i < ids->count && row->count < TOKENIZER_MAX_AFFIX; i++) {
        int64_t id = meta_array_int(ids, i);
        if (id >= 0 && (uint64_t)id < vocabulary_count(&t->vocabulary))
            row->ids[row->count++] = (int32_t)id;
    }
}

/* A file that Hearth made from a tokenizer.json whose rules GGUF has no name for. */
static hearth_status open_kept_json(struct tokenizer **out, const struct metadata *m,
                                    hearth_error *err) {
    static const struct gguf_kind no_defaults = {"", NULL, -1,    -1,    -1,    -1,
                                                 -1, -1,   false, false, false, false};
    struct text json;
    if (!metadata_string(m, JSON_KEY, &json))
        return error_set(err, HEARTH_ERROR_FORMAT, "key '" JSON_KEY "' is missing");
    RETURN_IF_ERROR(tokenizer_open_json(out, json.data, json.length, NULL, 0, err));
    struct tokenizer *t = *out;
    read_roles(t, &no_defaults, m); /* what its tokenizer_config.json had said */
    tokenizer_mark_ends(t);
    read_row(t, m, PREFIX_KEY, &t->prefix);
    read_row(t, m, SUFFIX_KEY, &t->suffix);
    metadata_bool(m, KEY "add_bos_token", &t->adds_bos);
    metadata_bool(m, KEY "add_eos_token", &t->adds_eos);
    metadata_bool(m, KEY "add_sep_token", &t->adds_sep);
    return HEARTH_OK;
}

hearth_status tokenizer_open(struct tokenizer **out, const struct metadata *m, hearth_error *err) {
    *out = NULL;
    struct text name;
    if (metadata_string(m, SOURCE_KEY, &name) && text_equal(name, SOURCE_JSON))
        return open_kept_json(out, m, err);
    if (!metadata_string(m, KEY "model", &name) || text_equal(name, "no_vocab") ||
        text_equal(name, "none"))
        return error_set(err, HEARTH_ERROR_NOT_FOUND, "the model file has no vocabulary");
    const struct gguf_kind *kind = find_kind(name);
    if (!kind)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "vocabulary of kind '%.*s' is not supported",
                         (int)(name.length < 40 ? name.length : 40), name.data);
    struct tokenizer *t = tokenizer_new(err);
    if (!t) return HEARTH_ERROR_NO_MEMORY;
    hearth_status status = open_kind(t, kind, m, err);
    if (status == HEARTH_OK)
        *out = t;
    else
        tokenizer_close(t);
    return status;
}
