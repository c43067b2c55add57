#include "chat/constraint_vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct text {
    const char *bytes;
    size_t n;
    uint32_t id;
};

static int compare_texts(const void *a, const void *b) {
    const struct text *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, x->n < y->n ? x->n : y->n);
    if (order) return order;
    if (x->n != y->n) return x->n < y->n ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static size_t shared_bytes(const struct text *a, const struct text *b) {
    size_t n = 0;
    while (n < a->n && n < b->n && a->bytes[n] == b->bytes[n])
        n++;
    return n;
}

/* Nodes of all texts; without `nodes` only their number. A text's own node is the last that it
 * adds, so texts i … follow node by node. */
static uint32_t lay_out(const struct text *texts, uint32_t n, struct vocabulary_node *nodes) {
    uint32_t open[VOCABULARY_MAX_TOKEN_BYTES], n_nodes = 0;
    size_t depth = 0;
    for (uint32_t i = 0; i < n; i++) {
        size_t shared = i ? shared_bytes(&texts[i - 1], &texts[i]) : 0;
        for (; nodes && depth > shared; depth--)
            nodes[open[depth - 1]].after = n_nodes;
        for (depth = shared; depth < texts[i].n; depth++, n_nodes++) {
            if (!nodes) continue;
            open[depth] = n_nodes;
            nodes[n_nodes] = (struct vocabulary_node){
                .token = i, .depth = (uint8_t)depth, .byte = (uint8_t)texts[i].bytes[depth]};
        }
    }
    for (; nodes && depth > 0; depth--)
        nodes[open[depth - 1]].after = n_nodes;
    return n_nodes;
}

static bool copy_tokens(struct constraint_vocabulary *v, const struct constraint_token *tokens) {
    size_t n_bytes = 0;
    v->first_byte = mem_alloc_array((size_t)v->n_tokens + 1, sizeof *v->first_byte);
    v->ends = mem_alloc_array((size_t)v->n_tokens + 1, sizeof *v->ends);
    v->controls = mem_alloc_array((size_t)v->n_tokens + 1, sizeof *v->controls);
    if (!v->first_byte || !v->ends || !v->controls) return false;
    for (uint32_t i = 0; i < v->n_tokens; i++) {
        bool usable = tokens[i].n_bytes <= VOCABULARY_MAX_TOKEN_BYTES && !tokens[i].ends;
        if (tokens[i].ends) v->ends[v->n_ends++] = i;
        if (usable && tokens[i].control && tokens[i].n_bytes > 0) v->controls[v->n_controls++] = i;
        v->first_byte[i] = n_bytes;
        n_bytes += usable ? tokens[i].n_bytes : 0;
    }
    v->first_byte[v->n_tokens] = n_bytes;
    v->bytes = mem_alloc(n_bytes + 1);
    if (!v->bytes) return false;
    for (uint32_t i = 0; i < v->n_tokens; i++)
        if (v->first_byte[i + 1] > v->first_byte[i])
            memcpy(v->bytes + v->first_byte[i], tokens[i].bytes, tokens[i].n_bytes);
    return true;
}

static bool build_tree(struct constraint_vocabulary *v) {
    struct text *texts = mem_alloc_array((size_t)v->n_tokens + 1, sizeof *texts);
    if (!texts) return false;
    for (uint32_t i = 0; i < v->n_tokens; i++) {
        size_t n = v->first_byte[i + 1] - v->first_byte[i];
        if (n > 0) texts[v->n_by_text++] = (struct text){v->bytes + v->first_byte[i], n, i};
    }
    qsort(texts, v->n_by_text, sizeof *texts, compare_texts);
    v->n_nodes = lay_out(texts, v->n_by_text, NULL);
    v->nodes = mem_calloc((size_t)v->n_nodes + 1, sizeof *v->nodes);
    v->by_text = mem_alloc_array((size_t)v->n_by_text + 1, sizeof *v->by_text);
    bool ok = v->nodes && v->by_text;
    if (ok) {
        lay_out(texts, v->n_by_text, v->nodes);
        v->nodes[v->n_nodes].token = v->n_by_text;
        for (uint32_t i = 0; i < v->n_by_text; i++)
            v->by_text[i] = texts[i].id;
    }
    mem_free(texts);
    return ok;
}

hearth_status constraint_vocabulary_open(struct constraint_vocabulary **out,
                                         const struct constraint_token *tokens, size_t n_vocab,
                                         hearth_error *err) {
    *out = NULL;
    if (n_vocab > VOCABULARY_MAX_TOKENS)
        return error_set(err, HEARTH_ERROR_LIMIT, "a vocabulary of %zu tokens; at most %d are held",
                         n_vocab, VOCABULARY_MAX_TOKENS);
    struct constraint_vocabulary *v = mem_calloc(1, sizeof *v);
    if (v) v->n_tokens = (uint32_t)n_vocab;
    if (!v || !copy_tokens(v, tokens) || !build_tree(v)) {
        constraint_vocabulary_close(v);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the tree of a vocabulary");
    }
    *out = v;
    return HEARTH_OK;
}

void constraint_vocabulary_close(struct constraint_vocabulary *v) {
    if (!v) return;
    mem_free(v->nodes);
    mem_free(v->by_text);
    mem_free(v->ends);
    mem_free(v->controls);
    mem_free(v->bytes);
    mem_free(v->first_byte);
    mem_free(v);
}
