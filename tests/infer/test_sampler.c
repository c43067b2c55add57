#include "testdata.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "infer/sampler.h"

enum { V = 32, WIDE = 5000 };

struct fixture {
    struct sampler *sampler;
    struct sampler_workspace *workspace;
};

static struct fixture setup(const struct sampler_params *params, size_t n_vocab) {
    struct fixture f;
    hearth_error err = {0};
    if (sampler_open(&f.sampler, params, n_vocab, &err) != HEARTH_OK) fail_msg("%s", err.message);
    assert_int_equal(sampler_workspace_open(&f.workspace, n_vocab, NULL), HEARTH_OK);
    return f;
}

static void teardown(struct fixture *f) {
    sampler_close(f->sampler);
    sampler_workspace_close(f->workspace);
}

static int32_t sample(struct fixture *f, const float *logits) {
    struct sampler_result result;
    hearth_error err = {0};
    if (sampler_sample(f->sampler, f->workspace, logits, NULL, &result, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    return result.token;
}

static void accept_all(struct fixture *f, const int32_t *tokens, size_t n) {
    for (size_t i = 0; i < n; i++)
        sampler_accept(f->sampler, tokens[i]);
}

/* Everything off: the plain softmax. */
static struct sampler_params plain(uint64_t seed) {
    struct sampler_params p = sampler_params_default();
    p.temperature = 1;
    p.top_k = 0;
    p.top_p = 1;
    p.min_p = 0;
    p.seed_is_set = true;
    p.seed = seed;
    return p;
}

static struct sampler_params greedy(void) {
    struct sampler_params p = plain(1);
    p.temperature = 0;
    return p;
}

static void random_logits(float *logits, size_t n, uint64_t seed, float spread) {
    struct rng rng;
    rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++)
        logits[i] = spread * rng_normal(&rng);
}

/* Pearson's statistic of `draws` samples against the probabilities `p`; tokens that p
 * forbids must not appear. *freedom = categories - 1. */
static double chi_square(struct fixture *f, const float *logits, const double *p, int draws,
                         int *freedom) {
    static int seen[WIDE];
    double statistic = 0;
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < draws; i++) {
        int32_t token = sample(f, logits);
        sampler_accept(f->sampler, token);
        assert_true(p[token] > 0);
        seen[token]++;
    }
    *freedom = -1;
    for (int i = 0; i < V; i++) {
        double expected = p[i] * draws;
        if (expected <= 0) continue;
        statistic += (seen[i] - expected) * (seen[i] - expected) / expected;
        ++*freedom;
    }
    return statistic;
}

/* Mean f, deviation sqrt(2f): six deviations are never met by chance. */
static void assert_fits(double statistic, int freedom) {
    if (statistic > freedom + 6 * sqrt(2.0 * freedom + 1))
        fail_msg("chi-square %.1f with %d degrees of freedom", statistic, freedom);
}

static void softmax(const float *logits, double temperature, double *p) {
    double total = 0;
    for (int i = 0; i < V; i++)
        total += p[i] = exp((double)logits[i] / temperature);
    for (int i = 0; i < V; i++)
        p[i] /= total;
}

static void plain_sampling_follows_the_softmax(void **state) {
    (void)state;
    float logits[V];
    double p[V];
    const float temperatures[] = {0.5f, 1, 1.7f};
    random_logits(logits, V, 5, 1);
    for (size_t i = 0; i < 3; i++) {
        struct sampler_params params = plain(40 + i);
        params.temperature = temperatures[i];
        struct fixture f = setup(&params, V);
        int freedom;
        softmax(logits, (double)temperatures[i], p);
        double statistic = chi_square(&f, logits, p, 40000, &freedom);
        assert_int_equal(freedom, V - 1);
        assert_fits(statistic, freedom);
        teardown(&f);
    }
}

