/* A trained vocabulary as tokenizer.json and tokenizer_config.json. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "token/bpe_train_parts.h"
#include "token/utf8.h"

/* A character of the byte alphabet takes at most two bytes. */
enum { MAX_SPELLING_BYTES = 2 * BPE_TRAIN_MAX_WORD_BYTES + 1 };

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to write the vocabulary");
}

/* The symbol in the byte alphabet, NUL-terminated; returns where it ends. */
static char *spell(const struct bpe_trainer *t, uint32_t symbol, char *out) {
    struct text raw = string_table_get(&t->spellings, symbol);
    for (size_t i = 0; i < raw.length; i++)
        out += utf8_encode(byte_alphabet_char((unsigned char)raw.data[i]), out);
    *out = '\0';
    return out;
}

static json_t *vocabulary_json(const struct bpe_trainer *t) {
    json_t *vocab = json_object();
    char spelling[MAX_SPELLING_BYTES];
    for (size_t i = 0; i < t->spellings.count; i++) {
        spell(t, (uint32_t)i, spelling);
        json_object_set_new(vocab, spelling, json_integer((json_int_t)i));
    }
    return vocab;
}

static json_t *merges_json(const struct bpe_trainer *t) {
    json_t *merges = json_array();
    char line[2 * MAX_SPELLING_BYTES];
    for (size_t i = 0; i < t->n_merges; i++) {
        char *end = spell(t, t->merges[i].left, line);
        *end++ = ' ';
        spell(t, t->merges[i].right, end);
        json_array_append_new(merges, json_string(line));
    }
    return merges;
}

static json_t *added_json(const struct bpe_trainer *t) {
    json_t *list = json_array();
    for (size_t i = 0; i < vocabulary_count(&t->added); i++) {
        struct text spelling = vocabulary_text(&t->added, i);
        int is_control = (t->added.bits[i] & TOKEN_BIT_CONTROL) != 0;
        json_array_append_new(list,
                              json_pack("{s:I, s:s%, s:b, s:b, s:b, s:b, s:b}", "id",
                                        (json_int_t)(t->spellings.count + i), "content",
                                        spelling.data, spelling.length, "single_word", 0, "lstrip",
                                        0, "rstrip", 0, "normalized", 0, "special", is_control));
    }
    return list;
}

static json_t *pretokenizer_json(const struct bpe_trainer *t) {
    json_t *steps = json_array();
    for (size_t i = 0; i < PRE_MAX_STEPS && t->pre->rules->patterns[i]; i++)
        json_array_append_new(steps, json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split",
                                               "pattern", "Regex", t->pre->rules->patterns[i],
                                               "behavior", "Isolated", "invert", 0));
    json_array_append_new(steps,
                          json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space",
                                    0, "trim_offsets", 0, "use_regex", 0));
    return json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", steps);
}

static json_t *tokenizer_json(const struct bpe_trainer *t) {
    json_t *model =
        json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout",
                  "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0,
                  "byte_fallback", 0, "ignore_merges", (int)t->pre->ignore_merges, "vocab",
                  vocabulary_json(t), "merges", merges_json(t));
    return json_pack("{s:s, s:n, s:n, s:o, s:n, s:o, s:n, s:{s:s, s:b, s:b, s:b}, s:o}", "version",
                     "1.0", "truncation", "padding", "added_tokens", added_json(t), "normalizer",
                     "pre_tokenizer", pretokenizer_json(t), "post_processor", "decoder", "type",
                     "ByteLevel", "add_prefix_space", 0, "trim_offsets", 0, "use_regex", 0, "model",
                     model);
}

static json_t *config_json(const struct bpe_trainer *t) {
    json_t *config = json_pack("{s:s, s:b, s:b, s:b, s:n, s:n}", "tokenizer_class",
                               "PreTrainedTokenizerFast", "add_bos_token", 0, "add_eos_token", 0,
                               "clean_up_tokenization_spaces", 0, "bos_token", "unk_token");
    if (t->eos < 0) return config;
    struct text eos = vocabulary_text(&t->added, (size_t)t->eos);
    json_object_set_new(config, "eos_token", json_stringn(eos.data, eos.length));
    return config;
}

/* Takes the JSON; a part that could not be made shows as NULL. */
static hearth_status dump(json_t *root, char **out, hearth_error *err) {
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    *out = text ? mem_strdup(text) : NULL;
    free(text); /* jansson's own allocator */
    json_decref(root);
    return *out ? HEARTH_OK : no_memory(err);
}

hearth_status bpe_trainer_json(const struct bpe_trainer *t, char **json, char **config,
                               hearth_error *err) {
    *config = NULL;
    RETURN_IF_ERROR(dump(tokenizer_json(t), json, err));
    hearth_status status = dump(config_json(t), config, err);
    if (status == HEARTH_OK) return HEARTH_OK;
    mem_free(*json);
    *json = NULL;
    return status;
}
