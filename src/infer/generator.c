#include "infer/generator.h"

#include <string.h>

#include "base/clock.h"
#include "infer/stop_texts.h"

enum { PENDING_MAX_BYTES = 1 << 20 };

/* Text that was decoded but may still turn out to begin a stop text is held back. */
struct generation {
    struct session *session;
    struct sampler *sampler;
    struct sampler_workspace *workspace;
    const struct tokenizer *tokenizer;
    const struct generation_options *options;
    struct generation_stats *stats;
    struct token_stream stream;
    struct buf pending;
};

static bool give(struct generation *g, size_t n) {
    bool go_on = n == 0 || !g->options->on_text ||
                 g->options->on_text(g->options->context, g->pending.data, n);
    if (n) memmove(g->pending.data, g->pending.data + n, g->pending.length - n);
    g->pending.length -= n;
    return go_on;
}

/* Whether to go on after the pending text has grown. */
static bool handle_text(struct generation *g) {
    const struct stop_texts stops = {g->options->stops, g->options->n_stops};
    const char *text = buf_text(&g->pending);
    size_t stop = stop_texts_find(&stops, text, g->pending.length, &g->stats->stop);
    if (stop < g->pending.length) {
        give(g, stop);
        g->pending.length = 0;
        g->stats->end = GENERATION_STOP_TEXT;
        return false;
    }
    if (give(g, g->pending.length - stop_texts_held(&stops, text, g->pending.length))) return true;
    g->stats->end = GENERATION_CANCELLED;
    return false;
}

static hearth_status shift(struct generation *g, hearth_error *err) {
    RETURN_IF_ERROR(session_shift(g->session, g->options->keep, err));
    if (!g->options->speculation) return HEARTH_OK;
    uint32_t n;
    const int32_t *tokens = session_tokens(g->session, &n);
    speculation_set(g->options->speculation, tokens, n);
    return HEARTH_OK;
}

/* How many tokens of a draft can become part of the answer. */
static uint32_t draft_limit(const struct generation *g) {
    uint32_t most = session_draft_room(g->session), max_tokens = g->options->max_tokens;
    uint32_t left = max_tokens ? max_tokens - g->stats->n_generated - 1 : most;
    return left < most ? left : most;
}

/* The token that ends an answer is never computed, nor is what would follow it. */
static uint32_t tokens_before_end(const struct generation *g, const struct draft *draft) {
    uint32_t n = 0;
    while (n < draft->n && (g->options->ignore_end ||
                            !tokenizer_is_end_of_generation(g->tokenizer, draft->tokens[n])))
        n++;
    return n;
}

/* Computes the token, and with it what is guessed to follow. */
static hearth_status append_drafting(struct generation *g, int32_t token, hearth_error *err) {
    struct speculation *speculation = g->options->speculation;
    const struct draft *draft;
    RETURN_IF_ERROR(speculation_propose(speculation, draft_limit(g), &draft, err));
    uint32_t n = tokens_before_end(g, draft);
    uint64_t start = clock_now_ns();
    if (n > 0)
        RETURN_IF_ERROR(session_append_drafts(g->session, token, draft->tokens, n, err));
    else
        RETURN_IF_ERROR(session_append(g->session, token, err));
    speculation_measure(speculation, n + 1, clock_seconds_since(start));
    g->stats->n_drafted += n;
    return HEARTH_OK;
}

static hearth_status append(struct generation *g, int32_t token, hearth_error *err) {
    if (session_room(g->session) == 0) RETURN_IF_ERROR(shift(g, err));
    if (!g->options->speculation) return session_append(g->session, token, err);
    speculation_push(g->options->speculation, token);
    if (!session_is_ahead(g->session, token)) return append_drafting(g, token, err);
    g->stats->n_accepted++;
    return session_append(g->session, token, err);
}

/* One token; *go_on becomes false at the end of the answer. */
static hearth_status step(struct generation *g, bool *go_on, hearth_error *err) {
    struct sampler_result result;
    RETURN_IF_ERROR(
        sampler_sample(g->sampler, g->workspace, session_logits(g->session), NULL, &result, err));
    if (g->options->replay) result.token = g->options->replay[g->stats->n_generated];
    *go_on = false;
    if (!g->options->ignore_end && tokenizer_is_end_of_generation(g->tokenizer, result.token)) {
        g->stats->end = GENERATION_STOP;
        return HEARTH_OK;
    }
    sampler_accept(g->sampler, result.token);
    g->stats->n_generated++;
    RETURN_IF_ERROR(token_stream_push(&g->stream, result.token, &g->pending, err));
    if (!handle_text(g)) return HEARTH_OK;
    if (g->options->max_tokens && g->stats->n_generated >= g->options->max_tokens)
        g->stats->end = GENERATION_LENGTH;
    else if (session_room(g->session) == 0 && !g->options->shift_context)
        g->stats->end = GENERATION_CONTEXT;
    else
        *go_on = true;
    return *go_on ? append(g, result.token, err) : HEARTH_OK;
}

static hearth_status finish_text(struct generation *g, hearth_error *err) {
    if (g->stats->end == GENERATION_STOP_TEXT || g->stats->end == GENERATION_CANCELLED)
        return HEARTH_OK;
    hearth_status status = token_stream_finish(&g->stream, &g->pending, err);
    give(g, g->pending.length);
    return status;
}

static hearth_status prefill(struct generation *g, const int32_t *prompt, uint32_t n,
                             hearth_error *err) {
    uint64_t start = clock_now_ns();
    hearth_status status = session_set(g->session, prompt, n, g->options->on_progress,
                                       g->options->context, &g->stats->n_reused, err);
    g->stats->prompt_seconds = clock_seconds_since(start);
    sampler_reset(g->sampler);
    for (uint32_t i = 0; i < n; i++)
        sampler_accept(g->sampler, prompt[i]);
    if (g->options->speculation) speculation_set(g->options->speculation, prompt, n);
    return status;
}

hearth_status generate(struct session *session, struct sampler *sampler,
                       struct sampler_workspace *workspace, const struct tokenizer *tokenizer,
                       const int32_t *prompt, uint32_t n_prompt,
                       const struct generation_options *options, struct generation_stats *stats,
                       hearth_error *err) {
    struct generation g = {.session = session,
                           .sampler = sampler,
                           .workspace = workspace,
                           .tokenizer = tokenizer,
                           .options = options,
                           .stats = stats};
    *stats = (struct generation_stats){.n_prompt = n_prompt};
    RETURN_IF_ERROR(prefill(&g, prompt, n_prompt, err));
    buf_init(&g.pending, PENDING_MAX_BYTES);
    token_stream_init(&g.stream, tokenizer, options->special);
    g.stream.started = true;
    uint64_t start = clock_now_ns();
    hearth_status status = HEARTH_OK;
    for (bool go_on = true; go_on && status == HEARTH_OK;)
        status = step(&g, &go_on, err);
    if (status == HEARTH_OK) status = finish_text(&g, err);
    session_drop_drafts(session);
    stats->generate_seconds = clock_seconds_since(start);
    buf_release(&g.pending);
    return status;
}
