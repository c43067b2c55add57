/* What of a folder is text: the name, the sampling that its makers recommend, chat
 * templates, special tokens. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "format/json_text.h"
#include "model/hf_import.h"

enum { KEY_BYTES = 256, POOLING_MAX_BYTES = 1 << 20 };

static void set_text(struct hf_config *c, const char *key, struct text value) {
    if (c->status == HEARTH_OK)
        c->status = metadata_set_string(c->metadata, key, value.data, value.length, c->err);
}

/* The folder's name; in the Hugging Face cache, models--org--name/snapshots/commit, that
 * of the model. */
static void take_name(struct hf_config *c) {
    const char *path = c->path, *model = strstr(path, "models--");
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    if (model) {
        const char *name = strstr(model + 8, "--");
        if (name && strchr(name, '/')) {
            set_text(c, "general.name", (struct text){name + 2, strcspn(name + 2, "/")});
            return;
        }
    }
    const char *start = path + n;
    while (start > path && start[-1] != '/')
        start--;
    size_t length = (size_t)(path + n - start);
    if (length > 0 && strncmp(start, ".", length) != 0)
        set_text(c, "general.name", (struct text){start, length});
}

static void take_sampling(struct hf_config *c, const json_t *generation) {
    static const struct {
        const char *from, *to;
        bool whole;
    } keys[] = {
        {"temperature", "general.sampling.temp", false},
        {"top_k", "general.sampling.top_k", true},
        {"top_p", "general.sampling.top_p", false},
        {"min_p", "general.sampling.min_p", false},
        {"repetition_penalty", "general.sampling.penalty_repeat", false},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && c->status == HEARTH_OK; i++) {
        const json_t *value = json_object_get(generation, keys[i].from);
        double number = json_is_number(value) ? json_number_value(value) : -1;
        if (!(number >= 0 && number <= 1e6)) continue; /* a recommendation: no reason to fail */
        c->status = keys[i].whole ? metadata_set_uint(c->metadata, keys[i].to, META_I32,
                                                      (uint64_t)number, c->err)
                                  : metadata_set_float(c->metadata, keys[i].to, number, c->err);
    }
}

/* The first is the default; others are "tokenizer.chat_template.NAME" with a list. */
static void take_templates(struct hf_config *c, const struct hf_folder *folder) {
    struct text others[HF_MAX_TEMPLATES];
    size_t n = 0;
    for (size_t i = 0; i < folder->n_templates; i++) {
        const struct hf_template *t = &folder->templates[i];
        char key[KEY_BYTES];
        snprintf(key, sizeof key, "tokenizer.chat_template%s%.*s", i ? "." : "",
                 i ? (int)t->name.length : 0, t->name.data);
        set_text(c, key, t->source);
        if (i) others[n++] = t->name;
    }
    if (n && c->status == HEARTH_OK)
        c->status =
            metadata_set_strings(c->metadata, "tokenizer.chat_templates", others, n, c->err);
}

static void set_token(struct hf_config *c, const char *key, json_int_t id) {
    if (id < 0 || id > INT32_MAX || metadata_find(c->metadata, key) || c->status != HEARTH_OK)
        return;
    c->status = metadata_set_uint(c->metadata, key, META_U32, (uint64_t)id, c->err);
}

/* Ids that end an answer: the first is EOS; a second and third have other names. */
static void take_ends(struct hf_config *c, const json_t *eos) {
    static const char *const keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    if (json_is_integer(eos)) {
        uint32_t declared;
        bool other = metadata_u32(c->metadata, keys[0], &declared) &&
                     declared != (uint64_t)json_integer_value(eos);
        set_token(c, keys[other], json_integer_value(eos));
    }
    uint32_t declared = UINT32_MAX;
    size_t next = metadata_u32(c->metadata, keys[0], &declared) ? 1 : 0;
    for (size_t i = 0; i < json_array_size(eos) && next < 3; i++) {
        const json_t *id = json_array_get(eos, i);
        if (!json_is_integer(id) || json_integer_value(id) == (json_int_t)declared) continue;
        set_token(c, keys[next++], json_integer_value(id));
    }
}

static void take_special_tokens(struct hf_config *c, const struct hf_folder *folder) {
    static const char *const names[][2] = {
        {"bos_token_id", "tokenizer.ggml.bos_token_id"},
        {"pad_token_id", "tokenizer.ggml.padding_token_id"},
    };
    const json_t *sources[] = {folder->generation_config, c->text, c->root};
    for (size_t s = 0; s < sizeof sources / sizeof sources[0]; s++) {
        take_ends(c, json_object_get(sources[s], "eos_token_id"));
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            const json_t *id = json_object_get(sources[s], names[i][0]);
            if (json_is_integer(id)) set_token(c, names[i][1], json_integer_value(id));
        }
    }
}

void hf_take_texts(struct hf_config *c, const struct hf_folder *folder) {
    set_text(c, "general.type", (struct text){"model", 5});
    take_name(c);
    hf_take_card(c);
    take_sampling(c, folder->generation_config);
    take_templates(c, folder);
    hf_take_tokenizer(c, folder);
    take_special_tokens(c, folder);
}

/* ---- encoders --------------------------------------------------------------------- */

/* 1_Pooling/config.json of sentence-transformers: which of these is true. */
static void take_pooling(struct hf_config *c) {
    static const char *const modes[] = {NULL, "pooling_mode_mean_tokens", "pooling_mode_cls_token",
                                        "pooling_mode_lasttoken"};
    char *data, *path = path_join(c->path, "1_Pooling/config.json");
    size_t size;
    json_t *pooling = NULL;
    if (path && file_read(path, POOLING_MAX_BYTES, &data, &size, NULL) == HEARTH_OK) {
        json_text_object(&pooling, data, size, JSON_TEXT_PYTHON, path, NULL);
        mem_free(data);
    }
    mem_free(path);
    for (uint32_t i = 1; i < sizeof modes / sizeof modes[0]; i++)
        if (json_is_true(json_object_get(pooling, modes[i]))) {
            hf_set_u32(c, "pooling_type", i);
            break;
        }
    json_decref(pooling);
}

void hf_encoder_metadata(struct hf_config *c) {
    uint32_t types;
    hf_set_flag(c, "attention.causal", false);
    take_pooling(c);
    if (hf_get_u32(c, "type_vocab_size", &types) && c->status == HEARTH_OK)
        c->status = metadata_set_uint(c->metadata, "tokenizer.ggml.token_type_count", META_U32,
                                      types, c->err);
}
