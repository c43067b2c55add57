#include "model/executor.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/lower.h"
#include "model/rope.h"

/* Rows whose logits are computed at a time: bounds the logits buffer. */
enum { LOGITS_ROWS = 16 };

struct executor {
    const struct model *model;
    struct device *device;
    struct executor_options options;
    struct cache cache;
    struct adapter_item adapters[ADAPTER_LOADED_MAX];
    size_t n_adapters;
    struct plan body, head, pooling, next_cache, next_token;
    device_buffer *weights, *split;
    device_buffer scratch[SCRATCH_COUNT];
    uint32_t widths[SCRATCH_COUNT];
    device_buffer rope[2];
    float rope_magnitude[2];
    struct row_norm_list norms;
    bool norms_stale;       /* the adapters were set since they were computed */
    struct plan_cost *cost; /* nullable */
    bool ready;             /* the plans are whole */
};

static void add_residual(struct lowering *l, struct view x, struct view part) {
    lower_simple(l, OP_ADD, x, part, x, l->config->n_embd, l->config->residual_scale,
                 ACTIVATION_NONE);
}

/* x <- x + post_norm(block(pre_norm(x))), or post_norm(x + block(x)) for encoders. */
static void lower_part(struct lowering *l,
                       void (*block)(struct lowering *, struct view, struct view),
                       const char *pre_norm, const char *post_norm) {
    const struct config *config = l->config;
    uint32_t n = config->n_embd;
    struct view x = lower_scratch(l, SCRATCH_X, n), out = lower_scratch(l, SCRATCH_OUT, n);
    struct view in = lower_norm(l, l->layer, pre_norm, x, lower_scratch(l, SCRATCH_NORM, n), n, 1);
    block(l, in, out);
    if (config->norm_after_residual) {
        add_residual(l, x, out);
        lower_norm(l, l->layer, post_norm, x, x, n, 1);
    } else {
        lower_norm(l, l->layer, post_norm, out, out, n, 1);
        add_residual(l, x, out);
    }
}

typedef void (*block)(struct lowering *, struct view, struct view);

static block mixer_of(const struct layer_config *layer) {
    static const block mixers[] = {
        [MIXER_ATTENTION] = block_attention,   [MIXER_LATENT_ATTENTION] = block_latent_attention,
        [MIXER_DELTA_NET] = block_delta_net,   [MIXER_MAMBA2] = block_mamba2,
        [MIXER_SHORT_CONV] = block_short_conv,
    };
    return mixers[layer->mixer];
}

static block ffn_of(const struct layer_config *layer) {
    if (layer->ffn == FFN_GATED_AND_EXPERTS) return block_gated_and_experts;
    return layer->ffn == FFN_EXPERTS ? block_experts : block_ffn;
}

/* x <- x + mixer(norm(x)) + feed_forward(norm(x)). Falcon 40B has two norms, of which
 * attn_norm_2 is the mixer's. */
static void lower_parallel_layer(struct lowering *l) {
    const struct config *config = l->config;
    const struct layer_config *layer = &config->layers[l->layer];
    uint32_t n = config->n_embd;
    struct view x = lower_scratch(l, SCRATCH_X, n), in = lower_scratch(l, SCRATCH_NORM, n);
    struct view mixed = lower_scratch(l, SCRATCH_OUT, n), fed = lower_scratch(l, SCRATCH_MIX, n);
    bool two = lower_has(l, l->layer, "attn_norm_2");
    lower_norm(l, l->layer, two ? "attn_norm_2" : config->mixer_norm, x, in, n, 1);
    mixer_of(layer)(l, in, mixed);
    if (two) lower_norm(l, l->layer, config->mixer_norm, x, in, n, 1);
    ffn_of(layer)(l, in, fed);
    add_residual(l, x, mixed);
    add_residual(l, x, fed);
}

