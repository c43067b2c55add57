/* Heads for further tokens: what one predicts against a plain implementation, given the
 * model's rows and its own; that nothing of the sequence's history shows in it; and that
 * answers are those without it, greedy and sampled, whatever the model remembers. */
#include "infer/scheduling.h"

#include <unistd.h>

#include "infer/mtp_drafter.h"
#include "model/reference_decoder.h"
#include "model/tiny_model.h"

enum { N_EMBD = 64, N_HEAD = 4, HEAD = 16, N_KV = 2, N_FF = 80, N_EXPERT = 8, N_FF_EXPERT = 40 };
enum { N_LAYER = 3, ALONE = 5, PAGE_BYTES = 1 << 18 };

static const struct reference_family glm4moe = {.title = "glm4moe",
                                                .family = "glm4moe",
                                                .mixer_norm = "attn_norm",
                                                .ffn_norm = "post_attention_norm",
                                                .halves = true,
                                                .n_kv = N_KV,
                                                .n_rot = 8,
                                                .n_expert = N_EXPERT,
                                                .n_dense = 1,
                                                .n_shared = 1,
                                                .router = ROUTER_SIGMOID,
                                                .normalise = true,
                                                .selection_bias = true,
                                                .own_output = true,
                                                .n_layer = N_LAYER,
                                                .n_draft = 1};

/* ---- models with a head -------------------------------------------------------- */

static void add_settings(struct tiny *t) {
    tiny_u32(t, "block_count", N_LAYER + 1);
    tiny_u32(t, "nextn_predict_layers", 1);
    tiny_u32(t, "embedding_length", N_EMBD);
    tiny_u32(t, "feed_forward_length", N_FF);
    tiny_u32(t, "attention.head_count", N_HEAD);
    tiny_u32(t, "attention.head_count_kv", N_KV);
    tiny_u32(t, "rope.dimension_count", glm4moe.n_rot);
    tiny_f32(t, "rope.freq_base", 5000);
    tiny_f32(t, "attention.layer_norm_rms_epsilon", 1e-5);
    tiny_u32(t, "expert_count", N_EXPERT);
    tiny_u32(t, "expert_used_count", 2);
    tiny_u32(t, "expert_feed_forward_length", N_FF_EXPERT);
    tiny_u32(t, "expert_shared_count", 1);
    tiny_u32(t, "expert_shared_feed_forward_length", N_FF_EXPERT);
    tiny_u32(t, "leading_dense_block_count", 1);
    tiny_bool(t, "expert_weights_norm", true);
    tiny_u32(t, "expert_gating_func", 2);
}

static void add_layer(struct tiny *t, uint32_t i) {
    uint32_t n_q = N_HEAD * HEAD, n_kv = N_KV * HEAD;
    tiny_layer(t, FILL_NORM, i, "attn_norm.weight", N_EMBD, 0, 0);
    tiny_layer(t, FILL_NORM, i, "post_attention_norm.weight", N_EMBD, 0, 0);
    tiny_layer(t, FILL_SHARP, i, "attn_q.weight", N_EMBD, n_q, 0);
    tiny_layer(t, FILL_SHARP, i, "attn_k.weight", N_EMBD, n_kv, 0);
    tiny_layer(t, FILL_MATRIX, i, "attn_v.weight", N_EMBD, n_kv, 0);
    tiny_layer(t, FILL_MATRIX, i, "attn_output.weight", n_q, N_EMBD, 0);
    if (i == 0) {
        tiny_layer(t, FILL_MATRIX, i, "ffn_gate.weight", N_EMBD, N_FF, 0);
        tiny_layer(t, FILL_MATRIX, i, "ffn_up.weight", N_EMBD, N_FF, 0);
        tiny_layer(t, FILL_MATRIX, i, "ffn_down.weight", N_FF, N_EMBD, 0);
        return;
    }
    tiny_layer(t, FILL_SHARP, i, "ffn_gate_inp.weight", N_EMBD, N_EXPERT, 0);
    tiny_layer(t, FILL_BIAS, i, "exp_probs_b.bias", N_EXPERT, 0, 0);
    tiny_layer(t, FILL_MATRIX, i, "ffn_gate_exps.weight", N_EMBD, N_FF_EXPERT, N_EXPERT);
    tiny_layer(t, FILL_MATRIX, i, "ffn_up_exps.weight", N_EMBD, N_FF_EXPERT, N_EXPERT);
    tiny_layer(t, FILL_MATRIX, i, "ffn_down_exps.weight", N_FF_EXPERT, N_EMBD, N_EXPERT);
    tiny_layer(t, FILL_MATRIX, i, "ffn_gate_shexp.weight", N_EMBD, N_FF_EXPERT, 0);
    tiny_layer(t, FILL_MATRIX, i, "ffn_up_shexp.weight", N_EMBD, N_FF_EXPERT, 0);
    tiny_layer(t, FILL_MATRIX, i, "ffn_down_shexp.weight", N_FF_EXPERT, N_EMBD, 0);
}

