/* What a pass computes: who is admitted, how many rows everyone gets, and who has to wait for
 * pages. */
#include "infer/scheduler_parts.h"

#include "base/clock.h"

uint32_t scheduler_pages_of(uint32_t n_tokens) {
    return (n_tokens + CACHE_PAGE_TOKENS - 1) / CACHE_PAGE_TOKENS;
}

/* Rows of c that one part can compute. */
static uint32_t rows_to_do(const struct scheduler *s, const struct choice *c) {
    return choice_part_end(s, c) - choice_computed(s, c);
}

bool choice_awaits_token(const struct scheduler *s, const struct choice *c) {
    uint32_t done = choice_computed(s, c);
    return done >= c->job->n_prompt && done + 1 == c->n_tokens;
}

/* ---- preemption --------------------------------------------------------------- */

/* Of those who are least important the client that has most answers running gives up its youngest:
 * so the oldest of the most important goes on whoever else comes, as it is the youngest of its
 * client only where that has no more than others. */
static bool makes_way_before(const struct choice *a, const struct choice *b) {
    uint32_t n = a->job->client->n_running, m = b->job->client->n_running;
    if (a->job->priority != b->job->priority) return a->job->priority < b->job->priority;
    return n != m ? n > m : choice_precedes(b, a);
}

/* Who has to wait again, if somebody must. */
static struct choice *last_running(const struct scheduler *s) {
    struct choice *last = NULL;
    for (uint32_t i = 0; i < s->n_sequences; i++)
        if (s->running[i] && (!last || makes_way_before(s->running[i], last))) last = s->running[i];
    return last;
}

static void preempt(struct scheduler *s, struct choice *c) {
    s->rows[c->sequence] = 0;
    c->n_lost = choice_computed(s, c);
    c->result.n_preempted++;
    s->stats.n_preempted++;
    choice_leave(s, c);
    pthread_mutex_lock(&s->mutex);
    queue_insert(s, c);
    pthread_mutex_unlock(&s->mutex);
}

static uint32_t free_sequence(const struct scheduler *s) {
    uint32_t sequence = 0;
    while (s->running[sequence])
        sequence++;
    return sequence;
}

void scheduler_free_pages(struct scheduler *s, uint64_t n) {
    const struct page_table *table = context_pages(s->context);
    while (table->n_free < n && prefix_tree_evict(s->tree)) {
    }
}

uint32_t scheduler_clear(struct scheduler *s, uint32_t n_tokens) {
    const struct page_table *table = context_pages(s->context);
    uint32_t wanted = scheduler_pages_of(n_tokens);
    while (s->n_running == s->n_sequences || wanted > table->n_free + table->n_idle)
        preempt(s, last_running(s));
    scheduler_free_pages(s, wanted);
    return free_sequence(s);
}

/* ---- admission --------------------------------------------------------------- */

/* Pages that those who run still need for the tokens they have, and one more for everyone who
 * may grow into it: who is admitted too early is preempted soon. */
static uint64_t pages_owed(const struct scheduler *s) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < s->n_sequences; i++) {
        const struct choice *c = s->running[i];
        if (!c) continue;
        n += context_pages_wanted(s->context, i, c->n_tokens - choice_computed(s, c));
        n += scheduler_pages_of(c->max_length) > scheduler_pages_of(c->n_tokens);
    }
    return n;
}

/* Whether there are so many pages that nobody needs. */
static bool has_pages(const struct scheduler *s, uint64_t wanted) {
    const struct page_table *table = context_pages(s->context);
    return wanted + pages_owed(s) <= (uint64_t)table->n_free + table->n_idle;
}

static void begin(struct scheduler *s, struct choice *c) {
    uint32_t sequence = free_sequence(s);
    s->running[sequence] = c;
    s->n_running++;
    c->sequence = sequence;
    c->turn = ++s->n_turns;
    if (c->job->client->n_running++ == 0) c->job->client->turn = c->turn;
    if (c->begun) return;
    c->begun = true;
    choice_charge(s, c, c->job->n_prompt);
    c->started_ns = clock_now_ns();
    if (c->job->callbacks.begin) c->job->callbacks.begin(c->context);
}

static bool can_begin(const struct scheduler *s, const struct choice *c) {
    if (s->n_running == s->n_sequences) return false;
    return s->n_running == 0 || has_pages(s, choice_pages_to_begin(s, c));
}

/* Takes c out of the queue, if need be in place of others that are less important. */
static bool make_way(struct scheduler *s, struct choice *c) {
    while (!can_begin(s, c)) {
        struct choice *last = last_running(s);
        if (last->job->priority >= c->job->priority) return false;
        preempt(s, last);
    }
    pthread_mutex_lock(&s->mutex);
    queue_take(s, c);
    pthread_mutex_unlock(&s->mutex);
    return true;
}