/* Gemma 4 multiplies what a layer leaves by one learned number. */
static void scale_layer(struct lowering *l) {
    char name[64];
    uint32_t n = l->config->n_embd;
    struct view x = lower_scratch(l, SCRATCH_X, n);
    snprintf(name, sizeof name, "blk.%u.layer_output_scale.weight", l->layer);
    const struct tensor *tensor = directory_find(&l->model->directory, name);
    if (!tensor) return;
    if (tensor->type != ELEM_F32 || tensor->size_bytes != sizeof(float)) {
        lower_fail(l, HEARTH_ERROR_FORMAT, "tensor '%s' is not one f32 number", name);
        return;
    }
    float scale = *(const float *)(const void *)tensor->data;
    lower_simple(l, OP_SCALE, x, (struct view){0}, x, n, scale, ACTIVATION_NONE);
}

void lower_layer(struct lowering *l) {
    const struct config *config = l->config;
    const struct layer_config *layer = &config->layers[l->layer];
    if (config->parallel) {
        lower_parallel_layer(l);
        return;
    }
    if (layer->mixer != MIXER_NONE)
        lower_part(l, mixer_of(layer), config->mixer_norm, config->mixer_post_norm);
    if (layer->ffn != FFN_NONE)
        lower_part(l, ffn_of(layer), config->ffn_norm, config->ffn_post_norm);
    if (config->n_layer_input) block_layer_input(l);
    scale_layer(l);
}

static void lower_embedding(struct lowering *l) {
    const struct config *config = l->config;
    uint32_t n = config->n_embd;
    struct view x = lower_scratch(l, SCRATCH_X, n);
    struct op embed = {.kind = OP_EMBED, .out = x, .scale = config->embedding_scale};
    embed.w = lower_need(l, OUTSIDE_LAYERS, "token_embd", "weight", n, config->n_vocab, 0);
    lower_emit(l, &embed);
    if (config->learned_positions) {
        struct view position = lower_scratch(l, SCRATCH_OUT, n);
        struct op op = {
            .kind = OP_EMBED, .out = position, .scale = 1.0f, .embed = {.index = EMBED_POSITION}};
        op.w = lower_need(l, OUTSIDE_LAYERS, "position_embd", "weight", n, 0, 0);
        if (op.w.buffer && op.w.rows < config->n_ctx_train)
            lower_fail(l, HEARTH_ERROR_FORMAT,
                       "tensor 'position_embd.weight' has %u positions; context_length is %u",
                       op.w.rows, config->n_ctx_train);
        lower_emit(l, &op);
        lower_simple(l, OP_ADD, x, position, x, n, 1.0f, ACTIVATION_NONE);
    }
    /* Encoders for pairs of texts add a segment embedding; single texts are segment 0. */
    struct op segment = {.kind = OP_ADD_ROW, .in = x, .out = x, .width = n};
    segment.w = lower_floats(l, OUTSIDE_LAYERS, "token_types", "weight", n, 0, false);
    if (segment.w.buffer) lower_emit(l, &segment);
    lower_norm(l, OUTSIDE_LAYERS, config->embedding_norm, x, x, n, 1);
}

static void lower_body(struct lowering *l) {
    l->rows = ROWS_ALL;
    lower_embedding(l);
    if (l->config->n_layer_input) lower_layer_inputs(l);
    for (uint32_t i = 0; i < l->config->n_layer && l->status == HEARTH_OK; i++) {
        l->layer = i;
        lower_layer(l);
    }
    l->layer = OUTSIDE_LAYERS;
}

void lower_logits(struct lowering *l, uint32_t layer, const char *stem, struct view in) {
    const struct config *config = l->config;
    uint32_t n = config->n_embd;
    struct view logits = lower_scratch(l, SCRATCH_LOGITS, config->n_vocab);
    struct op op = {.kind = OP_LINEAR, .in = in, .out = logits, .scale = config->logit_scale};
    op.w = lower_find(l, layer, stem, "weight", n, config->n_vocab, 0);
    if (!op.w.buffer)
        op.w = lower_need(l, OUTSIDE_LAYERS, "token_embd", "weight", n, config->n_vocab, 0);
    op.bias = lower_vector(l, layer, stem, "bias", config->n_vocab, false);
    lower_emit(l, &op);
    if (config->logit_softcap > 0)
        lower_emit(l, &(struct op){.kind = OP_SOFTCAP,
                                   .in = logits,
                                   .out = logits,
                                   .width = config->n_vocab,
                                   .softcap = {config->logit_softcap}});
}

