/* Sequences in one context: alone or among others, in pieces of any size, forgotten and
 * extended again, with caches of every type, refused and failing requests. Equal means
 * equal in every bit. */
#include "model/golden.h"

#include <string.h>

#include "base/mem.h"

enum { N_SEQUENCES = 4, N_CTX = 96 };

static const char *const families[] = {
    "llama-dense", "qwen35-dense", "granitehybrid-dense", "lfm2-dense", "nemotron_h-dense",
    "gpt-oss-moe", "gemma3-dense", "deepseek2-moe",       "gpt2-dense", "mistral3-dense",
};
enum { N_FAMILIES = sizeof families / sizeof families[0] };

static void expect_ok(hearth_status status, const hearth_error *err) {
    if (status != HEARTH_OK) fail_msg("%s", err->message);
}

struct scene {
    const char *family;
    struct model model;
    struct context *context;
    int32_t tokens[N_TOKENS];
};

static struct context_options options_of(uint32_t max_batch, enum elem cache) {
    struct context_options options = context_defaults();
    options.n_threads = 1; /* more wait for each other on a busy machine */
    options.n_ctx = N_CTX;
    options.n_sequences = N_SEQUENCES;
    options.max_batch = max_batch;
    options.k_type = options.v_type = cache;
    return options;
}

static void open_scene(struct scene *s, const char *family, const struct context_options *options) {
    char path[128];
    hearth_error err = {0};
    *s = (struct scene){.family = family};
    snprintf(path, sizeof path, "arch/%s/tokens.txt", family);
    read_tokens(testdata(path), s->tokens);
    snprintf(path, sizeof path, "arch/%s/model.gguf", family);
    expect_ok(model_open(&s->model, testdata(path), &err), &err);
    expect_ok(context_open(&s->context, &s->model, options, &err), &err);
}

static void close_scene(struct scene *s) {
    context_close(s->context);
    model_close(&s->model);
}

static void reopen(struct scene *s, const struct context_options *options) {
    hearth_error err = {0};
    context_close(s->context);
    expect_ok(context_open(&s->context, &s->model, options, &err), &err);
}

/* Logits of tokens[from .. from + n) appended to a sequence in chunks. */
static void append(struct scene *s, uint32_t sequence, uint32_t from, uint32_t n, uint32_t chunk,
                   float *logits) {
    hearth_error err = {0};
    for (uint32_t at = 0; at < n; at += chunk) {
        uint32_t count = n - at < chunk ? n - at : chunk;
        struct context_part part = {.sequence = sequence,
                                    .tokens = s->tokens + from + at,
                                    .n_tokens = count,
                                    .all_logits = true};
        expect_ok(context_decode(s->context, &part, 1, logits + (size_t)at * N_VOCAB, &err), &err);
    }
}

static void expect_same(const struct scene *s, const char *what, const float *a, const float *b,
                        size_t rows) {
    for (size_t i = 0; i < rows * N_VOCAB; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0)
            fail_msg("%s: %s: row %zu, logit %zu is %.9g, alone %.9g", s->family, what, i / N_VOCAB,
                     i % N_VOCAB, (double)a[i], (double)b[i]);
}

/* What each sequence is: tokens[start ..), of this length, fed in these steps. */
static const struct {
    uint32_t start, length, steps[4];
} lives[N_SEQUENCES] = {
    {0, 40, {33, 1, 1, 5}}, {20, 9, {1, 1, 6, 1}}, {50, 33, {2, 30, 0, 1}}, {7, 21, {0, 0, 20, 1}}};

static float alone[N_SEQUENCES][64 * N_VOCAB], mixed[N_SEQUENCES][64 * N_VOCAB];
static float rows[N_TOKENS * N_VOCAB], again[N_TOKENS * N_VOCAB];

static void compute_mixed(struct scene *s, const unsigned order[N_SEQUENCES]) {
    uint32_t fed[N_SEQUENCES] = {0};
    hearth_error err = {0};
    for (int step = 0; step < 4; step++) {
        struct context_part parts[N_SEQUENCES];
        size_t n_parts = 0;
        for (int i = 0; i < N_SEQUENCES; i++) {
            unsigned q = order[i];
            parts[n_parts++] = (struct context_part){.sequence = q,
                                                     .tokens = s->tokens + lives[q].start + fed[q],
                                                     .n_tokens = lives[q].steps[step],
                                                     .all_logits = true};
        }
        expect_ok(context_decode(s->context, parts, n_parts, rows, &err), &err);
        const float *row = rows;
        for (int i = 0; i < N_SEQUENCES; i++) {
            unsigned q = order[i];
            size_t n = lives[q].steps[step];
            memcpy(mixed[q] + (size_t)fed[q] * N_VOCAB, row, n * N_VOCAB * sizeof *row);
            row += n * N_VOCAB;
            fed[q] += (uint32_t)n;
        }
    }
}