/* With matrices of its own for both ends, or those of the model. */
static void add_head(struct tiny *t, uint32_t i, uint32_t n_embd, bool own) {
    tiny_layer(t, FILL_NORM, i, "nextn.enorm.weight", n_embd, 0, 0);
    tiny_layer(t, FILL_NORM, i, "nextn.hnorm.weight", n_embd, 0, 0);
    tiny_layer(t, FILL_MATRIX, i, "nextn.eh_proj.weight", 2 * (uint64_t)n_embd, n_embd, 0);
    if (!own) return;
    tiny_layer(t, FILL_NORM, i, "nextn.shared_head_norm.weight", n_embd, 0, 0);
    tiny_layer(t, FILL_MATRIX, i, "nextn.shared_head_head.weight", n_embd, TINY_VOCAB, 0);
    tiny_layer(t, FILL_EMBEDDING, i, "nextn.embed_tokens.weight", n_embd, TINY_VOCAB, 0);
}

static void build(struct tiny *t, bool own) {
    tiny_begin(t, glm4moe.family, 31);
    add_settings(t);
    tiny_tensor(t, FILL_EMBEDDING, "token_embd.weight", N_EMBD, TINY_VOCAB, 0);
    tiny_tensor(t, FILL_NORM, "output_norm.weight", N_EMBD, 0, 0);
    tiny_tensor(t, FILL_MATRIX, "output.weight", N_EMBD, TINY_VOCAB, 0);
    for (uint32_t i = 0; i <= N_LAYER; i++)
        add_layer(t, i);
    add_head(t, N_LAYER, N_EMBD, own);
    tiny_write(t);
}

/* ---- what it predicts ------------------------------------------------------------ */

static void open_head(struct scene *s, const char *path, const struct context_options *options) {
    hearth_error err = {0};
    *s = (struct scene){0};
    expect_ok(model_open(&s->model, path, &err), &err);
    open_tokenizer(s);
    expect_ok(context_open(&s->context, &s->model, options, &err), &err);
    expect_ok(session_open(&s->session, s->context, 0, &err), &err);
    expect_ok(sampler_workspace_open(&s->workspace, s->model.config.n_vocab, &err), &err);
}

static struct context_options head_options(uint32_t n_ctx, enum elem cache) {
    struct context_options options = context_defaults();
    options.n_threads = 1;
    options.n_ctx = n_ctx;
    options.n_draft = 15;
    options.next = true;
    options.k_type = options.v_type = cache;
    return options;
}

static void decode(struct scene *s, const int32_t *tokens, uint32_t n, uint32_t chunk) {
    hearth_error err = {0};
    for (uint32_t at = 0; at < n; at += chunk) {
        struct context_part part = {.tokens = tokens + at,
                                    .n_tokens = n - at < chunk ? n - at : chunk};
        expect_ok(context_decode(s->context, &part, 1, NULL, &err), &err);
    }
}

/* Given the model's rows up to `n`, then going on by itself. */
static void predict(struct scene *s, const int32_t *tokens, uint32_t n, uint32_t count,
                    float *logits) {
    hearth_error err = {0};
    for (uint32_t i = n; i < n + count; i++, logits += TINY_VOCAB)
        expect_ok(context_predict(s->context, 0, i, tokens[i], logits, &err), &err);
}

