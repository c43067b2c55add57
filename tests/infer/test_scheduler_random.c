/* Rounds of random work: requests of several threads with common beginnings, choices, adapters and
 * priorities, cancelled and stopped anywhere, in caches of a few pages, with and without drafts.
 * Every answer is what it is alone, as far as it was let; between passes and in the end every page
 * is free, kept, or counted for the sequences that use it.
 *
 * Rounds take ROUNDS_SECONDS together, or HEARTH_SCHEDULER_SECONDS; the first of them is number
 * HEARTH_SCHEDULER_ROUND, which a failure names. */
#include "scheduling.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/rng.h"
#include "model/random_adapter.h"

enum {
    ROUNDS_SECONDS = 2,
    N_THREADS = 3,
    MOST_TASKS = 5, /* of a thread */
    MOST_CHOICES = 3,
    N_FAMILIES = 2, /* of prompts */
    N_ADAPTERS = 2,
    N_SETS = 5,
    N_INSPECTIONS = 3
};

static const char *const models[] = {"models/stories260K/stories260K.gguf",
                                     "quantmodels/q4_0/model.gguf", "arch/lfm2-dense/model.gguf",
                                     "arch/qwen35-dense/model.gguf"};
enum { N_MODELS = sizeof models / sizeof models[0] };

/* One request, and what its choices hear. */
struct work {
    struct task task;
    struct sampler_params params[MOST_CHOICES];
    struct hearing {
        struct heard heard;
        struct work *work;
    } choices[MOST_CHOICES];
    uint32_t n_choices, n_scored;
    uint32_t cancel_after; /* tokens of any choice; 0: not so */
    uint64_t rest_ns;      /* before it is submitted, and before it is cancelled from outside */
    bool cancels, scores, misscored;
    struct adapter_set set;
    _Atomic(struct scheduler_job *) job;
    hearth_status submitted;
};

struct crew {
    struct scheduler *scheduler;
    struct work *work; /* [n] */
    uint32_t n;
    pthread_t thread;
};

struct round {
    uint64_t number;
    struct rng rng;
    const char *model;
    struct hall hall;
    struct hall_options options;
    bool drafts;
    struct adapter_set sets[N_SETS];
    struct work work[N_THREADS][MOST_TASKS];
    struct crew crews[N_THREADS];
};

static struct random_adapter adapters[N_ADAPTERS];
static struct round now;
static struct scheduler_stats seen; /* in all rounds */

static uint32_t below(struct rng *rng, uint32_t n) {
    return (uint32_t)(rng_u64(rng) % n);
}

static bool chance(struct rng *rng, double p) {
    return rng_uniform(rng) < p;
}

/* ---- callbacks ------------------------------------------------------------------------- */

static enum scheduler_verdict take(void *context, const struct scheduler_token *token,
                                   struct scheduler_words *words) {
    struct hearing *c = context;
    struct scheduler_job *job = atomic_load(&c->work->job);
    enum scheduler_verdict verdict = hear(&c->heard, token, words);
    if (job && c->work->cancel_after > 0 && c->heard.n >= c->work->cancel_after)
        scheduler_cancel(job);
    return verdict;
}

static void score(void *context, const struct scheduler_token *token) {
    struct work *w = ((struct hearing *)context)->work;
    uint32_t at = ++w->n_scored;
    if (at >= w->task.n_prompt || w->task.prompt[at] != token->token || !(token->logprob <= 0))
        w->misscored = true;
}

static void end(void *context, const struct scheduler_result *result) {
    hear_end(&((struct hearing *)context)->heard, result);
}

/* ---- a round's work -------------------------------------------------------------------- */

/* Prompts are alike up to somewhere, and many from beginning to end. */
static void make_prompt(struct task *t, struct rng *rng, uint32_t n_ctx, uint32_t n_vocab) {
    uint32_t family = below(rng, N_FAMILIES), alike = below(rng, 2 * n_ctx);
    uint32_t least = chance(rng, 0.7) ? n_ctx / 3 : 1, other = 1 + below(rng, 3);
    t->n_prompt = least + below(rng, chance(rng, 0.1) ? n_ctx - least + 1 : n_ctx / 3);
    for (uint32_t k = 0; k < t->n_prompt; k++)
        t->prompt[k] = (int32_t)(3 + (k * (5 + family) + (k < alike ? 0 : other)) % (n_vocab - 3));
}

static void make_work(struct round *r, struct work *w) {
    struct rng *rng = &r->rng;
    uint32_t n_vocab = r->hall.alone.model.config.n_vocab;
    *w = (struct work){.n_choices = chance(rng, 0.3) ? 1 + below(rng, MOST_CHOICES) : 1,
                       .set = r->sets[below(rng, N_SETS)],
                       .cancel_after = chance(rng, 0.15) ? 1 + below(rng, 30) : 0,
                       .cancels = chance(rng, 0.15),
                       .rest_ns = chance(rng, 0.5) ? below(rng, 3000000) : 0};
    w->scores = w->n_choices == 1 && chance(rng, 0.15);
    make_prompt(&w->task, rng, r->options.n_ctx, n_vocab);
    w->task.max_tokens = chance(rng, 0.05) ? 0 : 1 + below(rng, 30);
    w->task.priority = chance(rng, 0.2) ? (int32_t)below(rng, 3) : 0;
    w->task.ignore_end = chance(rng, 0.5);
    w->task.adapters = &w->set;
    for (uint32_t i = 0; i < w->n_choices; i++) {
        w->params[i] = chance(rng, 0.4) ? greedy() : sampling(below(rng, 1000));
        w->choices[i].work = w;
        w->choices[i].heard.stop_after = chance(rng, 0.15) ? 1 + below(rng, 20) : 0;
    }
}

