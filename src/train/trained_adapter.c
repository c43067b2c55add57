#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "train/trained_weights.h"

enum { ALIGNMENT = 64, NAME_BYTES = TENSOR_MAX_NAME_BYTES + 1 };

/* "blk.3.attn_q.weight" has the stem "attn_q". */
static bool has_stem(const char *name, const char *stem) {
    const char *dot = strchr(name, '.');
    const char *at = dot ? strchr(dot + 1, '.') : NULL;
    size_t n = strlen(stem);
    return at && strncmp(at + 1, stem, n) == 0 && strcmp(at + 1 + n, ".weight") == 0;
}

/* Routers stay as they are unless they are named: a changed one sends rows to experts that were
 * not made for them. */
static bool is_router(const char *name) {
    return strstr(name, ".ffn_gate_inp") != NULL;
}

static bool is_wanted(const struct op *op, const struct tensor *tensor,
                      const struct lora_options *options) {
    if (op->kind != OP_LINEAR || op->layer == NO_LAYER || !tensor) return false;
    for (size_t i = 0; options->modules && options->modules[i]; i++)
        if (has_stem(tensor->name, options->modules[i])) return true;
    return !options->modules && !is_router(tensor->name);
}

static size_t room_for(uint64_t cols, uint64_t rows) {
    return ((size_t)(cols * rows) * sizeof(float) + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

/* A plan's layers that get an adapter. */
struct chosen {
    const struct tensor **tensors;
    size_t n;
};

static hearth_status choose(struct chosen *chosen, const struct plan *plan, tensor_lookup tensor_of,
                            const void *context, const struct lora_options *options,
                            hearth_error *err) {
    *chosen = (struct chosen){.tensors = mem_calloc(plan->n_ops + 1, sizeof *chosen->tensors)};
    if (!chosen->tensors) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an adapter");
    for (size_t i = 0; i < plan->n_ops; i++) {
        const struct tensor *tensor = tensor_of(context, plan->ops[i].w.buffer);
        if (is_wanted(&plan->ops[i], tensor, options)) chosen->tensors[chosen->n++] = tensor;
    }
    for (size_t m = 0; options->modules && options->modules[m]; m++) {
        bool found = false;
        for (size_t i = 0; i < chosen->n; i++)
            found = found || has_stem(chosen->tensors[i]->name, options->modules[m]);
        if (!found)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "no layer of this model has a linear layer '%s' for an adapter",
                             options->modules[m]);
    }
    return HEARTH_OK;
}

static struct tensor matrix(char *name, const char *of, const char *which, uint64_t cols,
                            uint64_t rows, uint8_t *data) {
    snprintf(name, NAME_BYTES, "%s.%s", of, which);
    return (struct tensor){.name = name,
                           .type = ELEM_F32,
                           .n_dims = 2,
                           .dims = {cols, rows, 1, 1},
                           .data = data,
                           .size_bytes = cols * rows * sizeof(float)};
}

static void fill_uniform(uint8_t *data, uint64_t cols, uint64_t rows, struct rng *rng) {
    float *values = (float *)(void *)data;
    double bound = 1.0 / sqrt((double)cols);
    for (uint64_t i = 0; i < cols * rows; i++)
        values[i] = (float)((2 * rng_uniform(rng) - 1) * bound);
}

static hearth_status take_memory(struct trained_adapter *out, const struct chosen *chosen,
                                 const struct lora_options *lora, hearth_error *err) {
    size_t each = lora->decomposed ? 3 : 2;
    for (size_t i = 0; i < chosen->n; i++) {
        const struct tensor *t = chosen->tensors[i];
        if (strlen(t->name) + sizeof ".lora_magnitude" > NAME_BYTES)
            return error_set(err, HEARTH_ERROR_LIMIT, "the name of tensor '%s' is too long",
                             t->name);
        out->size_bytes += room_for(t->dims[0], lora->rank) + room_for(lora->rank, t->dims[1]);
        if (lora->decomposed) out->size_bytes += room_for(t->dims[1], 1);
    }
    out->names = mem_calloc(each * chosen->n + 1, NAME_BYTES);
    out->pages = out->size_bytes ? mem_pages_alloc(out->size_bytes) : NULL;
    if (!out->names || (out->size_bytes && !out->pages))
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an adapter of %zu bytes",
                         out->size_bytes);
    struct directory *dir = &out->adapter.directory;
    RETURN_IF_ERROR(directory_init(dir, "adapter in training", 1, err));
    return directory_reserve(dir, each * chosen->n, err);
}

/* The next tensor, of zeros. */
static uint8_t *add(struct trained_adapter *out, const struct tensor *of, const char *which,
                    uint64_t cols, uint64_t rows) {
    struct directory *dir = &out->adapter.directory;
    char *name = out->names + dir->n_tensors * NAME_BYTES;
    uint8_t *data = (uint8_t *)out->pages + out->used_bytes;
    dir->tensors[dir->n_tensors++] = matrix(name, of->name, which, cols, rows, data);
    out->used_bytes += room_for(cols, rows);
    return data;
}

static hearth_status fill(struct trained_adapter *out, const struct chosen *chosen,
                          const struct graph_options *options, hearth_error *err) {
    const struct lora_options *lora = &options->lora;
    RETURN_IF_ERROR(take_memory(out, chosen, lora, err));
    struct rng rng;
    rng_seed(&rng, options->seed);
    for (size_t i = 0; i < chosen->n; i++) {
        const struct tensor *t = chosen->tensors[i];
        fill_uniform(add(out, t, "lora_a", t->dims[0], lora->rank), t->dims[0], lora->rank, &rng);
        add(out, t, "lora_b", lora->rank, t->dims[1]);
        if (lora->decomposed) add(out, t, "lora_magnitude", t->dims[1], 1);
    }
    return directory_index(&out->adapter.directory, err);
}

hearth_status trained_adapter_open(struct trained_adapter *out, const struct plan *plan,
                                   tensor_lookup tensor_of, const void *context,
                                   const struct graph_options *options, hearth_error *err) {
    enum { MAX_RANK = 4096 };
    struct chosen chosen = {0};
    const struct lora_options *lora = &options->lora;
    *out = (struct trained_adapter){0};
    if (lora->rank == 0 || lora->rank > MAX_RANK || !isfinite(lora->alpha))
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "an adapter of rank %u; 1 to %d are possible, with a finite alpha",
                         lora->rank, MAX_RANK);
    /* Lowering multiplies by alpha / rank. */
    out->adapter.alpha =
        lora->rank_stabilised ? lora->alpha * sqrtf((float)lora->rank) : lora->alpha;
    hearth_status status = choose(&chosen, plan, tensor_of, context, lora, err);
    if (status == HEARTH_OK) status = fill(out, &chosen, options, err);
    mem_free(chosen.tensors);
    return status;
}

void trained_adapter_close(struct trained_adapter *adapter) {
    adapter_close(&adapter->adapter);
    mem_free(adapter->names);
    mem_pages_free(adapter->pages, adapter->size_bytes);
    *adapter = (struct trained_adapter){0};
}
