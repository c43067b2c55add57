/* gguf_keys.h - the metadata keys of vocabularies: GGUF's, and Hearth's own for what
 * GGUF has no words for. */
#ifndef HEARTH_TOKEN_GGUF_KEYS_H
#define HEARTH_TOKEN_GGUF_KEYS_H

#include "token/tokenizer.h"

#define KEY "tokenizer.ggml."
#define JSON_KEY "tokenizer.huggingface.json"

/* Where the exact rules are: in JSON_KEY, or (kind `llama`) in the merges. */
#define SOURCE_KEY "hearth.tokenizer.source"
#define SOURCE_JSON "huggingface.json"
#define SOURCE_MERGES "merges"
#define NFC_KEY "hearth.tokenizer.nfc"       /* text is brought into form NFC first */
#define PREFIX_KEY "hearth.tokenizer.prefix" /* ids around a sequence */
#define SUFFIX_KEY "hearth.tokenizer.suffix"

struct role_key {
    const char *key;
    enum token_role role;
};

/* Older names first, so that newer ones overrule them. */
static const struct role_key role_keys[] = {
    {KEY "prefix_token_id", TOKEN_FIM_PREFIX},
    {KEY "suffix_token_id", TOKEN_FIM_SUFFIX},
    {KEY "middle_token_id", TOKEN_FIM_MIDDLE},
    {KEY "bos_token_id", TOKEN_BOS},
    {KEY "eos_token_id", TOKEN_EOS},
    {KEY "eot_token_id", TOKEN_EOT},
    {KEY "eom_token_id", TOKEN_EOM},
    {KEY "unknown_token_id", TOKEN_UNK},
    {KEY "seperator_token_id", TOKEN_SEP}, /* GGUF spells it so */
    {KEY "padding_token_id", TOKEN_PAD},
    {KEY "mask_token_id", TOKEN_MASK},
    {KEY "fim_pre_token_id", TOKEN_FIM_PREFIX},
    {KEY "fim_suf_token_id", TOKEN_FIM_SUFFIX},
    {KEY "fim_mid_token_id", TOKEN_FIM_MIDDLE},
    {KEY "fim_pad_token_id", TOKEN_FIM_PAD},
    {KEY "fim_rep_token_id", TOKEN_FIM_REPO},
    {KEY "fim_sep_token_id", TOKEN_FIM_FILE},
};
enum { N_ROLE_KEYS = sizeof role_keys / sizeof *role_keys, N_OLD_ROLE_KEYS = 3 };

#endif