static void mixed_sequences_are_as_alone(void **state) {
    static const unsigned orders[][N_SEQUENCES] = {{0, 1, 2, 3}, {3, 1, 0, 2}, {2, 3, 1, 0}};
    (void)state;
    for (int f = 0; f < N_FAMILIES; f++) {
        struct scene s;
        struct context_options options = options_of(64, ELEM_F32);
        open_scene(&s, families[f], &options);
        for (uint32_t q = 0; q < N_SEQUENCES; q++)
            append(&s, q, lives[q].start, lives[q].length, N_CTX, alone[q]);
        for (uint32_t max_batch = 64; max_batch > 0; max_batch /= 8) {
            for (int o = 0; o < 3; o++) {
                options.max_batch = max_batch;
                reopen(&s, &options);
                compute_mixed(&s, orders[o]);
                for (int q = 0; q < N_SEQUENCES; q++)
                    expect_same(&s, "among others", mixed[q], alone[q], lives[q].length);
            }
        }
        close_scene(&s);
    }
}

static void chunks_and_threads_change_no_bit(void **state) {
    static const uint32_t chunks[] = {1, 2, 7, 31, 32, 33};
    (void)state;
    for (int f = 0; f < N_FAMILIES; f++) {
        struct scene s;
        struct context_options options = options_of(128, ELEM_F16);
        open_scene(&s, families[f], &options);
        append(&s, 0, 0, 70, N_CTX, rows);
        for (size_t c = 0; c < sizeof chunks / sizeof chunks[0]; c++) {
            options.n_threads = c == 4 && f < 2 ? 2 : 1;
            options.max_batch = c % 2 ? 5 : 128;
            reopen(&s, &options);
            append(&s, (uint32_t)c % N_SEQUENCES, 0, 70, chunks[c], again);
            expect_same(&s, "in chunks", again, rows, 70);
        }
        close_scene(&s);
    }
}

/* Processors by turns: the same arithmetic wherever rows lie and whoever multiplies them. */
static void nodes_of_memory_change_no_bit(void **state) {
    struct topology_nodes nodes = {.count = 2, .cores = {1, 1}};
    (void)state;
    for (unsigned i = 0; i < TOPOLOGY_CPUS; i++)
        nodes.of_cpu[i] = i % 2;
    for (int f = 0; f < N_FAMILIES; f++) {
        struct scene s;
        struct pool *pool;
        struct context_options options = options_of(128, ELEM_F16);
        open_scene(&s, families[f], &options);
        append(&s, 0, 0, 70, N_CTX, rows);
        options.n_threads = 2 + (unsigned)f % 2;
        options.nodes = &nodes;
        expect_ok(pool_open(&pool, options.n_threads, NULL), &(hearth_error){0});
        pool_tie(pool, &nodes);
        expect_ok(directory_spread(&s.model.directory, pool, NULL), &(hearth_error){0});
        pool_close(pool);
        reopen(&s, &options);
        append(&s, 0, 0, 70, 35, again);
        expect_same(&s, "on two nodes", again, rows, 70);
        close_scene(&s);
    }
}

static void forgetting_and_extending_is_as_never(void **state) {
    (void)state;
    for (int f = 0; f < N_FAMILIES; f++) {
        struct scene s;
        struct context_options options = options_of(128, ELEM_F32);
        open_scene(&s, families[f], &options);
        bool recurrent = config_is_recurrent(&s.model.config);
        append(&s, 0, 0, 50, N_CTX, rows);
        append(&s, 1, 10, 45, 9, again); /* what must not leak */
        for (uint32_t length = 50; length < 99; length += 16) {
            uint32_t keep = (length * 7) % 50;
            append(&s, 0, 30, 3, 1, again);
            bool kept = context_sequence_truncate(s.context, 0, keep);
            assert_int_equal(kept, !recurrent || keep == 0);
            uint32_t now = context_sequence_length(s.context, 0);
            assert_int_equal(now, recurrent ? 0 : keep);
            append(&s, 0, now, 50 - now, N_CTX, again);
            expect_same(&s, "extended again", again, rows + (size_t)now * N_VOCAB, 50 - now);
        }
        assert_true(context_sequence_truncate(s.context, 0, 0));
        append(&s, 0, 0, 50, 11, again);
        expect_same(&s, "after a reset", again, rows, 50);
        close_scene(&s);
    }
}

