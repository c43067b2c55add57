/* What a pass computes: who is admitted, how many rows everyone gets, and whose pages they take. */
#include "infer/scheduler_parts.h"

#include <string.h>

#include "base/clock.h"

static uint32_t computed(const struct scheduler *s, const struct choice *c) {
    return context_sequence_length(s->context, c->sequence);
}

/* Rows of c that one part can compute: of the prompt, or of what follows it. */
static uint32_t rows_to_do(const struct scheduler *s, const struct choice *c) {
    uint32_t done = computed(s, c), n_prompt = c->job->n_prompt;
    return (done < n_prompt ? n_prompt : c->n_tokens) - done;
}

/* Whether all that c needs is the row of its last token, for which someone waits. */
static bool is_next_token(const struct scheduler *s, const struct choice *c) {
    return computed(s, c) >= c->job->n_prompt && rows_to_do(s, c) == 1;
}

/* ---- pages in the tree ------------------------------------------------------- */

/* What a page holds is decided by its tokens and by the arithmetic of each. */
static void make_keys(const struct scheduler *s, const struct choice *c, uint32_t page,
                      uint32_t keys[CACHE_PAGE_TOKENS]) {
    for (uint32_t i = 0; i < CACHE_PAGE_TOKENS; i++) {
        uint32_t at = page * CACHE_PAGE_TOKENS + i;
        bool marked = s->marks_generated && at >= c->job->n_prompt;
        keys[i] = (uint32_t)c->tokens[at] | (marked ? UINT32_C(1) << 31 : 0);
    }
}

/* The computed page that follows the first `n` of c, of which `last` is the last one. Of the
 * last token the logits are wanted, so it is computed in any case. */
static uint32_t find_page(const struct scheduler *s, const struct choice *c, uint32_t n,
                          uint32_t last) {
    uint32_t keys[CACHE_PAGE_TOKENS];
    if (choice_scores(c) && c->n_scored < (n + 1) * CACHE_PAGE_TOKENS) return PREFIX_ROOT;
    if (!s->tree || (n + 1) * CACHE_PAGE_TOKENS >= c->n_tokens) return PREFIX_ROOT;
    make_keys(s, c, n, keys);
    return prefix_tree_find(s->tree, last, keys);
}

static uint32_t last_kept(const struct scheduler *s, const struct choice *c) {
    return c->n_kept ? context_sequence_page(s->context, c->sequence, c->n_kept - 1) : PREFIX_ROOT;
}

static bool has_all_kept(const struct scheduler *s, const struct choice *c) {
    return s->tree && computed(s, c) == c->n_kept * CACHE_PAGE_TOKENS;
}

/* Whether b computes the page next that c needs next, too. */
static bool computes_page_of(const struct scheduler *s, const struct choice *b,
                             const struct choice *c) {
    uint32_t page = c->n_kept, keys[CACHE_PAGE_TOKENS], others[CACHE_PAGE_TOKENS];
    if (b->n_kept != page || last_kept(s, b) != last_kept(s, c) || !has_all_kept(s, b) ||
        (page + 1) * CACHE_PAGE_TOKENS > b->n_tokens)
        return false;
    make_keys(s, b, page, others);
    make_keys(s, c, page, keys);
    return memcmp(keys, others, sizeof keys) == 0;
}

/* Whether c had better wait for what one before it is about to compute. */
static bool can_follow(const struct scheduler *s, const struct choice *c) {
    if (!has_all_kept(s, c) || choice_scores(c) ||
        (c->n_kept + 1) * CACHE_PAGE_TOKENS >= c->n_tokens)
        return false;
    for (uint32_t i = 0; i < s->n_sequences; i++) {
        const struct choice *b = s->running[i];
        if (b && b != c && choice_precedes(b, c) && computes_page_of(s, b, c)) return true;
    }
    return false;
}

/* Takes over the pages that are computed already, also those that another has computed since c
 * began. */
static void adopt_pages(struct scheduler *s, struct choice *c) {
    uint32_t page;
    if (!has_all_kept(s, c)) return;
    while ((page = find_page(s, c, c->n_kept, last_kept(s, c))) != PREFIX_ROOT) {
        context_sequence_adopt(s->context, c->sequence, page);
        c->n_kept++;
        if (c->result.n_preempted == 0) c->result.n_reused += CACHE_PAGE_TOKENS;
    }
}

static void keep_pages(struct scheduler *s, struct choice *c) {
    uint32_t keys[CACHE_PAGE_TOKENS];
    while (s->tree && (c->n_kept + 1) * CACHE_PAGE_TOKENS <= computed(s, c)) {
        uint32_t own = context_sequence_page(s->context, c->sequence, c->n_kept);
        make_keys(s, c, c->n_kept, keys);
        uint32_t page = prefix_tree_add(s->tree, last_kept(s, c), keys, own);
        if (page != own) context_sequence_exchange(s->context, c->sequence, c->n_kept, page);
        c->n_kept++;
    }
}

