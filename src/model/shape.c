/* Measures of published models, from their configurations. */
#include "model/shape.h"

#include <string.h>
#include <strings.h>

#include "base/nearest.h"

#define BIT(i) (UINT64_C(1) << (i))

static const struct shape shapes[] = {
    {.name = "stories260k",
     .family = "llama",
     .n_vocab = 512,
     .n_ctx = 512,
     .n_layer = 5,
     .n_embd = 64,
     .n_head = 8,
     .n_head_kv = 4,
     .d_head = 8,
     .n_ff = 172,
     .traits = SHAPE_TIED,
     .eps = 1e-5f,
     .rope_base = 1e4f},
    {.name = "llama-110m",
     .family = "llama",
     .n_vocab = 32000,
     .n_ctx = 2048,
     .n_layer = 12,
     .n_embd = 768,
     .n_head = 12,
     .n_head_kv = 12,
     .d_head = 64,
     .n_ff = 2048,
     .traits = SHAPE_TIED,
     .eps = 1e-5f,
     .rope_base = 1e4f},
    {.name = "smollm2-135m",
     .family = "llama",
     .n_vocab = 49152,
     .n_ctx = 8192,
     .n_layer = 30,
     .n_embd = 576,
     .n_head = 9,
     .n_head_kv = 3,
     .d_head = 64,
     .n_ff = 1536,
     .traits = SHAPE_TIED,
     .eps = 1e-5f,
     .rope_base = 1e5f},
    {.name = "smollm2-360m",
     .family = "llama",
     .n_vocab = 49152,
     .n_ctx = 8192,
     .n_layer = 32,
     .n_embd = 960,
     .n_head = 15,
     .n_head_kv = 5,
     .d_head = 64,
     .n_ff = 2560,
     .traits = SHAPE_TIED,
     .eps = 1e-5f,
     .rope_base = 1e5f},
    {.name = "llama-3.2-1b",
     .family = "llama",
     .n_vocab = 128256,
     .n_ctx = 131072,
     .n_layer = 16,
     .n_embd = 2048,
     .n_head = 32,
     .n_head_kv = 8,
     .d_head = 64,
     .n_ff = 8192,
     .traits = SHAPE_TIED,
     .eps = 1e-5f,
     .rope_base = 5e5f,
     .rope = SHAPE_ROPE_LLAMA3,
     .rope_factor = 32,
     .rope_original = 8192},
    {.name = "llama-3.2-3b",
     .family = "llama",
     .n_vocab = 128256,
     .n_ctx = 131072,
     .n_layer = 28,
     .n_embd = 3072,
     .n_head = 24,
     .n_head_kv = 8,
     .d_head = 128,
     .n_ff = 8192,
     .traits = SHAPE_TIED,
     .eps = 1e-5f,
     .rope_base = 5e5f,
     .rope = SHAPE_ROPE_LLAMA3,
     .rope_factor = 32,
     .rope_original = 8192},
    {.name = "llama-3.1-8b",
     .family = "llama",
     .n_vocab = 128256,
     .n_ctx = 131072,
     .n_layer = 32,
     .n_embd = 4096,
     .n_head = 32,
     .n_head_kv = 8,
     .d_head = 128,
     .n_ff = 14336,
     .eps = 1e-5f,
     .rope_base = 5e5f,
     .rope = SHAPE_ROPE_LLAMA3,
     .rope_factor = 8,
     .rope_original = 8192},
    {.name = "qwen2.5-0.5b",
     .family = "qwen2",
     .n_vocab = 151936,
     .n_ctx = 32768,
     .n_layer = 24,
     .n_embd = 896,
     .n_head = 14,
     .n_head_kv = 2,
     .d_head = 64,
     .n_ff = 4864,
     .traits = SHAPE_TIED | SHAPE_QKV_BIAS,
     .eps = 1e-6f,
     .rope_base = 1e6f},
    {.name = "qwen3-0.6b",
     .family = "qwen3",
     .n_vocab = 151936,
     .n_ctx = 40960,
     .n_layer = 28,
     .n_embd = 1024,
     .n_head = 16,
     .n_head_kv = 8,
     .d_head = 128,
     .n_ff = 3072,
     .traits = SHAPE_TIED | SHAPE_HEAD_NORM,
     .eps = 1e-6f,
     .rope_base = 1e6f},
    {.name = "qwen3-1.7b",
     .family = "qwen3",
     .n_vocab = 151936,
     .n_ctx = 40960,
     .n_layer = 28,
     .n_embd = 2048,
     .n_head = 16,
     .n_head_kv = 8,
     .d_head = 128,
     .n_ff = 6144,
     .traits = SHAPE_TIED | SHAPE_HEAD_NORM,
     .eps = 1e-6f,
     .rope_base = 1e6f},
    {.name = "qwen3-4b",
     .family = "qwen3",
     .n_vocab = 151936,
     .n_ctx = 40960,
     .n_layer = 36,
     .n_embd = 2560,
     .n_head = 32,
     .n_head_kv = 8,
     .d_head = 128,
     .n_ff = 9728,
     .traits = SHAPE_TIED | SHAPE_HEAD_NORM,
     .eps = 1e-6f,
     .rope_base = 1e6f},
    {.name = "qwen3-8b",
     .family = "qwen3",
     .n_vocab = 151936,
     .n_ctx = 40960,
     .n_layer = 36,
     .n_embd = 4096,
     .n_head = 32,
     .n_head_kv = 8,
     .d_head = 128,
     .n_ff = 12288,
     .traits = SHAPE_HEAD_NORM,
     .eps = 1e-6f,
     .rope_base = 1e6f},
    {.name = "qwen3-30b-a3b",
     .family = "qwen3moe",
     .n_vocab = 151936,
     .n_ctx = 40960,
     .n_layer = 48,
     .n_embd = 2048,
     .n_head = 32,
     .n_head_kv = 4,
     .d_head = 128,
     .n_ff = 6144,
     .traits = SHAPE_HEAD_NORM,
     .eps = 1e-6f,
     .rope_base = 1e6f,
     .experts = {.n = 128, .n_used = 8, .n_ff = 768}},
    {.name = "qwen3.5-0.8b",
     .family = "qwen35",
     .n_vocab = 248320,
     .n_ctx = 262144,
     .n_layer = 24,
     .n_embd = 1024,
     .n_head = 8,
     .n_head_kv = 2,
     .d_head = 256,
     .n_ff = 3584,
     .traits = SHAPE_TIED | SHAPE_HEAD_NORM | SHAPE_LATE_NORM | SHAPE_GATED_HEADS,
     .eps = 1e-6f,
     .rope_base = 1e7f,
     .n_rot = 64,
     .attention_every = 4,
     .ssm = {.inner = 2048, .heads = 16, .groups = 16, .state = 128, .kernel = 4}},
    {.name = "gemma3-1b",
     .family = "gemma3",
     .n_vocab = 262144,
     .n_ctx = 32768,
     .n_layer = 26,
     .n_embd = 1152,
     .n_head = 4,
     .n_head_kv = 1,
     .d_head = 256,
     .n_ff = 6912,
     .traits = SHAPE_TIED | SHAPE_HEAD_NORM | SHAPE_POST_NORMS,
     .eps = 1e-6f,
     .rope_base = 1e6f,
     .window = 512,
     .rope_base_local = 1e4f},
    {.name = "gemma3-4b",
     .family = "gemma3",
     .n_vocab = 262144,
     .n_ctx = 131072,
     .n_layer = 34,
     .n_embd = 2560,
     .n_head = 8,
     .n_head_kv = 4,
     .d_head = 256,
     .n_ff = 10240,
     .traits = SHAPE_TIED | SHAPE_HEAD_NORM | SHAPE_POST_NORMS,
     .eps = 1e-6f,
     .rope_base = 1e6f,
     .window = 1024,
     .rope_base_local = 1e4f,
     .rope = SHAPE_ROPE_LINEAR,
     .rope_factor = 8},
    {.name = "phi-4-mini",
     .family = "phi3",
     .n_vocab = 200064,
     .n_ctx = 131072,
     .n_layer = 32,
     .n_embd = 3072,
     .n_head = 24,
     .n_head_kv = 8,
     .d_head = 128,
     .n_ff = 8192,
     .traits = SHAPE_TIED | SHAPE_FUSED,
     .eps = 1e-5f,
     .rope_base = 1e4f,
     .n_rot = 96,
     .rope = SHAPE_ROPE_LONG,
     .rope_factor = 32,
     .rope_original = 4096},
    {.name = "granite4-h-tiny",
     .family = "granitehybrid",
     .n_vocab = 100352,
     .n_ctx = 131072,
     .n_layer = 40,
     .n_embd = 1536,
     .n_head = 12,
     .n_head_kv = 4,
     .d_head = 128,
     .n_ff = 512,
     .traits = SHAPE_TIED | SHAPE_NO_ROPE,
     .eps = 1e-5f,
     .rope_base = 1e4f,
     .attention_layers = BIT(5) | BIT(15) | BIT(25) | BIT(35),
     .experts = {.n = 64, .n_used = 6, .n_ff = 512, .n_ff_shared = 1024},
     .ssm = {.inner = 3072, .heads = 48, .groups = 1, .state = 128, .kernel = 4},
     .scales = {.embedding = 12, .residual = 0.22f, .attention = 0.0078125f, .logit = 6}},
    {.name = "lfm2-1.2b",
     .family = "lfm2",
     .n_vocab = 65536,
     .n_ctx = 128000,
     .n_layer = 16,
     .n_embd = 2048,
     .n_head = 32,
     .n_head_kv = 8,
     .d_head = 64,
     .n_ff = 8192,
     .traits = SHAPE_TIED | SHAPE_HEAD_NORM,
     .eps = 1e-5f,
     .rope_base = 1e6f,
     .attention_layers = BIT(2) | BIT(5) | BIT(8) | BIT(10) | BIT(12) | BIT(14),
     .short_conv_kernel = 3},
    {.name = "olmoe-1b-7b",
     .family = "olmoe",
     .n_vocab = 50304,
     .n_ctx = 4096,
     .n_layer = 16,
     .n_embd = 2048,
     .n_head = 16,
     .n_head_kv = 16,
     .d_head = 128,
     .n_ff = 1024,
     .traits = SHAPE_WHOLE_NORM,
     .eps = 1e-5f,
     .rope_base = 1e4f,
     .experts = {.n = 64, .n_used = 8, .n_ff = 1024}},
    {.name = "gpt-oss-20b",
     .family = "gpt-oss",
     .n_vocab = 201088,
     .n_ctx = 131072,
     .n_layer = 24,
     .n_embd = 2880,
     .n_head = 64,
     .n_head_kv = 8,
     .d_head = 64,
     .n_ff = 2880,
     .traits = SHAPE_ALL_BIAS | SHAPE_LATE_NORM | SHAPE_SINKS,
     .eps = 1e-5f,
     .rope_base = 1.5e5f,
     .rope = SHAPE_ROPE_YARN,
     .rope_factor = 32,
     .rope_original = 4096,
     .window = 128,
     .experts = {.n = 32, .n_used = 4, .n_ff = 2880}},
};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

