/* prompt.h - from a conversation to the tokens a model continues. */
#ifndef HEARTH_INFER_PROMPT_H
#define HEARTH_INFER_PROMPT_H

#include "chat/answer_reader.h"
#include "chat/dialogue.h"
#include "token/tokenizer.h"

/* Renders `messages` through the template, with the texts of the tokenizer's BOS and
 * EOS, local time and a generation prompt, and replaces `out` by its tokens. BOS
 * stands in front once, whether the template writes it or the tokenizer adds it.
 * `variables`: further template variables or NULL. `*thinks` (nullable): the prompt
 * ends inside the model's thinking, as `form` marks it (else unused). */
hearth_status prompt_of_messages(const struct tokenizer *tokenizer,
                                 const struct chat_template *template, const json_t *messages,
                                 const json_t *variables, const struct answer_form *form,
                                 struct token_list *out, bool *thinks, hearth_error *err);
/* Only the text, appended. */
hearth_status prompt_render(const struct tokenizer *tokenizer, const struct chat_template *template,
                            const struct dialogue *dialogue, struct buf *out, hearth_error *err);
/* The tokens of a text that a template has rendered, control tokens among them. */
hearth_status prompt_of_rendered(const struct tokenizer *tokenizer, const char *text, size_t n,
                                 struct token_list *out, hearth_error *err);
/* The tokens of a text to continue as it is; at least BOS where the vocabulary has it. */
hearth_status prompt_of_text(const struct tokenizer *tokenizer, const char *text, size_t n,
                             struct token_list *out, hearth_error *err);

#endif
