/* Every filter against a naive reference in double precision that sorts everything. */
#include "testdata.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "infer/candidates.h"

enum { MAX_N = 3000, ROUNDS = 150 };

struct token {
    int id;
    double logit, p, key;
};

struct set {
    struct token tokens[MAX_N];
    size_t size;
};

static struct set reference;
static struct candidate storage[MAX_N];
static float row[MAX_N];

static int by_rank(const void *left, const void *right) {
    const struct token *a = left, *b = right;
    if (a->logit != b->logit) return a->logit > b->logit ? -1 : 1;
    return a->id - b->id;
}

static int by_key(const void *left, const void *right) {
    const struct token *a = left, *b = right;
    return a->key != b->key ? (a->key < b->key ? -1 : 1) : by_rank(left, right);
}

static void normalise(struct set *s) {
    double total = 0;
    qsort(s->tokens, s->size, sizeof s->tokens[0], by_rank);
    for (size_t i = 0; i < s->size; i++)
        total += s->tokens[i].p = exp(s->tokens[i].logit - s->tokens[0].logit);
    for (size_t i = 0; i < s->size; i++)
        s->tokens[i].p /= total;
}

static size_t at_least(size_t kept, size_t min_keep, size_t size) {
    if (kept < min_keep) kept = min_keep;
    return kept < size ? kept : size;
}

static void naive_top_k(struct set *s, size_t k) {
    normalise(s);
    if (k < s->size) s->size = k;
}

static void naive_top_p(struct set *s, double p, size_t min_keep) {
    double sum = 0;
    size_t kept = 0;
    normalise(s);
    while (kept < s->size && (kept == 0 || sum < p))
        sum += s->tokens[kept++].p;
    s->size = at_least(kept, min_keep, s->size);
}

static void naive_min_p(struct set *s, double p, size_t min_keep) {
    size_t kept = 0;
    normalise(s);
    while (kept < s->size && s->tokens[kept].p >= p * s->tokens[0].p)
        kept++;
    s->size = at_least(kept, min_keep, s->size);
}

static void naive_typical(struct set *s, double p, size_t min_keep) {
    double entropy = 0, sum = 0;
    size_t kept = 0;
    normalise(s);
    for (size_t i = 0; i < s->size; i++)
        if (s->tokens[i].p > 0) entropy -= s->tokens[i].p * log(s->tokens[i].p);
    for (size_t i = 0; i < s->size; i++)
        s->tokens[i].key = fabs(-log(s->tokens[i].p) - entropy);
    qsort(s->tokens, s->size, sizeof s->tokens[0], by_key);
    while (kept < s->size && (kept == 0 || sum <= p))
        sum += s->tokens[kept++].p;
    s->size = at_least(kept, min_keep, s->size);
}

static void naive_top_n_sigma(struct set *s, double n) {
    double mean = 0, variance = 0;
    size_t kept = 0;
    normalise(s);
    for (size_t i = 0; i < s->size; i++)
        mean += s->tokens[i].logit / (double)s->size;
    for (size_t i = 0; i < s->size; i++)
        variance += pow(s->tokens[i].logit - mean, 2) / (double)s->size;
    double least = s->tokens[0].logit - n * sqrt(variance);
    while (kept < s->size && s->tokens[kept].logit >= least)
        kept++;
    s->size = kept;
}

static void naive_xtc(struct set *s, double threshold, size_t min_keep) {
    size_t n_top = 0;
    normalise(s);
    while (n_top < s->size && s->tokens[n_top].p >= threshold)
        n_top++;
    if (n_top < 2 || s->size - (n_top - 1) < min_keep) return;
    memmove(s->tokens, s->tokens + n_top - 1, (s->size - n_top + 1) * sizeof s->tokens[0]);
    s->size -= n_top - 1;
}

static void naive_mirostat(struct set *s, double mu) {
    size_t kept = 0;
    normalise(s);
    while (kept < s->size && -log2(s->tokens[kept].p) <= mu)
        kept++;
    s->size = at_least(kept, 1, s->size);
}

/* A random row of n logits, spread as models' are; some equal, some not finite. */
static size_t random_row(struct rng *rng, bool with_ties) {
    size_t n = 1 + (size_t)(rng_u64(rng) % MAX_N);
    float spread = 0.2f + 6 * (float)rng_uniform(rng);
    if (rng_u64(rng) % 4 == 0) n = 1 + n % 6;
    reference.size = 0;
    for (size_t i = 0; i < n; i++) {
        row[i] = spread * rng_normal(rng);
        if (with_ties) row[i] = roundf(row[i] * 2) / 2;
        if (i > 0 && rng_u64(rng) % 16 == 0)
            row[i] = -INFINITY;
        else
            reference.tokens[reference.size++] = (struct token){(int)i, (double)row[i], 0, 0};
    }
    return n;
}

static void assert_same_set(struct candidates *c) {
    assert_int_equal(c->size, reference.size);
    if (c->sorted)
        for (size_t i = 1; i < c->size; i++)
            assert_true(
                c->data[i - 1].logit > c->data[i].logit ||
                (c->data[i - 1].logit == c->data[i].logit && c->data[i - 1].id < c->data[i].id));
    candidates_keep_best(c, c->size);
    qsort(reference.tokens, reference.size, sizeof reference.tokens[0], by_rank);
    for (size_t i = 0; i < c->size; i++)
        assert_int_equal(c->data[i].id, reference.tokens[i].id);
}

/* Cumulated sums in float and double may differ in the last bit exactly at a bound. */
enum filter { TOP_K, TOP_P, MIN_P, TYPICAL, TOP_N_SIGMA, XTC, MIROSTAT, FILTERS };