static void default_chain_follows_its_distribution(void **state) {
    (void)state;
    float logits[V];
    double p[V], q[V], best = 0, kept = 0, total = 0;
    random_logits(logits, V, 6, 2);
    /* top_p 0.9 and then min_p 0.05 by hand on the untempered softmax, then 0.8. */
    softmax(logits, 1, p);
    memset(q, 0, sizeof q);
    for (int n = 0; n < V && kept < 0.9; n++) {
        int top = -1;
        for (int i = 0; i < V; i++)
            if (q[i] == 0 && (top < 0 || p[i] > p[top])) top = i;
        if (n == 0) best = p[top];
        kept += q[top] = p[top];
    }
    for (int i = 0; i < V; i++) {
        q[i] = q[i] >= 0.05 * best ? pow(q[i], 1 / 0.8) : 0;
        total += q[i];
    }
    for (int i = 0; i < V; i++)
        q[i] /= total;
    struct sampler_params params = sampler_params_default();
    params.top_p = 0.9f;
    params.seed_is_set = true;
    params.seed = 3;
    struct fixture f = setup(&params, V);
    int freedom;
    double statistic = chi_square(&f, logits, q, 40000, &freedom);
    assert_in_range(freedom, 3, V - 2);
    assert_fits(statistic, freedom);
    teardown(&f);
}

static void seeds_decide(void **state) {
    (void)state;
    static float logits[WIDE];
    int32_t first[64];
    random_logits(logits, WIDE, 9, 2);
    struct sampler_params params = plain(77);
    struct fixture f = setup(&params, WIDE);
    assert_int_equal(sampler_seed(f.sampler), 77);
    for (int i = 0; i < 64; i++) {
        first[i] = sample(&f, logits);
        assert_int_equal(sample(&f, logits), first[i]); /* nothing accepted: the same position */
        sampler_accept(f.sampler, first[i]);
    }
    sampler_reset(f.sampler);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(sample(&f, logits), first[i]);
        sampler_accept(f.sampler, first[i]);
    }
    teardown(&f);
    params.seed = 78;
    f = setup(&params, WIDE);
    int same = 0;
    for (int i = 0; i < 64; i++) {
        int32_t token = sample(&f, logits);
        same += token == first[i];
        sampler_accept(f.sampler, token);
    }
    assert_in_range(same, 0, 16);
    teardown(&f);
}

static void entropy_seeds_are_readable_and_repeatable(void **state) {
    (void)state;
    static float logits[WIDE];
    random_logits(logits, WIDE, 10, 1);
    struct sampler_params params = plain(0);
    params.seed_is_set = false;
    struct fixture a = setup(&params, WIDE), b = setup(&params, WIDE);
    assert_true(sampler_seed(a.sampler) != sampler_seed(b.sampler));
    params.seed_is_set = true;
    params.seed = sampler_seed(a.sampler);
    struct fixture c = setup(&params, WIDE);
    assert_int_equal(sample(&a, logits), sample(&c, logits));
    teardown(&a);
    teardown(&b);
    teardown(&c);
}

static void greedy_takes_the_lowest_id_of_equals(void **state) {
    (void)state;
    float logits[V] = {0};
    struct sampler_params params = greedy();
    params.xtc_probability = 1; /* greedy ignores everything that draws or truncates */
    struct fixture f = setup(&params, V);
    assert_int_equal(sample(&f, logits), 0);
    logits[9] = logits[4] = logits[20] = 2;
    assert_int_equal(sample(&f, logits), 4);
    teardown(&f);
}

static void not_a_number_is_never_chosen(void **state) {
    (void)state;
    float logits[V];
    double p[V] = {0};
    struct sampler_result result;
    hearth_error err = {0};
    for (int i = 0; i < V; i++)
        logits[i] = i % 2 ? NAN : -INFINITY;
    struct sampler_params params = plain(4);
    params.n_probs = 3;
    struct fixture f = setup(&params, V);
    assert_int_equal(sampler_sample(f.sampler, f.workspace, logits, NULL, &result, &err),
                     HEARTH_ERROR_NOT_FOUND);
    assert_non_null(strstr(err.message, "no finite logit"));
    logits[6] = 1;
    logits[7] = 1;
    p[6] = p[7] = 0.5;
    int freedom;
    assert_fits(chi_square(&f, logits, p, 2000, &freedom), 1);
    logits[12] = INFINITY;
    for (int i = 0; i < 20; i++, sampler_accept(f.sampler, 0))
        assert_int_equal(sample(&f, logits), 12);
    teardown(&f);
    params = greedy();
    f = setup(&params, V);
    assert_int_equal(sample(&f, logits), 12);
    logits[12] = NAN;
    assert_int_equal(sample(&f, logits), 6);
    teardown(&f);
}