/* NMSE of the logits against an F32 cache. */
static void small_caches_stay_near(void **state) {
    static const struct {
        enum elem type;
        double tolerance;
    } caches[] = {{ELEM_F16, 1e-5}, {ELEM_Q8_0, 2e-3}, {ELEM_Q4_0, 0.3}};
    static const char *const dense[] = {"llama-dense", "gemma3-dense", "qwen35-dense",
                                        "lfm2-dense"};
    (void)state;
    for (size_t f = 0; f < sizeof dense / sizeof dense[0]; f++) {
        struct scene s;
        struct context_options options = options_of(128, ELEM_F32);
        open_scene(&s, dense[f], &options);
        append(&s, 0, 0, N_TOKENS, N_CTX, rows);
        for (size_t c = 0; c < sizeof caches / sizeof caches[0]; c++) {
            options.k_type = options.v_type = caches[c].type;
            reopen(&s, &options);
            append(&s, 0, 0, N_TOKENS, N_CTX, again);
            double error = nmse(again, rows, (size_t)N_TOKENS * N_VOCAB);
            print_message("%s, cache %s: NMSE %.2g\n", dense[f], elem_name(caches[c].type), error);
            assert_true(error < caches[c].tolerance);
            assert_true(error > 0); /* the type was used */
        }
        close_scene(&s);
    }
}

static void settings_in_force_can_be_asked_for(void **state) {
    struct scene s;
    struct context_options options = options_of(128, ELEM_F32);
    (void)state;
    options.n_threads = 0;
    options.max_batch = 0;
    open_scene(&s, "llama-dense", &options);
    assert_in_range(context_settings(s.context)->n_threads, 1, 1024);
    assert_in_range(context_settings(s.context)->max_batch, 1, 1 << 16);
    close_scene(&s);
}

static void impossible_caches_are_refused(void **state) {
    struct scene s;
    struct context *context;
    hearth_error err = {0};
    struct context_options options = options_of(128, ELEM_F32);
    (void)state;
    open_scene(&s, "llama-dense", &options);
    options.k_type = ELEM_Q4_K;
    assert_int_equal(context_open(&context, &s.model, &options, &err), HEARTH_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "use f32, f16, q8_0 or q4_0"));
    s.model.config.layers[1].d_v = 24;
    options.k_type = options.v_type = ELEM_Q8_0;
    assert_int_equal(context_open(&context, &s.model, &options, &err), HEARTH_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "heads of 24 values cannot be cached as q8_0"));
    s.model.config.layers[1].d_v = s.model.config.layers[1].d_k;
    options = options_of(128, ELEM_F32);
    options.n_sequences = 0;
    assert_int_equal(context_open(&context, &s.model, &options, &err), HEARTH_ERROR_ARGUMENT);
    options.n_sequences = 1024;
    options.n_ctx = UINT32_MAX;
    assert_int_equal(context_open(&context, &s.model, &options, &err), HEARTH_ERROR_NO_MEMORY);
    options.n_sequences = 1;
    options.n_ctx = 256;
    options.max_bytes = 100000;
    assert_int_equal(context_open(&context, &s.model, &options, &err), HEARTH_ERROR_NO_MEMORY);
    assert_null(context);
    close_scene(&s);
}

/* A batch as large as can be asked for takes no more room than the context. */
static void a_huge_batch_is_no_larger_than_the_context(void **state) {
    struct scene s;
    struct context_options options = options_of(UINT32_MAX, ELEM_F32);
    (void)state;
    open_scene(&s, "llama-dense", &options);
    append(&s, 0, 0, 70, N_CTX, rows);
    assert_true(context_allocated_bytes(s.context) < 16 << 20);
    close_scene(&s);
}

