/* What the scheduler drafts changes no token, whatever is drafted, for how many answers, and
 * whatever they are told in the middle of a draft; and where it does not pay nothing is drafted. */
#include "scheduling.h"

#include <stdatomic.h>

#include "infer/draft_model.h"
#include "kernels/prompt_model.h"

static const char tiny[] = "quantmodels/q4_0/model.gguf";
static const char *const models[] = {
    "quantmodels/q4_0/model.gguf", "models/stories260K/stories260K.gguf",
    "arch/qwen35-dense/model.gguf", "arch/granitehybrid-dense/model.gguf"};
enum { N_MODELS = sizeof models / sizeof models[0], N_TASKS = 12, MAX_DRAFT = 9 };
static int n_models = N_MODELS; /* the first ones */
static struct task tasks[N_TASKS];

/* ---- a drafter that knows the answers -------------------------------------------- */

/* The timelines of answers, as they are alone. */
static struct future {
    int32_t tokens[HALL_CTX + 1];
    uint32_t n;
} futures[N_TASKS];
static uint32_t n_futures;

struct oracle {
    struct drafter drafter;
    uint32_t sequence;
    unsigned mistakes; /* of 16 drafted tokens so many are wrong */
    unsigned turn;
    bool fails;
};

/* What oracles are to be like, and what they saw. */
static unsigned mistakes;
static bool oracles_fail;
static struct context *watched; /* whose pages are not to be exceeded */
static atomic_uint n_asked, n_exceeding;

/* Drafts may be as long as the pages that nobody uses. */
static void watch(const struct oracle *o, uint32_t n, uint32_t most) {
    const struct page_table *table = context_pages(watched);
    uint32_t room = (CACHE_PAGE_TOKENS - n % CACHE_PAGE_TOKENS) % CACHE_PAGE_TOKENS;
    uint32_t own = context_pages_wanted(watched, o->sequence, 1);
    uint32_t left = table->n_free + table->n_idle - own;
    if (own > table->n_free + table->n_idle || most > room + left * CACHE_PAGE_TOKENS)
        n_exceeding++;
    if (context_pages_wanted(watched, o->sequence, 1 + most) > table->n_free) n_exceeding++;
}

static hearth_status guess(struct drafter *drafter, const int32_t *tokens, uint32_t n,
                           const uint32_t worth[DRAFT_CONFIDENCES], struct draft *draft,
                           hearth_error *err) {
    struct oracle *o = (struct oracle *)drafter;
    n_asked++;
    draft->n = 0;
    draft->confidence = o->turn % DRAFT_CONFIDENCES;
    if (o->fails) return error_set(err, HEARTH_ERROR_LIMIT, "an oracle that is tired");
    if (watched) watch(o, n, draft_most(worth));
    for (uint32_t i = 0; i < n_futures; i++) {
        const struct future *f = &futures[i];
        if (f->n < n || memcmp(f->tokens, tokens, n * sizeof *tokens) != 0) continue;
        for (; draft->n < worth[draft->confidence] && n + draft->n < f->n; draft->n++) {
            bool wrong = o->turn++ * 7 % 16 < o->mistakes;
            draft->tokens[draft->n] = f->tokens[n + draft->n] ^ wrong;
        }
        break;
    }
    o->turn++;
    return HEARTH_OK;
}

static void close_oracle(struct drafter *drafter) {
    mem_free(drafter);
}

static hearth_status open_oracle(void *context, uint32_t sequence, struct drafter **drafter,
                                 hearth_error *err) {
    struct oracle *o = mem_calloc(1, sizeof *o);
    (void)context;
    if (!o) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an oracle");
    *o = (struct oracle){.drafter = {.propose = guess, .close = close_oracle},
                         .sequence = sequence,
                         .mistakes = mistakes,
                         .fails = oracles_fail};
    *drafter = &o->drafter;
    return HEARTH_OK;
}

static const struct scheduler_drafting oracles = {
    .open = open_oracle, .max_draft = MAX_DRAFT, .min_draft = 6};

/* The oracle knows how task i goes on. */
static void tell(struct hall *h, const struct task *t) {
    struct future *f = &futures[n_futures++];
    enum generation_end end;
    memcpy(f->tokens, t->prompt, t->n_prompt * sizeof *t->prompt);
    f->n = t->n_prompt + answer_alone(h, t, &t->params, f->tokens + t->n_prompt, &end);
}

