#include "infer/prompt.h"

#include <string.h>

#include "base/mem.h"

#define MAX_PROMPT_BYTES ((size_t)256 << 20)

static char *token_text(const struct tokenizer *tokenizer, enum token_role role) {
    int32_t id = tokenizer_role(tokenizer, role);
    struct text text = id == TOKEN_NONE ? (struct text){"", 0} : tokenizer_text(tokenizer, id);
    return mem_strndup(text.data, text.length);
}

static time_t local_now(void) {
    time_t now = time(NULL);
    struct tm local;
    return localtime_r(&now, &local) ? now + local.tm_gmtoff : now;
}

hearth_status prompt_render(const struct tokenizer *tokenizer, const struct chat_template *template,
                            const struct dialogue *dialogue, struct buf *out, hearth_error *err) {
    char *bos = token_text(tokenizer, TOKEN_BOS), *eos = token_text(tokenizer, TOKEN_EOS);
    struct dialogue whole = *dialogue;
    whole.bos_text = bos;
    whole.eos_text = eos;
    whole.add_generation_prompt = true;
    whole.now = local_now();
    hearth_status status = bos && eos
                               ? dialogue_render(template, &whole, NULL, out, err)
                               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the prompt");
    mem_free(bos);
    mem_free(eos);
    return status == HEARTH_OK ? status : error_prefix(err, status, "the chat template refused");
}

hearth_status prompt_of_rendered(const struct tokenizer *tokenizer, const char *text, size_t n,
                                 struct token_list *out, hearth_error *err) {
    int32_t bos = tokenizer_role(tokenizer, TOKEN_BOS);
    out->count = 0;
    RETURN_IF_ERROR(tokenizer_encode(tokenizer, text, n, true, true, out, err));
    if (bos != TOKEN_NONE && out->count > 1 && out->ids[0] == bos && out->ids[1] == bos)
        memmove(out->ids, out->ids + 1, --out->count * sizeof *out->ids);
    return HEARTH_OK;
}

hearth_status prompt_of_messages(const struct tokenizer *tokenizer,
                                 const struct chat_template *template, const json_t *messages,
                                 const json_t *variables, const struct answer_form *form,
                                 struct token_list *out, bool *thinks, hearth_error *err) {
    const struct dialogue dialogue = {.messages = messages, .variables = variables};
    struct buf text;
    buf_init(&text, MAX_PROMPT_BYTES);
    hearth_status status = prompt_render(tokenizer, template, &dialogue, &text, err);
    if (status == HEARTH_OK)
        status = prompt_of_rendered(tokenizer, buf_text(&text), text.length, out, err);
    if (thinks) *thinks = answer_form_opens_thinking(form, buf_text(&text), text.length);
    buf_release(&text);
    return status;
}

hearth_status prompt_of_text(const struct tokenizer *tokenizer, const char *text, size_t n,
                             struct token_list *out, hearth_error *err) {
    int32_t bos = tokenizer_role(tokenizer, TOKEN_BOS);
    out->count = 0;
    RETURN_IF_ERROR(tokenizer_encode(tokenizer, text, n, true, false, out, err));
    if (out->count == 0 && bos != TOKEN_NONE && !token_list_append(out, &bos, 1))
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the prompt");
    if (out->count == 0)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "an empty prompt, and the vocabulary has no token to begin with");
    return HEARTH_OK;
}