static void predictions_are_those_of_the_description(void **state) {
    static const uint32_t chunks[] = {TINY_TOKENS, 7, 1};
    static double expected[TINY_TOKENS * TINY_VOCAB];
    static float logits[ALONE * TINY_VOCAB];
    (void)state;
    for (int own = 0; own < 2; own++) {
        struct tiny t;
        struct scene s;
        struct context_options options = head_options(128, ELEM_F32);
        const int32_t *tokens = tiny_tokens();
        build(&t, own);
        open_head(&s, t.path, &options);
        for (uint32_t n = 1; n + ALONE <= TINY_TOKENS; n += 30) {
            reference_next_token(&s.model.directory, &glm4moe, tokens, n + ALONE, n, expected);
            for (int c = 0; c < 3; c++) {
                context_sequence_truncate(s.context, 0, 0);
                decode(&s, tokens, n, chunks[c]);
                predict(&s, tokens, n, ALONE, logits);
                double error =
                    tiny_nmse(logits, expected + n * TINY_VOCAB, (size_t)ALONE * TINY_VOCAB);
                if (!(error < 1e-9)) fail_msg("after %u tokens: NMSE %.3g", n, error);
                print_message("after %u tokens, chunks of %u: NMSE %.2g\n", n, chunks[c], error);
            }
        }
        close_scene(&s);
        tiny_end(&t);
    }
}

/* The first two pages, after which the sequence is empty. */
static void read_pages(struct scene *s, uint8_t pages[2][PAGE_BYTES]) {
    hearth_error err = {0};
    assert_true(context_page_bytes(s->context) <= PAGE_BYTES);
    for (uint32_t i = 0; i < 2; i++)
        expect_ok(context_read_page(s->context, 0, i, pages[i], &err), &err);
    context_sequence_truncate(s->context, 0, 0);
}

/* Whatever was computed before and forgotten, drafted, refused, saved or loaded. */
static void history_leaves_no_trace(void **state) {
    static const enum elem types[] = {ELEM_F32, ELEM_F16};
    static float first[ALONE * TINY_VOCAB], again[ALONE * TINY_VOCAB], logits[TINY_VOCAB];
    static uint8_t pages[2][PAGE_BYTES];
    struct tiny t;
    (void)state;
    build(&t, true);
    for (int type = 0; type < 2; type++) {
        struct scene s;
        hearth_error err = {0};
        const int32_t *tokens = tiny_tokens();
        struct context_options options = head_options(128, types[type]);
        open_head(&s, t.path, &options);
        decode(&s, tokens, 70, 70);
        predict(&s, tokens, 70, ALONE, first);
        predict(&s, tokens, 70, ALONE, again);
        assert_memory_equal(first, again, sizeof first);
        context_sequence_truncate(s.context, 0, 0);
        decode(&s, tokens + 3, 90, 11);
        context_sequence_truncate(s.context, 0, 0);
        decode(&s, tokens, 33, 33);
        predict(&s, tokens + 9, 33, ALONE, again); /* and what it drafted was refused */
        decode(&s, tokens + 33, 57, 5);
        context_sequence_truncate(s.context, 0, 70);
        predict(&s, tokens, 70, ALONE, again);
        assert_memory_equal(first, again, sizeof first);

        read_pages(&s, pages);
        decode(&s, tokens + 20, 30, 30);
        context_sequence_truncate(s.context, 0, 0);
        for (int i = 0; i < 2; i++)
            expect_ok(context_append_page(s.context, 0, pages[i], &err), &err);
        decode(&s, tokens + 64, 6, 6);
        predict(&s, tokens, 70, ALONE, again);
        assert_memory_equal(first, again, sizeof first);
        assert_int_equal(context_predict(s.context, 0, 0, 1, logits, &err), HEARTH_ERROR_ARGUMENT);
        assert_int_equal(context_predict(s.context, 0, 128, 1, logits, &err),
                         HEARTH_ERROR_ARGUMENT);
        assert_int_equal(context_predict(s.context, 0, 9, TINY_VOCAB, logits, &err),
                         HEARTH_ERROR_ARGUMENT);
        session_clear(s.session); /* there is nothing it could have seen */
        assert_int_equal(context_predict(s.context, 0, 1, 1, logits, &err), HEARTH_ERROR_ARGUMENT);
        close_scene(&s);
    }
    tiny_end(&t);
}

/* ---- answers ----------------------------------------------------------------------- */