static void lower_head(struct lowering *l) {
    uint32_t n = l->config->n_embd;
    struct view x = lower_scratch(l, SCRATCH_X, n), last = lower_scratch(l, SCRATCH_FINAL, n);
    l->rows = ROWS_OUTPUT;
    lower_emit(l, &(struct op){.kind = OP_GATHER_ROWS, .in = x, .out = last, .width = n});
    lower_norm(l, OUTSIDE_LAYERS, l->config->output_norm, last, last, n, 1);
    lower_logits(l, OUTSIDE_LAYERS, "output", last);
}

/* Two linear layers after pooling (EmbeddingGemma); one row for each run. */
static void lower_projections(struct lowering *l, struct view pooled) {
    uint32_t n = l->config->n_embd;
    l->rows = ROWS_OUTPUT;
    struct op first = {.kind = OP_LINEAR, .in = pooled, .scale = 1.0f};
    first.w = lower_need(l, OUTSIDE_LAYERS, "dense_2", "weight", n, 0, 0);
    first.out = lower_scratch(l, SCRATCH_A, first.w.rows);
    lower_emit(l, &first);
    struct op second = {.kind = OP_LINEAR, .in = first.out, .out = pooled, .scale = 1.0f};
    second.w = lower_need(l, OUTSIDE_LAYERS, "dense_3", "weight", first.w.rows, n, 0);
    lower_emit(l, &second);
    lower_emit(
        l, &(struct op){
               .kind = OP_NORM, .in = pooled, .out = pooled, .width = n, .norm = {NORM_L2, 1, 0}});
}

static void lower_pooling(struct lowering *l) {
    const struct config *config = l->config;
    uint32_t n = config->n_embd;
    struct view x = lower_scratch(l, SCRATCH_X, n), rows = lower_scratch(l, SCRATCH_NORM, n);
    l->rows = ROWS_ALL;
    struct view last = lower_norm(l, OUTSIDE_LAYERS, config->output_norm, x, rows, n, 1);
    bool projected = lower_has(l, OUTSIDE_LAYERS, "dense_2");
    struct view out = lower_scratch(l, SCRATCH_OUT, n);
    lower_emit(l, &(struct op){.kind = OP_POOL_ROWS,
                               .in = last,
                               .out = out,
                               .width = n,
                               .pool = {config->pool, !projected}});
    if (projected) lower_projections(l, out);
}

/* Factors of the rotary frequencies, if the file has them: "rope_freqs" (Llama 3) or
 * LongRoPE's, which depend on how long a sequence may get. */
static hearth_status rope_factors(const struct executor *e, const struct rope_config *rope,
                                  const float **factors, hearth_error *err) {
    *factors = NULL;
    if (!rope->use_factors) return HEARTH_OK;
    const char *name = "rope_freqs.weight";
    const struct directory *dir = &e->model->directory;
    if (directory_find(dir, "rope_factors_long.weight"))
        name = e->options.n_ctx > rope->original_context ? "rope_factors_long.weight"
                                                         : "rope_factors_short.weight";
    const struct tensor *tensor = directory_find(dir, name);
    if (!tensor) return HEARTH_OK;
    if (tensor->type != ELEM_F32 || tensor->dims[0] != rope->n_rot / 2)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "tensor '%s' is %llu values of %s; f32 and one for each of %u rotary "
                         "pairs were expected",
                         name, (unsigned long long)tensor->dims[0], elem_name(tensor->type),
                         rope->n_rot / 2);
    *factors = (const float *)(const void *)tensor->data;
    return HEARTH_OK;
}

