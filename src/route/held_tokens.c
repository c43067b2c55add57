#include "route/held_tokens.h"

#include <string.h>

#include "base/mem.h"

hearth_status held_tokens_open(struct held_tokens *h, uint32_t n_top, hearth_error *err) {
    size_t n_tops = (size_t)HELD_TOKENS_MOST * (n_top ? n_top : 1);
    *h = (struct held_tokens){.n_top = n_top,
                              .items = mem_alloc_array(HELD_TOKENS_MOST, sizeof *h->items),
                              .tops = mem_alloc_array(n_tops, sizeof *h->tops),
                              .logprobs = mem_alloc_array(HELD_TOKENS_MOST, sizeof *h->logprobs),
                              .top_tokens = mem_alloc_array(n_tops, sizeof *h->top_tokens)};
    if (h->items && h->tops && h->logprobs && h->top_tokens) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for log-probabilities");
}

void held_tokens_close(struct held_tokens *h) {
    mem_free(h->items);
    mem_free(h->tops);
    mem_free(h->logprobs);
    mem_free(h->top_tokens);
    *h = (struct held_tokens){0};
}

bool held_tokens_push(struct held_tokens *h, const struct sampler_result *token,
                      size_t text_bytes) {
    if (h->count == HELD_TOKENS_MOST) return false;
    size_t at = (h->first + h->count++) % HELD_TOKENS_MOST;
    uint32_t n_top = token->n_top < h->n_top ? (uint32_t)token->n_top : h->n_top;
    h->items[at] = (struct held_token){text_bytes, token->token, token->logprob, n_top};
    if (n_top) memcpy(h->tops + at * h->n_top, token->top, n_top * sizeof *token->top);
    return true;
}

void held_tokens_drop(struct held_tokens *h, size_t text_bytes) {
    for (; h->count > 0 && h->items[h->first].text_bytes <= text_bytes; h->count--)
        h->first = (h->first + 1) % HELD_TOKENS_MOST;
}

static struct event_token token_of(const struct tokenizer *tokenizer, int32_t id, float logprob) {
    struct text piece = tokenizer_piece(tokenizer, id);
    return (struct event_token){
        .id = id, .bytes = piece.data, .n_bytes = piece.length, .logprob = logprob};
}

size_t held_tokens_take(struct held_tokens *h, const struct tokenizer *tokenizer, size_t text_bytes,
                        const struct event_logprob **out) {
    size_t n = 0;
    for (; h->count > 0 && h->items[h->first].text_bytes <= text_bytes; n++, h->count--) {
        const struct held_token *item = &h->items[h->first];
        const struct sampler_prob *from = h->tops + h->first * h->n_top;
        struct event_token *top = h->top_tokens + n * h->n_top;
        for (uint32_t k = 0; k < item->n_top; k++)
            top[k] = token_of(tokenizer, from[k].token, from[k].logprob);
        h->logprobs[n] =
            (struct event_logprob){token_of(tokenizer, item->id, item->logprob), top, item->n_top};
        h->first = (h->first + 1) % HELD_TOKENS_MOST;
    }
    *out = h->logprobs;
    return n;
}
