#include "infer/sampler.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "infer/candidates.h"
#include "infer/repetition.h"

struct sampler_workspace {
    size_t n_vocab;
    float *logits;                /* [n_vocab] the row after bias and penalties */
    struct candidate *candidates; /* [n_vocab] */
    int32_t *counts;              /* [n_vocab] zero between calls */
    int32_t *matches;             /* [SAMPLER_MAX_HISTORY] */
};

struct sampler {
    struct sampler_params params; /* its two lists are not looked at after opening */
    size_t n_vocab;
    struct sampler_bias *biases; /* [params.n_logit_bias] */
    struct sampler_prob *top;    /* [params.n_probs] */
    struct repetition repetition;
    uint64_t n_accepted;
    uint64_t key;    /* of the random numbers, from the seed */
    float mu;        /* mirostat's bound on surprise, bits */
    float surprise;  /* of `sampled`, bits */
    int32_t sampled; /* the last answer, -1 once it was accepted */
};

enum { PROBS_OFF = -1 };

struct sampler_params sampler_params_default(void) {
    return (struct sampler_params){
        .temperature = 0.8f,
        .top_k = 40,
        .top_p = 0.95f,
        .min_p = 0.05f,
        .typical_p = 1,
        .top_n_sigma = -1,
        .xtc_threshold = 0.1f,
        .dry_base = 1.75f,
        .dry_allowed_length = 2,
        .dry_penalty_last_n = -1,
        .repeat_penalty = 1,
        .repeat_last_n = 64,
        .mirostat_tau = 5,
        .mirostat_eta = 0.1f,
        .n_probs = PROBS_OFF,
    };
}

struct float_range {
    const char *name;
    float value, least, most;
};

static hearth_status check_floats(const struct sampler_params *p, hearth_error *err) {
    const struct float_range ranges[] = {
        {"temperature", p->temperature, 0, 100},
        {"top_p", p->top_p, 0, 1},
        {"min_p", p->min_p, 0, 1},
        {"typical_p", p->typical_p, 0, 1},
        {"top_n_sigma", p->top_n_sigma, -1, 100},
        {"xtc_probability", p->xtc_probability, 0, 1},
        {"xtc_threshold", p->xtc_threshold, 0, 1},
        {"dry_multiplier", p->dry_multiplier, 0, 100},
        {"dry_base", p->dry_base, 1, 100},
        {"repeat_penalty", p->repeat_penalty, 0.01f, 100},
        {"presence_penalty", p->presence_penalty, -100, 100},
        {"frequency_penalty", p->frequency_penalty, -100, 100},
        {"mirostat_tau", p->mirostat_tau, 0, 100},
        {"mirostat_eta", p->mirostat_eta, 0, 1},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        const struct float_range *r = &ranges[i];
        if (!(r->value >= r->least && r->value <= r->most))
            return error_set(err, HEARTH_ERROR_ARGUMENT, "%s must be from %g to %g, found %g",
                             r->name, (double)r->least, (double)r->most, (double)r->value);
    }
    return HEARTH_OK;
}

struct int_range {
    const char *name;
    int64_t value, least, most;
};

static hearth_status check_ints(const struct sampler_params *p, hearth_error *err) {
    const struct int_range ranges[] = {
        {"top_k", p->top_k, -1, INT32_MAX},
        {"dry_allowed_length", p->dry_allowed_length, 0, INT32_MAX},
        {"dry_penalty_last_n", p->dry_penalty_last_n, -1, SAMPLER_MAX_HISTORY},
        {"repeat_last_n", p->repeat_last_n, -1, SAMPLER_MAX_HISTORY},
        {"min_keep", (int64_t)(p->min_keep > INT32_MAX ? INT64_MAX : p->min_keep), 0, INT32_MAX},
        {"n_probs", p->n_probs, PROBS_OFF, SAMPLER_MAX_PROBS},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        const struct int_range *r = &ranges[i];
        if (r->value < r->least || r->value > r->most)
            return error_set(err, HEARTH_ERROR_ARGUMENT, "%s must be from %lld to %lld, found %lld",
                             r->name, (long long)r->least, (long long)r->most, (long long)r->value);
    }
    if (p->mirostat != 0 && p->mirostat != 2)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "mirostat must be 0 (off) or 2, found %d",
                         p->mirostat);
    return HEARTH_OK;
}

