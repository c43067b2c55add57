/* Encoders on tiny random models: embeddings against a plain implementation of the
 * published descriptions (reference_bert.c), not against another engine; and the limits
 * of what can be embedded. */
#include "tiny_model.h"

#include <math.h>
#include <string.h>

#include "reference_bert.h"

enum { N_LAYER = 4, N_EMBD = 64, N_HEAD = 4, N_FF = 96, N_EXPERT = 6, MEAN = 1, FIRST, LAST, RANK };

struct encoder {
    const char *name, *family;
    uint32_t pooling;
    bool fused, bias, gated, learned_positions;
    uint32_t moe_every; /* 0: no experts */
};

static const struct encoder encoders[] = {
    {"bert, CLS", "bert", FIRST, false, true, false, true, 0},
    {"bert, mean", "bert", MEAN, false, true, false, true, 0},
    {"bert, fused, last", "bert", LAST, true, true, false, true, 0},
    {"nomic-bert, mean", "nomic-bert", MEAN, true, false, true, false, 0},
    {"nomic-bert-moe, mean", "nomic-bert-moe", MEAN, true, true, false, false, 2},
    {"jina-bert-v3, mean", "jina-bert-v3", MEAN, true, true, false, false, 0},
};

static void add_linear(struct tiny *t, enum tiny_fill fill, uint32_t layer, const char *stem,
                       uint32_t n_in, uint32_t n_out, bool bias) {
    char name[64];
    snprintf(name, sizeof name, "%s.weight", stem);
    tiny_layer(t, fill, layer, name, n_in, n_out, 0);
    snprintf(name, sizeof name, "%s.bias", stem);
    if (bias) tiny_layer(t, FILL_BIAS, layer, name, n_out, 0, 0);
}

static void add_layer(struct tiny *t, const struct encoder *e, uint32_t i) {
    if (e->fused) {
        add_linear(t, FILL_SHARP, i, "attn_qkv", N_EMBD, 3 * N_EMBD, e->bias);
    } else {
        add_linear(t, FILL_SHARP, i, "attn_q", N_EMBD, N_EMBD, e->bias);
        add_linear(t, FILL_SHARP, i, "attn_k", N_EMBD, N_EMBD, e->bias);
        add_linear(t, FILL_MATRIX, i, "attn_v", N_EMBD, N_EMBD, e->bias);
    }
    add_linear(t, FILL_MATRIX, i, "attn_output", N_EMBD, N_EMBD, e->bias);
    tiny_layer(t, FILL_NORM, i, "attn_output_norm.weight", N_EMBD, 0, 0);
    tiny_layer(t, FILL_BIAS, i, "attn_output_norm.bias", N_EMBD, 0, 0);
    if (e->moe_every && i % e->moe_every == 1) {
        tiny_layer(t, FILL_SHARP, i, "ffn_gate_inp.weight", N_EMBD, N_EXPERT, 0);
        tiny_layer(t, FILL_MATRIX, i, "ffn_up_exps.weight", N_EMBD, N_FF, N_EXPERT);
        tiny_layer(t, FILL_MATRIX, i, "ffn_down_exps.weight", N_FF, N_EMBD, N_EXPERT);
    } else {
        add_linear(t, FILL_MATRIX, i, "ffn_up", N_EMBD, N_FF, e->bias);
        add_linear(t, FILL_MATRIX, i, "ffn_down", N_FF, N_EMBD, e->bias);
        if (e->gated) add_linear(t, FILL_MATRIX, i, "ffn_gate", N_EMBD, N_FF, false);
    }
    tiny_layer(t, FILL_NORM, i, "layer_output_norm.weight", N_EMBD, 0, 0);
    tiny_layer(t, FILL_BIAS, i, "layer_output_norm.bias", N_EMBD, 0, 0);
}

static void build(struct tiny *t, const struct encoder *e) {
    tiny_begin(t, e->family, 11 + e->pooling);
    tiny_u32(t, "block_count", N_LAYER);
    tiny_u32(t, "embedding_length", N_EMBD);
    tiny_u32(t, "feed_forward_length", N_FF);
    tiny_u32(t, "attention.head_count", N_HEAD);
    tiny_f32(t, "attention.layer_norm_epsilon", 1e-12);
    tiny_bool(t, "attention.causal", false);
    tiny_u32(t, "pooling_type", e->pooling);
    if (!e->learned_positions) tiny_f32(t, "rope.freq_base", 1000);
    if (e->moe_every) {
        tiny_u32(t, "moe_every_n_layers", e->moe_every);
        tiny_u32(t, "expert_count", N_EXPERT);
        tiny_u32(t, "expert_used_count", 2);
    }
    tiny_tensor(t, FILL_EMBEDDING, "token_embd.weight", N_EMBD, TINY_VOCAB, 0);
    tiny_tensor(t, FILL_BIAS, "token_types.weight", N_EMBD, 2, 0);
    if (e->learned_positions) tiny_tensor(t, FILL_BIAS, "position_embd.weight", N_EMBD, 256, 0);
    tiny_tensor(t, FILL_NORM, "token_embd_norm.weight", N_EMBD, 0, 0);
    tiny_tensor(t, FILL_BIAS, "token_embd_norm.bias", N_EMBD, 0, 0);
    for (uint32_t i = 0; i < N_LAYER; i++)
        add_layer(t, e, i);
    tiny_write(t);
}