static void submit_work(struct scheduler *scheduler, struct work *w) {
    struct scheduler_choice choices[MOST_CHOICES];
    struct scheduler_job *job = NULL;
    for (uint32_t i = 0; i < w->n_choices; i++)
        choices[i] = (struct scheduler_choice){&w->params[i], &w->choices[i]};
    struct scheduler_request request = request_of(&w->task, choices);
    request.n_choices = w->n_choices;
    request.callbacks =
        (struct scheduler_callbacks){.take = take, .end = end, .score = w->scores ? score : NULL};
    w->submitted = scheduler_submit(scheduler, &request, &job, NULL);
    atomic_store(&w->job, job);
}

static void *submit_all(void *context) {
    struct crew *crew = context;
    for (uint32_t i = 0; i < crew->n; i++) {
        if (crew->work[i].rest_ns) clock_rest(crew->work[i].rest_ns);
        submit_work(crew->scheduler, &crew->work[i]);
    }
    for (uint32_t i = 0; i < crew->n; i++) {
        struct work *w = &crew->work[i];
        if (!w->job) continue;
        if (w->cancels) clock_rest(w->rest_ns);
        if (w->cancels) scheduler_cancel(w->job);
        scheduler_finish(w->job);
    }
    return NULL;
}

/* ---- what must hold -------------------------------------------------------------------- */

/* Counts what sequences use, and compares it with the table. A message in *found, or NULL. */
static hearth_status inspect(void *found, struct context *context, uint32_t sequence,
                             hearth_error *err) {
    static uint32_t uses[1024];
    const struct page_table *table = context_pages(context);
    uint32_t n_idle = 0, n_free = 0;
    const char **message = found;
    (void)sequence;
    (void)err;
    memset(uses, 0, sizeof uses);
    for (uint32_t i = 0; i < context_settings(context)->n_sequences; i++) {
        uint32_t length = context_sequence_length(context, i);
        for (uint32_t k = 0; k * CACHE_PAGE_TOKENS < length; k++)
            uses[context_sequence_page(context, i, k)]++;
    }
    for (uint32_t i = 0; i < table->n_pages; i++) {
        if (uses[i] != table->uses[i]) *message = "a page has another number of users";
        n_idle += uses[i] == 0 && table->kept[i];
        n_free += uses[i] == 0 && !table->kept[i];
    }
    if (n_idle != table->n_idle) *message = "another number of pages is kept";
    if (n_free != table->n_free) *message = "another number of pages is free";
    for (uint32_t i = 0; i < table->n_free; i++)
        if (uses[table->free[i]]++ > 0 || table->kept[table->free[i]])
            *message = "a page in the list of free ones is not, or stands there twice";
    return HEARTH_OK;
}

static void expect_pages_counted(struct round *r, uint32_t n_tokens) {
    const char *message = NULL;
    hearth_error err = {0};
    expect_ok(scheduler_do(r->hall.scheduler, n_tokens, inspect, &message, &err), &err);
    if (message) fail_msg("round %llu: %s", (unsigned long long)r->number, message);
}

/* All that was heard is what it is alone, and all of that was heard unless it was broken off. */
static void check_choice(struct round *r, struct work *w, uint32_t i, const char *what) {
    static int32_t tokens[MOST_HEARD];
    enum generation_end ended;
    const struct task *t = &w->task;
    const struct heard *heard = &w->choices[i].heard;
    enum scheduler_reason reason = heard->result.reason;
    uint32_t n = answer_alone(&r->hall, t, &w->params[i], tokens, &ended), all = n;
    if (ended == GENERATION_CONTEXT) all++; /* its last token is in no session */
    if (t->max_tokens && all > t->max_tokens) all = t->max_tokens;
    if (heard->result.status != HEARTH_OK) fail_msg("%s: %s", what, heard->message);
    assert_int_equal(heard->ends, 1);
    assert_int_equal(heard->result.n_generated, heard->n);
    for (uint32_t k = 0; k < heard->n && k < n; k++)
        if (heard->tokens[k] != tokens[k])
            fail_msg("%s: token %u after a prompt of %u is %d, alone %d", what, k, t->n_prompt,
                     heard->tokens[k], tokens[k]);
    assert_in_range(heard->n, 0, all);
    if (reason == SCHEDULER_CANCELLED) {
        assert_true(w->cancels || w->cancel_after > 0);
        return;
    }
    if (w->scores) assert_int_equal(w->n_scored, t->n_prompt - 1);
    if (reason == SCHEDULER_STOPPED) {
        assert_int_equal(heard->n, heard->stop_after);
        return;
    }
    assert_int_equal(heard->n, all);
    if (t->max_tokens && all == t->max_tokens)
        assert_int_equal(reason, SCHEDULER_LENGTH);
    else
        assert_int_equal(reason, ended == GENERATION_CONTEXT ? SCHEDULER_CONTEXT : SCHEDULER_ENDED);
}