/* Tensors of layer `like` once more as layer `n_layer`. */
static void add_tensors(struct tiny *t, const struct directory *golden, uint32_t like,
                        uint32_t n_layer) {
    char name[64], layer[16];
    int length = snprintf(layer, sizeof layer, "blk.%u.", like);
    for (size_t i = 0; i < golden->n_tensors; i++) {
        const struct tensor *tensor = &golden->tensors[i];
        uint64_t d1 = tensor->n_dims > 1 ? tensor->dims[1] : 0;
        uint64_t d2 = tensor->n_dims > 2 ? tensor->dims[2] : 0;
        float *to = tiny_tensor(t, FILL_MATRIX, tensor->name, tensor->dims[0], d1, d2);
        memcpy(to, tensor->data, tensor->size_bytes);
        if (strncmp(tensor->name, layer, (size_t)length) != 0) continue;
        snprintf(name, sizeof name, "%s", tensor->name + length);
        to = tiny_layer(t, FILL_MATRIX, n_layer, name, tensor->dims[0], d1, d2);
        memcpy(to, tensor->data, tensor->size_bytes);
    }
}

/* Some tokens are likely everywhere, so that heads that know nothing are right at times. */
static void make_predictable(struct tiny *t) {
    float *bias = tiny_tensor(t, FILL_BIAS, "output.bias", TINY_VOCAB, 0, 0);
    for (int i = 0; i < TINY_VOCAB; i++)
        bias[i] = i % 16 == 5 ? 8.0f + 0.5f * (float)(i / 16) : 0;
}

/* A golden model with one more layer, which is its layer `like` again, and a head around it. */
static void build_golden(struct tiny *t, const char *family, const char *folder, uint32_t like) {
    char path[128], name[64];
    struct directory golden;
    uint32_t n_layer = 0, n_embd = 0;
    hearth_error err = {0};
    snprintf(path, sizeof path, "arch/%s/model.gguf", folder);
    expect_ok(gguf_open(&golden, testdata(path), &err), &err);
    *t = (struct tiny){.family = family};
    rng_seed(&t->rng, 77);
    metadata_init(&t->metadata, 1 << 20);
    for (size_t i = 0; i < golden.metadata.count; i++)
        expect_ok(metadata_add(&t->metadata, &golden.metadata.values[i], &err), &err);
    snprintf(name, sizeof name, "%s.block_count", family);
    assert_true(metadata_u32(&golden.metadata, name, &n_layer));
    snprintf(name, sizeof name, "%s.embedding_length", family);
    assert_true(metadata_u32(&golden.metadata, name, &n_embd));
    tiny_u32(t, "block_count", n_layer + 1);
    tiny_u32(t, "nextn_predict_layers", 1);
    add_tensors(t, &golden, like, n_layer);
    add_head(t, n_layer, n_embd, false);
    make_predictable(t);
    tiny_write(t);
    directory_close(&golden);
}

static uint32_t expect_lossless(struct scene *s, const struct question *q, const char *what) {
    static struct answer plain, a;
    uint32_t accepted = 0;
    struct drafter *drafter;
    session_clear(s->session);
    ask(s, q, NULL, &plain);
    for (uint32_t least = 0; least <= 8; least += 4) {
        assert_int_equal(mtp_drafter_open(&drafter, s->context, 0, 0, NULL), HEARTH_OK);
        struct speculation *speculation =
            open_speculation(drafter, least, 15, context_length(s->context));
        for (int again = 0; again < 2; again++) {
            if (!again) session_clear(s->session);
            ask(s, q, speculation, &a);
            expect_same(what, &plain, &a);
            accepted += a.stats.n_accepted;
        }
        speculation_close(speculation);
    }
    return accepted;
}

static void answers_are_those_without_a_head(void **state) {
    static const struct {
        const char *family, *folder;
        uint32_t like;
    } models[] = {{"qwen35", "qwen35-dense", 3}, {"deepseek2", "deepseek2-moe", 2}};
    static const int32_t any[] = {5, 9, 77, 5, 9, 77, 5, 9, 31, 90, 5, 9};
    (void)state;
    for (size_t m = 0; m < 2; m++) {
        struct tiny t;
        struct scene s;
        struct context_options options = head_options(64, ELEM_F16);
        build_golden(&t, models[m].family, models[m].folder, models[m].like);
        open_head(&s, t.path, &options);
        struct question q = {.prompt = any,
                             .n = 12,
                             .params = greedy(),
                             .options = {.max_tokens = 45, .ignore_end = true}};
        assert_true(expect_lossless(&s, &q, models[m].folder) > 0);
        for (unsigned i = 0; i < 5; i++) {
            q.params = sampling(i);
            expect_lossless(&s, &q, models[m].folder);
        }
        q.options = (struct generation_options){
            .max_tokens = 90, .ignore_end = true, .shift_context = true, .keep = 3};
        q.params = greedy();
        expect_lossless(&s, &q, "shifted context");
        q.options = (struct generation_options){.ignore_end = true};
        expect_lossless(&s, &q, "full context");
        close_scene(&s);
        tiny_end(&t);
    }
}