static void refused_requests_change_nothing(void **state) {
    struct scene s;
    hearth_error err = {0};
    struct context_options options = options_of(8, ELEM_F32);
    (void)state;
    open_scene(&s, "qwen35-dense", &options);
    append(&s, 0, 0, 20, N_CTX, rows);
    append(&s, 1, 0, 90, N_CTX, rows);
    int32_t bad[] = {1, 2, N_VOCAB}, negative = -1;
    const struct context_part good = {.sequence = 0, .tokens = s.tokens, .n_tokens = 5};
    const struct context_part wrong[] = {
        {.sequence = N_SEQUENCES, .tokens = s.tokens, .n_tokens = 1},
        {.sequence = 1, .tokens = s.tokens, .n_tokens = 7},
        {.sequence = 2, .tokens = bad, .n_tokens = 3},
        {.sequence = 2, .tokens = &negative, .n_tokens = 1},
        {.sequence = 0, .tokens = s.tokens, .n_tokens = 1},
        {.sequence = 2, .tokens = s.tokens, .n_tokens = UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const struct context_part parts[] = {good, wrong[i]};
        assert_int_not_equal(context_decode(s.context, parts, 2, NULL, &err), HEARTH_OK);
        assert_true(strlen(err.message) > 10);
        assert_int_equal(context_sequence_length(s.context, 0), 20);
        assert_int_equal(context_sequence_length(s.context, 1), 90);
        assert_int_equal(context_sequence_length(s.context, 2), 0);
    }
    append(&s, 0, 20, 30, N_CTX, again);
    append(&s, 2, 0, 50, N_CTX, rows);
    expect_same(&s, "after refusals", again, rows + (size_t)20 * N_VOCAB, 30);
    close_scene(&s);
}

/* The last piece of a long part fails, when others are computed already. A model that
 * has become an encoder cannot give logits. */
static void a_failure_midway_goes_back(void **state) {
    static const char *const both[] = {"llama-dense", "lfm2-dense"};
    (void)state;
    for (int f = 0; f < 2; f++) {
        struct scene s;
        hearth_error err = {0};
        struct context_options options = options_of(8, ELEM_F32);
        open_scene(&s, both[f], &options);
        bool recurrent = config_is_recurrent(&s.model.config);
        append(&s, 0, 0, 60, N_CTX, rows);
        context_sequence_truncate(s.context, 0, 0);
        append(&s, 0, 0, 20, N_CTX, again);
        append(&s, 2, 0, 20, N_CTX, again);
        const struct context_part parts[] = {
            {.sequence = 1, .tokens = s.tokens, .n_tokens = 13},
            {.sequence = 0, .tokens = s.tokens + 40, .n_tokens = 30, .last_logits = true}};
        s.model.config.embeds = true;
        assert_int_not_equal(context_decode(s.context, parts, 2, again, &err), HEARTH_OK);
        s.model.config.embeds = false;
        assert_int_equal(context_sequence_length(s.context, 0), recurrent ? 0 : 20);
        assert_int_equal(context_sequence_length(s.context, 1), 0);
        assert_int_equal(context_sequence_length(s.context, 2), 20);
        for (uint32_t q = 0; q < 3; q++) {
            uint32_t now = context_sequence_length(s.context, q);
            append(&s, q, now, 60 - now, N_CTX, again);
            expect_same(&s, "after a failure", again, rows + (size_t)now * N_VOCAB, 60 - now);
        }
        close_scene(&s);
    }
}

static void every_failing_allocation_is_an_error(void **state) {
    static const char *const some[] = {"llama-dense", "qwen35moe-moe", "deepseek2-moe"};
    (void)state;
    for (size_t f = 0; f < sizeof some / sizeof some[0]; f++) {
        struct scene s;
        struct context_options options = options_of(16, ELEM_F16);
        open_scene(&s, some[f], &options);
        append(&s, 0, 0, 20, N_CTX, rows);
        unsigned failures = 0;
        for (uint64_t n = 1;; n++) {
            struct context *context = NULL;
            hearth_error err = {0};
            mem_fail_after(n);
            hearth_status status = context_open(&context, &s.model, &options, &err);
            bool pending = mem_fail_pending();
            if (status == HEARTH_OK) {
                /* No allocation in decode: nothing is left to fail. */
                struct context_part part = {.tokens = s.tokens, .n_tokens = 20, .all_logits = true};
                mem_fail_after(1);
                assert_int_equal(context_decode(context, &part, 1, again, &err), HEARTH_OK);
                assert_true(mem_fail_pending());
                mem_fail_after(0);
                expect_same(&s, "without memory", again, rows, 20);
            } else {
                assert_null(context);
                assert_int_equal(status, HEARTH_ERROR_NO_MEMORY);
                failures++;
            }
            mem_fail_after(0);
            context_close(context);
            if (pending) break;
            assert_true(n < 10000);
        }
        print_message("%s: %u allocations failed in turn\n", some[f], failures);
        assert_true(failures > 20);
        close_scene(&s);
    }
}

/* Failing to lower again must leave a context that says so, not one that crashes. */
static void adapters_without_memory_do_no_harm(void **state) {
    struct scene s;
    struct context_options options = options_of(16, ELEM_F32);
    (void)state;
    open_scene(&s, "llama-dense", &options);
    append(&s, 0, 0, 20, N_CTX, rows);
    const struct adapter_set none = {0};
    for (uint64_t n = 1; n < 200; n++) {
        hearth_error err = {0};
        struct context_part part = {
            .sequence = 1, .tokens = s.tokens, .n_tokens = 20, .all_logits = true};
        mem_fail_after(n);
        hearth_status status = context_set_adapters(s.context, &none, &err);
        bool pending = mem_fail_pending();
        mem_fail_after(0);
        if (context_decode(s.context, &part, 1, again, &err) == HEARTH_OK)
            expect_same(&s, "after adapters", again, rows, 20);
        else
            assert_int_not_equal(status, HEARTH_OK);
        context_sequence_truncate(s.context, 1, 0);
        if (pending) break;
    }
    close_scene(&s);
}

/* Guesses of every length are computed after the right tokens, taken back as far as they
 * were wrong, and never leave a trace; parts that keep states follow each other and others. */
static void drafts_are_taken_back_without_trace(void **state) {
    enum { N_DRAFT = 6 };
    (void)state;
    for (int f = 0; f < N_FAMILIES; f++) {
        struct scene s;
        hearth_error err = {0};
        struct context_options options = options_of(f % 2 ? 128 : 4, ELEM_F16);
        options.n_draft = N_DRAFT;
        options.n_drafting = (uint32_t)f % 3;
        open_scene(&s, families[f], &options);
        assert_int_equal(context_n_draft(s.context), N_DRAFT);
        append(&s, 1, 0, 90, N_CTX, rows);
        append(&s, 0, 5, 20, 3, again); /* what must not leak */
        context_sequence_truncate(s.context, 0, 0);
        for (uint32_t at = 0, turn = 0; at < 80; turn++) {
            uint32_t n = turn % (N_DRAFT + 2), right = n ? (turn * 5) % (n + 1) : 0;
            int32_t guess[N_DRAFT + 1];
            for (uint32_t i = 0; i < n; i++)
                guess[i] = i < right ? s.tokens[at + i] : (s.tokens[at + i] + 1) % N_VOCAB;
            const struct context_part parts[] = {
                {.sequence = 0,
                 .tokens = guess,
                 .n_tokens = n,
                 .all_logits = true,
                 .keep_states = true},
                {.sequence = 2, .tokens = s.tokens + at % 50, .n_tokens = 1, .last_logits = true}};
            expect_ok(context_decode(s.context, parts, 2, again, &err), &err);
            expect_same(&s, "a draft", again, rows + (size_t)at * N_VOCAB, right);
            at += right;
            assert_true(context_sequence_truncate(s.context, 0, at));
            uint32_t plain = turn % 3; /* tokens that keep no state */
            append(&s, 0, at, plain, 2, again);
            expect_same(&s, "after a draft", again, rows + (size_t)at * N_VOCAB, plain);
            at += plain;
            assert_int_equal(context_sequence_length(s.context, 0), at);
        }
        close_scene(&s);
    }
}

static void states_to_go_back_to_are_bounded(void **state) {
    (void)state;
    struct scene s;
    hearth_error err = {0};
    struct context_options options = options_of(128, ELEM_F32);
    options.n_draft = 6;
    open_scene(&s, "qwen35-dense", &options);
    struct context_part part = {.tokens = s.tokens, .n_tokens = 8, .keep_states = true};
    assert_int_equal(context_decode(s.context, &part, 1, NULL, &err), HEARTH_ERROR_ARGUMENT);
    part.n_tokens = 7;
    expect_ok(context_decode(s.context, &part, 1, NULL, &err), &err);
    part.n_tokens = 1; /* the states before it make room */
    expect_ok(context_decode(s.context, &part, 1, NULL, &err), &err);
    assert_true(context_sequence_truncate(s.context, 0, 7));
    assert_false(context_sequence_truncate(s.context, 0, 6));
    assert_int_equal(context_sequence_length(s.context, 0), 0);
    uint64_t slot = cache_slot_bytes(&s.model.config) * N_SEQUENCES;
    options.max_bytes = 1 << 24;
    options.n_draft = 1000;
    reopen(&s, &options);
    assert_int_equal(context_n_draft(s.context), (1 << 24) / 8 / slot - 1);
    append(&s, 0, 0, 50, 7, rows);
    options.n_ctx = 1 << 15; /* a context that was asked for is worth more than drafts */
    options.n_draft = 0;
    options.max_bytes = 0;
    reopen(&s, &options);
    options.max_bytes = context_cache_bytes(s.context) / 16 * 17;
    options.n_draft = 1000;
    reopen(&s, &options);
    assert_int_equal(context_n_draft(s.context), 0);
    close_scene(&s);
}

static hearth_status draft(struct scene *s, uint32_t sequence, uint32_t at) {
    const struct context_part part = {
        .sequence = sequence, .tokens = s->tokens + at, .n_tokens = 3, .keep_states = true};
    return context_decode(s->context, &part, 1, NULL, NULL);
}

/* Sequences take turns where there are states for one of them only; and none is lost. */
static void few_sequences_keep_states_at_once(void **state) {
    struct scene s;
    struct context_options options = options_of(128, ELEM_F32);
    (void)state;
    options.n_draft = 4;
    options.n_drafting = 1;
    open_scene(&s, "qwen35-dense", &options);
    uint64_t bytes = context_cache_bytes(s.context);
    append(&s, 2, 0, 60, N_CTX, rows);
    for (uint32_t at = 0; at < 40; at += 10) {
        uint32_t sequence = at / 10 % 2, other = 1 - sequence;
        context_sequence_truncate(s.context, sequence, 0);
        append(&s, sequence, 0, at + 2, N_CTX, again);
        assert_int_equal(draft(&s, sequence, at + 2), HEARTH_OK);
        assert_int_equal(draft(&s, other, 0), HEARTH_ERROR_LIMIT);
        assert_true(context_sequence_keep_states(s.context, sequence));
        assert_true(context_sequence_truncate(s.context, sequence, at + 3));
        append(&s, sequence, at + 3, 5, 2, again); /* keeps none */
        expect_same(&s, "after its turn", again, rows + (size_t)(at + 3) * N_VOCAB, 5);
        assert_true(context_sequence_keep_states(s.context, other));
        assert_false(context_sequence_keep_states(s.context, sequence));
        context_sequence_truncate(s.context, other, 0); /* is empty */
    }
    options.n_drafting = 0;
    reopen(&s, &options);
    assert_int_equal((context_cache_bytes(s.context) - bytes) / cache_slot_bytes(&s.model.config),
                     (N_SEQUENCES - 1) * 5);
    close_scene(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_sequences_keep_states_at_once),
        cmocka_unit_test(mixed_sequences_are_as_alone),
        cmocka_unit_test(chunks_and_threads_change_no_bit),
        cmocka_unit_test(nodes_of_memory_change_no_bit),
        cmocka_unit_test(forgetting_and_extending_is_as_never),
        cmocka_unit_test(drafts_are_taken_back_without_trace),
        cmocka_unit_test(states_to_go_back_to_are_bounded),
        cmocka_unit_test(small_caches_stay_near),
        cmocka_unit_test(settings_in_force_can_be_asked_for),
        cmocka_unit_test(impossible_caches_are_refused),
        cmocka_unit_test(a_huge_batch_is_no_larger_than_the_context),
        cmocka_unit_test(refused_requests_change_nothing),
        cmocka_unit_test(a_failure_midway_goes_back),
        cmocka_unit_test(every_failing_allocation_is_an_error),
        cmocka_unit_test(adapters_without_memory_do_no_harm),
    };
    return cmocka_run_group_tests_name("infer/context", tests, NULL, NULL);
}