static hearth_status check_biases(const struct sampler_params *p, size_t n_vocab,
                                  hearth_error *err) {
    if (p->n_logit_bias > SAMPLER_MAX_BIASES)
        return error_set(err, HEARTH_ERROR_LIMIT, "logit_bias has %zu entries; at most %d",
                         p->n_logit_bias, SAMPLER_MAX_BIASES);
    for (size_t i = 0; i < p->n_logit_bias; i++) {
        const struct sampler_bias *b = &p->logit_bias[i];
        if (b->token < 0 || (size_t)b->token >= n_vocab)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "logit_bias names token %d; the vocabulary has 0 to %zu", b->token,
                             n_vocab - 1);
        if (!(b->bias < INFINITY))
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "logit_bias of token %d must be a finite number or -inf, found %g",
                             b->token, (double)b->bias);
    }
    return HEARTH_OK;
}

static hearth_status check_breakers(const struct sampler_params *p, size_t n_vocab,
                                    hearth_error *err) {
    size_t n_long = 0;
    if (p->n_dry_sequence_breakers > SAMPLER_MAX_BREAKERS)
        return error_set(err, HEARTH_ERROR_LIMIT,
                         "dry_sequence_breakers has %zu token sequences; at most %d",
                         p->n_dry_sequence_breakers, SAMPLER_MAX_BREAKERS);
    for (size_t i = 0; i < p->n_dry_sequence_breakers; i++) {
        const struct sampler_breaker *b = &p->dry_sequence_breakers[i];
        if (b->n_tokens == 0 || b->n_tokens > SAMPLER_MAX_BREAKER_TOKENS)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "dry_sequence_breakers: entry %zu has %zu tokens, expected 1 to %d", i,
                             b->n_tokens, SAMPLER_MAX_BREAKER_TOKENS);
        n_long += b->n_tokens > 1;
        for (size_t j = 0; j < b->n_tokens; j++)
            if (b->tokens[j] < 0 || (size_t)b->tokens[j] >= n_vocab)
                return error_set(err, HEARTH_ERROR_ARGUMENT,
                                 "dry_sequence_breakers names token %d; the vocabulary has 0 to "
                                 "%zu",
                                 b->tokens[j], n_vocab - 1);
    }
    if (n_long > SAMPLER_MAX_LONG_BREAKERS)
        return error_set(err, HEARTH_ERROR_LIMIT,
                         "dry_sequence_breakers has %zu sequences of several tokens; at most %d",
                         n_long, SAMPLER_MAX_LONG_BREAKERS);
    return HEARTH_OK;
}

static hearth_status check_vocab(size_t n_vocab, hearth_error *err) {
    if (n_vocab > 0 && n_vocab <= INT32_MAX) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_ARGUMENT, "cannot sample from a vocabulary of %zu tokens",
                     n_vocab);
}

hearth_status sampler_params_check(const struct sampler_params *params, size_t n_vocab,
                                   hearth_error *err) {
    RETURN_IF_ERROR(check_vocab(n_vocab, err));
    RETURN_IF_ERROR(check_floats(params, err));
    RETURN_IF_ERROR(check_ints(params, err));
    RETURN_IF_ERROR(check_biases(params, n_vocab, err));
    return check_breakers(params, n_vocab, err);
}

hearth_status sampler_workspace_open(struct sampler_workspace **workspace, size_t n_vocab,
                                     hearth_error *err) {
    *workspace = NULL;
    RETURN_IF_ERROR(check_vocab(n_vocab, err));
    struct sampler_workspace *w = mem_calloc(1, sizeof *w);
    if (w) {
        w->n_vocab = n_vocab;
        w->logits = mem_alloc_array(n_vocab, sizeof *w->logits);
        w->candidates = mem_alloc_array(n_vocab, sizeof *w->candidates);
        w->counts = mem_calloc(n_vocab, sizeof *w->counts);
        w->matches = mem_alloc_array(SAMPLER_MAX_HISTORY, sizeof *w->matches);
    }
    if (!w || !w->logits || !w->candidates || !w->counts || !w->matches) {
        sampler_workspace_close(w);
        return error_set(err, HEARTH_ERROR_NO_MEMORY,
                         "no memory to sample from a vocabulary of %zu tokens", n_vocab);
    }
    *workspace = w;
    return HEARTH_OK;
}

