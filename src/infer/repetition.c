#include "infer/repetition.h"

#include <float.h>
#include <math.h>

#include "base/mem.h"

static size_t window_of(int32_t last_n) {
    return last_n < 0 ? SAMPLER_MAX_HISTORY : (size_t)last_n;
}

static hearth_status take_breakers(struct repetition *r, const struct sampler_params *params,
                                   size_t n_vocab, hearth_error *err) {
    size_t n_long = 0;
    for (size_t i = 0; i < params->n_dry_sequence_breakers; i++)
        n_long += params->dry_sequence_breakers[i].n_tokens > 1;
    r->single_breakers = mem_calloc((n_vocab + 63) / 64, sizeof *r->single_breakers);
    r->long_breakers = mem_calloc(n_long, sizeof *r->long_breakers);
    if (!r->single_breakers || !r->long_breakers)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for dry_sequence_breakers");
    for (size_t i = 0; i < params->n_dry_sequence_breakers; i++) {
        const struct sampler_breaker *breaker = &params->dry_sequence_breakers[i];
        if (breaker->n_tokens == 1) {
            uint32_t token = (uint32_t)breaker->tokens[0];
            r->single_breakers[token / 64] |= UINT64_C(1) << (token % 64);
            continue;
        }
        struct long_breaker *kept = &r->long_breakers[r->n_long_breakers++];
        kept->n_tokens = (uint32_t)breaker->n_tokens;
        for (size_t j = 0; j < breaker->n_tokens; j++)
            kept->tokens[j] = breaker->tokens[j];
    }
    return HEARTH_OK;
}

hearth_status repetition_init(struct repetition *r, const struct sampler_params *params,
                              size_t n_vocab, hearth_error *err) {
    *r = (struct repetition){.repeat = params->repeat_penalty,
                             .presence = params->presence_penalty,
                             .frequency = params->frequency_penalty,
                             .dry_multiplier = params->dry_multiplier,
                             .dry_base = params->dry_base,
                             .dry_allowed_length = (size_t)params->dry_allowed_length};
    if (r->repeat != 1 || r->presence != 0 || r->frequency != 0)
        r->window = window_of(params->repeat_last_n);
    if (r->dry_multiplier > 0) r->dry_window = window_of(params->dry_penalty_last_n);
    size_t need = r->window > r->dry_window ? r->window : r->dry_window;
    if (need == 0) return HEARTH_OK;
    if (need < SAMPLER_MAX_BREAKER_TOKENS) need = SAMPLER_MAX_BREAKER_TOKENS;
    r->capacity = 1;
    while (r->capacity < need)
        r->capacity *= 2;
    hearth_status status = HEARTH_OK;
    r->ring = mem_calloc(r->capacity, sizeof *r->ring);
    if (!r->ring)
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a history of %zu tokens",
                           r->capacity);
    else if (r->dry_window > 0 && params->n_dry_sequence_breakers > 0)
        status = take_breakers(r, params, n_vocab, err);
    if (status != HEARTH_OK) repetition_release(r);
    return status;
}

void repetition_release(struct repetition *r) {
    mem_free(r->ring);
    mem_free(r->single_breakers);
    mem_free(r->long_breakers);
    *r = (struct repetition){0};
}

void repetition_reset(struct repetition *r) {
    r->n_accepted = 0;
    r->n_since_breaker = 0;
}

static size_t n_remembered(const struct repetition *r, size_t window) {
    return r->n_accepted < window ? (size_t)r->n_accepted : window;
}

/* The i-th token from the end; 0 is the newest. */
static inline int32_t token_back(const struct repetition *r, size_t i) {
    return r->ring[(size_t)(r->n_accepted - 1 - i) & (r->capacity - 1)];
}

static bool is_single_breaker(const struct repetition *r, int32_t token) {
    return r->single_breakers &&
           (r->single_breakers[(uint32_t)token / 64] >> ((uint32_t)token % 64) & 1);
}

static bool ends_with(const struct repetition *r, const struct long_breaker *breaker) {
    if (breaker->n_tokens > r->n_accepted) return false;
    for (uint32_t i = 0; i < breaker->n_tokens; i++)
        if (token_back(r, i) != breaker->tokens[breaker->n_tokens - 1 - i]) return false;
    return true;
}

void repetition_accept(struct repetition *r, int32_t token) {
    r->n_accepted++;
    if (r->capacity == 0) return;
    r->ring[(size_t)(r->n_accepted - 1) & (r->capacity - 1)] = token;
    bool breaks = is_single_breaker(r, token);
    for (size_t i = 0; i < r->n_long_breakers && !breaks; i++)
        breaks = ends_with(r, &r->long_breakers[i]);
    r->n_since_breaker = breaks ? 0 : r->n_since_breaker + 1;
}

void repetition_penalise(const struct repetition *r, float *logits, int32_t *counts) {
    size_t n = n_remembered(r, r->window);
    for (size_t i = 0; i < n; i++)
        counts[token_back(r, i)]++;
    for (size_t i = 0; i < n; i++) {
        int32_t token = token_back(r, i);
        if (counts[token] == 0) continue;
        float logit = logits[token];
        logit = logit > 0 ? logit / r->repeat : logit * r->repeat;
        logit -= (float)counts[token] * r->frequency + r->presence;
        logits[token] = logit > FLT_MAX ? FLT_MAX : logit;
        counts[token] = 0;
    }
}

/* matches[k] = length of the longest common suffix of the sequence and of the sequence
 * without its last k tokens, over the last n: the Z function of the reversed sequence
 * (Gusfield 1997, section 1.4), in O(n). */
static void match_suffixes(const struct repetition *r, size_t n, int32_t *matches) {
    size_t left = 0, right = 0; /* the match that reaches furthest covers [left, right) */
    for (size_t k = 1; k < n; k++) {
        size_t length = 0;
        if (k < right) {
            length = (size_t)matches[k - left];
            if (length > right - k) length = right - k;
        }
        while (k + length < n && token_back(r, length) == token_back(r, k + length))
            length++;
        matches[k] = (int32_t)length;
        if (k + length > right) {
            left = k;
            right = k + length;
        }
    }
}

void repetition_penalise_dry(const struct repetition *r, float *logits, int32_t *counts,
                             int32_t *matches) {
    size_t n = n_remembered(r, r->dry_window);
    size_t limit = r->n_since_breaker, least = r->dry_allowed_length;
    if (n < 2 || limit < least) return;
    match_suffixes(r, n, matches);
    /* counts: 1 + the longest repetition that the token would continue. */
    for (size_t k = 1; k < n; k++) {
        size_t length = (size_t)matches[k] < limit ? (size_t)matches[k] : limit;
        int32_t next = token_back(r, k - 1);
        if (length >= least && counts[next] <= (int32_t)length) counts[next] = (int32_t)length + 1;
    }
    for (size_t k = 1; k < n; k++) {
        int32_t next = token_back(r, k - 1);
        if (counts[next] == 0) continue;
        double excess = (double)counts[next] - 1 - (double)least;
        counts[next] = 0;
        if (is_single_breaker(r, next)) continue;
        double penalty = (double)r->dry_multiplier * pow((double)r->dry_base, excess);
        double lowered = (double)logits[next] - penalty;
        /* Finite stays finite: a certain repetition is the last resort, not impossible. */
        if (lowered < -1e30 && logits[next] > -INFINITY) lowered = -1e30;
        logits[next] = (float)lowered;
    }
}