static struct hall_options drafting_hall(uint32_t n_sequences) {
    return (struct hall_options){
        .n_ctx = HALL_CTX, .n_sequences = n_sequences, .scheduler = {.drafting = &oracles}};
}

static void open_told_hall(struct hall *h, const char *name, const struct hall_options *options,
                           uint32_t longest, uint32_t more) {
    open_hall(h, name, options);
    n_futures = 0;
    for (unsigned i = 0; i < N_TASKS; i++) {
        make_task(&tasks[i], i, &h->alone, longest);
        tasks[i].max_tokens += more;
        tell(h, &tasks[i]);
    }
}

/* ---- answers ---------------------------------------------------------------------- */

static void answers_are_those_without_drafts(void **state) {
    (void)state;
    for (int m = 0; m < n_models; m++) {
        uint64_t n_drafted = 0, n_accepted = 0;
        for (uint32_t n = 1; n <= 4; n++) {
            struct hall_options options = drafting_hall(n);
            struct hall h;
            options.n_states = n;
            mistakes = (n - 1) * (n - 1);
            open_told_hall(&h, models[m], &options, 70, 20);
            for (unsigned i = 0; i < N_TASKS; i++)
                submit(&h, &tasks[i]);
            uint32_t n_cut = 0;
            for (unsigned i = 0; i < N_TASKS; i++) {
                finish(&h, &tasks[i], models[m]);
                n_cut += tasks[i].heard.result.reason == SCHEDULER_LENGTH;
            }
            struct scheduler_stats stats = stats_of(&h);
            assert_true(stats.n_accepted <= stats.n_drafted);
            assert_int_equal(stats.n_preempted, 0);
            /* Rows are prompts, answers and what was refused; tokens after which nothing may
             * follow have none. */
            assert_int_equal(stats.n_rows - (stats.n_drafted - stats.n_accepted),
                             stats.n_prompt - stats.n_reused + stats.n_generated - n_cut);
            n_drafted += stats.n_drafted;
            n_accepted += stats.n_accepted;
            close_hall(&h);
        }
        if (n_accepted < 100 || n_accepted == n_drafted)
            fail_msg("%s: %llu of %llu", models[m], (unsigned long long)n_accepted,
                     (unsigned long long)n_drafted);
    }
}

/* Nobody waits again for pages of drafts, and those who do lose nothing. */
static void drafts_take_only_what_is_left(void **state) {
    (void)state;
    for (int m = 0; m < n_models; m++) {
        struct hall_options options = drafting_hall(5);
        struct hall h;
        options.n_ctx = 128;
        options.n_pages = 6;
        options.n_states = 3;
        mistakes = 2;
        n_exceeding = 0;
        open_told_hall(&h, models[m], &options, 50, 45);
        watched = h.context;
        for (unsigned i = 0; i < N_TASKS; i++) {
            tasks[i].priority = i % 5 == 0;
            submit(&h, &tasks[i]);
        }
        for (unsigned i = 0; i < N_TASKS; i++)
            finish(&h, &tasks[i], models[m]);
        watched = NULL;
        assert_int_equal(n_exceeding, 0);
        assert_true(stats_of(&h).n_preempted > 0);
        assert_true(stats_of(&h).n_accepted > 0);
        close_hall(&h);
    }
}

/* A conversation finds its own answer again, which was computed as drafts. */
static void what_was_drafted_is_found_again(void **state) {
    (void)state;
    for (int m = 0; m < n_models; m++) {
        struct hall_options options = drafting_hall(2);
        struct hall h;
        struct task *t = &tasks[0];
        options.n_states = 4;
        mistakes = 1;
        open_hall(&h, models[m], &options);
        make_task(t, 1, &h.alone, 20);
        t->ignore_end = true;
        t->max_tokens = 50;
        for (int turn = 0; turn < 3; turn++) {
            n_futures = 0;
            tell(&h, t);
            t->heard = (struct heard){0};
            submit(&h, t);
            finish(&h, t, models[m]);
            if (turn > 0 && !context_has_prompts(h.context))
                assert_int_equal(t->heard.result.n_reused,
                                 (t->n_prompt - 1) / CACHE_PAGE_TOKENS * CACHE_PAGE_TOKENS);
            assert_true(t->heard.result.n_accepted > 10);
            memcpy(t->prompt + t->n_prompt, t->heard.tokens, t->heard.n * sizeof *t->prompt);
            t->n_prompt += t->heard.n;
        }
        close_hall(&h);
    }
}