static void every_option_survives_hostile_logits(void **state) {
    (void)state;
    static const float strange[] = {0,     1,        -1,        NAN,     INFINITY, FLT_MAX,
                                    1e30f, -FLT_MAX, -INFINITY, FLT_MIN, -FLT_MIN, 1e-45f};
    struct rng rng;
    rng_seed(&rng, 21);
    for (int round = 0; round < 3000; round++) {
        struct sampler_params p = plain((uint64_t)round);
        float logits[V];
        struct sampler_result result;
        p.top_k = (int32_t)(rng_u64(&rng) % 40) - 1;
        p.top_p = (float)rng_uniform(&rng);
        p.min_p = (float)rng_uniform(&rng);
        p.typical_p = (float)rng_uniform(&rng);
        p.top_n_sigma = (float)(rng_uniform(&rng) * 4 - 1);
        p.xtc_probability = (float)rng_uniform(&rng);
        p.xtc_threshold = (float)rng_uniform(&rng) / 2;
        p.repeat_penalty = 0.01f + 2 * (float)rng_uniform(&rng);
        p.frequency_penalty = (float)rng_uniform(&rng) * 200 - 100;
        p.dry_multiplier = 100 * (float)rng_uniform(&rng);
        p.dry_base = 100;
        p.temperature = rng_u64(&rng) % 4 ? 100 * (float)rng_uniform(&rng) : 1e-30f;
        p.mirostat = rng_u64(&rng) % 4 ? 0 : 2;
        p.n_probs = 5;
        p.min_keep = (size_t)(rng_u64(&rng) % 5);
        struct fixture f = setup(&p, V);
        for (int step = 0; step < 12; step++) {
            for (int i = 0; i < V; i++)
                logits[i] = strange[rng_u64(&rng) % (sizeof strange / sizeof strange[0])];
            logits[step] = 0.5f;
            assert_int_equal(sampler_sample(f.sampler, f.workspace, logits, NULL, &result, NULL),
                             HEARTH_OK);
            assert_in_range(result.token, 0, V - 1);
            assert_true(!isnan(logits[result.token]) && logits[result.token] != -INFINITY);
            assert_true(result.logprob <= 0);
            assert_true(isfinite(sampler_mirostat_mu(f.sampler)));
            sampler_accept(f.sampler, result.token);
        }
        teardown(&f);
    }
}

static void only_allowed_tokens_are_chosen(void **state) {
    (void)state;
    static float logits[WIDE];
    static uint64_t allowed[(WIDE + 63) / 64];
    struct sampler_result result;
    hearth_error err = {0};
    random_logits(logits, WIDE, 11, 1);
    struct sampler_params params = plain(12);
    struct fixture f = setup(&params, WIDE);
    assert_int_equal(sampler_sample(f.sampler, f.workspace, logits, allowed, &result, &err),
                     HEARTH_ERROR_NOT_FOUND);
    assert_non_null(strstr(err.message, "constraint"));
    const int32_t open[] = {3, 64, 4999};
    int seen[3] = {0};
    for (int i = 0; i < 3; i++)
        allowed[open[i] / 64] |= UINT64_C(1) << (open[i] % 64);
    for (int i = 0; i < 400; i++) {
        int at = 0;
        assert_int_equal(sampler_sample(f.sampler, f.workspace, logits, allowed, &result, NULL),
                         HEARTH_OK);
        while (at < 3 && open[at] != result.token)
            at++;
        assert_in_range(at, 0, 2);
        seen[at]++;
        sampler_accept(f.sampler, result.token);
    }
    for (int i = 0; i < 3; i++)
        assert_true(seen[i] > 0);
    teardown(&f);
}

