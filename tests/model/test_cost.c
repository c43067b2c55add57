/* What a pass costs at least: against numbers computed by hand for the llama-3.2-1b shape,
 * and against the sizes that synth.h and cache.h know, for all shapes. */
#include "format/scratch.h"

#include <math.h>

#include "infer/context.h"
#include "model/synth.h"

/* cmocka compares doubles as floats, which is too coarse here. */
static void assert_exact(double value, double expected) {
    if (fabs(value - expected) > 0.5) fail_msg("%.1f, not %.1f", value, expected);
}

/* ---- llama-3.2-1b in Q8_0, its weights all zero and never written ------------------------- */

struct zeros {
    struct model model;
    struct shape_tensors list;
    void *pages;
    size_t size_bytes;
};

static void list_tensors(struct zeros *z, const struct shape *shape) {
    struct quant_choice choice = {.output_type = ELEM_TYPES, .embedding_type = ELEM_TYPES};
    struct directory *dir = &z->model.directory;
    enum elem types[256];
    hearth_error err = {0};
    assert_ok(quant_recipe_find(&choice.recipe, "Q8_0", &err), &err);
    assert_ok(directory_init(dir, "zeros", 0, &err), &err);
    assert_ok(shape_metadata(shape, &dir->metadata, &err), &err);
    assert_ok(shape_tensors_init(&z->list, shape, &err), &err);
    assert_true(z->list.n_tensors <= 256);
    assert_ok(quant_recipe_assign(&choice, &dir->metadata, z->list.tensors, z->list.n_tensors,
                                  types, &err),
              &err);
    assert_ok(directory_reserve(dir, z->list.n_tensors, &err), &err);
    for (size_t i = 0; i < z->list.n_tensors; i++) {
        dir->tensors[i] = z->list.tensors[i];
        dir->tensors[i].type = types[i];
        assert_ok(tensor_check_shape(&dir->tensors[i], &err), &err);
        z->size_bytes += (dir->tensors[i].size_bytes + 63) / 64 * 64;
    }
    dir->n_tensors = z->list.n_tensors;
    assert_ok(directory_index(dir, &err), &err);
}

static void open_zeros(struct zeros *z, const char *name) {
    const struct shape *shape;
    hearth_error err = {0};
    *z = (struct zeros){0};
    assert_ok(shape_find(&shape, name, &err), &err);
    list_tensors(z, shape);
    uint8_t *at = z->pages = mem_pages_alloc(z->size_bytes);
    assert_non_null(at);
    for (size_t i = 0; i < z->list.n_tensors; i++) {
        struct tensor *tensor = &z->model.directory.tensors[i];
        tensor->data = at;
        for (uint64_t j = 0; strcmp(tensor->name, "rope_freqs.weight") == 0 && j < 32; j++)
            ((float *)(void *)at)[j] = 1; /* they divide */
        at += (tensor->size_bytes + 63) / 64 * 64;
    }
    assert_ok(config_read(&z->model.config, &z->model.directory.metadata, &err), &err);
}

static void close_zeros(struct zeros *z) {
    model_close(&z->model);
    shape_tensors_release(&z->list);
    mem_pages_free(z->pages, z->size_bytes);
}

static struct context *open_context(const struct model *model, uint32_t n_sequences) {
    struct context_options options = context_defaults();
    struct context *context;
    hearth_error err = {0};
    options.n_threads = 2;
    options.n_ctx = 64;
    options.n_sequences = n_sequences;
    assert_ok(context_open(&context, model, &options, &err), &err);
    return context;
}

/* The cost of `n` more tokens in each of the first `n_sequences` sequences. */
static struct plan_cost cost_of(struct context *context, uint32_t n_sequences, uint32_t n) {
    static float logits[4 * 128256];
    static const int32_t tokens[64] = {1, 2, 3};
    struct context_part parts[4];
    struct plan_cost cost = {0};
    hearth_error err = {0};
    for (uint32_t i = 0; i < n_sequences; i++)
        parts[i] = (struct context_part){
            .sequence = i, .tokens = tokens, .n_tokens = n, .last_logits = true};
    context_count(context, &cost);
    assert_ok(context_decode(context, parts, n_sequences, logits, &err), &err);
    context_count(context, NULL);
    return cost;
}

/* By hand, with widths 2048 (model), 8192 (hidden), 512 (keys, values), 16 layers and a
 * vocabulary of 128256 whose matrix is embedding and output. */
