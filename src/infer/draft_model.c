#include "infer/draft_model.h"

#include <string.h>

#include "base/mem.h"

/* What llama.cpp tolerates between the sizes and at the start of two vocabularies. */
enum { MAX_SIZE_DIFFERENCE = 128, FIRST_COMPARED = 5 };

struct draft_model {
    struct drafter drafter;
    struct session *session;
    uint32_t n_vocab;
    float min_probability;
};

hearth_status draft_model_check(const struct tokenizer *model, const struct tokenizer *draft,
                                hearth_error *err) {
    size_t n = tokenizer_n_vocab(model), m = tokenizer_n_vocab(draft), least = n < m ? n : m;
    if (n - least > MAX_SIZE_DIFFERENCE || m - least > MAX_SIZE_DIFFERENCE)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "the draft model has a vocabulary of %zu tokens, the model one of %zu; "
                         "both must be of the same kind",
                         m, n);
    for (size_t i = FIRST_COMPARED; i < least; i++) {
        struct text a = tokenizer_text(model, (int32_t)i), b = tokenizer_text(draft, (int32_t)i);
        if (a.length == b.length && memcmp(a.data, b.data, a.length) == 0) continue;
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "the draft model has another vocabulary: token %zu is '%.*s', in the "
                         "model '%.*s'",
                         i, b.length < 40 ? (int)b.length : 40, b.data,
                         a.length < 40 ? (int)a.length : 40, a.data);
    }
    return HEARTH_OK;
}

/* Makes the draft's timeline equal to tokens [n]. */
static hearth_status follow(struct draft_model *d, const int32_t *tokens, uint32_t n,
                            hearth_error *err) {
    uint32_t have, same = 0;
    const int32_t *own = session_tokens(d->session, &have);
    /* At least the last token is computed, for its logits. */
    while (same < have && same + 1 < n && own[same] == tokens[same])
        same++;
    if (!session_go_back(d->session, same)) same = 0;
    uint32_t missing = n - same;
    if (missing > session_draft_room(d->session) + 1)
        return session_set(d->session, tokens, n, NULL, NULL, NULL, err);
    /* A few tokens after each check: computed as generated ones, which is fast for few. */
    RETURN_IF_ERROR(
        session_append_drafts(d->session, tokens[same], tokens + same + 1, missing - 1, err));
    for (uint32_t i = same + 1; i < n; i++)
        RETURN_IF_ERROR(session_append(d->session, tokens[i], err));
    return HEARTH_OK;
}

static hearth_status propose(struct drafter *drafter, const int32_t *tokens, uint32_t n,
                             const uint32_t worth[DRAFT_CONFIDENCES], struct draft *draft,
                             hearth_error *err) {
    struct draft_model *d = (struct draft_model *)drafter;
    struct context *context = session_context(d->session);
    uint32_t n_vocab = context_model(context)->config.n_vocab;
    draft->n = 0;
    if (draft_most(worth) == 0 || n > context_length(context)) return HEARTH_OK;
    RETURN_IF_ERROR(follow(d, tokens, n, err));
    while (draft_add(draft, session_logits(d->session), n_vocab, d->n_vocab, d->min_probability,
                     worth)) {
        if (session_room(d->session) == 0) return HEARTH_OK;
        int32_t token = draft->tokens[draft->n - 1];
        RETURN_IF_ERROR(session_append_drafts(d->session, token, NULL, 0, err));
    }
    return HEARTH_OK;
}

static void close_drafter(struct drafter *drafter) {
    mem_free(drafter);
}

hearth_status draft_model_open(struct drafter **drafter, struct session *session, uint32_t n_vocab,
                               float min_probability, hearth_error *err) {
    *drafter = NULL;
    struct draft_model *d = mem_calloc(1, sizeof *d);
    if (!d) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a draft model");
    *d = (struct draft_model){.drafter = {.propose = propose, .close = close_drafter},
                              .session = session,
                              .n_vocab = n_vocab,
                              .min_probability = min_probability};
    draft_chances(&d->drafter);
    *drafter = &d->drafter;
    return HEARTH_OK;
}
