/* special_names.h - well-known spellings of control tokens, because files often fail
 * to declare what they are. Earlier names win. */
#ifndef HEARTH_TOKEN_SPECIAL_NAMES_H
#define HEARTH_TOKEN_SPECIAL_NAMES_H

#include "token/tokenizer.h"

struct role_name {
    enum token_role role;
    const char *spelling;
};

static const struct role_name role_names[] = {
    {TOKEN_EOT, "<|eot_id|>"},
    {TOKEN_EOT, "<|im_end|>"},
    {TOKEN_EOT, "<|end|>"},
    {TOKEN_EOT, "<end_of_turn>"},
    {TOKEN_EOT, "<|endoftext|>"},
    {TOKEN_EOT, "<|end_of_text|>"},
    {TOKEN_EOT, "<EOT>"},
    {TOKEN_EOT, "_<EOT>"},
    {TOKEN_EOT, "[EOT]"},
    {TOKEN_EOT, "<｜end▁of▁sentence｜>"},
    {TOKEN_EOT, "<end_of_utterance>"},
    {TOKEN_EOM, "<|eom_id|>"},
    {TOKEN_FIM_PREFIX, "<|fim_prefix|>"},
    {TOKEN_FIM_PREFIX, "<fim-prefix>"},
    {TOKEN_FIM_PREFIX, "<fim_prefix>"},
    {TOKEN_FIM_PREFIX, "<｜fim▁begin｜>"},
    {TOKEN_FIM_PREFIX, "<PRE>"},
    {TOKEN_FIM_PREFIX, "▁<PRE>"},
    {TOKEN_FIM_PREFIX, "<|code_prefix|>"},
    {TOKEN_FIM_PREFIX, "<|prefix|>"},
    {TOKEN_FIM_SUFFIX, "<|fim_suffix|>"},
    {TOKEN_FIM_SUFFIX, "<fim-suffix>"},
    {TOKEN_FIM_SUFFIX, "<fim_suffix>"},
    {TOKEN_FIM_SUFFIX, "<｜fim▁hole｜>"},
    {TOKEN_FIM_SUFFIX, "<SUF>"},
    {TOKEN_FIM_SUFFIX, "▁<SUF>"},
    {TOKEN_FIM_SUFFIX, "<|code_suffix|>"},
    {TOKEN_FIM_SUFFIX, "<|suffix|>"},
    {TOKEN_FIM_MIDDLE, "<|fim_middle|>"},
    {TOKEN_FIM_MIDDLE, "<fim-middle>"},
    {TOKEN_FIM_MIDDLE, "<fim_middle>"},
    {TOKEN_FIM_MIDDLE, "<｜fim▁end｜>"},
    {TOKEN_FIM_MIDDLE, "<MID>"},
    {TOKEN_FIM_MIDDLE, "▁<MID>"},
    {TOKEN_FIM_MIDDLE, "<|code_middle|>"},
    {TOKEN_FIM_MIDDLE, "<|middle|>"},
    {TOKEN_FIM_PAD, "<|fim_pad|>"},
    {TOKEN_FIM_PAD, "<fim-pad>"},
    {TOKEN_FIM_PAD, "<fim_pad>"},
    {TOKEN_FIM_PAD, "<PAD>"},
    {TOKEN_FIM_PAD, "[PAD]"},
    {TOKEN_FIM_REPO, "<|fim_repo|>"},
    {TOKEN_FIM_REPO, "<|repo_name|>"},
    {TOKEN_FIM_REPO, "<fim-repo>"},
    {TOKEN_FIM_REPO, "<REPO>"},
    {TOKEN_FIM_REPO, "<reponame>"},
    {TOKEN_FIM_FILE, "<|file_sep|>"},
};

static const char *const end_names[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
};

/* Tokens of the harmony format that carry the structure of a reply: always shown. */
static const char *const shown_names[] = {"<|channel|>", "<|message|>", "<|start|>",
                                          "<|constrain|>"};

#endif
