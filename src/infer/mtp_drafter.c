#include "infer/mtp_drafter.h"

#include "base/mem.h"

struct mtp_drafter {
    struct drafter drafter;
    struct context *context;
    uint32_t sequence;
    float min_probability;
    float *logits; /* [n_vocab] */
};

/* The last token of the timeline is not computed yet: the head may know what follows it. */
static hearth_status predict(struct mtp_drafter *d, const int32_t *tokens, uint32_t n,
                             const uint32_t worth[DRAFT_CONFIDENCES], struct draft *draft,
                             hearth_error *err) {
    uint32_t n_vocab = context_model(d->context)->config.n_vocab, position = n - 1;
    int32_t token = tokens[position];
    for (; position + 1 < context_length(d->context); position++) {
        RETURN_IF_ERROR(context_predict(d->context, d->sequence, position, token, d->logits, err));
        if (!draft_add(draft, d->logits, n_vocab, n_vocab, d->min_probability, worth)) break;
        token = draft->tokens[draft->n - 1];
    }
    return HEARTH_OK;
}

static hearth_status propose(struct drafter *drafter, const int32_t *tokens, uint32_t n,
                             const uint32_t worth[DRAFT_CONFIDENCES], struct draft *draft,
                             hearth_error *err) {
    struct mtp_drafter *d = (struct mtp_drafter *)drafter;
    uint32_t length = context_sequence_length(d->context, d->sequence);
    draft->n = 0;
    if (draft_most(worth) == 0 || n == 1 || n - 1 > length) return HEARTH_OK;
    hearth_status status = predict(d, tokens, n, worth, draft, err);
    /* The pages that it went on in are nobody's until the draft is checked. */
    context_sequence_truncate(d->context, d->sequence, length);
    return status;
}

static void close_drafter(struct drafter *drafter) {
    mem_free(((struct mtp_drafter *)drafter)->logits);
    mem_free(drafter);
}

hearth_status mtp_drafter_open(struct drafter **drafter, struct context *context, uint32_t sequence,
                               float min_probability, hearth_error *err) {
    *drafter = NULL;
    struct mtp_drafter *d = mem_calloc(1, sizeof *d);
    float *logits = mem_alloc_array(context_model(context)->config.n_vocab, sizeof *logits);
    if (!d || !logits) {
        mem_free(d);
        mem_free(logits);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a drafter");
    }
    *d = (struct mtp_drafter){.drafter = {.propose = propose, .close = close_drafter},
                              .context = context,
                              .sequence = sequence,
                              .min_probability = min_probability,
                              .logits = logits};
    draft_chances(&d->drafter);
    *drafter = &d->drafter;
    return HEARTH_OK;
}
