/* Attention over the paged cache: against the formula in double precision, and against
 * itself with other threads, other cuts of the prompt and other sequences in the batch. */
#include "testdata.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "device/device.h"
#include "kernels/kernels.h"
#include "kernels/quantize.h"

enum { LENGTH = 600, PAGE = 32, PAGES = 48, MOST_WIDTH = 960 };

struct setting {
    const char *name;
    enum elem type;
    uint32_t n_head, n_head_kv, d_k, d_v, window;
    float softcap;
    bool sinks, bidirectional, v_in_k;
};

static const struct setting settings[] = {
    {"grouped heads, f16", ELEM_F16, 6, 2, 64, 64, 0, 0, false, false, false},
    {"one kv head, f32", ELEM_F32, 4, 1, 48, 80, 0, 0, false, false, false},
    {"heads of their own, q8_0", ELEM_Q8_0, 3, 3, 32, 64, 0, 0, false, false, false},
    {"many heads a group, q4_0", ELEM_Q4_0, 12, 1, 32, 32, 0, 0, false, false, false},
    {"window and sinks, bf16", ELEM_BF16, 4, 2, 20, 20, 300, 0, true, false, false},
    {"short window and cap, f16", ELEM_F16, 4, 4, 16, 16, 9, 2.0f, false, false, false},
    {"latent, f16", ELEM_F16, 5, 1, 72, 40, 0, 0, false, false, true},
    {"latent, q8_0", ELEM_Q8_0, 10, 1, 96, 64, 0, 0, false, false, true},
    {"both ways, f32", ELEM_F32, 4, 4, 24, 24, 0, 0, false, true, false},
    {"both ways in a window, f16", ELEM_F16, 4, 2, 24, 24, 70, 0, false, true, false},
};
enum { N_SETTINGS = sizeof settings / sizeof *settings };

/* Inputs of LENGTH rows: queries, keys and values of one sequence. */
static float q[LENGTH * MOST_WIDTH], k[LENGTH * MOST_WIDTH], v[LENGTH * MOST_WIDTH];
static float alone[LENGTH * MOST_WIDTH], again[LENGTH * MOST_WIDTH], other[LENGTH * MOST_WIDTH];
static float sinks[16];

static void fill_inputs(const struct setting *s) {
    struct rng rng;
    rng_seed(&rng, 3);
    for (size_t i = 0; i < (size_t)LENGTH * s->n_head * s->d_k; i++)
        q[i] = 1.5f * rng_normal(&rng);
    for (size_t i = 0; i < (size_t)LENGTH * s->n_head_kv * s->d_k; i++)
        k[i] = rng_normal(&rng);
    for (size_t i = 0; i < (size_t)LENGTH * s->n_head_kv * s->d_v; i++)
        v[i] = rng_normal(&rng);
    for (size_t i = 0; i < sizeof sinks / sizeof *sinks; i++)
        sinks[i] = rng_normal(&rng);
}

static void expect_ok(hearth_status status, const hearth_error *err) {
    if (status != HEARTH_OK) fail_msg("%s", err->message);
}

struct scene {
    const struct setting *setting;
    struct device *device;
    struct plan plan;
    device_buffer q, k, v, out;
    uint32_t pages[2][PAGES]; /* of two sequences */
};

static device_buffer allocate(struct scene *s, uint64_t bytes) {
    device_buffer buffer;
    hearth_error err = {0};
    expect_ok(device_alloc(s->device, bytes, &buffer, &err), &err);
    return buffer;
}

static uint32_t q_width(const struct setting *s) {
    return s->n_head * s->d_k;
}

static uint32_t k_width(const struct setting *s) {
    return s->n_head_kv * s->d_k;
}

static uint32_t v_width(const struct setting *s) {
    return s->n_head_kv * s->d_v;
}

static uint32_t out_width(const struct setting *s) {
    return s->n_head * s->d_v;
}