/* False: c has failed. */
static bool take_over(struct scheduler *s, struct choice *c) {
    hearth_error err = {0};
    hearth_status status = choice_adopt_pages(s, c, &err);
    if (status != HEARTH_OK) choice_fail(s, c, status, err.message);
    return status == HEARTH_OK;
}

static bool use_adapters(struct scheduler *s, struct choice *c) {
    hearth_error err = {0};
    hearth_status status = choice_use_adapters(c, &err);
    if (status != HEARTH_OK) choice_fail(s, c, status, err.message);
    return status == HEARTH_OK;
}

void scheduler_admit(struct scheduler *s) {
    for (;;) {
        pthread_mutex_lock(&s->mutex);
        struct choice *c = queue_first(s);
        pthread_mutex_unlock(&s->mutex);
        if (!c || !make_way(s, c)) return;
        begin(s, c);
        if (!use_adapters(s, c) || !take_over(s, c)) continue;
        uint32_t done = choice_computed(s, c);
        if (c->n_lost > done) s->stats.n_recomputed += c->n_lost - done;
        if (c->n_tokens == c->job->n_prompt) c->job->leader = c;
    }
}

struct choice *choice_share_prompt(struct scheduler *s, struct choice *c) {
    if (c->job->leader != c) return NULL;
    c->job->leader = NULL;
    if (s->n_running == s->n_sequences || !has_pages(s, 1)) return NULL;
    pthread_mutex_lock(&s->mutex);
    struct choice *other = queue_first(s);
    bool waits = other && other->job == c->job && other->n_tokens == c->n_tokens;
    if (waits) queue_take(s, other);
    pthread_mutex_unlock(&s->mutex);
    if (!waits) return NULL;
    begin(s, other);
    hearth_error err = {0};
    hearth_status status = context_sequence_fork(s->context, c->sequence, other->sequence, &err);
    if (status != HEARTH_OK) {
        choice_fail(s, other, status, err.message);
        return NULL;
    }
    other->n_kept = c->n_kept;
    if (other->result.n_preempted == 0) {
        other->result.n_reused = c->job->n_prompt;
        choice_refund(s, other, c->job->n_prompt);
    }
    c->job->leader = c;
    return other;
}

/* ---- pages run out ------------------------------------------------------------ */

uint64_t scheduler_pages_wanted(const struct scheduler *s) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < s->n_sequences; i++)
        if (s->rows[i] > 0) n += context_pages_wanted(s->context, i, s->rows[i]);
    return n;
}

/* The first that runs always finds pages: once it is alone, all others are free or unused, and
 * together they are enough for a full sequence. */
static void secure_pages(struct scheduler *s) {
    const struct page_table *table = context_pages(s->context);
    while (scheduler_pages_wanted(s) > (uint64_t)table->n_free + table->n_idle)
        preempt(s, last_running(s));
    scheduler_free_pages(s, scheduler_pages_wanted(s));
}

/* ---- rows --------------------------------------------------------------------- */

/* The rows of next tokens; returns how many. */
static uint32_t grant_next_tokens(struct scheduler *s) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n_sequences; i++) {
        bool next = s->running[i] && choice_awaits_token(s, s->running[i]);
        s->rows[i] = next ? 1 : 0;
        n += next;
    }
    return n;
}

static bool scores_rows(const struct scheduler *s, const struct choice *c) {
    return choice_scores(c) && choice_computed(s, c) < c->job->n_prompt;
}

/* Rows of prompts, or to be computed again, that sequence i could have beyond what it has. */
static uint32_t rows_wanted(const struct scheduler *s, uint32_t i) {
    const struct choice *c = s->running[i];
    if (!c || c->follows) return 0;
    uint32_t n = rows_to_do(s, c) - s->rows[i];
    return scores_rows(s, c) && n > s->score_rows ? s->score_rows : n;
}

/* Clients take turns, and so do the prompts of each. */
static bool is_granted_before(const struct choice *a, const struct choice *b) {
    const struct scheduler_client *x = a->job->client, *y = b->job->client;
    if (a->job->priority != b->job->priority) return a->job->priority > b->job->priority;
    return x != y ? x->turn < y->turn : a->turn < b->turn;
}

/* One page of tokens, or what is left, to whoever of the highest priority has waited longest for
 * some; returns the rows that are left. */
