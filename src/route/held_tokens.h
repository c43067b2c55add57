/* held_tokens.h - the log-probabilities of tokens whose text is not out yet: it may begin a stop
 * text, or a tag, or be half a character. A ring of bounded size; nothing is allocated between
 * open and close. */
#ifndef HEARTH_ROUTE_HELD_TOKENS_H
#define HEARTH_ROUTE_HELD_TOKENS_H

#include "chat/event.h"
#include "infer/sampler.h"
#include "token/tokenizer.h"

enum { HELD_TOKENS_MOST = 256 };

struct held_token {
    size_t text_bytes; /* of the answer with it, those of half a character too */
    int32_t id;
    float logprob;
    uint32_t n_top;
};

struct held_tokens {
    uint32_t n_top; /* with each token, at most */
    size_t first, count;
    struct held_token *items;       /* [HELD_TOKENS_MOST]; NULL: closed */
    struct sampler_prob *tops;      /* [HELD_TOKENS_MOST][n_top] */
    struct event_logprob *logprobs; /* what take gives; [HELD_TOKENS_MOST] */
    struct event_token *top_tokens; /* [HELD_TOKENS_MOST][n_top] */
};

/* Closed in every case. */
hearth_status held_tokens_open(struct held_tokens *held, uint32_t n_top, hearth_error *err);
void held_tokens_close(struct held_tokens *held); /* a zeroed one is fine */

/* One more; false: there is no room until some were taken. */
bool held_tokens_push(struct held_tokens *held, const struct sampler_result *token,
                      size_t text_bytes);
/* Forgets those that end within the first `text_bytes` of the answer. */
void held_tokens_drop(struct held_tokens *held, size_t text_bytes);
/* Takes those whose text is out, being within the first `text_bytes` of the answer; returns how
 * many. `*out` is valid until the next call. */
size_t held_tokens_take(struct held_tokens *held, const struct tokenizer *tokenizer,
                        size_t text_bytes, const struct event_logprob **out);

#endif