static void biases_add_and_ban(void **state) {
    (void)state;
    float logits[V] = {[5] = 3, [6] = 2};
    const struct sampler_bias biases[] = {{5, -INFINITY}, {7, 1.5f}, {7, 1}};
    struct sampler_params params = greedy();
    params.logit_bias = biases;
    params.n_logit_bias = 3;
    struct fixture f = setup(&params, V);
    assert_int_equal(sample(&f, logits), 7);
    teardown(&f);
}

/* The logit of each token after the penalties, found with greedy against a probe whose
 * logit is moved by bisection. */
static float adjusted_logit(struct fixture *f, float *logits, int32_t token) {
    float saved[V], low = -200, high = 200;
    memcpy(saved, logits, sizeof saved);
    for (int i = 0; i < V; i++)
        if (i != token) logits[i] = -INFINITY;
    for (int i = 0; i < 60; i++) {
        float middle = (low + high) / 2;
        logits[V - 1] = middle; /* the probe: never accepted, higher id loses ties */
        if (sample(f, logits) == token)
            low = middle;
        else
            high = middle;
    }
    memcpy(logits, saved, sizeof saved);
    return low;
}

static void assert_near(float found, double expected) {
    if (!(fabs((double)found - expected) < 1e-3 * (1 + fabs(expected))))
        fail_msg("found %g, expected %g", (double)found, expected);
}

static void penalties_follow_their_definitions(void **state) {
    (void)state;
    float logits[V];
    const int32_t said[] = {1, 1, 2, 3, 3, 3, 4, 1};
    for (int i = 0; i < V; i++)
        logits[i] = i % 2 ? 4 : -3;
    struct sampler_params params = greedy();
    params.repeat_penalty = 1.5f;
    params.presence_penalty = 0.25f;
    params.frequency_penalty = 0.5f;
    params.repeat_last_n = 5; /* 3 3 3 4 1: ids below the window are free again */
    struct fixture f = setup(&params, V);
    accept_all(&f, said, 8);
    assert_near(adjusted_logit(&f, logits, 1), 4 / 1.5 - 0.5 - 0.25);
    assert_near(adjusted_logit(&f, logits, 2), -3);
    assert_near(adjusted_logit(&f, logits, 3), 4 / 1.5 - 1.5 - 0.25);
    assert_near(adjusted_logit(&f, logits, 4), -3 * 1.5 - 0.5 - 0.25);
    assert_near(adjusted_logit(&f, logits, 5), 4);
    sampler_reset(f.sampler);
    assert_near(adjusted_logit(&f, logits, 1), 4);
    teardown(&f);
}

static struct sampler_params dry(int32_t allowed_length) {
    struct sampler_params p = greedy();
    p.dry_multiplier = 0.8f;
    p.dry_base = 1.75f;
    p.dry_allowed_length = allowed_length;
    return p;
}

static void dry_lowers_what_continues_a_repetition(void **state) {
    (void)state;
    float logits[V] = {0};
    const int32_t said[] = {1, 2, 3, 4, 5, 9, 3, 7, 1, 2, 3};
    struct sampler_params params = dry(2);
    struct fixture f = setup(&params, V);
    accept_all(&f, said, 11);
    assert_near(adjusted_logit(&f, logits, 4), -0.8 * 1.75); /* 1 2 3 → 4: length 3 */
    assert_near(adjusted_logit(&f, logits, 7), 0);           /* 3 → 7: length 1 is free */
    assert_near(adjusted_logit(&f, logits, 5), 0);
    teardown(&f);
    params = dry(1);
    f = setup(&params, V);
    accept_all(&f, said, 11);
    assert_near(adjusted_logit(&f, logits, 7), -0.8);
    assert_near(adjusted_logit(&f, logits, 4), -0.8 * 1.75 * 1.75);
    teardown(&f);
    params.dry_penalty_last_n = 5; /* 3 7 1 2 3: the first 1 2 3 4 is out of sight */
    f = setup(&params, V);
    accept_all(&f, said, 11);
    assert_near(adjusted_logit(&f, logits, 7), -0.8);
    assert_near(adjusted_logit(&f, logits, 4), 0);
    teardown(&f);
}