static void apply(enum filter filter, struct candidates *c, float x, size_t k, size_t min_keep) {
    switch (filter) {
    case TOP_K:
        candidates_keep_best(c, k);
        naive_top_k(&reference, k);
        break;
    case TOP_P:
        filter_top_p(c, x, min_keep);
        naive_top_p(&reference, (double)x, min_keep);
        break;
    case MIN_P:
        filter_min_p(c, x, min_keep);
        naive_min_p(&reference, (double)x, min_keep);
        break;
    case TYPICAL:
        filter_typical(c, x, min_keep);
        naive_typical(&reference, (double)x, min_keep);
        break;
    case TOP_N_SIGMA:
        filter_top_n_sigma(c, 3 * x);
        naive_top_n_sigma(&reference, (double)(3 * x));
        break;
    case XTC:
        filter_xtc(c, x / 2, min_keep);
        naive_xtc(&reference, (double)(x / 2), min_keep);
        break;
    default:
        filter_mirostat(c, 12 * x);
        naive_mirostat(&reference, (double)(12 * x));
        break;
    }
}

static void each_filter_agrees(enum filter filter) {
    struct rng rng;
    rng_seed(&rng, 100 + (uint64_t)filter);
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = random_row(&rng, false);
        float x = 0.001f + 0.99f * (float)rng_uniform(&rng);
        size_t k = 1 + (size_t)(rng_u64(&rng) % (n + 3)), min_keep = 0;
        if (rng_u64(&rng) % 3 == 0) min_keep = (size_t)(rng_u64(&rng) % 8);
        struct candidates c = {.data = storage};
        candidates_gather(&c, row, n, n);
        bool sorted_before = round % 2 == 1; /* both ways through the filter */
        if (sorted_before) candidates_keep_best(&c, c.size);
        apply(filter, &c, x, k, min_keep);
        assert_same_set(&c);
    }
}

#define FILTER_TEST(name, filter)                                                                  \
    static void name(void **state) {                                                               \
        (void)state;                                                                               \
        each_filter_agrees(filter);                                                                \
    }
FILTER_TEST(top_k_keeps_the_largest, TOP_K)
FILTER_TEST(top_p_keeps_the_nucleus, TOP_P)
FILTER_TEST(min_p_keeps_relative_to_the_best, MIN_P)
FILTER_TEST(typical_keeps_expected_surprise, TYPICAL)
FILTER_TEST(top_n_sigma_keeps_near_the_best, TOP_N_SIGMA)
FILTER_TEST(xtc_removes_top_choices, XTC)
FILTER_TEST(mirostat_bounds_surprise, MIROSTAT)

static void filters_compose(void **state) {
    (void)state;
    struct rng rng;
    rng_seed(&rng, 7);
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = random_row(&rng, false);
        struct candidates c = {.data = storage};
        candidates_gather(&c, row, n, n);
        for (int step = 0; step < 4; step++) {
            float x = 0.05f + 0.94f * (float)rng_uniform(&rng);
            size_t k = 1 + (size_t)(rng_u64(&rng) % n);
            apply((enum filter)(rng_u64(&rng) % FILTERS), &c, x, k, 0);
        }
        assert_same_set(&c);
    }
}

static void gathering_finds_the_best_with_ties(void **state) {
    (void)state;
    struct rng rng;
    rng_seed(&rng, 8);
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = random_row(&rng, true), k = 1 + (size_t)(rng_u64(&rng) % (n + 2));
        struct candidates c = {.data = storage};
        candidates_gather(&c, row, n, k);
        naive_top_k(&reference, k);
        assert_same_set(&c);
    }
}

static void draws_walk_the_cumulated_weights(void **state) {
    (void)state;
    const float logits[] = {logf(1), logf(2), -INFINITY, logf(5)};
    struct candidates c = {.data = storage};
    candidates_gather(&c, logits, 4, 4);
    double total = candidates_weigh(&c);
    assert_true(fabs(total - 8.0 / 5) < 1e-6);
    assert_int_equal(candidates_draw(&c, total, 0)->id, 0);
    assert_int_equal(candidates_draw(&c, total, 0.124)->id, 0);
    assert_int_equal(candidates_draw(&c, total, 0.126)->id, 1);
    assert_int_equal(candidates_draw(&c, total, 0.374)->id, 1);
    assert_int_equal(candidates_draw(&c, total, 0.376)->id, 3);
    assert_int_equal(candidates_draw(&c, total * 1.0001, 0.99999)->id, 3);
}

static void temperature_keeps_order_and_stays_finite(void **state) {
    (void)state;
    const float logits[] = {FLT_MAX, 1, -FLT_MAX};
    struct candidates c = {.data = storage};
    candidates_gather(&c, logits, 3, 3);
    filter_temperature(&c, 1e-6f);
    for (size_t i = 0; i < 3; i++)
        assert_true(isfinite(c.data[i].logit));
    assert_int_equal(candidates_best(&c)->id, 0);
    assert_true(candidates_weigh(&c) == 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(top_k_keeps_the_largest),
        cmocka_unit_test(top_p_keeps_the_nucleus),
        cmocka_unit_test(min_p_keeps_relative_to_the_best),
        cmocka_unit_test(typical_keeps_expected_surprise),
        cmocka_unit_test(top_n_sigma_keeps_near_the_best),
        cmocka_unit_test(xtc_removes_top_choices),
        cmocka_unit_test(mirostat_bounds_surprise),
        cmocka_unit_test(filters_compose),
        cmocka_unit_test(gathering_finds_the_best_with_ties),
        cmocka_unit_test(draws_walk_the_cumulated_weights),
        cmocka_unit_test(temperature_keeps_order_and_stays_finite),
    };
    return cmocka_run_group_tests_name("infer/candidates", tests, NULL, NULL);
}
