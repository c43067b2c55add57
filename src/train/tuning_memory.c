#include "train/tuning_memory.h"

#include <stdio.h>
#include <string.h>

#include "base/units.h"

/* Scratch memory, tokens of batches, whatever else the process does. */
static uint64_t reserve(uint64_t available) {
    return available / 10 + (UINT64_C(64) << 20);
}

/* Values that are trained, about: of adapters, as if every matrix of the blocks had one. */
static uint64_t estimate_trained(const struct tuning_options *o, const struct model *model) {
    const struct directory *dir = &model->directory;
    uint64_t values = 0;
    if (o->method == TRAIN_FULL) return model_parameters(model);
    for (size_t i = 0; i < dir->n_tensors; i++) {
        const struct tensor *tensor = &dir->tensors[i];
        if (tensor->n_dims == 2 && strncmp(tensor->name, "blk.", 4) == 0)
            values += o->lora.rank * (tensor->dims[0] + tensor->dims[1]);
    }
    return values;
}

struct graph_sharing tuning_sharing(const struct tuning_options *o,
                                    const struct tuning_plan *plan) {
    return (struct graph_sharing){.rank = ranks_rank(o->ranks),
                                  .count = ranks_count(o->ranks),
                                  .weights = plan->zero_stage >= ZERO_VALUES,
                                  .gradients = plan->zero_stage >= ZERO_GRADIENTS};
}

struct fit {
    const struct tuning_options *options;
    const struct model *model;
    struct tuning_plan *plan;
    uint64_t trained; /* values whose moments a rank has when all have all */
    bool fits;
};

static hearth_status measure(struct fit *f, hearth_error *err) {
    const struct tuning_options *o = f->options;
    struct tuning_plan *plan = f->plan;
    struct graph_options graph = {.method = o->method,
                                  .max_rows = plan->batch_rows,
                                  .n_ctx = plan->sequence_length,
                                  .checkpointing = plan->checkpointing,
                                  .exact = o->exact,
                                  .lora = o->lora,
                                  .train_embeddings = o->train_embeddings,
                                  .train_output = o->train_output,
                                  .neftune_alpha = o->neftune_alpha,
                                  .sharing = tuning_sharing(o, plan)};
    RETURN_IF_ERROR(graph_bytes(f->model, &graph, &plan->graph_bytes, err));
    if (o->distil.teacher)
        plan->graph_bytes += distil_bytes(&o->distil, plan->batch_rows, plan->sequence_length);
    uint64_t sharers =
        plan->zero_stage >= ZERO_MOMENTS ? (uint64_t)ranks_count(o->ranks) : UINT64_C(1);
    uint64_t own = f->trained / sharers;
    plan->optimizer_bytes = 2 * moment_bytes(plan->moments_8bit ? MOMENTS_8BIT : MOMENTS_F32, own);
    uint64_t need = plan->graph_bytes + plan->optimizer_bytes;
    f->fits = need + reserve(plan->available_bytes) <= plan->available_bytes;
    return HEARTH_OK;
}

/* A change that costs time or digits rather than results; the note names it. */
static void note(struct tuning_plan *plan, const char *what) {
    size_t used = strlen(plan->note);
    snprintf(plan->note + used, sizeof plan->note - used, "%s%s",
             used ? "; " : "to fit memory: ", what);
}

static void halve_batches(struct tuning_plan *plan) {
    char text[64];
    plan->batch_rows = (plan->batch_rows + 1) / 2;
    plan->accumulation *= 2;
    snprintf(text, sizeof text, "batches of %u tokens", plan->batch_rows);
    note(plan, text);
}

static hearth_status refuse(const struct fit *f, hearth_error *err) {
    char need[32], have[32];
    const struct tuning_plan *plan = f->plan;
    uint64_t bytes = plan->graph_bytes + plan->optimizer_bytes + reserve(plan->available_bytes);
    return error_set(err, HEARTH_ERROR_NO_MEMORY,
                     "the run needs %s, %s are available: %suse a smaller model or shorter "
                     "sequences (--sequence-length, now %u)",
                     units_format_bytes(bytes, need, sizeof need),
                     units_format_bytes(plan->available_bytes, have, sizeof have),
                     f->options->method == TRAIN_FULL ? "train an adapter (--method lora), or "
                                                      : "",
                     plan->sequence_length);
}

/* Divides more among the ranks, up to `most`, while that is not enough. */
static hearth_status divide(struct fit *f, enum zero_stage most, hearth_error *err) {
    static const char *const notes[] = {[ZERO_MOMENTS] = "moments divided among the ranks",
                                        [ZERO_GRADIENTS] = "gradients divided among the ranks",
                                        [ZERO_VALUES] = "weights divided among the ranks"};
    struct tuning_plan *plan = f->plan;
    if (f->options->zero_stage != ZERO_AUTO || ranks_count(f->options->ranks) == 1)
        return HEARTH_OK;
    while (!f->fits && plan->zero_stage < most) {
        plan->zero_stage++;
        note(plan, notes[plan->zero_stage]);
        RETURN_IF_ERROR(measure(f, err));
    }
    return HEARTH_OK;
}

static enum zero_stage asked_stage(const struct tuning_options *o) {
    bool is_chosen = o->zero_stage == ZERO_AUTO || ranks_count(o->ranks) == 1;
    return is_chosen ? ZERO_NOTHING : (enum zero_stage)o->zero_stage;
}

/* What costs less time comes first, what costs digits last: dividing moments sends no more than
 * not dividing them, gradients are then sent for every batch of a step, weights twice a batch. */
hearth_status tuning_fit_memory(const struct tuning_options *o, const struct model *model,
                                struct tuning_plan *plan, hearth_error *err) {
    struct fit f = {o, model, plan, estimate_trained(o, model), false};
    bool preference = plan->data.n_sequences > plan->data.n_records;
    uint32_t sequence = (plan->sequence_length - 1) * (preference ? 2 : 1);
    plan->checkpointing = o->checkpointing == TUNING_ON;
    plan->moments_8bit = o->moments_8bit == TUNING_ON;
    plan->zero_stage = asked_stage(o);
    RETURN_IF_ERROR(measure(&f, err));
    RETURN_IF_ERROR(divide(&f, ZERO_GRADIENTS, err));
    if (!f.fits && o->checkpointing == TUNING_AUTO) {
        plan->checkpointing = true;
        note(plan, "layers are computed twice (checkpointing)");
        RETURN_IF_ERROR(measure(&f, err));
    }
    RETURN_IF_ERROR(divide(&f, ZERO_VALUES, err));
    while (!f.fits && !o->batch_rows && (plan->batch_rows + 1) / 2 >= sequence) {
        halve_batches(plan);
        RETURN_IF_ERROR(measure(&f, err));
    }
    if (!f.fits && o->moments_8bit == TUNING_AUTO) {
        plan->moments_8bit = true;
        note(plan, "moments in 8 bits");
        RETURN_IF_ERROR(measure(&f, err));
    }
    return f.fits ? HEARTH_OK : refuse(&f, err);
}