static uint32_t grant_page(struct scheduler *s, uint32_t budget) {
    struct choice *c = NULL;
    for (uint32_t i = 0; i < s->n_sequences; i++)
        if (rows_wanted(s, i) > 0 && (!c || is_granted_before(s->running[i], c))) c = s->running[i];
    if (!c) return 0;
    uint32_t n = rows_wanted(s, c->sequence);
    if (n > CACHE_PAGE_TOKENS) n = CACHE_PAGE_TOKENS;
    if (n > budget) n = budget;
    s->rows[c->sequence] += n;
    if (scores_rows(s, c)) s->score_rows -= n;
    c->turn = c->job->client->turn = ++s->n_turns;
    return budget - n;
}

static void grant_rows(struct scheduler *s) {
    for (uint32_t i = 0; i < s->n_sequences; i++)
        if (s->running[i]) take_over(s, s->running[i]);
    for (uint32_t i = 0; i < s->n_sequences; i++)
        if (s->running[i]) s->running[i]->follows = choice_can_follow(s, s->running[i]);
    uint32_t n_next = grant_next_tokens(s), budget = s->max_batch;
    if (n_next > 0) budget = s->options.max_prompt_rows;
    s->score_rows = SCHEDULER_SCORE_ROWS;
    while (budget > 0)
        budget = grant_page(s, budget);
}

/* ---- a pass -------------------------------------------------------------------- */

static uint32_t list_parts(struct scheduler *s, uint32_t *n_rows) {
    uint32_t n = 0;
    *n_rows = 0;
    for (uint32_t i = 0; i < s->n_sequences; i++) {
        if (s->rows[i] == 0) continue;
        const struct choice *c = s->running[i];
        uint32_t done = choice_computed(s, c);
        s->parts[n++] = (struct context_part){.sequence = i,
                                              .tokens = c->tokens + done,
                                              .n_tokens = s->rows[i],
                                              .all_logits = scores_rows(s, c) || c->n_draft > 0,
                                              .last_logits = done + s->rows[i] >= c->n_tokens,
                                              .keep_states = c->n_draft > 0,
                                              .prompt = done < c->job->n_prompt};
        *n_rows += s->rows[i];
    }
    return n;
}

/* False: c has failed. */
static bool keep_pages(struct scheduler *s, struct choice *c) {
    hearth_error err = {0};
    hearth_status status = choice_keep_pages(s, c, &err);
    if (status != HEARTH_OK) choice_fail(s, c, status, err.message);
    return status == HEARTH_OK;
}

/* `row`: of the last token; those of what is drafted follow. */
static void go_on(struct scheduler *s, struct choice *c, const float *row) {
    struct choice *other;
    while ((other = choice_share_prompt(s, c)))
        choice_go_on(s, other, row);
    uint32_t n = c->n_tokens;
    while (choice_go_on(s, c, row) && choice_is_ahead(s, c) && keep_pages(s, c)) {
        row += (size_t)(c->n_tokens - n) * s->n_vocab;
        n = c->n_tokens;
    }
}

static void take_logits(struct scheduler *s, uint32_t n_parts) {
    const float *rows = s->logits;
    for (uint32_t i = 0; i < n_parts; i++) {
        const struct context_part *part = &s->parts[i];
        struct choice *c = s->running[part->sequence];
        uint32_t n_rows = part->all_logits ? part->n_tokens : part->last_logits;
        const float *next = rows + (size_t)n_rows * s->n_vocab;
        if (part->all_logits && part->prompt)
            choice_score(s, c, choice_computed(s, c) - part->n_tokens, part->n_tokens, rows);
        if (keep_pages(s, c) && part->last_logits)
            go_on(s, c, next - (size_t)(1 + c->n_draft) * s->n_vocab);
        rows = next;
    }
}

static void fail_parts(struct scheduler *s, uint32_t n_parts, hearth_status status,
                       const char *message) {
    for (uint32_t i = 0; i < n_parts; i++)
        choice_fail(s, s->running[s->parts[i].sequence], status, message);
}

void scheduler_pass(struct scheduler *s) {
    uint32_t n_rows;
    hearth_error err = {0};
    grant_rows(s);
    secure_pages(s);
    scheduler_add_drafts(s);
    uint32_t n_parts = list_parts(s, &n_rows);
    if (n_parts == 0) return;
    uint64_t start = clock_now_ns();
    hearth_status status = context_decode(s->context, s->parts, n_parts, s->logits, &err);
    scheduler_measure_pass(s, clock_seconds_since(start));
    s->stats.n_passes++;
    s->stats.n_rows += n_rows;
    if (status == HEARTH_OK)
        take_logits(s, n_parts);
    else
        fail_parts(s, n_parts, status, err.message);
}
