/* hf_folder.h - a Hugging Face model folder, or a PEFT adapter folder, as a whole:
 * its JSON files, texts and tensors.
 *
 * Only the structure is known here. Which configuration key and which tensor name
 * means what belongs to model/, what a tokenizer's text means to token/.
 * JSON is read as Python does: the last of repeated keys counts, Infinity is 1e308.
 * Immutable after opening; jansson's counters aside, safe to share between threads. */
#ifndef HEARTH_FORMAT_HF_FOLDER_H
#define HEARTH_FORMAT_HF_FOLDER_H

#include <jansson.h>

#include "format/directory.h"

enum { HF_MAX_TEMPLATES = 64 };

struct hf_template {
    struct text name;   /* "default" for the only or main one */
    struct text source; /* NUL-terminated */
};

/* What is absent is NULL or has length 0. */
struct hf_folder {
    char *path;
    json_t *config;                              /* config.json: always there */
    json_t *generation_config;                   /* generation_config.json */
    json_t *tokenizer_config;                    /* tokenizer_config.json */
    json_t *special_tokens;                      /* special_tokens_map.json */
    struct text tokenizer_json, tokenizer_model; /* mapped, not NUL-terminated */
    struct hf_template *templates;               /* the one to use first */
    size_t n_templates;
    struct directory tensors;

    struct file_map maps[2]; /* behind the two tokenizer texts */
    struct arena arena;
};

enum hf_kind { HF_NOTHING, HF_MODEL, HF_ADAPTER };
/* By the files that are there: config.json or adapter_config.json. */
enum hf_kind hf_folder_kind(const char *path);

/* Opens everything; `with_tensors` false leaves the directory empty, for those who
 * only want the tokenizer or the configuration. Chat templates come from the first
 * of chat_template.jinja (with additional_chat_templates/NAME.jinja),
 * tokenizer_config.json, chat_template.json. Tensors come from model.safetensors,
 * model.safetensors.index.json, or the only *.safetensors file. */
hearth_status hf_folder_open(struct hf_folder *folder, const char *path, bool with_tensors,
                             hearth_error *err);
void hf_folder_close(struct hf_folder *folder); /* zeroed is fine */

/* A PEFT adapter: adapter_config.json and adapter_model.safetensors. */
struct hf_adapter {
    char *path;
    json_t *config;
    struct directory tensors;
};

hearth_status hf_adapter_open(struct hf_adapter *adapter, const char *path, hearth_error *err);
void hf_adapter_close(struct hf_adapter *adapter); /* zeroed is fine */

#endif