void sampler_workspace_close(struct sampler_workspace *workspace) {
    if (!workspace) return;
    mem_free(workspace->logits);
    mem_free(workspace->candidates);
    mem_free(workspace->counts);
    mem_free(workspace->matches);
    mem_free(workspace);
}

static hearth_status take_lists(struct sampler *s, const struct sampler_params *params,
                                hearth_error *err) {
    size_t n_top = params->n_probs > 0 ? (size_t)params->n_probs : 0;
    s->biases = mem_alloc_array(params->n_logit_bias, sizeof *s->biases);
    s->top = mem_alloc_array(n_top, sizeof *s->top);
    if (!s->biases || !s->top)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a sampler");
    if (params->n_logit_bias)
        memcpy(s->biases, params->logit_bias, params->n_logit_bias * sizeof *s->biases);
    return repetition_init(&s->repetition, params, s->n_vocab, err);
}

hearth_status sampler_open(struct sampler **sampler, const struct sampler_params *params,
                           size_t n_vocab, hearth_error *err) {
    *sampler = NULL;
    RETURN_IF_ERROR(sampler_params_check(params, n_vocab, err));
    struct sampler *s = mem_calloc(1, sizeof *s);
    if (!s) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a sampler");
    s->params = *params;
    s->n_vocab = n_vocab;
    if (!params->seed_is_set) s->params.seed = rng_entropy();
    struct rng rng;
    rng_seed(&rng, s->params.seed);
    s->key = rng_u64(&rng);
    hearth_status status = take_lists(s, params, err);
    if (status != HEARTH_OK) {
        sampler_close(s);
        return status;
    }
    s->params.logit_bias = NULL;
    s->params.dry_sequence_breakers = NULL;
    sampler_reset(s);
    *sampler = s;
    return HEARTH_OK;
}

void sampler_close(struct sampler *sampler) {
    if (!sampler) return;
    repetition_release(&sampler->repetition);
    mem_free(sampler->biases);
    mem_free(sampler->top);
    mem_free(sampler);
}

uint64_t sampler_seed(const struct sampler *sampler) {
    return sampler->params.seed;
}

float sampler_mirostat_mu(const struct sampler *sampler) {
    return sampler->mu;
}

void sampler_reset(struct sampler *sampler) {
    repetition_reset(&sampler->repetition);
    sampler->n_accepted = 0;
    sampler->mu = 2 * sampler->params.mirostat_tau;
    sampler->sampled = -1;
}

void sampler_accept(struct sampler *sampler, int32_t token) {
    if (token < 0 || (size_t)token >= sampler->n_vocab) return;
    const struct sampler_params *p = &sampler->params;
    if (p->mirostat == 2 && p->temperature > 0 && token == sampler->sampled)
        sampler->mu -= p->mirostat_eta * (sampler->surprise - p->mirostat_tau);
    sampler->sampled = -1;
    sampler->n_accepted++;
    repetition_accept(&sampler->repetition, token);
}

static inline float sane(float logit) {
    if (!(logit >= -FLT_MAX)) return -INFINITY; /* NaN, -inf */
    return logit > FLT_MAX ? FLT_MAX : logit;
}

static void read_row(struct sampler_workspace *w, const float *logits) {
    for (size_t i = 0; i < w->n_vocab; i++)
        w->logits[i] = sane(logits[i]);
}

/* Log-probabilities of the row as the model gave it; returns log Σ exp(logit). */
static double measure_row(struct sampler *s, struct sampler_workspace *w, size_t *n_top) {
    float largest = -INFINITY;
    double total = 0;
    for (size_t i = 0; i < w->n_vocab; i++)
        if (w->logits[i] > largest) largest = w->logits[i];
    for (size_t i = 0; i < w->n_vocab; i++)
        total += (double)expf(w->logits[i] - largest);
    double log_total = (double)largest + log(total);
    struct candidates best = {.data = w->candidates};
    size_t wanted = s->params.n_probs > 0 ? (size_t)s->params.n_probs : 0;
    if (wanted > 0) {
        candidates_gather(&best, w->logits, w->n_vocab, wanted);
        candidates_keep_best(&best, wanted);
    }
    for (size_t i = 0; i < best.size; i++)
        s->top[i] =
            (struct sampler_prob){best.data[i].id, (float)((double)best.data[i].logit - log_total)};
    *n_top = best.size;
    return log_total;
}