/* Settings that are finite one by one may still give frequencies that are not. */
static hearth_status check_frequencies(const float *frequencies, uint32_t n, float magnitude,
                                       hearth_error *err) {
    bool finite = isfinite(magnitude);
    for (uint32_t i = 0; i < n; i++)
        finite = finite && isfinite(frequencies[i]);
    if (finite) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_FORMAT,
                     "impossible rotary settings: their frequencies are not finite numbers");
}

static hearth_status open_rope(struct executor *e, hearth_error *err) {
    const struct rope_config *ropes[] = {&e->model->config.rope, &e->model->config.rope_local};
    for (int i = 0; i < 2; i++) {
        const float *factors;
        uint32_t half = ropes[i]->n_rot / 2;
        if (half == 0) continue;
        RETURN_IF_ERROR(rope_factors(e, ropes[i], &factors, err));
        float *frequencies = mem_alloc_array(half, sizeof *frequencies);
        if (!frequencies) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for positions");
        rope_frequencies(ropes[i], factors, frequencies, &e->rope_magnitude[i]);
        uint64_t bytes = half * sizeof *frequencies;
        hearth_status status = check_frequencies(frequencies, half, e->rope_magnitude[i], err);
        if (status == HEARTH_OK) status = device_alloc(e->device, bytes, &e->rope[i], err);
        if (status == HEARTH_OK)
            status = device_write(e->device, e->rope[i], 0, frequencies, bytes, err);
        mem_free(frequencies);
        RETURN_IF_ERROR(status);
    }
    return HEARTH_OK;
}

static uint64_t scratch_rows(const struct executor *e, enum scratch which) {
    if (which == SCRATCH_FINAL || which == SCRATCH_LOGITS) return LOGITS_ROWS;
    uint64_t rows = e->options.max_tokens;
    bool expert = which >= SCRATCH_EXPERT_A && which <= SCRATCH_EXPERT_OUT;
    return expert ? rows * e->model->config.experts.n_used : rows;
}

static hearth_status alloc_scratch(struct executor *e, const uint32_t *widths, hearth_error *err) {
    for (int i = 0; i < SCRATCH_COUNT; i++) {
        if (widths[i] <= e->widths[i]) continue;
        device_free(e->device, e->scratch[i]);
        e->scratch[i] = 0;
        e->widths[i] = 0;
        RETURN_IF_ERROR(device_alloc(e->device,
                                     scratch_rows(e, (enum scratch)i) * widths[i] * sizeof(float),
                                     &e->scratch[i], err));
        e->widths[i] = widths[i];
    }
    return HEARTH_OK;
}

static struct lowering lowering_of(struct executor *e, struct plan *plan, hearth_error *err) {
    struct lowering l = {.model = e->model,
                         .config = &e->model->config,
                         .device = e->device,
                         .cache = &e->cache,
                         .adapters = e->adapters,
                         .n_adapters = e->n_adapters,
                         .norms = &e->norms,
                         .plan = plan,
                         .weights = e->weights,
                         .split = e->split,
                         .layer = OUTSIDE_LAYERS,
                         .err = err};
    memcpy(l.scratch, e->scratch, sizeof l.scratch);
    memcpy(l.rope, e->rope, sizeof l.rope);
    memcpy(l.rope_magnitude, e->rope_magnitude, sizeof l.rope_magnitude);
    return l;
}

static hearth_status lower_whole(struct lowering *l, void (*lower)(struct lowering *)) {
    lower(l);
    lower_late(l);
    plan_release(&l->late); /* there is something in it where lowering failed */
    return l->status;
}

static hearth_status lower_plan(struct executor *e, void (*lower)(struct lowering *),
                                struct plan *plan, hearth_error *err) {
    struct lowering l = lowering_of(e, plan, err);
    l.measuring = true;
    RETURN_IF_ERROR(lower_whole(&l, lower));
    RETURN_IF_ERROR(alloc_scratch(e, l.widths, err));
    plan_release(plan);
    l = lowering_of(e, plan, err);
    return lower_whole(&l, lower);
}

static void release_norms(struct executor *e) {
    for (size_t i = 0; i < e->norms.count; i++)
        device_free(e->device, e->norms.norms[i].inverse);
    mem_free(e->norms.norms);
    e->norms = (struct row_norm_list){0};
}

