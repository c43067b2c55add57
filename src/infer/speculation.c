#include "infer/speculation.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

enum {
    MAX_ROWS = DRAFT_MAX + 1,
    FRESH_PASSES = 128 /* a time measured longer ago is measured again before it counts */
};

/* What is left of earlier counts when a draft is counted. */
static const float count_decay = 0.98f;
/* How far an estimate of time follows a measurement: other programs only ever make passes
 * slower, so a shorter time says more. */
static const float shorter_share = 0.5f, longer_share = 0.1f;
/* How many tokens the drafter's own estimate counts for, and how fast an estimate that
 * forbids drafting returns to it. */
static const float prior_weight = 4, prior_return = 0.005f;
/* What a row adds to a pass before it was measured: little, as reading weights dominates. */
static const float row_guess = 0.05f;

struct acceptance {
    float accepted, refused;
};

struct pass_time {
    float seconds;
    uint64_t pass; /* number of the pass that measured it; 0: none did */
};

struct speculation {
    struct drafter *drafter;
    struct speculation_options options;
    int32_t *timeline; /* [capacity] */
    uint32_t n, capacity;
    struct acceptance acceptance[DRAFT_CONFIDENCES];
    struct pass_time times[MAX_ROWS + 1]; /* by rows */
    uint64_t n_passes;
    float draft_seconds; /* of a token */
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

/* ---- times ------------------------------------------------------------------ */

static bool is_fresh(const struct speculation *s, uint32_t rows) {
    const struct pass_time *t = &s->times[rows];
    return t->pass > 0 && s->n_passes - t->pass < FRESH_PASSES;
}

static float follow(float estimate, float now) {
    return estimate + (now < estimate ? shorter_share : longer_share) * (now - estimate);
}

void speculation_measure(struct speculation *s, uint32_t rows, double seconds) {
    struct pass_time *t = &s->times[rows];
    assert(rows > 0 && rows <= MAX_ROWS);
    t->seconds = is_fresh(s, rows) ? follow(t->seconds, (float)seconds) : (float)seconds;
    t->pass = ++s->n_passes;
}

/* Of a pass of so many rows: as measured, or between the nearest that were. */
static float pass_seconds(const struct speculation *s, uint32_t rows) {
    uint32_t below = rows, above = rows;
    while (below > 0 && !is_fresh(s, below))
        below--;
    while (above <= MAX_ROWS && !is_fresh(s, above))
        above++;
    if (below == rows) return s->times[rows].seconds;
    float low = s->times[below].seconds;
    if (above > MAX_ROWS) return low * (1 + row_guess * (float)(rows - below));
    float high = s->times[above].seconds;
    if (below == 0) return high / (1 + row_guess * (float)(above - rows));
    return low + (high - low) * (float)(rows - below) / (float)(above - below);
}

/* ---- drafting --------------------------------------------------------------- */

/* The length of draft that gives most tokens a second at this chance. */
static uint32_t best_length(const struct speculation *s, float p, const float *seconds,
                            uint32_t most) {
    uint32_t best = 0;
    float tokens = 1, reached = 1, rate = 1 / seconds[1];
    for (uint32_t k = 1; k <= most; k++) {
        reached *= p;
        tokens += reached;
        float now = tokens / (seconds[k + 1] + (float)k * s->draft_seconds);
        if (now <= rate) continue;
        rate = now;
        best = k;
    }
    return best;
}

static hearth_status draft(struct speculation *s, const uint32_t worth[DRAFT_CONFIDENCES],
                           hearth_error *err) {
    uint64_t start = clock_now_ns();
    RETURN_IF_ERROR(s->drafter->propose(s->drafter, s->timeline, s->n, worth, &s->draft, err));
    if (s->draft.n == 0) return HEARTH_OK;
    float seconds = (float)clock_seconds_since(start) / (float)s->draft.n;
    s->draft_seconds = s->draft_seconds > 0 ? follow(s->draft_seconds, seconds) : seconds;
    return HEARTH_OK;
}

hearth_status speculation_propose(struct speculation *s, uint32_t most, const struct draft **out,
                                  hearth_error *err) {
    uint32_t worth[DRAFT_CONFIDENCES] = {0};
    float seconds[MAX_ROWS + 1] = {0};
    *out = &s->draft;
    count_draft(s);
    if (most > s->options.max_draft) most = s->options.max_draft;
    uint32_t least = s->options.min_draft < most ? s->options.min_draft : most;
    /* Without the time of a plain pass there is nothing to compare with. */
    if (most == 0 || !is_fresh(s, 1)) return HEARTH_OK;
    for (uint32_t rows = 1; rows <= most + 1; rows++)
        seconds[rows] = pass_seconds(s, rows);
    for (uint32_t c = 0; c < DRAFT_CONFIDENCES; c++) {
        worth[c] = best_length(s, chance(s, c), seconds, most);
        if (worth[c] == 0) return_to_prior(s, c);
        if (worth[c] < least) worth[c] = least;
    }
    return draft(s, worth, err);
}