static void choices_draft_each_their_own(void **state) {
    static struct heard heard[4];
    static struct sampler_params params[4];
    struct scheduler_choice choices[4];
    struct hall_options options = drafting_hall(4);
    struct hall h;
    hearth_error err = {0};
    struct task *t = &tasks[0];
    (void)state;
    mistakes = 3;
    open_hall(&h, tiny, &options);
    make_task(t, 2, &h.alone, 40);
    t->max_tokens = 60;
    struct scheduler_request request = request_of(t, choices);
    request.n_choices = 4;
    n_futures = 0;
    for (unsigned i = 0; i < 4; i++) {
        heard[i] = (struct heard){0};
        params[i] = i == 0 ? greedy() : sampling(40 + i);
        choices[i] = (struct scheduler_choice){.params = &params[i], .context = &heard[i]};
        t->params = params[i];
        tell(&h, t);
    }
    expect_ok(scheduler_submit(h.scheduler, &request, &t->job, &err), &err);
    scheduler_finish(t->job);
    for (int i = 0; i < 4; i++)
        expect_as_alone(&h, t, "of several choices", &params[i], &heard[i]);
    assert_true(stats_of(&h).n_accepted > 20);
    close_hall(&h);
}

/* ---- in the middle of a draft ----------------------------------------------------- */

/* Hears, and notes that it is asked for allowed tokens before each one. */
struct careful {
    struct heard heard;
    uint64_t allowed[8];
    unsigned asked, out_of_turn;
    uint32_t say_after, cancel_after;
    int32_t words[3];
    bool right; /* the words are what it would have said itself */
    struct scheduler_job **job;
};

static bool allow(void *context, const uint64_t **allowed) {
    struct careful *c = context;
    /* Other tokens at every other place. */
    memset(c->allowed, c->heard.n % 2 ? 0xff : 0xf7, sizeof c->allowed);
    if (c->asked++ != c->heard.n) c->out_of_turn++;
    *allowed = c->allowed;
    return true;
}

static enum scheduler_verdict listen(void *context, const struct scheduler_token *token,
                                     struct scheduler_words *words) {
    struct careful *c = context;
    enum scheduler_verdict verdict = hear(&c->heard, token, words);
    if (token->said) c->asked++;
    if (c->heard.n == c->cancel_after) scheduler_cancel(*c->job);
    if (c->heard.n != c->say_after) return verdict;
    *words = (struct scheduler_words){c->words, 3};
    return SCHEDULER_SAY;
}

static void ask_careful(struct hall *h, struct task *t, struct careful *c, bool constrained) {
    struct scheduler_choice choice = {.params = &t->params, .context = c};
    struct scheduler_request request = request_of(t, &choice);
    hearth_error err = {0};
    c->job = &t->job;
    request.callbacks.take = listen;
    if (constrained) request.callbacks.allowed = allow;
    expect_ok(scheduler_submit(h->scheduler, &request, &t->job, &err), &err);
    scheduler_finish(t->job);
    assert_int_equal(c->out_of_turn, 0);
}

/* A long answer to be interrupted, which the oracle knows. */
static void open_interrupted(struct hall *h, const struct hall_options *options, const char *name,
                             struct task *t) {
    mistakes = 0;
    open_hall(h, name, options);
    make_task(t, 4, &h->alone, 30);
    t->max_tokens = 60;
    t->ignore_end = true;
    n_futures = 0;
    tell(h, t);
}

static void expect_first(const struct task *t, const struct heard *heard, uint32_t n) {
    assert_int_equal(heard->n, n);
    assert_int_equal(heard->result.n_generated, n);
    assert_memory_equal(heard->tokens, futures[0].tokens + t->n_prompt, n * sizeof *heard->tokens);
}