static void check_work(struct round *r, struct work *w) {
    char what[96];
    snprintf(what, sizeof what, "round %llu, %s", (unsigned long long)r->number, r->model);
    assert_int_equal(w->submitted, HEARTH_OK);
    for (uint32_t i = 0; i < w->n_choices; i++)
        check_choice(r, w, i, what);
    if (w->misscored) fail_msg("%s: another token of the prompt was scored", what);
}

/* ---- rounds ---------------------------------------------------------------------------- */

static void open_round(struct round *r, uint64_t number) {
    hearth_error err = {0};
    *r = (struct round){.number = number, .model = models[number % N_MODELS]};
    rng_seed(&r->rng, number);
    uint32_t n_ctx = 50 + below(&r->rng, HALL_CTX - 50);
    uint32_t n_sequences = 1 + below(&r->rng, 6), full = n_ctx / CACHE_PAGE_TOKENS + 1;
    r->drafts = chance(&r->rng, 0.5);
    r->options = (struct hall_options){
        .n_ctx = n_ctx,
        .n_sequences = n_sequences,
        .n_pages = full + below(&r->rng, full * n_sequences),
        .n_states = below(&r->rng, 6),
        .scheduler = {.no_reuse = chance(&r->rng, 0.1),
                      .max_prompt_rows = chance(&r->rng, 0.3) ? 1 + below(&r->rng, 60) : 0}};
    hall_drafting = r->drafts ? &lookup : NULL;
    open_hall(&r->hall, r->model, &r->options);
    for (uint32_t a = 0; a < N_ADAPTERS; a++) {
        random_adapter_open(&adapters[a], &r->hall.alone.model,
                            &(struct random_adapter_shape){.seed = 7 + a, .rank = 4});
        expect_ok(scheduler_load_adapter(r->hall.scheduler, &adapters[a].adapter, 1, &err), &err);
    }
    const struct adapter *first = &adapters[0].adapter, *second = &adapters[1].adapter;
    r->sets[1] = (struct adapter_set){{{first, 1}}, 1};
    r->sets[2] = (struct adapter_set){{{first, -0.5f}}, 1};
    r->sets[3] = (struct adapter_set){{{first, 0.5f}, {second, 1}}, 2};
}

static void close_round(struct round *r) {
    close_hall(&r->hall);
    for (int a = 0; a < N_ADAPTERS; a++)
        random_adapter_close(&adapters[a]);
}

static void run_round(struct round *r, uint64_t number) {
    open_round(r, number);
    for (int i = 0; i < N_THREADS; i++) {
        struct crew *crew = &r->crews[i];
        *crew = (struct crew){.scheduler = r->hall.scheduler, .work = r->work[i]};
        crew->n = 1 + below(&r->rng, MOST_TASKS);
        for (uint32_t k = 0; k < crew->n; k++)
            make_work(r, &crew->work[k]);
    }
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&r->crews[i].thread, NULL, submit_all, &r->crews[i]), 0);
    for (int i = 0; i < N_INSPECTIONS; i++)
        expect_pages_counted(r, below(&r->rng, r->options.n_ctx + 1));
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(r->crews[i].thread, NULL);
    expect_pages_counted(r, 0);
    struct scheduler_stats stats = stats_of(&r->hall);
    assert_int_equal(stats.n_waiting + stats.n_running, 0);
    seen.n_preempted += stats.n_preempted;
    seen.n_reused += stats.n_reused;
    seen.n_generated += stats.n_generated;
    seen.n_accepted += stats.n_accepted;
    for (int i = 0; i < N_THREADS; i++)
        for (uint32_t k = 0; k < r->crews[i].n; k++)
            check_work(r, &r->crews[i].work[k]);
    close_round(r);
}

static uint64_t number_of(const char *variable, uint64_t otherwise) {
    const char *value = getenv(variable);
    return value ? strtoull(value, NULL, 10) : otherwise;
}

static void random_work_is_as_alone(void **state) {
    uint64_t start = clock_now_ns(), number = number_of("HEARTH_SCHEDULER_ROUND", 0);
    double seconds = (double)number_of("HEARTH_SCHEDULER_SECONDS", ROUNDS_SECONDS);
    (void)state;
    do
        run_round(&now, number++);
    while (clock_seconds_since(start) < seconds);
    print_message(
        "up to round %llu: %llu tokens, %llu of them drafted, %llu of prompts found, %llu "
        "answers preempted\n",
        (unsigned long long)number - 1, (unsigned long long)seen.n_generated,
        (unsigned long long)seen.n_accepted, (unsigned long long)seen.n_reused,
        (unsigned long long)seen.n_preempted);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_work_is_as_alone)};
    return cmocka_run_group_tests_name("infer/scheduler_random", tests, NULL, NULL);
}
