#include "kernels/codebook.h"

#include <pthread.h>
#include <string.h>

#include "kernels/iq_tables.h"

static struct codebook books[BOOKS];
static pthread_once_t built = PTHREAD_ONCE_INIT;

static int half_of(const struct codebook *b, unsigned code) {
    int half = 0;
    for (int i = b->dims / 2 - 1; i >= 0; i--)
        half = half * b->n_levels + (int)(code >> b->bits * i & ((1u << b->bits) - 1));
    return half;
}

static void build(enum book_name name, const uint16_t *codes, int n_points, int dims, int bits) {
    struct codebook *b = &books[name];
    int n_levels = bits == 2 ? 3 : 8, n_halves = dims == 8 ? 81 : 64, n = 0;
    *b = (struct codebook){.n_points = n_points,
                           .dims = dims,
                           .bits = bits,
                           .n_levels = n_levels,
                           .codes = codes,
                           .n_halves = n_halves};
    memset(b->point_at, -1, sizeof b->point_at);
    for (int i = 0; i < n_points; i++) {
        b->halves[i][0] = (uint8_t)half_of(b, codes[i]);
        b->halves[i][1] = (uint8_t)half_of(b, (unsigned)codes[i] >> bits * dims / 2);
        b->point_at[b->halves[i][0]][b->halves[i][1]] = (int16_t)i;
    }
    for (int low = 0; low < n_halves; low++) {
        b->starts[low] = (uint16_t)n;
        for (int i = 0; i < n_points; i++) {
            if (b->halves[i][0] != low) continue;
            b->points[n] = (uint16_t)i;
            b->highs[n++] = b->halves[i][1];
        }
    }
    b->starts[n_halves] = (uint16_t)n;
}

static void build_all(void) {
    build(BOOK_IQ1, iq1_codes, 2048, 8, 2);
    build(BOOK_IQ2_XXS, iq2_xxs_codes, 256, 8, 2);
    build(BOOK_IQ2_XS, iq2_xs_codes, 512, 8, 2);
    build(BOOK_IQ2_S, iq2_s_codes, 1024, 8, 2);
    build(BOOK_IQ3_XXS, iq3_xxs_codes, 256, 4, 3);
    build(BOOK_IQ3_S, iq3_s_codes, 512, 4, 3);
}

const struct codebook *codebook_get(enum book_name name) {
    pthread_once(&built, build_all);
    return &books[name];
}

/* What the levels of a half's coordinates cost, and the half of the cheapest ones. */
struct half_cost {
    float own[BOOK_DIMS_MAX / 2][BOOK_LEVELS_MAX];
    float least;
    int cheapest;
};

/* This and the next are inlined with constant n_coordinates and n_levels, so that
 * their loops become vectors. */
static inline void level_costs(int n_coordinates, int n_levels, const float *levels, float scale,
                               const float *x, const float *w, struct half_cost *c) {
    int digit = 1;
    c->least = 0;
    c->cheapest = 0;
    for (int i = 0; i < n_coordinates; i++, digit *= n_levels) {
        int cheapest = 0;
        for (int level = 0; level < n_levels; level++) {
            float miss = scale * levels[level] - x[i];
            c->own[i][level] = w[i] * miss * miss;
        }
        for (int level = 1; level < n_levels; level++)
            cheapest = c->own[i][level] < c->own[i][cheapest] ? level : cheapest;
        c->least += c->own[i][cheapest];
        c->cheapest += cheapest * digit;
    }
}

/* costs[half] = the distance of the half's coordinates. */
static inline void half_costs(int n_coordinates, int n_levels, const struct half_cost *c,
                              float costs[BOOK_HALVES_MAX]) {
    costs[0] = 0;
    for (int i = 0, n = 1; i < n_coordinates; i++, n *= n_levels)
        for (int level = n_levels - 1; level >= 0; level--)
            for (int k = 0; k < n; k++)
                costs[level * n + k] = costs[k] + c->own[i][level];
}

static int search(const struct codebook *b, const float *low, const float *high, float least_high,
                  int hint, float *error) {
    float best = low[b->halves[hint][0]] + high[b->halves[hint][1]];
    int point = hint;
    for (int half = 0; half < b->n_halves; half++) {
        if (low[half] + least_high >= best) continue;
        for (int i = b->starts[half]; i < b->starts[half + 1]; i++) {
            float cost = low[half] + high[b->highs[i]];
            if (cost >= best) continue;
            best = cost;
            point = b->points[i];
        }
    }
    *error += best;
    return point;
}

int codebook_nearest(const struct codebook *b, const float *levels, float scale, const float *x,
                     const float *w, int hint, float *error) {
    struct half_cost low, high;
    float low_costs[BOOK_HALVES_MAX], high_costs[BOOK_HALVES_MAX];
    if (b->n_levels == 3) {
        level_costs(4, 3, levels, scale, x, w, &low);
        level_costs(4, 3, levels, scale, x + 4, w + 4, &high);
    } else {
        level_costs(2, 8, levels, scale, x, w, &low);
        level_costs(2, 8, levels, scale, x + 2, w + 2, &high);
    }
    int point = b->point_at[low.cheapest][high.cheapest];
    if (point >= 0) {
        *error += low.least + high.least;
        return point;
    }
    if (b->n_levels == 3) {
        half_costs(4, 3, &low, low_costs);
        half_costs(4, 3, &high, high_costs);
    } else {
        half_costs(2, 8, &low, low_costs);
        half_costs(2, 8, &high, high_costs);
    }
    return search(b, low_costs, high_costs, high.least, hint, error);
}