/* Keys, values and bytes of others side by side in every group of pages. */
static void place_pages(struct scene *s, struct kv_layout *layout) {
    enum { GROUP = 3, GROUPS = (2 * PAGES + GROUP - 1) / GROUP, OTHERS = 192 };
    uint64_t rows = (uint64_t)GROUP * PAGE * layout->n_head_kv;
    uint64_t k_bytes = rows * elem_row_bytes(layout->k_type, layout->d_k);
    uint64_t v_bytes = layout->v_in_k ? 0 : rows * elem_row_bytes(layout->v_type, layout->d_v);
    hearth_error err = {0};
    layout->group_pages = GROUP;
    layout->group_bytes = k_bytes + v_bytes + OTHERS;
    uint64_t before = (GROUPS - 1) * layout->group_bytes;
    device_buffer pages = allocate(s, GROUPS * layout->group_bytes);
    expect_ok(device_part(s->device, pages, 0, before + k_bytes, &layout->k, &err), &err);
    if (v_bytes)
        expect_ok(device_part(s->device, pages, k_bytes, before + v_bytes, &layout->v, &err), &err);
}

static void open_scene(struct scene *s, const struct setting *setting, unsigned n_threads) {
    struct device_options options = {.n_threads = n_threads, .max_tokens = LENGTH + 1};
    hearth_error err = {0};
    *s = (struct scene){.setting = setting};
    expect_ok(device_open_cpu(&s->device, &options, &err), &err);
    uint64_t rows = LENGTH + 1;
    s->q = allocate(s, rows * q_width(setting) * sizeof(float));
    s->k = allocate(s, rows * k_width(setting) * sizeof(float));
    s->v = allocate(s, rows * v_width(setting) * sizeof(float));
    s->out = allocate(s, rows * out_width(setting) * sizeof(float));
    struct kv_layout layout = {.k_type = setting->type,
                               .v_type = setting->type,
                               .n_head_kv = setting->n_head_kv,
                               .d_k = setting->d_k,
                               .d_v = setting->d_v,
                               .page_tokens = PAGE,
                               .v_in_k = setting->v_in_k};
    place_pages(s, &layout);
    struct op op = {.kind = OP_KV_WRITE,
                    .in = {s->k, 0, k_width(setting)},
                    .in2 = {s->v, 0, v_width(setting)},
                    .attention = {.layout = layout,
                                  .n_head = setting->n_head,
                                  .window = setting->window,
                                  .softcap = setting->softcap,
                                  .causal = !setting->bidirectional}};
    plan_init(&s->plan);
    expect_ok(plan_append(&s->plan, &op, &err), &err);
    op.kind = OP_ATTENTION;
    op.in = (struct view){s->q, 0, q_width(setting)};
    op.out = (struct view){s->out, 0, out_width(setting)};
    op.scale = 0.2f;
    if (setting->sinks)
        expect_ok(device_import(s->device, sinks, sizeof sinks, &op.w.buffer, &err), &err);
    expect_ok(plan_append(&s->plan, &op, &err), &err);
    expect_ok(device_prepare(s->device, &s->plan, &err), &err);
    for (uint32_t i = 0; i < 2 * PAGES; i++) /* pages lie anywhere */
        s->pages[i % 2][i / 2] = i * 37 % (2 * PAGES);
}

static void close_scene(struct scene *s) {
    plan_release(&s->plan);
    device_close(s->device);
}

/* Rows [from, from + n) of the inputs as positions of a sequence. */
struct part {
    uint32_t sequence, from, n;
    float *out; /* of row 0 */
};

static void copy_rows(struct scene *s, device_buffer to, size_t row, const float *from,
                      size_t from_row, size_t n, size_t width) {
    hearth_error err = {0};
    size_t bytes = width * sizeof(float);
    expect_ok(device_write(s->device, to, row * bytes, from + from_row * width, n * bytes, &err),
              &err);
}