static void answers_stop_in_the_middle_of_drafts(void **state) {
    struct hall_options options = drafting_hall(1);
    struct task *t = &tasks[0];
    (void)state;
    options.n_states = 3;
    for (int m = 0; m < n_models; m++) {
        struct hall h;
        open_interrupted(&h, &options, models[m], t);
        for (uint32_t n = 1; n < 30; n += 4) {
            struct careful careful = {.heard = {.stop_after = n}};
            ask_careful(&h, t, &careful, false);
            assert_int_equal(careful.heard.result.reason, SCHEDULER_STOPPED);
            expect_first(t, &careful.heard, n);
            careful = (struct careful){.cancel_after = n};
            ask_careful(&h, t, &careful, false);
            assert_int_equal(careful.heard.result.reason, SCHEDULER_CANCELLED);
            expect_first(t, &careful.heard, n);
            struct task shorter = *t;
            shorter.max_tokens = n;
            submit(&h, &shorter);
            scheduler_finish(shorter.job);
            assert_int_equal(shorter.heard.result.reason, SCHEDULER_LENGTH);
            expect_first(t, &shorter.heard, n);
        }
        assert_true(stats_of(&h).n_accepted > 40);
        close_hall(&h);
    }
}

/* Said words may be those of the draft, in part, or others. */
static void words_are_said_in_the_middle_of_drafts(void **state) {
    struct hall_options options = drafting_hall(1), plainly = drafting_hall(1);
    struct task *t = &tasks[0];
    const struct scheduler_drafting nothing = {.max_draft = 0};
    (void)state;
    options.n_states = 3;
    plainly.scheduler.drafting = &nothing;
    for (int m = 0; m < n_models; m++) {
        struct hall h, plain;
        open_interrupted(&plain, &plainly, models[m], t);
        open_interrupted(&h, &options, models[m], t);
        for (uint32_t n = 1; n < 40; n += 3) {
            const int32_t *next = futures[0].tokens + t->n_prompt + n;
            struct careful careful = {.say_after = n}, expected;
            for (uint32_t i = 0; i < 3; i++)
                careful.words[i] = i < n % 4 ? next[i] : (int32_t)(9 + i);
            expected = careful;
            ask_careful(&h, t, &careful, n % 5 == 0);
            ask_careful(&plain, t, &expected, n % 5 == 0);
            assert_int_equal(careful.heard.n, 60);
            assert_memory_equal(careful.heard.tokens, expected.heard.tokens,
                                60 * sizeof careful.heard.tokens[0]);
        }
        assert_true(stats_of(&h).n_accepted > 40);
        assert_int_equal(stats_of(&plain).n_drafted, 0);
        close_hall(&h);
        close_hall(&plain);
    }
}

static void only_allowed_tokens_are_accepted(void **state) {
    struct hall_options options = drafting_hall(2), plainly = drafting_hall(2);
    struct task *t = &tasks[0];
    const struct scheduler_drafting nothing = {.max_draft = 0};
    struct hall h, plain;
    (void)state;
    plainly.scheduler.drafting = &nothing;
    open_interrupted(&plain, &plainly, tiny, t);
    open_interrupted(&h, &options, tiny, t);
    for (unsigned i = 0; i < 6; i++) {
        struct careful careful = {0}, expected = {0};
        t->params = i ? sampling(i) : greedy();
        ask_careful(&plain, t, &expected, true);
        /* As it goes with the constraint, and then as it would without. */
        memcpy(futures[0].tokens + t->n_prompt, expected.heard.tokens,
               (i % 2 ? 60 : 20) * sizeof futures[0].tokens[0]);
        ask_careful(&h, t, &careful, true);
        assert_int_equal(careful.heard.n, 60);
        assert_int_equal(careful.asked, 60);
        assert_memory_equal(careful.heard.tokens, expected.heard.tokens,
                            60 * sizeof careful.heard.tokens[0]);
    }
    assert_true(stats_of(&h).n_accepted > 60);
    close_hall(&h);
    close_hall(&plain);
}

/* ---- what drafts ------------------------------------------------------------------ */

static void a_failing_drafter_is_given_up(void **state) {
    struct hall_options options = drafting_hall(3);
    struct hall h;
    (void)state;
    oracles_fail = true;
    n_asked = 0;
    open_told_hall(&h, tiny, &options, 30, 20);
    for (unsigned i = 0; i < N_TASKS; i++)
        submit(&h, &tasks[i]);
    for (unsigned i = 0; i < N_TASKS; i++)
        finish(&h, &tasks[i], "with a failing drafter");
    oracles_fail = false;
    assert_true(n_asked >= 1 && n_asked <= 3);
    assert_int_equal(stats_of(&h).n_drafted, 0);
    close_hall(&h);
}

