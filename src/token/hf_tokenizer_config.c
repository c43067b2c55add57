/* Special tokens: the post-processor of tokenizer.json, and tokenizer_config.json. */
#include <string.h>

#include "token/hf_json.h"

static int32_t token_id(const struct tokenizer *t, const json_t *spelling) {
    struct text text = hf_text(spelling);
    return vocabulary_find(&t->vocabulary, text.data, text.length);
}

static hearth_status append(struct id_row *row, int32_t id, const char *name, hearth_error *err) {
    if (id < 0)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "the post-processor adds token '%.60s', which the vocabulary lacks", name);
    if (row->count == TOKENIZER_MAX_AFFIX)
        return error_set(err, HEARTH_ERROR_LIMIT, "the post-processor adds more than %d tokens",
                         TOKENIZER_MAX_AFFIX);
    row->ids[row->count++] = id;
    return HEARTH_OK;
}

/* What comes before the row so far is put in front of it. */
static hearth_status join(struct id_row *before, const struct id_row *row, hearth_error *err) {
    for (size_t i = 0; i < row->count; i++)
        RETURN_IF_ERROR(append(before, row->ids[i], "", err));
    return HEARTH_OK;
}

static hearth_status add_template_token(const struct tokenizer *t, const json_t *processor,
                                        const char *name, struct id_row *row, hearth_error *err) {
    const json_t *tokens = json_object_get(processor, "special_tokens");
    const json_t *ids = json_object_get(json_object_get(tokens, name), "ids");
    if (!json_is_array(ids))
        return append(row, vocabulary_find(&t->vocabulary, name, strlen(name)), name, err);
    size_t i;
    json_t *id;
    json_array_foreach(ids, i, id) {
        json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        bool exists = value >= 0 && (size_t)value < vocabulary_count(&t->vocabulary);
        RETURN_IF_ERROR(append(row, exists ? (int32_t)value : TOKEN_NONE, name, err));
    }
    return HEARTH_OK;
}

static hearth_status read_template(struct hf_reader *r, const json_t *processor,
                                   hearth_error *err) {
    struct id_row before = {0}, after = {0};
    bool seen_text = false;
    size_t i;
    json_t *part;
    json_array_foreach(json_object_get(processor, "single"), i, part) {
        const char *name = hf_string(json_object_get(part, "SpecialToken"), "id");
        if (json_object_get(part, "Sequence"))
            seen_text = true;
        else if (name)
            RETURN_IF_ERROR(
                add_template_token(r->t, processor, name, seen_text ? &after : &before, err));
    }
    RETURN_IF_ERROR(join(&before, &r->t->prefix, err));
    r->t->prefix = before;
    return join(&r->t->suffix, &after, err);
}

static hearth_status read_bert(struct hf_reader *r, const json_t *processor, hearth_error *err) {
    const json_t *cls = json_object_get(processor, "cls"), *sep = json_object_get(processor, "sep");
    struct id_row before = {0};
    RETURN_IF_ERROR(append(&before, token_id(r->t, json_array_get(cls, 0)), "cls", err));
    RETURN_IF_ERROR(join(&before, &r->t->prefix, err));
    r->t->prefix = before;
    return append(&r->t->suffix, token_id(r->t, json_array_get(sep, 0)), "sep", err);
}

hearth_status hf_read_postprocessor(struct hf_reader *r, const json_t *processor, int depth,
                                    hearth_error *err) {
    if (!json_is_object(processor) || hf_type_is(processor, "ByteLevel")) return HEARTH_OK;
    if (hf_type_is(processor, "TemplateProcessing")) return read_template(r, processor, err);
    if (hf_type_is(processor, "BertProcessing") || hf_type_is(processor, "RobertaProcessing"))
        return read_bert(r, processor, err);
    if (hf_type_is(processor, "Sequence") && depth < HF_MAX_DEPTH) {
        size_t i;
        json_t *part;
        json_array_foreach(json_object_get(processor, "processors"), i, part)
            RETURN_IF_ERROR(hf_read_postprocessor(r, part, depth + 1, err));
        return HEARTH_OK;
    }
    const char *type = hf_string(processor, "type");
    return error_set(err, HEARTH_ERROR_UNSUPPORTED, "post-processor '%.40s' is not supported",
                     type ? type : "?");
}

/* ---- tokenizer_config.json ------------------------------------------------------------------ */

/* A token is written as its text or as an object with that text. */
static void read_role(struct tokenizer *t, const json_t *config, const char *key,
                      enum token_role role) {
    const json_t *value = json_object_get(config, key);
    if (json_is_object(value)) value = json_object_get(value, "content");
    int32_t id = json_is_string(value) ? token_id(t, value) : TOKEN_NONE;
    if (id >= 0 && t->roles[role] == TOKEN_NONE) t->roles[role] = id;
}

/* These classes build their post-processor from add_bos_token and add_eos_token. */
static bool class_follows_flags(const json_t *config) {
    static const char *const classes[] = {"LlamaTokenizer", "GemmaTokenizer", "CodeLlamaTokenizer",
                                          "CohereTokenizer"};
    const char *name = hf_string(config, "tokenizer_class");
    for (size_t i = 0; name && i < sizeof classes / sizeof *classes; i++)
        if (strncmp(name, classes[i], strlen(classes[i])) == 0) return true;
    return false;
}

static void set_affix(struct id_row *row, int32_t id, const json_t *flag, bool in_front) {
    if (id < 0 || !json_is_boolean(flag)) return;
    size_t place = in_front ? 0 : row->count ? row->count - 1 : 0;
    bool has = row->count && row->ids[place] == id;
    if (has == json_is_true(flag)) return;
    if (has) {
        if (in_front) memmove(row->ids, row->ids + 1, (row->count - 1) * sizeof *row->ids);
        row->count--;
    } else if (row->count < TOKENIZER_MAX_AFFIX) {
        if (in_front) memmove(row->ids + 1, row->ids, row->count * sizeof *row->ids);
        row->ids[in_front ? 0 : row->count] = id;
        row->count++;
    }
}

void hf_read_config(struct hf_reader *r, const json_t *config) {
    struct tokenizer *t = r->t;
    read_role(t, config, "bos_token", TOKEN_BOS);
    read_role(t, config, "cls_token", TOKEN_BOS);
    read_role(t, config, "eos_token", TOKEN_EOS);
    read_role(t, config, "unk_token", TOKEN_UNK);
    read_role(t, config, "sep_token", TOKEN_SEP);
    read_role(t, config, "pad_token", TOKEN_PAD);
    read_role(t, config, "mask_token", TOKEN_MASK);
    if (class_follows_flags(config)) {
        set_affix(&t->prefix, t->roles[TOKEN_BOS], json_object_get(config, "add_bos_token"), true);
        set_affix(&t->suffix, t->roles[TOKEN_EOS], json_object_get(config, "add_eos_token"), false);
    }
    if (t->prefix.count && t->roles[TOKEN_BOS] == TOKEN_NONE)
        t->roles[TOKEN_BOS] = t->prefix.ids[0];
    t->adds_bos = t->prefix.count && t->prefix.ids[0] == t->roles[TOKEN_BOS];
    t->adds_eos = t->suffix.count && t->suffix.ids[t->suffix.count - 1] == t->roles[TOKEN_EOS];
    t->adds_sep = t->suffix.count && t->suffix.ids[t->suffix.count - 1] == t->roles[TOKEN_SEP];
}