static void compute(struct scene *s, const struct part *parts, uint32_t n_parts) {
    static uint32_t positions[LENGTH + 1], row_run[LENGTH + 1];
    const struct setting *setting = s->setting;
    struct batch_run runs[2];
    hearth_error err = {0};
    uint32_t rows = 0;
    for (uint32_t p = 0; p < n_parts; p++) {
        const struct part *part = &parts[p];
        runs[p] = (struct batch_run){.first_row = rows,
                                     .n_rows = part->n,
                                     .position = part->from,
                                     .pages = s->pages[part->sequence]};
        copy_rows(s, s->q, rows, q, part->from, part->n, q_width(setting));
        copy_rows(s, s->k, rows, k, part->from, part->n, k_width(setting));
        copy_rows(s, s->v, rows, v, part->from, part->n, v_width(setting));
        for (uint32_t i = 0; i < part->n; i++, rows++) {
            positions[rows] = part->from + i;
            row_run[rows] = p;
        }
    }
    struct batch batch = {.n_rows = rows,
                          .positions = positions,
                          .row_run = row_run,
                          .runs = runs,
                          .n_runs = n_parts};
    expect_ok(device_run(s->device, &s->plan, &batch, &err), &err);
    size_t bytes = out_width(setting) * sizeof(float);
    for (uint32_t p = 0; p < n_parts; p++)
        expect_ok(device_read(s->device, s->out, runs[p].first_row * bytes,
                              parts[p].out + parts[p].from * out_width(setting), parts[p].n * bytes,
                              &err),
                  &err);
}

/* All rows of the first sequence: `first` of them at once, then steps of `step`. */
static void compute_all(const struct setting *setting, unsigned n_threads, uint32_t first,
                        uint32_t step, float *out) {
    struct scene s;
    open_scene(&s, setting, n_threads);
    compute(&s, &(struct part){0, 0, first, out}, 1);
    for (uint32_t at = first; at < LENGTH; at += step) {
        uint32_t n = LENGTH - at < step ? LENGTH - at : step;
        compute(&s, &(struct part){0, at, n, out}, 1);
    }
    close_scene(&s);
}

static void expect_same(const struct setting *s, const char *what, const float *a) {
    size_t width = out_width(s);
    for (size_t i = 0; i < LENGTH * width; i++)
        if (memcmp(&a[i], &alone[i], sizeof *a) != 0)
            fail_msg("%s, %s: row %zu, value %zu is %.9g, expected exactly %.9g", s->name, what,
                     i / width, i % width, (double)a[i], (double)alone[i]);
}

/* Stored and read again. */
static void round_trip(const struct setting *s, float *x, uint32_t d, size_t rows) {
    static uint8_t packed[MOST_WIDTH * sizeof(float)];
    for (size_t i = 0; i < rows; i++) {
        quantize_rows(s->type, x + i * d, packed, 1, d, NULL, NULL);
        kernels_for(CPU_SCALAR)->dequantize[s->type](packed, x + i * d, d);
    }
}

static bool sees(const struct setting *s, uint32_t row, uint32_t position) {
    if (s->bidirectional)
        return !s->window || (position <= row + s->window / 2 && row <= position + s->window / 2);
    return position <= row && (!s->window || position + s->window > row);
}

/* The formula, for head h of a row; k and v are as stored. */
static void attend_exactly(const struct setting *s, uint32_t row, uint32_t h, double *out) {
    uint32_t group = h / (s->n_head / s->n_head_kv);
    double sum = s->sinks ? exp((double)sinks[h]) : 0;
    memset(out, 0, s->d_v * sizeof *out);
    for (uint32_t i = 0; i < LENGTH; i++) {
        if (!sees(s, row, i)) continue;
        const float *key = k + (size_t)i * k_width(s) + group * s->d_k;
        const float *value = s->v_in_k ? key : v + (size_t)i * v_width(s) + group * s->d_v;
        double score = 0;
        for (uint32_t j = 0; j < s->d_k; j++)
            score += (double)q[(size_t)row * q_width(s) + h * s->d_k + j] * (double)key[j];
        score *= (double)0.2f;
        if (s->softcap > 0) score = (double)s->softcap * tanh(score / (double)s->softcap);
        sum += exp(score);
        for (uint32_t j = 0; j < s->d_v; j++)
            out[j] += exp(score) * (double)value[j];
    }
    for (uint32_t j = 0; j < s->d_v; j++)
        out[j] /= sum;
}