static void dry_stops_at_breakers(void **state) {
    (void)state;
    float logits[V] = {0};
    const int32_t said[] = {1, 2, 3, 4, 6, 1, 2, 3};
    const int32_t two[] = {2}, one_two[] = {1, 2}, four[] = {4};
    struct sampler_params params = dry(1);
    const struct sampler_breaker single = {two, 1}, pair = {one_two, 2}, follower = {four, 1};
    params.dry_sequence_breakers = &single;
    params.n_dry_sequence_breakers = 1;
    struct fixture f = setup(&params, V);
    accept_all(&f, said, 8);
    assert_near(adjusted_logit(&f, logits, 4), -0.8); /* only the 3 after the breaker counts */
    teardown(&f);
    params.dry_sequence_breakers = &pair;
    f = setup(&params, V);
    accept_all(&f, said, 8);
    assert_near(adjusted_logit(&f, logits, 4), -0.8);
    accept_all(&f, said, 2); /* the last tokens are the breaker itself */
    assert_near(adjusted_logit(&f, logits, 3), 0);
    teardown(&f);
    params.dry_sequence_breakers = &follower;
    f = setup(&params, V);
    accept_all(&f, said, 8);
    assert_near(adjusted_logit(&f, logits, 4), 0); /* breakers themselves stay free */
    teardown(&f);
}

/* Longest common suffixes by comparing everything with everything. */
static void dry_agrees_with_the_definition(void **state) {
    (void)state;
    struct rng rng;
    rng_seed(&rng, 31);
    for (int round = 0; round < 60; round++) {
        int32_t said[40];
        float logits[V] = {0};
        int n = 2 + (int)(rng_u64(&rng) % 38);
        struct sampler_params params = dry(1 + (int32_t)(rng_u64(&rng) % 3));
        struct fixture f = setup(&params, V);
        for (int i = 0; i < n; i++)
            said[i] = (int32_t)(rng_u64(&rng) % 3);
        accept_all(&f, said, (size_t)n);
        for (int32_t token = 0; token < 3; token++) {
            int longest = -1;
            for (int at = 1; at < n; at++) {
                int length = 0;
                if (said[at] != token) continue;
                while (length < at && said[at - 1 - length] == said[n - 1 - length])
                    length++;
                if (length > longest) longest = length;
            }
            int excess = longest - params.dry_allowed_length;
            assert_near(adjusted_logit(&f, logits, token),
                        excess < 0 ? 0 : fmax(-200, -0.8 * pow(1.75, excess)));
        }
        teardown(&f);
    }
}

static void xtc_spares_the_least_top_choice(void **state) {
    (void)state;
    float logits[V];
    for (int i = 0; i < V; i++)
        logits[i] = -20;
    logits[2] = logf(0.5f);
    logits[3] = logf(0.3f);
    logits[4] = logf(0.15f);
    logits[5] = logf(0.05f);
    struct sampler_params params = plain(2);
    params.xtc_probability = 1;
    params.top_k = 4;
    struct fixture f = setup(&params, V);
    double p[V] = {[4] = 0.75, [5] = 0.25};
    int freedom;
    assert_fits(chi_square(&f, logits, p, 4000, &freedom), 1);
    teardown(&f);
    params.xtc_probability = 0.4f;
    f = setup(&params, V);
    double mixed[V] = {[2] = 0.3, [3] = 0.18, [4] = 0.09 + 0.3, [5] = 0.03 + 0.1};
    assert_fits(chi_square(&f, logits, mixed, 20000, &freedom), 3);
    teardown(&f);
}