void choice_leave(struct scheduler *s, struct choice *c) {
    for (uint32_t i = c->n_kept; i > 0; i--)
        prefix_tree_touch(s->tree, context_sequence_page(s->context, c->sequence, i - 1));
    context_sequence_truncate(s->context, c->sequence, 0);
    if (c->job->leader == c) c->job->leader = NULL;
    s->running[c->sequence] = NULL;
    s->n_running--;
    c->sequence = NO_SEQUENCE;
    c->n_kept = 0;
}

/* ---- preemption --------------------------------------------------------------- */

static struct choice *last_running(const struct scheduler *s) {
    struct choice *last = NULL;
    for (uint32_t i = 0; i < s->n_sequences; i++)
        if (s->running[i] && (!last || choice_precedes(last, s->running[i]))) last = s->running[i];
    return last;
}

static void preempt(struct scheduler *s, struct choice *c) {
    s->rows[c->sequence] = 0;
    c->n_lost = computed(s, c);
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

static void evict_until(struct scheduler *s, uint64_t n_free) {
    const struct page_table *table = context_pages(s->context);
    while (table->n_free < n_free && prefix_tree_evict(s->tree)) {
    }
}

uint32_t scheduler_clear(struct scheduler *s, uint32_t n_tokens) {
    const struct page_table *table = context_pages(s->context);
    uint32_t wanted = (n_tokens + CACHE_PAGE_TOKENS - 1) / CACHE_PAGE_TOKENS;
    while (s->n_running == s->n_sequences || wanted > table->n_free + table->n_idle)
        preempt(s, last_running(s));
    evict_until(s, wanted);
    return free_sequence(s);
}

/* ---- admission --------------------------------------------------------------- */

/* Pages that those who run still need for the tokens they have. */
static uint64_t pages_owed(const struct scheduler *s) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < s->n_sequences; i++)
        if (s->running[i])
            n += context_pages_wanted(s->context, i,
                                      s->running[i]->n_tokens - computed(s, s->running[i]));
    return n;
}

/* Whether there are so many pages that nobody needs, with one more for everyone to grow into:
 * who is admitted too early is preempted soon. */
static bool has_pages(const struct scheduler *s, uint64_t wanted) {
    const struct page_table *table = context_pages(s->context);
    return wanted + pages_owed(s) + s->n_running <= (uint64_t)table->n_free + table->n_idle;
}

/* Pages for all tokens of c, except those that others use already. */
static uint64_t pages_to_begin(const struct scheduler *s, const struct choice *c) {
    const struct page_table *table = context_pages(s->context);
    uint32_t n_pages = (c->n_tokens + CACHE_PAGE_TOKENS - 1) / CACHE_PAGE_TOKENS, found = 0;
    uint32_t page = find_page(s, c, 0, PREFIX_ROOT);
    while (page != PREFIX_ROOT && table->uses[page] > 0)
        page = find_page(s, c, ++found, page);
    return n_pages - found;
}

static void begin(struct scheduler *s, struct choice *c) {
    uint32_t sequence = free_sequence(s);
    s->running[sequence] = c;
    s->n_running++;
    c->sequence = sequence;
    if (!c->begun) c->started_ns = clock_now_ns();
    c->begun = true;
}

static bool can_begin(const struct scheduler *s, const struct choice *c) {
    if (s->n_running == s->n_sequences) return false;
    return s->n_running == 0 || has_pages(s, pages_to_begin(s, c));
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

void scheduler_admit(struct scheduler *s) {
    for (;;) {
        pthread_mutex_lock(&s->mutex);
        struct choice *c = queue_first(s);
        pthread_mutex_unlock(&s->mutex);
        if (!c || !make_way(s, c)) return;
        begin(s, c);
        adopt_pages(s, c);
        uint32_t done = computed(s, c);
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
    if (other->result.n_preempted == 0) other->result.n_reused = c->job->n_prompt;
    c->job->leader = c;
    return other;
}

/* ---- pages run out ------------------------------------------------------------ */

static uint64_t pages_wanted(const struct scheduler *s) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < s->n_sequences; i++)
        if (s->rows[i] > 0) n += context_pages_wanted(s->context, i, s->rows[i]);
    return n;
}

/* The first that runs always finds pages: once it is alone, all others are free or unused, and
 * together they are enough for a full sequence. */
static void secure_pages(struct scheduler *s) {
    const struct page_table *table = context_pages(s->context);
    while (pages_wanted(s) > (uint64_t)table->n_free + table->n_idle)
        preempt(s, last_running(s));
    evict_until(s, pages_wanted(s));
}