static hearth_status open_nothing(void *context, uint32_t sequence, struct drafter **drafter,
                                  hearth_error *err) {
    (void)context;
    (void)drafter;
    return sequence < 2 ? open_oracle(NULL, sequence, drafter, err)
                        : error_set(err, HEARTH_ERROR_UNSUPPORTED, "no third drafter");
}

static void without_a_drafter_there_is_no_scheduler(void **state) {
    const struct scheduler_drafting two = {.open = open_nothing, .max_draft = 3};
    struct hall_options options = drafting_hall(3);
    struct scheduler *scheduler;
    struct hall h;
    hearth_error err = {0};
    (void)state;
    open_hall(&h, tiny, &options);
    scheduler_close(h.scheduler);
    options.scheduler.drafting = &two;
    assert_int_equal(scheduler_open(&scheduler, h.context, &options.scheduler, &err),
                     HEARTH_ERROR_UNSUPPORTED);
    assert_null(scheduler);
    assert_non_null(strstr(err.message, "third"));
    options.scheduler.drafting = &oracles;
    for (uint64_t n = 1;; n++) {
        mem_fail_after(n);
        hearth_status status = scheduler_open(&scheduler, h.context, &options.scheduler, &err);
        bool pending = mem_fail_pending();
        mem_fail_after(0);
        assert_int_equal(status, pending ? HEARTH_OK : HEARTH_ERROR_NO_MEMORY);
        if (pending) break;
    }
    h.scheduler = scheduler;
    close_hall(&h);
}

/* A second model that is the same one, so that its every guess is right: it drafts for one answer
 * at a time, beside others. */
static hearth_status open_second(void *context, uint32_t sequence, struct drafter **drafter,
                                 hearth_error *err) {
    struct scene *s = context;
    assert_int_equal(sequence, 0);
    return draft_model_open(drafter, s->session, s->model.config.n_vocab, 0, err);
}

static void a_draft_model_serves_one_answer_at_a_time(void **state) {
    (void)state;
    for (int m = 0; m < n_models; m++) {
        struct scene second;
        struct hall_options options = drafting_hall(3);
        struct hall h;
        open_scene(&second, models[m], HALL_CTX, MAX_DRAFT);
        const struct scheduler_drafting drafting = {.open = open_second,
                                                    .context = &second,
                                                    .single = true,
                                                    .max_draft = MAX_DRAFT,
                                                    .min_draft = 4};
        options.scheduler.drafting = &drafting;
        open_told_hall(&h, models[m], &options, 40, 15);
        for (unsigned i = 0; i < N_TASKS; i++)
            submit(&h, &tasks[i]);
        uint32_t n_helped = 0;
        for (unsigned i = 0; i < N_TASKS; i++) {
            finish(&h, &tasks[i], models[m]);
            n_helped += tasks[i].heard.result.n_drafted > 0;
        }
        assert_true(n_helped >= 2 && stats_of(&h).n_accepted > 20);
        close_hall(&h);
        close_scene(&second);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_those_without_drafts),
        cmocka_unit_test(drafts_take_only_what_is_left),
        cmocka_unit_test(what_was_drafted_is_found_again),
        cmocka_unit_test(choices_draft_each_their_own),
        cmocka_unit_test(answers_stop_in_the_middle_of_drafts),
        cmocka_unit_test(words_are_said_in_the_middle_of_drafts),
        cmocka_unit_test(only_allowed_tokens_are_accepted),
        cmocka_unit_test(a_failing_drafter_is_given_up),
        cmocka_unit_test(without_a_drafter_there_is_no_scheduler),
        cmocka_unit_test(a_draft_model_serves_one_answer_at_a_time),
    };
    int failed = cmocka_run_group_tests_name("infer/scheduler_drafts", tests, NULL, NULL);
    enum cpu_level level;
    if (!prompt_model_runs() || cpu_choose(&level, NULL) != HEARTH_OK) return failed;
    /* Once more where a quantised model's prompts have an arithmetic of their own. */
    prompt_model_use(level, &amx_model_prompt);
    n_models = 1;
    return failed +
           cmocka_run_group_tests_name("infer/scheduler_drafts, prompts apart", tests, NULL, NULL);
}