static void mirostat_reaches_its_target(void **state) {
    (void)state;
    static float logits[WIDE];
    const float targets[] = {2, 4, 6};
    for (int i = 0; i < WIDE; i++)
        logits[i] = -1.05f * logf((float)(i + 1)); /* Zipf's law, as the paper assumes */
    for (int t = 0; t < 3; t++) {
        struct sampler_params params = plain(5);
        params.mirostat = 2;
        params.mirostat_tau = targets[t];
        params.n_probs = 0;
        struct fixture f = setup(&params, WIDE);
        double surprise = 0;
        float before = sampler_mirostat_mu(f.sampler);
        assert_true(before == 2 * targets[t]);
        for (int i = 0; i < 3000; i++) {
            float mu = sampler_mirostat_mu(f.sampler);
            int32_t token = sample(&f, logits);
            sampler_accept(f.sampler, token);
            /* mu' = mu - eta (S - tau), so S can be read back. */
            if (i >= 200)
                surprise += (double)((mu - sampler_mirostat_mu(f.sampler)) / 0.1f + targets[t]);
        }
        if (fabs(surprise / 2800 - (double)targets[t]) > 0.1)
            fail_msg("mean surprise %.3f, target %g", surprise / 2800, (double)targets[t]);
        sampler_accept(f.sampler, 1); /* forced: mu stays */
        float mu = sampler_mirostat_mu(f.sampler);
        sampler_accept(f.sampler, 1);
        assert_true(mu == sampler_mirostat_mu(f.sampler));
        teardown(&f);
    }
}

static void logprobs_are_those_of_the_model(void **state) {
    (void)state;
    static float logits[WIDE];
    double total = 0;
    random_logits(logits, WIDE, 14, 3);
    for (int i = 0; i < WIDE; i++)
        total += exp((double)logits[i]);
    struct sampler_params params = sampler_params_default();
    const struct sampler_bias bias = {17, 50};
    params.logit_bias = &bias;
    params.n_logit_bias = 1;
    params.n_probs = 20;
    struct fixture f = setup(&params, WIDE);
    struct sampler_result result;
    assert_int_equal(sampler_sample(f.sampler, f.workspace, logits, NULL, &result, NULL),
                     HEARTH_OK);
    assert_int_equal(result.token, 17);
    assert_true(fabs((double)result.logprob - ((double)logits[17] - log(total))) < 1e-4);
    assert_int_equal(result.n_top, 20);
    for (size_t i = 0; i < 20; i++) {
        float logit = logits[result.top[i].token];
        int larger = 0;
        for (int j = 0; j < WIDE; j++)
            larger += logits[j] > logit;
        assert_int_equal(larger, i);
        assert_true(fabs((double)result.top[i].logprob - ((double)logit - log(total))) < 1e-4);
    }
    teardown(&f);
    params.n_probs = 64; /* more than there are */
    params.n_logit_bias = 0;
    f = setup(&params, V);
    assert_int_equal(sampler_sample(f.sampler, f.workspace, logits, NULL, &result, NULL),
                     HEARTH_OK);
    assert_int_equal(result.n_top, V);
    teardown(&f);
}

static void assert_refused(const struct sampler_params *p, const char *field) {
    hearth_error err = {0};
    struct sampler *sampler;
    assert_int_not_equal(sampler_open(&sampler, p, V, &err), HEARTH_OK);
    assert_null(sampler);
    if (strncmp(err.message, field, strlen(field)) != 0) fail_msg("%s: %s", field, err.message);
}

