/* hf_json.h - the parts of a tokenizer.json, each read by one function. */
#ifndef HEARTH_TOKEN_HF_JSON_H
#define HEARTH_TOKEN_HF_JSON_H

#include <jansson.h>

#include "token/tokenizer_parts.h"

enum {
    HF_MAX_DEPTH = 8, /* Sequence within Sequence */
    HF_MAX_JSON_BYTES = 1 << 29
};

/* What reading the parts has found out beyond the tokenizer itself. */
struct hf_reader {
    struct tokenizer *t;
    bool byte_level;                     /* the pre-tokenizer maps bytes to the byte alphabet */
    bool nfc;                            /* the normaliser is NFC and nothing else */
    bool other_normal;                   /* … or is something the name in `pre` does not cover */
    bool other_cuts;                     /* the same for the pre-tokenizer */
    bool prepends_mark, replaces_spaces; /* SentencePiece's treatment, step by step */
    const char *patterns[8];             /* of Split steps, borrowed from the JSON */
    size_t n_patterns;
};

/* Values with a default; the object may be NULL. */
const char *hf_string(const json_t *object, const char *key); /* NULL when absent */
struct text hf_text(const json_t *value);
bool hf_bool(const json_t *object, const char *key, bool fallback);
bool hf_type_is(const json_t *object, const char *type);

hearth_status hf_read_normalizer(struct hf_reader *r, const json_t *normalizer, int depth,
                                 hearth_error *err);
hearth_status hf_read_pretokenizer(struct hf_reader *r, const json_t *pretokenizer, int depth,
                                   hearth_error *err);
hearth_status hf_read_decoder(struct hf_reader *r, const json_t *decoder, int depth,
                              hearth_error *err);
hearth_status hf_read_postprocessor(struct hf_reader *r, const json_t *processor, int depth,
                                    hearth_error *err);
hearth_status hf_read_vocabulary(struct hf_reader *r, const json_t *root, hearth_error *err);
hearth_status hf_read_model(struct hf_reader *r, const json_t *model, hearth_error *err);
void hf_read_config(struct hf_reader *r, const json_t *config);

#endif
