/* The head that predicts one token further (multi-token prediction: DeepSeek-V3, arXiv
 * 2412.19437, section 2.2): at position p it is given token p and h, the last hidden row of
 * position p - 1,
 *
 *     x = W [norm(embedding of token p); norm(h)]
 *     g = norm(layer(x)),    logits of token p + 1 = output(g)
 *
 * with a layer like those of the model and keys and values of its own. h is what the output
 * matrix sees, under the last norm; g takes its place where the head goes on by itself.
 * The cache keeps a row for every position: the model's, or g until the model comes by. */
#include "model/lower.h"

static struct op hidden_rows(struct lowering *l, enum op_kind kind) {
    uint32_t place = l->config->n_layer + 1; /* behind the layer of the head */
    return (struct op){.kind = kind, .attention.layout = l->cache->layers[place].kv};
}

static void keep_hidden(struct lowering *l, struct view hidden) {
    struct op op = hidden_rows(l, OP_KV_WRITE);
    op.in = hidden;
    lower_emit(l, &op);
}

static void lower_input(struct lowering *l) {
    const struct config *config = l->config;
    uint32_t n = config->n_embd;
    struct view both = lower_scratch(l, SCRATCH_A, 2 * n), hidden = view_columns(both, n);
    struct op embed = {.kind = OP_EMBED, .out = both, .scale = config->embedding_scale};
    l->layer = config->n_layer;
    embed.w = lower_find(l, l->layer, "nextn.embed_tokens", "weight", n, config->n_vocab, 0);
    if (!embed.w.buffer)
        embed.w = lower_need(l, OUTSIDE_LAYERS, "token_embd", "weight", n, config->n_vocab, 0);
    lower_emit(l, &embed);
    lower_norm(l, l->layer, "nextn.enorm", both, both, n, 1);
    struct op previous = hidden_rows(l, OP_KV_PREVIOUS);
    previous.out = hidden;
    lower_emit(l, &previous);
    lower_norm(l, l->layer, "nextn.hnorm", hidden, hidden, n, 1);
    lower_linear(l, "nextn.eh_proj", both, 2 * n, lower_scratch(l, SCRATCH_X, n), n);
}

/* What comes after the keys and values of the last row is not needed. */
void lower_next_cache(struct lowering *l) {
    uint32_t n = l->config->n_embd;
    struct view x = lower_scratch(l, SCRATCH_X, n), hidden = lower_scratch(l, SCRATCH_NORM, n);
    l->rows = ROWS_ALL;
    keep_hidden(l, lower_norm(l, OUTSIDE_LAYERS, l->config->output_norm, x, hidden, n, 1));
    lower_input(l);
    lower_layer(l);
    while (l->plan->n_ops > 0 && l->plan->ops[l->plan->n_ops - 1].kind != OP_KV_WRITE)
        l->plan->n_ops--;
}

void lower_next_token(struct lowering *l) {
    uint32_t n = l->config->n_embd, head = l->config->n_layer;
    struct view x = lower_scratch(l, SCRATCH_X, n), hidden = lower_scratch(l, SCRATCH_NORM, n);
    l->rows = ROWS_ALL;
    lower_input(l);
    lower_layer(l);
    if (lower_has(l, head, "nextn.shared_head_norm"))
        lower_norm(l, head, "nextn.shared_head_norm", x, hidden, n, 1);
    else
        lower_norm(l, OUTSIDE_LAYERS, l->config->output_norm, x, hidden, n, 1);
    keep_hidden(l, hidden);
    if (lower_has(l, head, "nextn.shared_head_head"))
        lower_logits(l, head, "nextn.shared_head_head", hidden);
    else
        lower_logits(l, OUTSIDE_LAYERS, "output", hidden);
}