static hearth_status open_heads(void *context, uint32_t sequence, struct drafter **drafter,
                                hearth_error *err) {
    return mtp_drafter_open(drafter, *(struct context **)context, sequence, 0, err);
}

/* The head drafts for every answer, each in its own pages. */
static void scheduled_answers_are_those_without_a_head(void **state) {
    enum { N_TASKS = 9, N_PAGES = 4 };
    static struct task tasks[N_TASKS];
    static const struct {
        const char *family, *folder;
        uint32_t like, n_pages; /* fewer pages than are wanted: answers wait again */
    } cases[] = {{"qwen35", "qwen35-dense", 3, 0},
                 {"deepseek2", "deepseek2-moe", 2, 0},
                 {"deepseek2", "deepseek2-moe", 2, N_PAGES}};
    (void)state;
    for (size_t m = 0; m < sizeof cases / sizeof cases[0]; m++) {
        struct tiny t;
        struct hall h = {0};
        hearth_error err = {0};
        struct context_options options = head_options(96, ELEM_F16);
        const struct scheduler_drafting drafting = {
            .open = open_heads, .context = &h.context, .max_draft = 15, .min_draft = 4};
        const struct scheduler_options scheduler = {.tokenizer = NULL, .drafting = &drafting};
        build_golden(&t, cases[m].family, cases[m].folder, cases[m].like);
        open_head(&h.alone, t.path, &options);
        options.n_sequences = 3;
        options.n_pages = cases[m].n_pages;
        options.n_states = 2;
        expect_ok(context_open(&h.context, &h.alone.model, &options, &err), &err);
        expect_ok(scheduler_open(&h.scheduler, h.context, &scheduler, &err), &err);
        for (unsigned i = 0; i < N_TASKS; i++) {
            make_task(&tasks[i], i, &h.alone, 50);
            tasks[i].max_tokens += 5;
            tasks[i].ignore_end = true;
            submit(&h, &tasks[i]);
        }
        for (unsigned i = 0; i < N_TASKS; i++)
            finish(&h, &tasks[i], cases[m].folder);
        assert_true(stats_of(&h).n_accepted > 5);
        assert_int_equal(stats_of(&h).n_preempted > 0, cases[m].n_pages > 0);
        close_hall(&h);
        tiny_end(&t);
    }
}

/* ---- refusals ------------------------------------------------------------------------ */

static void models_without_a_head_are_refused(void **state) {
    struct model model;
    struct context *context;
    hearth_error err = {0};
    struct context_options options = head_options(64, ELEM_F16);
    (void)state;
    expect_ok(model_open(&model, testdata(stories), &err), &err);
    assert_int_equal(context_open(&context, &model, &options, &err), HEARTH_ERROR_UNSUPPORTED);
    model_close(&model);
}

static void every_failed_allocation_is_reported(void **state) {
    struct tiny t;
    struct model model;
    hearth_error err = {0};
    (void)state;
    build(&t, false);
    expect_ok(model_open(&model, t.path, &err), &err);
    for (uint64_t n = 1;; n++) {
        struct context *context = NULL;
        struct drafter *drafter = NULL;
        struct context_options options = head_options(64, ELEM_F16);
        mem_fail_after(n);
        hearth_status status = context_open(&context, &model, &options, NULL);
        if (status == HEARTH_OK) status = mtp_drafter_open(&drafter, context, 0, 0, NULL);
        bool pending = mem_fail_pending();
        mem_fail_after(0);
        assert_int_equal(status, pending ? HEARTH_OK : HEARTH_ERROR_NO_MEMORY);
        if (drafter) drafter->close(drafter);
        context_close(context);
        if (pending) break;
    }
    model_close(&model);
    tiny_end(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(predictions_are_those_of_the_description),
        cmocka_unit_test(history_leaves_no_trace),
        cmocka_unit_test(answers_are_those_without_a_head),
        cmocka_unit_test(scheduled_answers_are_those_without_a_head),
        cmocka_unit_test(models_without_a_head_are_refused),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("infer/mtp_drafter", tests, NULL, NULL);
}