/* ---- rows --------------------------------------------------------------------- */

/* The rows of next tokens; returns how many. */
static uint32_t grant_next_tokens(struct scheduler *s) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n_sequences; i++) {
        bool next = s->running[i] && is_next_token(s, s->running[i]);
        s->rows[i] = next ? 1 : 0;
        n += next;
    }
    return n;
}

static bool scores_rows(const struct scheduler *s, const struct choice *c) {
    return choice_scores(c) && computed(s, c) < c->job->n_prompt;
}

/* Rows of prompts, or to be computed again, that sequence i could have beyond what it has. */
static uint32_t rows_wanted(const struct scheduler *s, uint32_t i) {
    const struct choice *c = s->running[i];
    if (!c || c->follows) return 0;
    uint32_t n = rows_to_do(s, c) - s->rows[i];
    return scores_rows(s, c) && n > s->score_rows ? s->score_rows : n;
}

/* One page of tokens, or what is left, to each of the highest priority that wants some, in turn;
 * returns the rows that are left. */
static uint32_t grant_round(struct scheduler *s, uint32_t budget) {
    const struct choice *first = NULL;
    for (uint32_t i = 0; i < s->n_sequences; i++)
        if (rows_wanted(s, i) > 0 &&
            (!first || s->running[i]->job->priority > first->job->priority))
            first = s->running[i];
    if (!first) return 0;
    for (uint32_t k = 0, from = s->turn; k < s->n_sequences && budget > 0; k++) {
        uint32_t i = (from + k) % s->n_sequences, n = rows_wanted(s, i);
        if (n == 0 || s->running[i]->job->priority != first->job->priority) continue;
        if (n > CACHE_PAGE_TOKENS) n = CACHE_PAGE_TOKENS;
        if (n > budget) n = budget;
        s->rows[i] += n;
        if (scores_rows(s, s->running[i])) s->score_rows -= n;
        budget -= n;
        s->turn = (i + 1) % s->n_sequences;
    }
    return budget;
}

static void grant_rows(struct scheduler *s) {
    for (uint32_t i = 0; i < s->n_sequences; i++)
        if (s->running[i]) adopt_pages(s, s->running[i]);
    for (uint32_t i = 0; i < s->n_sequences; i++)
        if (s->running[i]) s->running[i]->follows = can_follow(s, s->running[i]);
    uint32_t n_next = grant_next_tokens(s), budget = s->max_batch;
    if (n_next > 0) budget = s->options.max_prompt_rows;
    s->score_rows = SCHEDULER_SCORE_ROWS;
    while (budget > 0)
        budget = grant_round(s, budget);
}

/* ---- a pass -------------------------------------------------------------------- */

static uint32_t list_parts(struct scheduler *s, uint32_t *n_rows) {
    uint32_t n = 0;
    *n_rows = 0;
    for (uint32_t i = 0; i < s->n_sequences; i++) {
        if (s->rows[i] == 0) continue;
        const struct choice *c = s->running[i];
        uint32_t done = computed(s, c);
        s->parts[n++] = (struct context_part){.sequence = i,
                                              .tokens = c->tokens + done,
                                              .n_tokens = s->rows[i],
                                              .all_logits = scores_rows(s, c),
                                              .last_logits = done + s->rows[i] == c->n_tokens,
                                              .prompt = done < c->job->n_prompt};
        *n_rows += s->rows[i];
    }
    return n;
}

/* `row`: of the part's last token. */
static void go_on(struct scheduler *s, struct choice *c, const float *row) {
    struct choice *other;
    while ((other = choice_share_prompt(s, c)))
        choice_go_on(s, other, row);
    choice_go_on(s, c, row);
}

static void take_logits(struct scheduler *s, uint32_t n_parts) {
    const float *rows = s->logits;
    for (uint32_t i = 0; i < n_parts; i++) {
        const struct context_part *part = &s->parts[i];
        struct choice *c = s->running[part->sequence];
        uint32_t n_rows = part->all_logits ? part->n_tokens : part->last_logits;
        keep_pages(s, c);
        if (part->all_logits)
            choice_score(s, c, computed(s, c) - part->n_tokens, part->n_tokens, rows);
        rows += (size_t)n_rows * s->n_vocab;
        if (part->last_logits) go_on(s, c, rows - s->n_vocab);
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
    uint32_t n_parts = list_parts(s, &n_rows);
    if (n_parts == 0) return;
    hearth_status status = context_decode(s->context, s->parts, n_parts, s->logits, &err);
    s->stats.n_passes++;
    s->stats.n_rows += n_rows;
    if (status == HEARTH_OK)
        take_logits(s, n_parts);
    else
        fail_parts(s, n_parts, status, err.message);
}