/* Scratch buffers may move while a later plan is measured, so plans are lowered
 * until no buffer grew. */
static hearth_status lower_plans(struct executor *e, hearth_error *err) {
    bool embeds = e->model->config.embeds;
    uint32_t before[SCRATCH_COUNT];
    e->ready = false;
    release_norms(e);
    do {
        memcpy(before, e->widths, sizeof before);
        RETURN_IF_ERROR(lower_plan(e, lower_body, &e->body, err));
        RETURN_IF_ERROR(lower_plan(e, lower_pooling, &e->pooling, err));
        if (!embeds) RETURN_IF_ERROR(lower_plan(e, lower_head, &e->head, err));
        if (!e->options.cache.next) continue;
        RETURN_IF_ERROR(lower_plan(e, lower_next_cache, &e->next_cache, err));
        RETURN_IF_ERROR(lower_plan(e, lower_next_token, &e->next_token, err));
    } while (memcmp(before, e->widths, sizeof before) != 0);
    RETURN_IF_ERROR(device_prepare(e->device, &e->body, err));
    RETURN_IF_ERROR(device_prepare(e->device, &e->pooling, err));
    RETURN_IF_ERROR(device_prepare(e->device, &e->head, err));
    RETURN_IF_ERROR(device_prepare(e->device, &e->next_cache, err));
    RETURN_IF_ERROR(device_prepare(e->device, &e->next_token, err));
    e->ready = true;
    e->norms_stale = true;
    return HEARTH_OK;
}

static size_t n_split(const struct executor *e) {
    return 2 * ((size_t)e->model->config.n_layer + 1);
}

static hearth_status open_parts(struct executor *e, hearth_error *err) {
    e->weights = mem_calloc(e->model->directory.n_tensors, sizeof *e->weights);
    e->split = mem_calloc(n_split(e), sizeof *e->split);
    if (!e->weights || !e->split)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the weights");
    RETURN_IF_ERROR(cache_open(&e->cache, e->device, &e->model->config, &e->options.cache, err));
    RETURN_IF_ERROR(open_rope(e, err));
    return lower_plans(e, err);
}

hearth_status executor_open(struct executor **out, const struct model *model, struct device *device,
                            const struct executor_options *options, hearth_error *err) {
    *out = NULL;
    struct executor *e = mem_calloc(1, sizeof *e);
    if (!e) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the executor");
    *e = (struct executor){.model = model, .device = device, .options = *options};
    hearth_status status = open_parts(e, err);
    if (status == HEARTH_OK) {
        *out = e;
        return HEARTH_OK;
    }
    error_prefix(err, status, "cannot run model '%s'", model->directory.path);
    executor_close(e);
    return status;
}

void executor_close(struct executor *e) {
    if (!e) return;
    plan_release(&e->body);
    plan_release(&e->head);
    plan_release(&e->pooling);
    plan_release(&e->next_cache);
    plan_release(&e->next_token);
    for (int i = 0; i < SCRATCH_COUNT; i++)
        device_free(e->device, e->scratch[i]);
    for (int i = 0; i < 2; i++)
        device_free(e->device, e->rope[i]);
    for (size_t i = 0; e->weights && i < e->model->directory.n_tensors; i++)
        device_free(e->device, e->weights[i]);
    for (size_t i = 0; e->split && i < n_split(e); i++)
        device_free(e->device, e->split[i]);
    release_norms(e);
    cache_release(&e->cache);
    mem_free(e->weights);
    mem_free(e->split);
    mem_free(e);
}

