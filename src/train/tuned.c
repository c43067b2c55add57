#include "train/tuned.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "format/safetensors.h"

static const char value_prefix[] = "value/";
enum { PREFIX_BYTES = sizeof value_prefix - 1 };

static hearth_status does_not_fit(const struct tensor *t, hearth_error *err) {
    return error_set(err, HEARTH_ERROR_FORMAT,
                     "its tensor '%s' of %" PRIu64 " x %" PRIu64 " fits no weight of the model",
                     t->name, t->dims[1], t->dims[0]);
}

/* What of an adapter a tensor is, by the end of its name. */
enum side { SIDE_NONE, SIDE_A, SIDE_B, SIDE_MAGNITUDE };
static const char *const suffixes[] = {[SIDE_NONE] = "",
                                       [SIDE_A] = ".lora_a",
                                       [SIDE_B] = ".lora_b",
                                       [SIDE_MAGNITUDE] = ".lora_magnitude"};

static enum side adapter_side(const char *name) {
    size_t n = strlen(name);
    for (enum side side = SIDE_A; side <= SIDE_MAGNITUDE; side++) {
        size_t m = strlen(suffixes[side]);
        if (n > m && strcmp(name + n - m, suffixes[side]) == 0) return side;
    }
    return SIDE_NONE;
}

/* A spans the inputs of its weight, B and the magnitudes the outputs. */
static bool spans(const struct tensor *t, enum side side, const struct tensor *base) {
    switch (side) {
    case SIDE_A: return t->dims[0] == base->dims[0];
    case SIDE_B: return t->dims[1] == base->dims[1];
    default: return t->dims[0] == base->dims[1] && t->dims[1] == 1;
    }
}

static hearth_status add_matrix(struct tuned *t, const struct tensor *from, enum side side,
                                const struct model *model, hearth_error *err) {
    char weight[TENSOR_MAX_NAME_BYTES + 1];
    const char *name = from->name + PREFIX_BYTES;
    snprintf(weight, sizeof weight, "%.*s", (int)(strlen(name) - strlen(suffixes[side])), name);
    const struct tensor *base = directory_find(&model->directory, weight);
    if (!base || !spans(from, side, base)) return does_not_fit(from, err);
    struct directory *dir = &t->adapter.directory;
    dir->tensors[dir->n_tensors] = *from;
    dir->tensors[dir->n_tensors++].name = name;
    return HEARTH_OK;
}

static hearth_status take_weight(struct tuned *t, const struct tensor *from, hearth_error *err) {
    struct directory *dir = &t->model.directory;
    const struct tensor *base = directory_find(dir, from->name + PREFIX_BYTES);
    if (!base || base->dims[0] * base->dims[1] * base->dims[2] * base->dims[3] !=
                     from->dims[0] * from->dims[1])
        return does_not_fit(from, err);
    struct tensor *to = &dir->tensors[base - dir->tensors];
    to->type = ELEM_F32;
    to->dtype = DTYPE_ELEM;
    to->data = from->data;
    to->size_bytes = from->size_bytes;
    t->n_weights++;
    return HEARTH_OK;
}

static hearth_status make_room(struct tuned *t, const struct model *model, hearth_error *err) {
    size_t n = model->directory.n_tensors;
    struct directory *dir = &t->adapter.directory;
    RETURN_IF_ERROR(directory_init(dir, "adapter of a checkpoint", 1, err));
    RETURN_IF_ERROR(directory_reserve(dir, t->file.n_tensors + 1, err));
    struct tensor *tensors = mem_alloc_array(n, sizeof *tensors);
    if (!tensors) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %zu tensors", n);
    memcpy(tensors, model->directory.tensors, n * sizeof *tensors);
    t->model = *model;
    t->model.directory.tensors = tensors;
    return HEARTH_OK;
}

static hearth_status take_tensors(struct tuned *t, const struct model *model, hearth_error *err) {
    RETURN_IF_ERROR(make_room(t, model, err));
    for (size_t i = 0; i < t->file.n_tensors; i++) {
        const struct tensor *from = &t->file.tensors[i];
        if (strncmp(from->name, value_prefix, PREFIX_BYTES) != 0) continue;
        if (from->type != ELEM_F32 || from->dtype != DTYPE_ELEM) return does_not_fit(from, err);
        enum side side = adapter_side(from->name);
        RETURN_IF_ERROR(side ? add_matrix(t, from, side, model, err) : take_weight(t, from, err));
    }
    RETURN_IF_ERROR(directory_index(&t->adapter.directory, err));
    return adapter_check_pairs(&t->adapter, err);
}

hearth_status tuned_open(struct tuned *t, const char *checkpoint, const struct model *model,
                         const struct lora_options *lora, hearth_error *err) {
    *t = (struct tuned){0};
    RETURN_IF_ERROR(checkpoint_read_state(checkpoint, &t->state, err));
    RETURN_IF_ERROR(safetensors_open(&t->file, checkpoint, err));
    t->adapter.alpha = lora->rank_stabilised ? lora->alpha * sqrtf((float)lora->rank) : lora->alpha;
    hearth_status status = take_tensors(t, model, err);
    return status == HEARTH_OK ? status : error_prefix(err, status, "cannot use '%s'", checkpoint);
}

void tuned_close(struct tuned *t) {
    adapter_close(&t->adapter);
    mem_free(t->model.directory.tensors);
    directory_close(&t->file);
    *t = (struct tuned){0};
}

/* The step that `which` means, given the last checkpoint. */
static hearth_status find_step(const char *last, uint64_t which, uint64_t *step,
                               hearth_error *err) {
    struct run_state state;
    RETURN_IF_ERROR(checkpoint_read_state(last, &state, err));
    *step = which == TUNED_BEST ? state.best_step : which;
    if (*step == TUNED_LAST) *step = state.step;
    return HEARTH_OK;
}

hearth_status tuned_find(const char *folder, uint64_t which, char **path, hearth_error *err) {
    uint64_t step;
    char *last;
    *path = NULL;
    RETURN_IF_ERROR(checkpoint_latest(folder, &last, err));
    if (!last)
        return error_set(err, HEARTH_ERROR_NOT_FOUND, "there is no checkpoint in '%s'", folder);
    hearth_status status = find_step(last, which, &step, err);
    mem_free(last);
    if (status != HEARTH_OK) return status;
    *path = checkpoint_path(folder, step);
    if (!*path) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    if (file_exists(*path)) return HEARTH_OK;
    mem_free(*path);
    *path = NULL;
    return error_set(err, HEARTH_ERROR_NOT_FOUND,
                     "'%s' has no checkpoint of step %" PRIu64
                     "; 'hearth tune show' lists those that were kept",
                     folder, step);
}
