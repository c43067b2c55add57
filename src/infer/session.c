#include "infer/session.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

/* Prompts are computed in pieces of this many tokens, so that progress is seen and a
 * cancellation takes effect soon. */
enum { PROGRESS_TOKENS = 512 };

struct session {
    struct context *context;
    uint32_t sequence, length;
    uint32_t ahead;  /* drafted tokens computed after the timeline */
    uint32_t row;    /* of `logits`, in force */
    bool has_logits; /* row `row` belongs to the timeline's last token */
    int32_t *tokens; /* [n_ctx] the timeline and what is ahead */
    float *logits;   /* [n_draft + 1][n_vocab] */
};

static uint32_t n_vocab_of(const struct session *s) {
    return context_model(s->context)->config.n_vocab;
}

hearth_status session_open(struct session **out, struct context *context, uint32_t sequence,
                           hearth_error *err) {
    *out = NULL;
    struct session *s = mem_calloc(1, sizeof *s);
    if (!s) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a session");
    *s = (struct session){.context = context, .sequence = sequence};
    s->tokens = mem_alloc_array(context_length(context), sizeof *s->tokens);
    s->logits =
        mem_calloc((size_t)(context_n_draft(context) + 1) * n_vocab_of(s), sizeof *s->logits);
    if (!s->tokens || !s->logits) {
        session_close(s);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a session");
    }
    context_sequence_truncate(context, sequence, 0);
    *out = s;
    return HEARTH_OK;
}

void session_close(struct session *s) {
    if (!s) return;
    context_sequence_truncate(s->context, s->sequence, 0);
    mem_free(s->tokens);
    mem_free(s->logits);
    mem_free(s);
}

void session_clear(struct session *s) {
    context_sequence_truncate(s->context, s->sequence, 0);
    s->length = s->ahead = 0;
    s->has_logits = false;
}

void session_drop_drafts(struct session *s) {
    if (s->ahead == 0) return;
    bool kept = context_sequence_truncate(s->context, s->sequence, s->length);
    assert(kept); /* the pass that computed them kept its states */
    (void)kept;
    s->ahead = 0;
}

/* A failed computation may have cost a recurrent model its state. */
static hearth_status extend(struct session *s, const int32_t *tokens, uint32_t n, bool prompt,
                            hearth_error *err) {
    struct context_part part = {.sequence = s->sequence,
                                .tokens = tokens,
                                .n_tokens = n,
                                .last_logits = true,
                                .prompt = prompt};
    session_drop_drafts(s);
    hearth_status status = context_decode(s->context, &part, 1, s->logits, err);
    s->row = 0;
    s->has_logits = status == HEARTH_OK;
    if (status != HEARTH_OK) {
        s->length = context_sequence_length(s->context, s->sequence);
        return status;
    }
    if (tokens != s->tokens + s->length) memmove(s->tokens + s->length, tokens, n * sizeof *tokens);
    s->length += n;
    return HEARTH_OK;
}

/* A recurrent session starts anew, also where it happens to know the state at `length`:
 * what follows must not depend on what was drafted before. */
static uint32_t forget_from(struct session *s, uint32_t length) {
    if (config_is_recurrent(&context_model(s->context)->config)) length = 0;
    context_sequence_truncate(s->context, s->sequence, length);
    s->has_logits = s->has_logits && length == s->length;
    s->length = length;
    return length;
}

static uint32_t common_prefix(const struct session *s, const int32_t *tokens, uint32_t n) {
    uint32_t same = 0;
    while (same < s->length && same < n && s->tokens[same] == tokens[same])
        same++;
    return same;
}

