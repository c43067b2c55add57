#include "testdata.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "kernels/codebook.h"
#include "kernels/iq_tables.h"

static const float levels_of[BOOKS][8] = {
    [BOOK_IQ1] = {-0.875f, 0.125f, 1.125f},
    [BOOK_IQ2_XXS] = {8, 25, 43},
    [BOOK_IQ2_XS] = {8, 25, 43},
    [BOOK_IQ2_S] = {8, 25, 43},
    [BOOK_IQ3_XXS] = {4, 12, 20, 28, 36, 44, 52, 62},
    [BOOK_IQ3_S] = {1, 3, 5, 7, 9, 11, 13, 15},
};

static float distance(const struct codebook *b, int point, const float *levels, float scale,
                      const float *x, const float *w) {
    float sum = 0;
    for (int i = 0; i < b->dims; i++) {
        int level = b->codes[point] >> b->bits * i & ((1 << b->bits) - 1);
        float miss = scale * levels[level] - x[i];
        sum += w[i] * miss * miss;
    }
    return sum;
}

static void every_point_is_listed_once(void **state) {
    (void)state;
    for (int name = 0; name < BOOKS; name++) {
        const struct codebook *b = codebook_get((enum book_name)name);
        static bool seen[65536];
        memset(seen, 0, sizeof seen);
        for (int p = 0; p < b->n_points; p++) {
            assert_false(seen[b->codes[p]]);
            seen[b->codes[p]] = true;
            assert_int_equal(b->codes[p] >> b->bits * b->dims, 0);
            for (int i = 0; i < b->dims; i++)
                assert_true((b->codes[p] >> b->bits * i & ((1 << b->bits) - 1)) < b->n_levels);
            assert_int_equal(b->point_at[b->halves[p][0]][b->halves[p][1]], p);
        }
        assert_int_equal(b->starts[b->n_halves], b->n_points);
    }
}

/* Against a look at every point, at scales that cut values off and that waste range. */
static void the_nearest_point_is_found(void **state) {
    (void)state;
    struct rng rng;
    rng_seed(&rng, 5);
    for (int name = 0; name < BOOKS; name++) {
        const struct codebook *b = codebook_get((enum book_name)name);
        const float *levels = levels_of[name], top = levels[b->n_levels - 1];
        for (int round = 0; round < 400; round++) {
            float x[BOOK_DIMS_MAX], w[BOOK_DIMS_MAX], best = FLT_MAX, error = 0;
            for (int i = 0; i < b->dims; i++) {
                x[i] = name == BOOK_IQ1 ? rng_normal(&rng) : fabsf(rng_normal(&rng));
                w[i] = (float)rng_uniform(&rng);
            }
            float scale = (float)(0.3 + 3 * rng_uniform(&rng)) / top;
            for (int p = 0; p < b->n_points; p++)
                best = fminf(best, distance(b, p, levels, scale, x, w));
            int hint = (int)(rng_u64(&rng) % (uint64_t)b->n_points);
            int found = codebook_nearest(b, levels, scale, x, w, hint, &error);
            assert_true(found >= 0 && found < b->n_points);
            assert_true(distance(b, found, levels, scale, x, w) <= best * 1.00001f + 1e-12f);
            assert_true(fabsf(error - best) <= best * 1e-5f + 1e-12f);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_point_is_listed_once),
        cmocka_unit_test(the_nearest_point_is_found),
    };
    return cmocka_run_group_tests_name("kernels/codebook", tests, NULL, NULL);
}