size_t shape_count(void) {
    return N_SHAPES;
}

const struct shape *shape_at(size_t i) {
    return i < N_SHAPES ? &shapes[i] : NULL;
}

hearth_status shape_find(const struct shape **shape, const char *name, hearth_error *err) {
    const char *names[N_SHAPES];
    for (size_t i = 0; i < N_SHAPES; i++) {
        names[i] = shapes[i].name;
        if (strcasecmp(name, names[i]) != 0) continue;
        *shape = &shapes[i];
        return HEARTH_OK;
    }
    const char *nearest = nearest_name(name, names, N_SHAPES);
    if (nearest)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "no shape '%.60s'; did you mean '%s'?", name,
                         nearest);
    return error_set(err, HEARTH_ERROR_ARGUMENT,
                     "no shape '%.60s'; 'hearth synth --list' lists them", name);
}

static uint32_t at_most(uint32_t value, uint32_t limit) {
    return value < limit ? value : limit;
}

struct shape shape_tiny(const struct shape *shape) {
    enum { LAYERS = 8, WIDTH = 128, HEADS = 4, HEAD = 32, HIDDEN = 256, EXPERT = 64 };
    struct shape tiny = *shape;
    bool grouped = shape->n_head_kv < shape->n_head;
    tiny.n_vocab = SHAPE_LEAST_VOCAB;
    tiny.n_ctx = at_most(shape->n_ctx, 4096);
    tiny.n_layer = at_most(shape->n_layer, LAYERS);
    tiny.n_embd = WIDTH;
    tiny.n_head = HEADS;
    tiny.n_head_kv = grouped ? HEADS / 2 : HEADS;
    tiny.n_rot = shape->n_rot * HEAD / shape->d_head;
    tiny.d_head = HEAD;
    tiny.n_ff = HIDDEN;
    tiny.rope_original = at_most(shape->rope_original, 512);
    tiny.window = at_most(shape->window, 16);
    if (shape->experts.n) {
        tiny.experts.n = 8;
        tiny.experts.n_used = 2;
        tiny.experts.n_ff = shape->experts.n_ff == shape->n_ff ? HIDDEN : EXPERT;
        tiny.experts.n_ff_shared = at_most(shape->experts.n_ff_shared, EXPERT);
    }
    if (shape->ssm.heads) {
        tiny.ssm.heads = HEADS;
        tiny.ssm.groups = at_most(shape->ssm.groups, HEADS);
        tiny.ssm.state = HEAD;
        /* readers expect Mamba-2 layers of twice the width */
        tiny.ssm.inner = shape->attention_every ? HEADS * HEAD : 2 * WIDTH;
    }
    return tiny;
}

enum shape_layer shape_layer_kind(const struct shape *s, uint32_t layer) {
    if (s->attention_every)
        return (layer + 1) % s->attention_every == 0 ? SHAPE_ATTENTION : SHAPE_DELTA_NET;
    if (s->attention_layers == 0 || (s->attention_layers >> layer & 1)) return SHAPE_ATTENTION;
    return s->short_conv_kernel ? SHAPE_SHORT_CONV : SHAPE_MAMBA2;
}
