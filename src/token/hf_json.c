/* A tokenizer from tokenizer.json (Hugging Face tokenizers, format 1.0). */
#include "token/hf_json.h"

#include <string.h>

#include "base/mem.h"
#include "token/pre_rules.h"

const char *hf_string(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

struct text hf_text(const json_t *value) {
    return (struct text){json_is_string(value) ? json_string_value(value) : "",
                         json_string_length(value)};
}

bool hf_bool(const json_t *object, const char *key, bool fallback) {
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : fallback;
}

bool hf_type_is(const json_t *object, const char *type) {
    const char *found = hf_string(object, "type");
    return found && strcmp(found, type) == 0;
}

/* ---- the name a GGUF file would give this --------------------------------------------- */

/* GGUF knows added tokens without options, one token before and one after a sequence. */
static bool is_usual(const struct hf_reader *r) {
    const struct tokenizer *t = r->t;
    unsigned unusual = TOKEN_BIT_LSTRIP | TOKEN_BIT_RSTRIP | TOKEN_BIT_SINGLE_WORD;
    if (r->prepends_mark || r->replaces_spaces) unusual |= TOKEN_BIT_NORMALIZED;
    for (size_t id = 0; id < vocabulary_count(&t->vocabulary); id++)
        if (t->vocabulary.bits[id] & unusual) return false;
    return t->prefix.count == (size_t)t->adds_bos && t->suffix.count == (size_t)t->adds_eos;
}

static hearth_status set_name(struct tokenizer *t, const char *model, const char *pre,
                              hearth_error *err) {
    memcpy(t->gguf_model, model, strlen(model) + 1);
    t->pre = mem_strdup(pre);
    return t->pre ? HEARTH_OK : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a tokenizer");
}

static bool spells_spaces_as_marks(const struct hf_reader *r) {
    return r->replaces_spaces && !r->other_normal && !r->other_cuts && !r->nfc &&
           r->t->piece_kind == PIECE_WORD_MARKS;
}

/* Sets gguf_model, and `pre` if GGUF's keys say all there is to say. */
static hearth_status name_rules(struct hf_reader *r, hearth_error *err) {
    struct tokenizer *t = r->t;
    bool usual = is_usual(r);
    if (t->model == MODEL_BPE && r->byte_level) {
        memcpy(t->gguf_model, "gpt2", 5);
        const struct pre_name *pre =
            pre_find_patterns(r->patterns, r->n_patterns, bpe_get_options(t->bpe).ignore_merges);
        if (!pre || r->other_cuts || r->other_normal || !usual) return HEARTH_OK;
        t->has_nfc = r->nfc;
        return set_name(t, "gpt2", pre->name, err);
    }
    if (t->model == MODEL_BPE && spells_spaces_as_marks(r) && r->n_patterns == 0 && usual &&
        bpe_get_options(t->bpe).byte_fallback && !bpe_get_options(t->bpe).ignore_merges) {
        t->adds_space_prefix = r->prepends_mark;
        return set_name(t, "llama", "default", err);
    }
    const char *model = t->model == MODEL_BPE         ? "llama"
                        : t->model == MODEL_WORDPIECE ? "bert"
                                                      : "t5";
    memcpy(t->gguf_model, model, strlen(model) + 1);
    return HEARTH_OK;
}

/* ---- opening ------------------------------------------------------------------------------ */

static hearth_status read_parts(struct hf_reader *r, const json_t *root, const json_t *config,
                                hearth_error *err) {
    struct tokenizer *t = r->t;
    t->needs_utf8 = true;
    t->added.leftmost = t->added_normalized.leftmost = true;
    RETURN_IF_ERROR(hf_read_vocabulary(r, root, err));
    RETURN_IF_ERROR(hf_read_normalizer(r, json_object_get(root, "normalizer"), 0, err));
    RETURN_IF_ERROR(hf_read_pretokenizer(r, json_object_get(root, "pre_tokenizer"), 0, err));
    RETURN_IF_ERROR(hf_read_decoder(r, json_object_get(root, "decoder"), 0, err));
    RETURN_IF_ERROR(hf_read_postprocessor(r, json_object_get(root, "post_processor"), 0, err));
    hf_read_config(r, config);
    RETURN_IF_ERROR(hf_read_model(r, json_object_get(root, "model"), err));
    tokenizer_mark_ends(t);
    return name_rules(r, err);
}

static hearth_status keep_json(struct tokenizer *t, const char *json, size_t n, hearth_error *err) {
    if (t->pre) return HEARTH_OK;
    t->json = mem_strndup(json, n);
    t->json_length = n;
    return t->json ? HEARTH_OK
                   : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for tokenizer.json");
}

static hearth_status parse(json_t **root, const char *json, size_t n, const char *name,
                           hearth_error *err) {
    *root = NULL;
    if (n > HF_MAX_JSON_BYTES)
        return error_set(err, HEARTH_ERROR_LIMIT, "%s has %zu bytes, at most %d are read", name, n,
                         HF_MAX_JSON_BYTES);
    json_error_t problem;
    *root = json_loadb(json, n, JSON_ALLOW_NUL, &problem);
    if (!*root)
        return error_set(err, HEARTH_ERROR_FORMAT, "%s is not JSON: line %d: %s", name,
                         problem.line, problem.text);
    if (json_is_object(*root)) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_FORMAT, "%s is not an object", name);
}

hearth_status tokenizer_open_json(struct tokenizer **out, const char *tokenizer_json,
                                  size_t tokenizer_json_bytes, const char *tokenizer_config_json,
                                  size_t tokenizer_config_json_bytes, hearth_error *err) {
    *out = NULL;
    json_t *root = NULL, *config = NULL;
    struct hf_reader reader = {.t = tokenizer_new(err)};
    hearth_status status = reader.t ? HEARTH_OK : HEARTH_ERROR_NO_MEMORY;
    if (status == HEARTH_OK)
        status = parse(&root, tokenizer_json, tokenizer_json_bytes, "tokenizer.json", err);
    if (status == HEARTH_OK && tokenizer_config_json)
        status = parse(&config, tokenizer_config_json, tokenizer_config_json_bytes,
                       "tokenizer_config.json", err);
    if (status == HEARTH_OK) status = read_parts(&reader, root, config, err);
    if (status == HEARTH_OK)
        status = keep_json(reader.t, tokenizer_json, tokenizer_json_bytes, err);
    if (status == HEARTH_OK) status = tokenizer_finish(reader.t, err);
    json_decref(root);
    json_decref(config);
    if (status == HEARTH_OK)
        *out = reader.t;
    else
        tokenizer_close(reader.t);
    return status;
}