static void adjust_row(struct sampler *s, struct sampler_workspace *w, const uint64_t *allowed) {
    const struct repetition *r = &s->repetition;
    for (size_t i = 0; allowed && i < w->n_vocab; i++)
        if (!(allowed[i / 64] >> (i % 64) & 1)) w->logits[i] = -INFINITY;
    for (size_t i = 0; i < s->params.n_logit_bias; i++) {
        int32_t token = s->biases[i].token;
        w->logits[token] = sane(w->logits[token] + s->biases[i].bias);
    }
    if (r->window > 0) repetition_penalise(r, w->logits, w->counts);
    if (r->dry_window > 0) repetition_penalise_dry(r, w->logits, w->counts, w->matches);
}

static struct rng rng_of_position(const struct sampler *s) {
    struct rng rng;
    /* An odd multiplier of its own, so that positions do not share splitmix states. */
    rng_seed(&rng, s->key + s->n_accepted * UINT64_C(0xd1342543de82ef95));
    return rng;
}

static void thin_out(const struct sampler_params *p, struct candidates *c, struct rng *rng) {
    filter_top_n_sigma(c, p->top_n_sigma);
    if (p->top_k > 0 && (size_t)p->top_k < c->size)
        candidates_keep_best(c, (size_t)p->top_k > p->min_keep ? (size_t)p->top_k : p->min_keep);
    filter_typical(c, p->typical_p, p->min_keep);
    filter_top_p(c, p->top_p, p->min_keep);
    filter_min_p(c, p->min_p, p->min_keep);
    if (p->xtc_probability > 0 && rng_uniform(rng) < (double)p->xtc_probability)
        filter_xtc(c, p->xtc_threshold, p->min_keep);
}

static void draw(struct sampler *s, struct candidates *c) {
    const struct sampler_params *p = &s->params;
    struct rng rng = rng_of_position(s);
    if (p->mirostat == 2) {
        filter_temperature(c, p->temperature);
        filter_mirostat(c, s->mu);
    } else {
        thin_out(p, c, &rng);
        filter_temperature(c, p->temperature);
    }
    double total = candidates_weigh(c);
    const struct candidate *chosen = candidates_draw(c, total, rng_uniform(&rng));
    s->sampled = chosen->id;
    s->surprise = (float)log2(total / (double)chosen->weight);
}

/* How many candidates the first truncation can need: all, or the top_k. */
static size_t gather_limit(const struct sampler_params *p, size_t n_vocab) {
    if (p->temperature == 0) return 1;
    if (p->mirostat == 2 || p->top_n_sigma > 0 || p->top_k <= 0) return n_vocab;
    size_t k = (size_t)p->top_k > p->min_keep ? (size_t)p->top_k : p->min_keep;
    return k < n_vocab ? k : n_vocab;
}

hearth_status sampler_sample(struct sampler *sampler, struct sampler_workspace *workspace,
                             const float *logits, const uint64_t *allowed,
                             struct sampler_result *result, hearth_error *err) {
    struct sampler *s = sampler;
    struct sampler_workspace *w = workspace;
    assert(w->n_vocab == s->n_vocab);
    double log_total = 0;
    *result = (struct sampler_result){.token = -1, .top = s->top};
    s->sampled = -1;
    read_row(w, logits);
    if (s->params.n_probs != PROBS_OFF) log_total = measure_row(s, w, &result->n_top);
    adjust_row(s, w, allowed);
    struct candidates c = {.data = w->candidates};
    candidates_gather(&c, w->logits, w->n_vocab, gather_limit(&s->params, w->n_vocab));
    if (c.size == 0)
        return error_set(err, HEARTH_ERROR_NOT_FOUND, "cannot choose a token: %s",
                         allowed ? "the constraint and the biases leave none with a finite logit"
                                 : "the model gave no finite logit that the biases leave");
    if (s->params.temperature == 0)
        s->sampled = candidates_best(&c)->id;
    else
        draw(s, &c);
    result->token = s->sampled;
    if (s->params.n_probs != PROBS_OFF)
        result->logprob = (float)((double)sane(logits[s->sampled]) - log_total);
    return HEARTH_OK;
}

void sampler_score(struct sampler *s, struct sampler_workspace *w, const float *logits,
                   int32_t token, struct sampler_result *result) {
    *result = (struct sampler_result){.token = token, .top = s->top};
    read_row(w, logits);
    double log_total = measure_row(s, w, &result->n_top);
    result->logprob = (float)((double)sane(logits[token]) - log_total);
}