hearth_status session_set(struct session *s, const int32_t *tokens, uint32_t n,
                          session_progress progress, void *progress_context, uint32_t *reused,
                          hearth_error *err) {
    uint32_t n_ctx = context_length(s->context);
    session_drop_drafts(s);
    if (n == 0) return error_set(err, HEARTH_ERROR_ARGUMENT, "an empty prompt");
    if (n > n_ctx)
        return error_set(err, HEARTH_ERROR_LIMIT,
                         "the prompt has %u tokens, the context %u; shorten it or ask for a longer "
                         "context",
                         n, n_ctx);
    uint32_t same = common_prefix(s, tokens, n);
    /* The logits after the last token are needed, so at least that one is computed,
     * unless the timeline already ends there. */
    if (same == n && (s->length > n || !s->has_logits)) same = n - 1;
    if (same < s->length) same = forget_from(s, same);
    if (reused) *reused = same;
    while (s->length < n) {
        if (progress && !progress(progress_context, s->length, n))
            return error_set(err, HEARTH_ERROR_CANCELLED, "stopped while reading the prompt");
        uint32_t left = n - s->length;
        RETURN_IF_ERROR(extend(s, tokens + s->length,
                               left < PROGRESS_TOKENS ? left : PROGRESS_TOKENS, true, err));
    }
    return HEARTH_OK;
}

static hearth_status context_full(const struct session *s, hearth_error *err) {
    return error_set(err, HEARTH_ERROR_LIMIT, "the context of %u tokens is full",
                     context_length(s->context));
}

bool session_is_ahead(const struct session *s, int32_t token) {
    return s->ahead > 0 && s->tokens[s->length] == token;
}

uint32_t session_draft_room(const struct session *s) {
    uint32_t room = session_room(s), most = context_n_draft(s->context);
    return room <= most ? room - (room > 0) : most;
}

hearth_status session_append(struct session *s, int32_t token, hearth_error *err) {
    if (session_is_ahead(s, token)) {
        s->length++;
        s->ahead--;
        s->row++;
        return HEARTH_OK;
    }
    if (session_room(s) == 0) return context_full(s, err);
    return extend(s, &token, 1, false, err);
}

hearth_status session_append_drafts(struct session *s, int32_t token, const int32_t *drafts,
                                    uint32_t n, hearth_error *err) {
    session_drop_drafts(s);
    if (session_room(s) == 0) return context_full(s, err);
    if (n > session_draft_room(s))
        return error_set(err, HEARTH_ERROR_LIMIT, "%u drafted tokens; at most %u are possible", n,
                         session_draft_room(s));
    int32_t *next = s->tokens + s->length;
    struct context_part part = {.sequence = s->sequence,
                                .tokens = next,
                                .n_tokens = n + 1,
                                .all_logits = true,
                                .keep_states = true};
    next[0] = token;
    if (n) memcpy(next + 1, drafts, n * sizeof *drafts);
    hearth_status status = context_decode(s->context, &part, 1, s->logits, err);
    s->row = 0;
    s->has_logits = status == HEARTH_OK;
    if (status == HEARTH_OK) s->ahead = n;
    s->length = context_sequence_length(s->context, s->sequence) - s->ahead;
    return status;
}

bool session_go_back(struct session *s, uint32_t length) {
    session_drop_drafts(s);
    if (length >= s->length) return true;
    bool possible = context_sequence_truncate(s->context, s->sequence, length);
    s->length = possible ? length : 0;
    s->has_logits = false;
    return possible;
}

hearth_status session_shift(struct session *s, uint32_t keep, hearth_error *err) {
    session_drop_drafts(s);
    if (keep >= s->length) keep = 0;
    uint32_t drop = (s->length - keep + 1) / 2, kept = s->length - drop;
    memmove(s->tokens + keep, s->tokens + keep + drop, (kept - keep) * sizeof *s->tokens);
    forget_from(s, keep);
    while (s->length < kept) {
        uint32_t left = kept - s->length;
        RETURN_IF_ERROR(extend(s, s->tokens + s->length,
                               left < PROGRESS_TOKENS ? left : PROGRESS_TOKENS, false, err));
    }
    return HEARTH_OK;
}

const float *session_logits(const struct session *s) {
    return s->logits + (size_t)s->row * n_vocab_of(s);
}

const int32_t *session_tokens(const struct session *s, uint32_t *n) {
    *n = s->length;
    return s->tokens;
}

uint32_t session_room(const struct session *s) {
    return context_length(s->context) - s->length;
}

struct context *session_context(const struct session *s) {
    return s->context;
}