static void the_formula_holds(void **state) {
    double exact[MOST_WIDTH];
    (void)state;
    for (size_t i = 0; i < N_SETTINGS; i++) {
        const struct setting *s = &settings[i];
        fill_inputs(s);
        compute_all(s, 1, LENGTH, 1, alone);
        round_trip(s, k, s->d_k, (size_t)LENGTH * s->n_head_kv);
        round_trip(s, v, s->d_v, (size_t)LENGTH * s->n_head_kv);
        for (uint32_t row = 0; row < LENGTH; row += row < 40 ? 1 : 29)
            for (uint32_t h = 0; h < s->n_head; h++) {
                const float *got = alone + (size_t)row * out_width(s) + h * s->d_v;
                attend_exactly(s, row, h, exact);
                for (uint32_t j = 0; j < s->d_v; j++)
                    if (fabs((double)got[j] - exact[j]) > 1e-5)
                        fail_msg("%s: row %u, head %u, [%u] is %.9g, expected %.9g", s->name, row,
                                 h, j, (double)got[j], exact[j]);
            }
    }
}

static void threads_and_cuts_change_no_bit(void **state) {
    static const struct {
        unsigned n_threads;
        uint32_t first, step;
    } ways[] = {{2, LENGTH, 1}, {3, LENGTH, 1}, {1, 590, 1},  {2, 590, 1}, {5, 570, 3},
                {1, 250, 33},   {2, 1, 77},     {3, 500, 20}, {2, 255, 1}};
    (void)state;
    for (size_t i = 0; i < N_SETTINGS; i++) {
        const struct setting *s = &settings[i];
        fill_inputs(s);
        compute_all(s, 1, LENGTH, 1, alone);
        for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
            if (s->bidirectional && ways[w].first < LENGTH) continue; /* rows see what follows */
            memset(again, 0, sizeof again);
            compute_all(s, ways[w].n_threads, ways[w].first, ways[w].step, again);
            expect_same(s, "cut otherwise", again);
        }
    }
}

/* The second sequence, in the same batches, is computed one row behind or ahead. */
static void other_sequences_change_no_bit(void **state) {
    (void)state;
    for (size_t i = 0; i < N_SETTINGS; i++) {
        const struct setting *s = &settings[i];
        if (s->bidirectional) continue;
        fill_inputs(s);
        compute_all(s, 1, LENGTH, 1, alone);
        struct scene scene;
        open_scene(&scene, s, 2);
        compute(&scene, &(struct part){1, 0, 500, other}, 1);
        const struct part long_and_one[] = {{1, 500, 1, other}, {0, 0, 580, again}};
        compute(&scene, long_and_one, 2);
        for (uint32_t at = 580; at < LENGTH; at++) {
            const struct part both[] = {{0, at, 1, again}, {1, at - 79, 1, other}};
            compute(&scene, both, 2);
        }
        expect_same(s, "among others", again);
        memcpy(other + (size_t)521 * out_width(s), alone + (size_t)521 * out_width(s),
               (size_t)(LENGTH - 521) * out_width(s) * sizeof *other);
        expect_same(s, "as the other", other);
        close_scene(&scene);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_formula_holds),
        cmocka_unit_test(threads_and_cuts_change_no_bit),
        cmocka_unit_test(other_sequences_change_no_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