#define REFUSED(field, value)                                                                      \
    do {                                                                                           \
        struct sampler_params p_ = sampler_params_default();                                       \
        p_.field = value;                                                                          \
        assert_refused(&p_, #field);                                                               \
    } while (0)

static void impossible_parameters_are_refused_by_name(void **state) {
    (void)state;
    REFUSED(temperature, -0.1f);
    REFUSED(temperature, NAN);
    REFUSED(temperature, INFINITY);
    REFUSED(top_k, -2);
    REFUSED(top_p, 1.01f);
    REFUSED(min_p, -1);
    REFUSED(typical_p, 2);
    REFUSED(top_n_sigma, NAN);
    REFUSED(xtc_probability, 1.5f);
    REFUSED(xtc_threshold, -0.5f);
    REFUSED(dry_multiplier, -1);
    REFUSED(dry_base, 0.5f);
    REFUSED(dry_allowed_length, -1);
    REFUSED(dry_penalty_last_n, SAMPLER_MAX_HISTORY + 1);
    REFUSED(repeat_penalty, 0);
    REFUSED(repeat_last_n, -2);
    REFUSED(presence_penalty, 101);
    REFUSED(frequency_penalty, -101);
    REFUSED(mirostat, 1);
    REFUSED(mirostat_tau, -1);
    REFUSED(mirostat_eta, 2);
    REFUSED(min_keep, SIZE_MAX);
    REFUSED(n_probs, SAMPLER_MAX_PROBS + 1);
    struct sampler_params p = sampler_params_default();
    struct sampler_bias bias = {V, 1};
    p.logit_bias = &bias;
    p.n_logit_bias = 1;
    assert_refused(&p, "logit_bias");
    bias = (struct sampler_bias){1, INFINITY};
    assert_refused(&p, "logit_bias");
    p = sampler_params_default();
    const int32_t outside[] = {1, -1};
    struct sampler_breaker breaker = {outside, 0};
    p.dry_sequence_breakers = &breaker;
    p.n_dry_sequence_breakers = 1;
    assert_refused(&p, "dry_sequence_breakers");
    breaker.n_tokens = 2;
    assert_refused(&p, "dry_sequence_breakers");
}

static void long_histories_wrap_around(void **state) {
    (void)state;
    float logits[V] = {0};
    struct sampler_params params = dry(2);
    params.dry_penalty_last_n = 40; /* the ring has 64 places */
    params.frequency_penalty = 1;
    params.repeat_last_n = 40;
    struct fixture f = setup(&params, V);
    for (int i = 0; i < 1000; i++)
        sampler_accept(f.sampler, i % 8);
    /* Period 8: the window of 40 repeats its last 32 tokens. */
    assert_near(adjusted_logit(&f, logits, 0), fmax(-200, -5 - 0.8 * pow(1.75, 30)));
    assert_near(adjusted_logit(&f, logits, 3), -5);
    sampler_accept(f.sampler, -1);
    sampler_accept(f.sampler, V);
    assert_near(adjusted_logit(&f, logits, 3), -5);
    teardown(&f);
}

static void every_failed_allocation_is_reported(void **state) {
    (void)state;
    const int32_t breaker_tokens[] = {1, 2};
    const struct sampler_breaker breaker = {breaker_tokens, 2};
    struct sampler_params params = dry(2);
    params.dry_sequence_breakers = &breaker;
    params.n_dry_sequence_breakers = 1;
    for (uint64_t n = 1;; n++) {
        struct sampler *sampler = NULL;
        struct sampler_workspace *workspace = NULL;
        mem_fail_after(n);
        hearth_status a = sampler_open(&sampler, &params, V, NULL);
        hearth_status b = sampler_workspace_open(&workspace, V, NULL);
        bool failed = !mem_fail_pending();
        mem_fail_after(0);
        assert_int_equal(a != HEARTH_OK || b != HEARTH_OK, failed);
        sampler_close(sampler);
        sampler_workspace_close(workspace);
        if (!failed) break;
        assert_true(n < 100);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_sampling_follows_the_softmax),
        cmocka_unit_test(default_chain_follows_its_distribution),
        cmocka_unit_test(seeds_decide),
        cmocka_unit_test(entropy_seeds_are_readable_and_repeatable),
        cmocka_unit_test(greedy_takes_the_lowest_id_of_equals),
        cmocka_unit_test(not_a_number_is_never_chosen),
        cmocka_unit_test(every_option_survives_hostile_logits),
        cmocka_unit_test(only_allowed_tokens_are_chosen),
        cmocka_unit_test(biases_add_and_ban),
        cmocka_unit_test(penalties_follow_their_definitions),
        cmocka_unit_test(dry_lowers_what_continues_a_repetition),
        cmocka_unit_test(dry_stops_at_breakers),
        cmocka_unit_test(dry_agrees_with_the_definition),
        cmocka_unit_test(xtc_spares_the_least_top_choice),
        cmocka_unit_test(mirostat_reaches_its_target),
        cmocka_unit_test(logprobs_are_those_of_the_model),
        cmocka_unit_test(impossible_parameters_are_refused_by_name),
        cmocka_unit_test(long_histories_wrap_around),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("infer/sampler", tests, NULL, NULL);
}