static struct tiny tiny;
static struct model model;
static struct context *context;

static void open_encoder(const struct encoder *e, struct context_options options) {
    hearth_error err = {0};
    build(&tiny, e);
    if (model_open(&model, tiny.path, &err) != HEARTH_OK) fail_msg("%s", err.message);
    options.n_threads = 2;
    if (context_open(&context, &model, &options, &err) != HEARTH_OK) fail_msg("%s", err.message);
}

static void close_encoder(void) {
    context_close(context);
    model_close(&model);
    tiny_end(&tiny);
}

static void agrees_with_the_description(void **state) {
    static const uint32_t lengths[] = {TINY_TOKENS, 1, 33};
    const struct encoder *e = *state;
    double reference[N_EMBD];
    float embedding[N_EMBD];
    hearth_error err = {0};
    open_encoder(e, context_defaults());
    for (int i = 0; i < 3; i++) {
        reference_bert(&model.directory, tiny_tokens(), lengths[i], reference);
        if (context_embed(context, 0, tiny_tokens(), lengths[i], embedding, &err) != HEARTH_OK)
            fail_msg("%s", err.message);
        double error = tiny_nmse(embedding, reference, N_EMBD);
        if (!(error <= 1e-8)) fail_msg("%s, %u tokens: NMSE %.3g", e->name, lengths[i], error);
        print_message("%s, %u tokens: NMSE %.2g\n", e->name, lengths[i], error);
    }
    close_encoder();
}

static void expect_failure(hearth_status status, const hearth_error *err, hearth_status expected,
                           const char *part) {
    assert_int_equal(status, expected);
    if (!strstr(err->message, part)) fail_msg("'%s' does not contain '%s'", err->message, part);
}

static void what_cannot_be_embedded_is_said(void **state) {
    (void)state;
    int32_t tokens[257] = {0};
    float out[N_EMBD];
    hearth_error err = {0};
    struct context_options options = context_defaults();
    options.max_batch = 16; /* encoders take whole texts all the same */
    open_encoder(&encoders[0], options);
    assert_int_equal(context_embed(context, 0, tokens, 256, out, &err), HEARTH_OK);
    expect_failure(context_embed(context, 0, tokens, 257, out, &err), &err, HEARTH_ERROR_LIMIT,
                   "257 tokens is longer than the context of 256");
    expect_failure(context_embed(context, 0, tokens, 0, out, &err), &err, HEARTH_ERROR_ARGUMENT,
                   "no tokens");
    struct context_part part = {.tokens = tokens, .n_tokens = 4};
    expect_failure(context_decode(context, &part, 1, NULL, &err), &err, HEARTH_ERROR_UNSUPPORTED,
                   "embed");
    assert_int_equal(context_sequence_length(context, 0), 0);
    close_encoder();
}

static void positions_beyond_the_learned_are_refused(void **state) {
    (void)state;
    struct context *none;
    hearth_error err = {0};
    struct context_options options = context_defaults();
    open_encoder(&encoders[0], options);
    options.n_ctx = 300;
    expect_failure(context_open(&none, &model, &options, &err), &err, HEARTH_ERROR_ARGUMENT,
                   "learned only 256 positions");
    close_encoder();
}

static void a_ranking_model_gives_no_embedding(void **state) {
    (void)state;
    struct encoder ranking = encoders[0];
    float out[N_EMBD];
    hearth_error err = {0};
    ranking.pooling = RANK;
    open_encoder(&ranking, context_defaults());
    expect_failure(context_embed(context, 0, tiny_tokens(), 4, out, &err), &err,
                   HEARTH_ERROR_UNSUPPORTED, "ranks");
    close_encoder();
}

int main(void) {
    enum { N = sizeof encoders / sizeof encoders[0] };
    struct CMUnitTest tests[N + 3] = {
        [N] = cmocka_unit_test(what_cannot_be_embedded_is_said),
        [N + 1] = cmocka_unit_test(positions_beyond_the_learned_are_refused),
        [N + 2] = cmocka_unit_test(a_ranking_model_gives_no_embedding),
    };
    for (size_t i = 0; i < N; i++)
        tests[i] = (struct CMUnitTest){encoders[i].name, agrees_with_the_description, NULL, NULL,
                                       (void *)(uintptr_t)&encoders[i]};
    return _cmocka_run_group_tests("model/encoders", tests, N + 3, NULL, NULL);
}
