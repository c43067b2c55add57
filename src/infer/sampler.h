/* sampler.h - turns a row of logits into a token id.
 *
 * A sampler belongs to one sequence and remembers what that sequence holds; a
 * workspace is the scratch memory of one thread and serves any number of samplers
 * of the same vocabulary. Neither allocates after it was opened.
 *
 * The chain, in this order (the one llama.cpp made customary):
 *
 *   allowed set → logit_bias → repeat, presence and frequency penalties → DRY →
 *   top_n_sigma → top_k → typical_p → top_p → min_p → XTC → temperature → draw
 *
 * temperature 0 is greedy: after DRY the largest logit wins and the lowest id among
 * equals; nothing is drawn. mirostat 2 replaces everything from top_n_sigma to XTC:
 * temperature, then mirostat's own truncation, then the draw.
 *
 * Invariants:
 * (1) The answer is a function of parameters, seed, accepted tokens, logits and
 *     allowed set: never of the thread count, the clock or earlier samples. The
 *     random numbers of a position are derived from the seed and the number of
 *     accepted tokens, so sampling twice without accepting gives the same token, and
 *     replaying a sequence gives the same sequence.
 * (2) A NaN logit counts as -inf, +inf as the largest finite number, and -inf is
 *     never chosen; when nothing is left, sampling is an error.
 * (3) Tokens of equal logit rank by id, lowest first.
 *
 * Sources: top-k: Fan et al. 2018; top-p: Holtzman et al. 2019; locally typical:
 * Meister et al. 2022; min-p: Nguyen et al. 2024; top-nσ: Tang et al. 2024; mirostat:
 * Basu et al. 2020; repetition penalty: Keskar et al. 2019 (CTRL), with negative
 * logits multiplied instead of divided; presence and frequency: the OpenAI API
 * reference; DRY and XTC: text-generation-webui #5677 and #6335. */
#ifndef HEARTH_INFER_SAMPLER_H
#define HEARTH_INFER_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum {
    SAMPLER_MAX_HISTORY = 1 << 17, /* tokens that a window of -1 can reach back */
    SAMPLER_MAX_PROBS = 1024,
    SAMPLER_MAX_BIASES = 1 << 16,
    SAMPLER_MAX_BREAKERS = 1 << 18,   /* sequences in all; those of one token are cheap */
    SAMPLER_MAX_LONG_BREAKERS = 1024, /* sequences of two tokens or more */
    SAMPLER_MAX_BREAKER_TOKENS = 32
};

struct sampler_bias {
    int32_t token;
    float bias; /* added to the logit; -INFINITY bans the token */
};

/* Tokens that end a repetition for DRY, as a tokeniser splits the breaker's text. A
 * token whose text merely contains a breaker is a breaker of its own: list it too. */
struct sampler_breaker {
    const int32_t *tokens;
    size_t n_tokens;
};

/* Names, meanings and ranges as in llama.cpp's server. */
struct sampler_params {
    float temperature;     /* 0.8; 0 = greedy; 0 to 100 */
    int32_t top_k;         /* 40; the k largest; 0 or -1 = off */
    float top_p;           /* 0.95; smallest set of that probability; 1 = off */
    float min_p;           /* 0.05; least probability relative to the largest; 0 = off */
    float typical_p;       /* 1 = off; locally typical set of that probability */
    float top_n_sigma;     /* -1 = off; logits within n standard deviations of the largest */
    float xtc_probability; /* 0 = off; chance that the most probable choices are excluded */
    float xtc_threshold;   /* 0.1; probability from which a token is a top choice; > 0.5 = off */
    float dry_multiplier;  /* 0 = off; 0.8 is customary */
    float dry_base;        /* 1.75; at least 1 */
    int32_t dry_allowed_length; /* 2; repetitions shorter than this are free */
    int32_t dry_penalty_last_n; /* -1; tokens searched; 0 = off, -1 = all */
    float repeat_penalty;       /* 1 = off */
    int32_t repeat_last_n;      /* 64; window of the three penalties; 0 = off, -1 = all */
    float presence_penalty;     /* 0 = off */
    float frequency_penalty;    /* 0 = off */
    int32_t mirostat;           /* 0 = off, 2 = mirostat 2.0 */
    float mirostat_tau;         /* 5; target surprise in bits */
    float mirostat_eta;         /* 0.1; learning rate */
    size_t min_keep;            /* 0; tokens every truncation leaves at least */
    int32_t n_probs;            /* -1; log-probabilities: -1 none, 0 chosen, n and n best */
    bool seed_is_set;           /* false: `seed` is taken from the operating system */
    uint64_t seed;
    const struct sampler_bias *logit_bias; /* borrowed during sampler_open only */
    size_t n_logit_bias;
    const struct sampler_breaker *dry_sequence_breakers; /* borrowed during sampler_open only */
    size_t n_dry_sequence_breakers;
};

struct sampler_params sampler_params_default(void);
/* The message begins with the name of the field that is out of range. */
hearth_status sampler_params_check(const struct sampler_params *params, size_t n_vocab,
                                   hearth_error *err);

struct sampler_prob {
    int32_t token;
    float logprob; /* natural logarithm */
};

/* Log-probabilities are those of the model (softmax of the logits as given), before
 * bias, penalties, truncation and temperature, as OpenAI's `logprobs` are. */
struct sampler_result {
    int32_t token;
    float logprob;                  /* of `token`; 0 unless n_probs >= 0 */
    const struct sampler_prob *top; /* [n_top], best first; valid until the next sample */
    size_t n_top;
};

struct sampler_workspace;
hearth_status sampler_workspace_open(struct sampler_workspace **workspace, size_t n_vocab,
                                     hearth_error *err);
void sampler_workspace_close(struct sampler_workspace *workspace); /* NULL is fine */

struct sampler;
hearth_status sampler_open(struct sampler **sampler, const struct sampler_params *params,
                           size_t n_vocab, hearth_error *err);
void sampler_close(struct sampler *sampler);          /* NULL is fine */
uint64_t sampler_seed(const struct sampler *sampler); /* the one in effect */
float sampler_mirostat_mu(const struct sampler *sampler);

/* Tells the sampler that `token` is the next of its sequence, whether sampled, forced
 * or part of the prompt. Ids outside the vocabulary are ignored. */
void sampler_accept(struct sampler *sampler, int32_t token);
/* As freshly opened, with the same seed. */
void sampler_reset(struct sampler *sampler);

/* logits [n_vocab] are only read. `allowed` is NULL or a set of (n_vocab + 63) / 64
 * words: bit t % 64 of word t / 64 says whether token t may be chosen.
 * HEARTH_ERROR_NOT_FOUND: no token is left to choose. */
hearth_status sampler_sample(struct sampler *sampler, struct sampler_workspace *workspace,
                             const float *logits, const uint64_t *allowed,
                             struct sampler_result *result, hearth_error *err);

/* The same log-probabilities for a token that is given; nothing is chosen. */
void sampler_score(struct sampler *sampler, struct sampler_workspace *workspace,
                   const float *logits, int32_t token, struct sampler_result *result);

#endif
