#include "infer/speculation.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

/* What is left of earlier counts when a draft is counted. */
static const float count_decay = 0.98f;
/* How many tokens the drafter's own estimate counts for, and how fast an estimate that
 * forbids drafting returns to it. */
static const float prior_weight = 4, prior_return = 0.005f;
/* How far the time of drafting a token follows a measurement. */
static const float shorter_share = 0.5f, longer_share = 0.1f;

struct acceptance {
    float accepted, refused;
};

struct speculation {
    struct drafter *drafter;
    struct speculation_options options;
    int32_t *timeline; /* [capacity] */
    uint32_t n, capacity;
    struct acceptance acceptance[DRAFT_CONFIDENCES];
    struct pass_times own, *times; /* in force: its own or the options' */
    float draft_seconds;           /* of a token */
    struct draft draft;
    uint32_t n_checked; /* tokens of the draft that were accepted so far */
    bool refused;       /* the token after them was not the draft's */
};

hearth_status speculation_open(struct speculation **out, struct drafter *drafter,
                               const struct speculation_options *options, uint32_t capacity,
                               hearth_error *err) {
    *out = NULL;
    struct speculation *s = mem_calloc(1, sizeof *s);
    int32_t *timeline = mem_alloc_array(capacity, sizeof *timeline);
    if (!s || !timeline) {
        mem_free(s);
        mem_free(timeline);
        drafter->close(drafter);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for speculation");
    }
    *s = (struct speculation){
        .drafter = drafter, .options = *options, .timeline = timeline, .capacity = capacity};
    s->times = options->times ? options->times : &s->own;
    if (s->options.max_draft > DRAFT_MAX) s->options.max_draft = DRAFT_MAX;
    for (int i = 0; i < DRAFT_CONFIDENCES; i++)
        s->acceptance[i] = (struct acceptance){prior_weight * drafter->chance[i],
                                               prior_weight * (1 - drafter->chance[i])};
    *out = s;
    return HEARTH_OK;
}

void speculation_close(struct speculation *s) {
    if (!s) return;
    s->drafter->close(s->drafter);
    mem_free(s->timeline);
    mem_free(s);
}

/* ---- counting --------------------------------------------------------------- */

static void count_draft(struct speculation *s) {
    struct acceptance *a = &s->acceptance[s->draft.confidence];
    if (s->n_checked > 0 || s->refused) {
        a->accepted = a->accepted * count_decay + (float)s->n_checked;
        a->refused = a->refused * count_decay + (s->refused ? 1.0f : 0.0f);
    }
    s->draft.n = s->n_checked = 0;
    s->refused = false;
}

void speculation_set(struct speculation *s, const int32_t *tokens, uint32_t n) {
    uint32_t same = 0;
    assert(n <= s->capacity);
    count_draft(s);
    while (same < n && same < s->n && s->timeline[same] == tokens[same])
        same++;
    if (same < s->n && s->drafter->cut) s->drafter->cut(s->drafter, s->timeline, same);
    memcpy(s->timeline + same, tokens + same, (n - same) * sizeof *tokens);
    s->n = n;
}

void speculation_push(struct speculation *s, int32_t token) {
    assert(s->n < s->capacity);
    s->timeline[s->n++] = token;
    if (s->refused || s->n_checked == s->draft.n) return;
    if (s->draft.tokens[s->n_checked] == token)
        s->n_checked++;
    else
        s->refused = true;
}

static float chance(const struct speculation *s, uint32_t confidence) {
    const struct acceptance *a = &s->acceptance[confidence];
    return a->accepted / (a->accepted + a->refused);
}

/* What is never drafted is never counted, so it becomes worth another try with time. */
static void return_to_prior(struct speculation *s, uint32_t confidence) {
    struct acceptance *a = &s->acceptance[confidence];
    float prior = s->drafter->chance[confidence];
    a->accepted += prior_return * (prior_weight * prior - a->accepted);
    a->refused += prior_return * (prior_weight * (1 - prior) - a->refused);
}

void speculation_measure(struct speculation *s, uint32_t rows, double seconds) {
    pass_times_measure(s->times, rows, seconds);
}

/* ---- drafting --------------------------------------------------------------- */

/* price[k]: of a draft of k tokens, in tokens that it must bring at least. Where several answers
 * wait for the pass it makes all of them slower: what is to be greatest is the product of their
 * speeds (proportional fairness: Kelly, Charging and rate control for elastic traffic, 1997).
 * Where the time of the pass is not known, each row is taken to cost as much as the others, which
 * it does at most: so a short pass is first measured without a draft. */
static void set_prices(const struct speculation *s, uint32_t rows, uint32_t n_answers,
                       uint32_t most, float price[DRAFT_MAX + 1]) {
    bool known = pass_times_know(s->times, rows);
    float plain = known ? pass_times_estimate(s->times, rows) : 1;
    for (uint32_t k = 0; k <= most; k++) {
        float seconds = known
                            ? pass_times_estimate(s->times, rows + k) + (float)k * s->draft_seconds
                            : 1 + (float)k / (float)rows;
        price[k] = powf(seconds / plain, (float)n_answers);
    }
}

/* The length of draft that gives most for its price at this chance. */
static uint32_t best_length(float p, const float *price, uint32_t most) {
    uint32_t best = 0;
    float tokens = 1, reached = 1, rate = 1;
    for (uint32_t k = 1; k <= most; k++) {
        reached *= p;
        tokens += reached;
        if (tokens / price[k] <= rate) continue;
        rate = tokens / price[k];
        best = k;
    }
    return best;
}

static float follow(float estimate, float now) {
    return estimate + (now < estimate ? shorter_share : longer_share) * (now - estimate);
}

static hearth_status draft(struct speculation *s, const uint32_t worth[DRAFT_CONFIDENCES],
                           hearth_error *err) {
    if (draft_most(worth) == 0) return HEARTH_OK;
    uint64_t start = clock_now_ns();
    RETURN_IF_ERROR(s->drafter->propose(s->drafter, s->timeline, s->n, worth, &s->draft, err));
    if (s->draft.n == 0) return HEARTH_OK;
    float seconds = (float)clock_seconds_since(start) / (float)s->draft.n;
    s->draft_seconds = s->draft_seconds > 0 ? follow(s->draft_seconds, seconds) : seconds;
    return HEARTH_OK;
}

hearth_status speculation_propose_beside(struct speculation *s, uint32_t rows, uint32_t n_answers,
                                         uint32_t most, const struct draft **out,
                                         hearth_error *err) {
    uint32_t worth[DRAFT_CONFIDENCES];
    float price[DRAFT_MAX + 1];
    *out = &s->draft;
    count_draft(s);
    if (most > s->options.max_draft) most = s->options.max_draft;
    if (pass_times_know(s->times, rows) && most > PASS_TIMES_ROWS - rows)
        most = PASS_TIMES_ROWS - rows;
    if (most == 0) return HEARTH_OK;
    uint32_t least = s->options.min_draft < most ? s->options.min_draft : most;
    set_prices(s, rows, n_answers, most, price);
    for (uint32_t c = 0; c < DRAFT_CONFIDENCES; c++) {
        worth[c] = best_length(chance(s, c), price, most);
        if (worth[c] == 0) return_to_prior(s, c);
        if (worth[c] < least) worth[c] = least;
    }
    return draft(s, worth, err);
}

hearth_status speculation_propose(struct speculation *s, uint32_t most, const struct draft **out,
                                  hearth_error *err) {
    return speculation_propose_beside(s, 1, 1, most, out, err);
}
