/* request_prompt.h - from a request to the tokens that a model continues. */
#ifndef HEARTH_ROUTE_REQUEST_PROMPT_H
#define HEARTH_ROUTE_REQUEST_PROMPT_H

#include "chat/answer_reader.h"
#include "chat/request.h"
#include "chat/template.h"
#include "token/tokenizer.h"

/* The messages, tools and settings of the request through the template, in plain words where the
 * form has no calls of tools (chat/plain_tools.h); replaces `out`.
 * `*thinks`: the prompt ends inside the model's thinking. */
hearth_status request_prompt_chat(const struct request *request, const struct tokenizer *tokenizer,
                                  const struct chat_template *template,
                                  const struct answer_form *form, struct token_list *out,
                                  bool *thinks, hearth_error *err);
/* Only the text, appended. */
hearth_status request_prompt_render(const struct request *request,
                                    const struct tokenizer *tokenizer,
                                    const struct chat_template *template,
                                    const struct answer_form *form, struct buf *out,
                                    hearth_error *err);
/* One of the inputs: a text, or an array of ids, which must be of the vocabulary. */
hearth_status request_prompt_input(const json_t *input, const struct tokenizer *tokenizer,
                                   struct token_list *out, hearth_error *err);

/* Input i as far as a gap, which is filled in front of the request's suffix: in the order prefix,
 * suffix, middle (Bavarian et al., arXiv 2207.14255), behind other files of the project, if there
 * are any (as Qwen2.5-Coder has them; arXiv 2409.12186). HEARTH_ERROR_UNSUPPORTED: the vocabulary
 * has no tokens for that. */
hearth_status request_prompt_gap(const struct request *request, size_t i,
                                 const struct tokenizer *tokenizer, struct token_list *out,
                                 hearth_error *err);

/* The ids of an array, appended. */
hearth_status request_prompt_ids(const json_t *ids, const struct tokenizer *tokenizer,
                                 struct token_list *out, hearth_error *err);

#endif