hearth_status executor_set_adapters(struct executor *e, const struct adapter_item *adapters,
                                    size_t n, hearth_error *err) {
    struct adapter_item old[ADAPTER_LOADED_MAX];
    size_t n_old = e->n_adapters;
    if (n > ADAPTER_LOADED_MAX)
        return error_set(err, HEARTH_ERROR_LIMIT, "%zu adapters; %d can be loaded", n,
                         (int)ADAPTER_LOADED_MAX);
    memcpy(old, e->adapters, sizeof old);
    if (n > 0) memcpy(e->adapters, adapters, n * sizeof *adapters);
    e->n_adapters = n;
    hearth_status status = lower_plans(e, err);
    if (status == HEARTH_OK) return HEARTH_OK;
    memcpy(e->adapters, old, sizeof old);
    e->n_adapters = n_old;
    if (lower_plans(e, NULL) != HEARTH_OK)
        return error_prefix(err, HEARTH_ERROR_INTERNAL, "cannot go back to the former adapters");
    return status;
}

void executor_update_adapters(struct executor *e) {
    device_invert_norms(e->device, e->norms.norms, e->norms.count);
    e->norms_stale = false;
}

hearth_status executor_run(struct executor *e, const struct batch *batch, hearth_error *err) {
    if (!e->ready)
        return error_set(err, HEARTH_ERROR_INTERNAL,
                         "no memory was left to change the adapters; open the model again");
    if (e->norms_stale) executor_update_adapters(e);
    if (e->cost) plan_cost_add(e->cost, &e->body, batch);
    return device_run(e->device, &e->body, batch, err);
}

hearth_status executor_logits(struct executor *e, const struct batch *batch, uint32_t first,
                              uint32_t count, float *out, hearth_error *err) {
    uint32_t n_vocab = e->model->config.n_vocab;
    if (e->model->config.embeds)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "'%s' models embed text and have no logits; use an embedding request",
                         e->model->config.family);
    if (e->cost) {
        struct batch whole = *batch;
        whole.n_outputs = count;
        plan_cost_add(e->cost, &e->head, &whole);
    }
    for (uint32_t done = 0; done < count; done += LOGITS_ROWS) {
        struct batch part = *batch;
        part.output_rows = batch->output_rows + first + done;
        part.n_outputs = count - done < LOGITS_ROWS ? count - done : LOGITS_ROWS;
        RETURN_IF_ERROR(device_run(e->device, &e->head, &part, err));
        RETURN_IF_ERROR(device_read(e->device, e->scratch[SCRATCH_LOGITS], 0,
                                    out + (size_t)done * n_vocab,
                                    (uint64_t)part.n_outputs * n_vocab * sizeof *out, err));
    }
    return HEARTH_OK;
}

hearth_status executor_embeddings(struct executor *e, const struct batch *batch, float *out,
                                  hearth_error *err) {
    struct batch runs = *batch;
    runs.n_outputs = batch->n_runs; /* what follows pooling has one row for each */
    RETURN_IF_ERROR(device_run(e->device, &e->pooling, &runs, err));
    return device_read(e->device, e->scratch[SCRATCH_OUT], 0, out,
                       (uint64_t)batch->n_runs * e->model->config.n_embd * sizeof *out, err);
}

hearth_status executor_follow(struct executor *e, const struct batch *batch, hearth_error *err) {
    if (e->cost) plan_cost_add(e->cost, &e->next_cache, batch);
    return device_run(e->device, &e->next_cache, batch, err);
}

hearth_status executor_next(struct executor *e, const struct batch *batch, float *out,
                            hearth_error *err) {
    if (e->cost) plan_cost_add(e->cost, &e->next_token, batch);
    RETURN_IF_ERROR(device_run(e->device, &e->next_token, batch, err));
    return device_read(e->device, e->scratch[SCRATCH_LOGITS], 0, out,
                       (uint64_t)e->model->config.n_vocab * sizeof *out, err);
}

void executor_count(struct executor *e, struct plan_cost *cost) {
    e->cost = cost;
}

const struct plan *executor_body(const struct executor *e) {
    return &e->body;
}

const struct plan *executor_head(const struct executor *e) {
    return &e->head;
}

struct cache *executor_cache(struct executor *e) {
    return &e->cache;
}

const struct tensor *executor_weight(const struct executor *e, device_buffer buffer) {
    for (size_t i = 0; i < e->model->directory.n_tensors; i++)
        if (e->weights[i] == buffer) return &e->model->directory.tensors[i];
    return NULL;
}
