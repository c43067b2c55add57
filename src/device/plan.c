#include "device/plan.h"

#include "base/mem.h"

enum { PLAN_MAX_OPS = 1 << 20 };

static const char *const names[OP_KINDS] = {
    [OP_EMBED] = "embed",
    [OP_LINEAR] = "linear",
    [OP_HEAD_LINEAR] = "head_linear",
    [OP_NORM] = "norm",
    [OP_ROPE] = "rope",
    [OP_POSITION_SCALE] = "position_scale",
    [OP_KV_WRITE] = "kv_write",
    [OP_KV_PREVIOUS] = "kv_previous",
    [OP_ATTENTION] = "attention",
    [OP_ADD] = "add",
    [OP_SCALE] = "scale",
    [OP_ADD_ROW] = "add_row",
    [OP_MUL_ROW] = "mul_row",
    [OP_ACTIVATE] = "activate",
    [OP_GATED] = "gated",
    [OP_SOFTCAP] = "softcap",
    [OP_COPY] = "copy",
    [OP_GATHER_ROWS] = "gather_rows",
    [OP_EXPERT_ROUTE] = "expert_route",
    [OP_EXPERT_LINEAR] = "expert_linear",
    [OP_EXPERT_SUM] = "expert_sum",
    [OP_CONV] = "conv",
    [OP_DELTA_NET] = "delta_net",
    [OP_MAMBA2] = "mamba2",
    [OP_POOL_ROWS] = "pool_rows",
    [OP_LINEAR_TRAIN] = "linear_train",
    [OP_LINEAR_BACK_INPUT] = "linear_back_input",
    [OP_LINEAR_BACK_WEIGHT] = "linear_back_weight",
    [OP_COLUMN_SUM] = "column_sum",
    [OP_EMBED_BACK] = "embed_back",
    [OP_NORM_BACK] = "norm_back",
    [OP_NORM_BACK_WEIGHT] = "norm_back_weight",
    [OP_ACTIVATE_BACK] = "activate_back",
    [OP_GATED_BACK] = "gated_back",
    [OP_SOFTCAP_BACK] = "softcap_back",
    [OP_COPY_BACK] = "copy_back",
    [OP_CONV_BACK] = "conv_back",
    [OP_ATTENTION_TRAIN] = "attention_train",
    [OP_ATTENTION_BACK] = "attention_back",
    [OP_EXPERT_SPREAD] = "expert_spread",
    [OP_EXPERT_SPREAD_BACK] = "expert_spread_back",
    [OP_EXPERT_LINEAR_TRAIN] = "expert_linear_train",
    [OP_EXPERT_LINEAR_BACK_INPUT] = "expert_linear_back_input",
    [OP_EXPERT_LINEAR_BACK_WEIGHT] = "expert_linear_back_weight",
    [OP_EXPERT_SUM_BACK] = "expert_sum_back",
    [OP_EXPERT_ROUTE_BACK] = "expert_route_back",
    [OP_DELTA_NET_BACK] = "delta_net_back",
    [OP_MAMBA2_BACK] = "mamba2_back",
    [OP_CROSS_ENTROPY] = "cross_entropy",
    [OP_CLEAR] = "clear",
    [OP_DROPOUT] = "dropout",
    [OP_NOISE] = "noise",
    [OP_ROPE_TABLE] = "rope_table",
};

const char *op_name(enum op_kind kind) {
    return kind < OP_KINDS ? names[kind] : "unknown";
}

void plan_init(struct plan *plan) {
    *plan = (struct plan){0};
}

void plan_release(struct plan *plan) {
    mem_free(plan->ops);
    *plan = (struct plan){0};
}

hearth_status plan_append(struct plan *plan, const struct op *op, hearth_error *err) {
    if (plan->n_ops == plan->capacity) {
        size_t capacity = plan->capacity ? plan->capacity * 2 : 256;
        struct op *ops =
            capacity <= PLAN_MAX_OPS ? mem_realloc_array(plan->ops, capacity, sizeof *ops) : NULL;
        if (!ops)
            return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for operation %zu",
                             plan->n_ops);
        plan->ops = ops;
        plan->capacity = capacity;
    }
    plan->ops[plan->n_ops++] = *op;
    return HEARTH_OK;
}