static void the_1b_shape_costs_what_it_should(void **state) {
    const double layers = 16 * (2048.0 * (2048 + 512 + 512 + 2048) + 3 * 2048.0 * 8192);
    const double head = 128256.0 * 2048, norms = (2 * 16 + 1) * 2048.0 * 4;
    const double q8_0 = 34.0 / 32, row = 2048 * q8_0;
    const double position = 16 * (512 + 512) * 2.0; /* bytes in F16 */
    const double pair = 16 * 32 * (64 + 64) * 2.0;  /* operations: q k and p v of 32 heads */
    struct zeros z;
    (void)state;
    open_zeros(&z, "llama-3.2-1b");
    struct context *context = open_context(&z.model, 3);

    struct plan_cost prompt = cost_of(context, 1, 7);
    assert_exact(prompt.weight_bytes, (layers + head) * q8_0 + norms + 7 * row);
    assert_exact(prompt.cache_bytes, (7 + 7) * position);
    assert_exact(prompt.linear_ops, 2 * (7 * layers + head));
    assert_exact(prompt.mixing_ops, (1 + 2 + 3 + 4 + 5 + 6 + 7) * pair);

    struct plan_cost token = cost_of(context, 1, 1);
    assert_exact(token.weight_bytes, (layers + head) * q8_0 + norms + row);
    assert_exact(token.cache_bytes, (8 + 1) * position);
    assert_exact(token.linear_ops, 2 * (layers + head));
    assert_exact(token.mixing_ops, 8 * pair);

    struct plan_cost together = cost_of(context, 3, 1);
    assert_exact(together.weight_bytes, (layers + head) * q8_0 + norms + 3 * row);
    assert_exact(together.cache_bytes, (9 + 1 + 1 + 3) * position);
    assert_exact(together.linear_ops, 3 * 2 * (layers + head));
    assert_exact(together.mixing_ops, (9 + 1 + 1) * pair);
    context_close(context);
    close_zeros(&z);
}

/* ---- every shape ---------------------------------------------------------------------------- */

/* Positions that a window hides are not read; no tiny shape has more than 24 tokens here,
 * and their windows are 16. */
static uint64_t hidden_bytes(const struct config *config, uint32_t n_seen) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < config->n_layer; i++) {
        const struct layer_config *layer = &config->layers[i];
        if (layer->mixer == MIXER_ATTENTION && layer->window && n_seen > layer->window)
            bytes += (uint64_t)(n_seen - layer->window) * layer->n_head_kv *
                     (layer->d_k + layer->d_v) * 2;
    }
    return bytes;
}

static void check_token(const char *path, const struct synth_size *size) {
    enum { SEEN = 24 };
    struct model model;
    hearth_error err = {0};
    struct cache_options f16 = {.k_type = ELEM_F16, .v_type = ELEM_F16};
    assert_ok(model_open(&model, path, &err), &err);
    struct context *context = open_context(&model, 1);
    cost_of(context, 1, SEEN - 1);
    struct plan_cost cost = cost_of(context, 1, 1);
    uint64_t position = cache_page_bytes(&model.config, &f16) / CACHE_PAGE_TOKENS;
    uint64_t cache = (SEEN + 1) * position + 2 * cache_slot_bytes(&model.config) -
                     hidden_bytes(&model.config, SEEN);
    assert_exact(cost.cache_bytes, (double)cache);
    const struct tensor *embedding = directory_find(&model.directory, "token_embd.weight");
    uint64_t unread = 0; /* by operations: frequencies are folded in when a model is opened */
    for (size_t i = 0; i < model.directory.n_tensors; i++)
        if (strncmp(model.directory.tensors[i].name, "rope_", 5) == 0)
            unread += model.directory.tensors[i].size_bytes;
    double weights = (double)(size->token_bytes - unread) +
                     (double)elem_row_bytes(embedding->type, embedding->dims[0]);
    assert_exact(cost.weight_bytes, weights);
    context_close(context);
    model_close(&model);
}

static void a_token_reads_what_the_shape_says(void **state) {
    (void)state;
    for (size_t i = 0; i < shape_count(); i++) {
        struct shape tiny = shape_tiny(shape_at(i));
        struct synth_options options = {
            .shape = &tiny, .quant = {.output_type = ELEM_TYPES, .embedding_type = ELEM_TYPES}};
        struct synth_size size;
        hearth_error err = {0};
        print_message("%s\n", shape_at(i)->name);
        assert_ok(quant_recipe_find(&options.quant.recipe, "Q4_0", &err), &err);
        assert_ok(synth_write(scratch("tiny.gguf"), &options, &err), &err);
        assert_ok(synth_measure(&options, &size, &err), &err);
        check_token(scratch("tiny.gguf"), &size);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_1b_shape_costs_what_it_should),
        cmocka_unit_test(a_token_reads_what_the_shape_says),
    };
    return cmocka_run_group_tests_name("model/cost", tests, scratch_open, scratch_close);
}
