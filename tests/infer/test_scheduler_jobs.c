/* What callers of the scheduler do: they stop, cancel, ask for too much, are more or less
 * important, and come from several threads. */
#include "scheduling.h"

#include <pthread.h>

#include "base/clock.h"

static const char tiny[] = "quantmodels/q4_0/model.gguf";
static const struct hall_options plain = {.n_ctx = HALL_CTX, .n_sequences = 3};

/* ---- ends ---- */

static void answers_end_when_told(void **state) {
    static struct task t;
    struct hall h;
    (void)state;
    open_hall(&h, tiny, &plain);
    for (uint32_t n = 1; n < 40; n += 13) {
        make_task(&t, n, &h.alone, 20);
        t.max_tokens = 60;
        t.ignore_end = true;
        t.heard.stop_after = n;
        submit(&h, &t);
        scheduler_finish(t.job);
        assert_int_equal(t.heard.result.reason, SCHEDULER_STOPPED);
        assert_int_equal(t.heard.n, n);
        assert_int_equal(t.heard.result.n_generated, n);
    }
    make_task(&t, 4, &h.alone, 20);
    t.max_tokens = 0;
    t.ignore_end = true;
    submit(&h, &t);
    finish(&h, &t, "a full context");
    assert_int_equal(t.heard.result.reason, SCHEDULER_CONTEXT);
    assert_int_equal(t.heard.n, HALL_CTX - t.n_prompt + 1);
    make_task(&t, 4, &h.alone, 20);
    t.n_prompt = HALL_CTX;
    for (uint32_t k = 0; k < HALL_CTX; k++)
        t.prompt[k] = 5;
    submit(&h, &t);
    finish(&h, &t, "a prompt that fills the context");
    assert_int_equal(t.heard.n, 1);
    close_hall(&h);
}

/* Cancels a job, its own or another, when it has heard so much. */
struct canceller {
    struct heard heard;
    uint32_t after;
    struct scheduler_job **job;
};

static enum scheduler_verdict hear_and_cancel(void *context, const struct scheduler_token *token,
                                              struct scheduler_words *words) {
    struct canceller *c = context;
    enum scheduler_verdict verdict = hear(&c->heard, token, words);
    if (c->heard.n == c->after) scheduler_cancel(*c->job);
    return verdict;
}

/* A pass is not interrupted, but nothing comes after it. */
static void cancelled_jobs_end_at_the_next_pass(void **state) {
    static struct task others[6], t;
    static struct canceller canceller;
    struct hall h;
    hearth_error err = {0};
    (void)state;
    open_hall(&h, tiny, &plain);
    for (unsigned i = 0; i < 6; i++) {
        make_task(&others[i], i, &h.alone, 30);
        if (i % 2) others[i].max_tokens = 0, others[i].ignore_end = true;
        submit(&h, &others[i]);
    }
    make_task(&t, 4, &h.alone, 20);
    t.max_tokens = 100;
    t.ignore_end = true;
    t.priority = 1;
    canceller = (struct canceller){.after = 10, .job = &t.job};
    struct scheduler_choice choice = {.params = &t.params, .context = &canceller};
    struct scheduler_request request = request_of(&t, &choice);
    request.callbacks.take = hear_and_cancel;
    expect_ok(scheduler_submit(h.scheduler, &request, &t.job, &err), &err);
    scheduler_finish(t.job);
    assert_int_equal(canceller.heard.result.reason, SCHEDULER_CANCELLED);
    assert_int_equal(canceller.heard.n, 10);
    for (unsigned i = 1; i < 6; i += 2) { /* running, or not begun */
        scheduler_cancel(others[i].job);
        scheduler_cancel(others[i].job);
        scheduler_finish(others[i].job);
        assert_int_equal(others[i].heard.ends, 1);
        if (others[i].heard.n <= HALL_CTX - others[i].n_prompt)
            assert_int_equal(others[i].heard.result.reason, SCHEDULER_CANCELLED);
    }
    for (unsigned i = 0; i < 6; i += 2)
        finish(&h, &others[i], "beside cancelled ones");
    assert_int_equal(stats_of(&h).n_waiting, 0);
    close_hall(&h);
}

static void closing_ends_what_runs(void **state) {
    static struct task t[6];
    struct hall h;
    (void)state;
    open_hall(&h, tiny, &plain);
    for (unsigned i = 0; i < 6; i++) {
        make_task(&t[i], i, &h.alone, 100);
        t[i].max_tokens = 0;
        submit(&h, &t[i]);
    }
    scheduler_close(h.scheduler);
    h.scheduler = NULL;
    for (unsigned i = 0; i < 6; i++) {
        scheduler_finish(t[i].job);
        assert_int_equal(t[i].heard.ends, 1);
    }
    close_hall(&h);
}

/* ---- refusals ---- */

static void impossible_jobs_are_refused(void **state) {
    static struct task t;
    static int32_t longer[HALL_CTX + 1];
    struct hall h;
    (void)state;
    open_hall(&h, tiny, &plain);
    make_task(&t, 3, &h.alone, 20);
    struct scheduler_choice choice = {.params = &t.params, .context = &t.heard};
    const struct scheduler_request good = request_of(&t, &choice);
    struct scheduler_request bad = good;
    bad.n_prompt = 0;
    expect_refused(&h, &bad, HEARTH_ERROR_ARGUMENT, "empty");
    bad = good;
    bad.prompt = longer;
    bad.n_prompt = HALL_CTX + 1;
    expect_refused(&h, &bad, HEARTH_ERROR_LIMIT, "257 tokens");
    bad = good;
    bad.n_choices = 0;
    expect_refused(&h, &bad, HEARTH_ERROR_ARGUMENT, "choices");
    bad.n_choices = SCHEDULER_MAX_CHOICES + 1;
    expect_refused(&h, &bad, HEARTH_ERROR_ARGUMENT, "choices");
    t.prompt[1] = 1 << 20;
    expect_refused(&h, &good, HEARTH_ERROR_ARGUMENT, "token 1048576");
    t.prompt[1] = -1;
    expect_refused(&h, &good, HEARTH_ERROR_ARGUMENT, "token -1");
    t.prompt[1] = 5;
    t.params.top_p = 2;
    expect_refused(&h, &good, HEARTH_ERROR_ARGUMENT, "top_p");
    close_hall(&h);
}

static void a_full_queue_refuses(void **state) {
    static struct task t[5], first;
    static struct gate gate;
    struct hall_options options = plain;
    struct hall h;
    (void)state;
    options.scheduler.max_waiting = 4;
    open_hall(&h, tiny, &options);
    make_task(&first, 2, &h.alone, 10);
    submit_gate(&h, &first, &gate);
    for (unsigned i = 0; i < 5; i++) {
        make_task(&t[i], i, &h.alone, 30);
        struct scheduler_choice choice = {.params = &t[i].params, .context = &t[i].heard};
        struct scheduler_request request = request_of(&t[i], &choice);
        if (i == 4)
            expect_refused(&h, &request, HEARTH_ERROR_LIMIT, "queue is full");
        else
            submit(&h, &t[i]);
    }
    assert_int_equal(stats_of(&h).n_waiting, 4);
    open_gate(&gate);
    for (unsigned i = 0; i < 4; i++)
        finish(&h, &t[i], "from a full queue");
    scheduler_finish(first.job);
    close_hall(&h);
}

/* ---- order ---- */

static void the_more_important_come_first(void **state) {
    static const int32_t priorities[] = {0, 0, 5, -3, 5, 9};
    static const unsigned places[] = {4, 5, 2, 6, 3, 1};
    static struct starter starters[6];
    static struct task t[6], first;
    static struct gate gate;
    struct hall_options options = plain;
    struct hall h;
    hearth_error err = {0};
    (void)state;
    options.n_sequences = 1;
    open_hall(&h, tiny, &options);
    make_task(&first, 2, &h.alone, 10);
    submit_gate(&h, &first, &gate);
    n_started = 0;
    for (unsigned i = 0; i < 6; i++) {
        make_task(&t[i], i, &h.alone, 30);
        t[i].priority = priorities[i];
        starters[i] = (struct starter){0};
        struct scheduler_choice choice = {.params = &t[i].params, .context = &starters[i]};
        struct scheduler_request request = request_of(&t[i], &choice);
        request.callbacks.take = start;
        expect_ok(scheduler_submit(h.scheduler, &request, &t[i].job, &err), &err);
    }
    open_gate(&gate);
    for (unsigned i = 0; i < 6; i++) {
        scheduler_finish(t[i].job);
        assert_int_equal(starters[i].place, places[i]);
    }
    scheduler_finish(first.job);
    close_hall(&h);
}

static unsigned n_started_at_end;

static void note_started(void *context, const struct scheduler_result *result) {
    struct starter *s = context;
    if (n_started_at_end == 0) n_started_at_end = n_started;
    hear_end(&s->heard, result);
}

/* Where pages last for all sequences at full length, all sequences run. */
static void no_sequence_is_left_idle(void **state) {
    static struct starter starters[4];
    static struct task t[4], first;
    static struct gate gate;
    struct hall_options options = {.n_ctx = 32, .n_sequences = 5};
    struct hall h;
    hearth_error err = {0};
    (void)state;
    open_hall(&h, tiny, &options);
    make_task(&first, 2, &h.alone, 10);
    submit_gate(&h, &first, &gate);
    n_started = n_started_at_end = 0;
    for (unsigned i = 0; i < 4; i++) {
        make_task(&t[i], i, &h.alone, 10);
        t[i].max_tokens = 12;
        t[i].ignore_end = true;
        starters[i] = (struct starter){0};
        struct scheduler_choice choice = {.params = &t[i].params, .context = &starters[i]};
        struct scheduler_request request = request_of(&t[i], &choice);
        request.callbacks.take = start;
        request.callbacks.end = note_started;
        expect_ok(scheduler_submit(h.scheduler, &request, &t[i].job, &err), &err);
    }
    open_gate(&gate);
    for (unsigned i = 0; i < 4; i++)
        scheduler_finish(t[i].job);
    assert_int_equal(n_started_at_end, 4);
    scheduler_finish(first.job);
    close_hall(&h);
}

/* Those that begin alike at the same time wait for the first of them. */
static void what_several_need_is_computed_once(void **state) {
    static struct task t[4], first;
    static struct gate gate;
    struct hall_options options = plain;
    struct hall h;
    (void)state;
    options.n_sequences = 5;
    open_hall(&h, tiny, &options);
    make_task(&first, 2, &h.alone, 10);
    submit_gate(&h, &first, &gate);
    for (unsigned i = 0; i < 4; i++) {
        make_task(&t[i], i, &h.alone, 2);
        t[i].n_prompt = 140 + 5 * i;
        for (uint32_t k = 0; k < t[i].n_prompt; k++)
            t[i].prompt[k] = (int32_t)(3 + (k < 100 ? k : k + i % 2) % 90);
        submit(&h, &t[i]);
    }
    open_gate(&gate);
    /* 0 and 2 are alike to their end, 1 and 3 part from them in the fourth page. */
    static const uint32_t reused[] = {0, 96, 128, 128};
    for (unsigned i = 0; i < 4; i++) {
        finish(&h, &t[i], "of several alike");
        assert_int_equal(t[i].heard.result.n_reused, reused[i]);
    }
    scheduler_finish(first.job);
    close_hall(&h);
}

/* Submits another job once it runs, and counts its own tokens until that one's first. */
struct listener {
    struct heard heard;
    struct hall *hall;
    struct task *late;
    uint32_t before;
};

static enum scheduler_verdict listen(void *context, const struct scheduler_token *token,
                                     struct scheduler_words *words) {
    struct listener *l = context;
    enum scheduler_verdict verdict = hear(&l->heard, token, words);
    if (l->heard.n == 5) submit(l->hall, l->late);
    if (l->heard.n > 5 && l->late->heard.n == 0) l->before++;
    return verdict;
}

static void a_long_prompt_holds_up_nobody(void **state) {
    static struct task t, late;
    static struct listener listener;
    struct hall_options options = plain;
    struct hall h;
    hearth_error err = {0};
    (void)state;
    options.scheduler.max_prompt_rows = 16;
    open_hall(&h, tiny, &options);
    make_task(&t, 3, &h.alone, 10);
    make_task(&late, 4, &h.alone, 10);
    t.max_tokens = 60;
    t.ignore_end = true;
    late.n_prompt = 200;
    for (uint32_t k = 0; k < 200; k++)
        late.prompt[k] = (int32_t)(3 + k % 90);
    listener = (struct listener){.hall = &h, .late = &late};
    struct scheduler_choice choice = {.params = &t.params, .context = &listener};
    struct scheduler_request request = request_of(&t, &choice);
    request.callbacks.take = listen;
    expect_ok(scheduler_submit(h.scheduler, &request, &t.job, &err), &err);
    scheduler_finish(t.job);
    expect_as_alone(&h, &t, "beside a long prompt", &t.params, &listener.heard);
    finish(&h, &late, "a long prompt");
    if (hall_drafting)
        assert_true(listener.before >= (200 + 15) / 16);
    else
        assert_int_equal(listener.before, (200 + 15) / 16);
    close_hall(&h);
}

static void the_less_important_make_way(void **state) {
    static struct task t, late;
    static struct listener listener;
    struct hall_options options = plain;
    struct hall h;
    hearth_error err = {0};
    (void)state;
    options.n_sequences = 1;
    open_hall(&h, tiny, &options);
    make_task(&t, 3, &h.alone, 100);
    make_task(&late, 4, &h.alone, 10);
    t.max_tokens = 60;
    t.ignore_end = true;
    late.priority = 1;
    listener = (struct listener){.hall = &h, .late = &late};
    struct scheduler_choice choice = {.params = &t.params, .context = &listener};
    struct scheduler_request request = request_of(&t, &choice);
    request.callbacks.take = listen;
    expect_ok(scheduler_submit(h.scheduler, &request, &t.job, &err), &err);
    scheduler_finish(t.job);
    expect_as_alone(&h, &t, "after making way", &t.params, &listener.heard);
    assert_int_equal(listener.heard.result.n_preempted, 1);
    finish(&h, &late, "a more important one");
    assert_int_equal(listener.before, 0);
    close_hall(&h);
}

/* ---- memory and threads ---- */

static void failing_allocations_refuse_the_job(void **state) {
    static struct task t, other;
    struct hall h;
    uint64_t n = 0;
    hearth_status status;
    (void)state;
    open_hall(&h, tiny, &plain);
    make_task(&t, 3, &h.alone, 50);
    make_task(&other, 4, &h.alone, 50);
    struct scheduler_choice choices[] = {{.params = &t.params, .context = &t.heard},
                                         {.params = &t.params, .context = &other.heard}};
    struct scheduler_request request = request_of(&t, choices);
    request.n_choices = 2;
    do {
        mem_fail_after(++n);
        status = scheduler_submit(h.scheduler, &request, &t.job, NULL);
        mem_fail_after(0);
        assert_true(status == HEARTH_OK || status == HEARTH_ERROR_NO_MEMORY);
    } while (status != HEARTH_OK);
    assert_true(n > 4);
    scheduler_finish(t.job);
    expect_as_alone(&h, &t, "after failures", &t.params, &t.heard);
    expect_as_alone(&h, &t, "after failures", &t.params, &other.heard);
    scheduler_close(h.scheduler);
    struct scheduler_options options = {.tokenizer = h.alone.tokenizer};
    for (n = 1, status = HEARTH_ERROR_NO_MEMORY; status != HEARTH_OK; n++) {
        mem_fail_after(n);
        status = scheduler_open(&h.scheduler, h.context, &options, NULL);
        mem_fail_after(0);
        assert_true(status == HEARTH_OK || status == HEARTH_ERROR_NO_MEMORY);
    }
    assert_true(n > 8);
    close_hall(&h);
}

static enum scheduler_verdict arm(void *context, const struct scheduler_token *token,
                                  struct scheduler_words *words) {
    struct heard *h = context;
    if (h->n == 2) mem_fail_after(1);
    return hear(h, token, words);
}

static void disarm(void *context, const struct scheduler_result *result) {
    struct heard *h = context;
    hear_end(h, result);
    h->stop_after = (uint32_t)mem_fail_pending();
    mem_fail_after(0);
}

static void nothing_is_allocated_between_tokens(void **state) {
    static struct task t, beside;
    struct hall h;
    hearth_error err = {0};
    (void)state;
    open_hall(&h, tiny, &plain);
    make_task(&t, 5, &h.alone, 50);
    make_task(&beside, 6, &h.alone, 50);
    t.max_tokens = 60;
    t.ignore_end = true;
    beside.max_tokens = 40;
    submit(&h, &beside);
    struct scheduler_choice choice = {.params = &t.params, .context = &t.heard};
    struct scheduler_request request = request_of(&t, &choice);
    request.callbacks.take = arm;
    request.callbacks.end = disarm;
    expect_ok(scheduler_submit(h.scheduler, &request, &t.job, &err), &err);
    scheduler_finish(t.job);
    scheduler_finish(beside.job);
    assert_int_equal(t.heard.n, 60);
    assert_int_equal(t.heard.stop_after, 1);
    close_hall(&h);
}

static float last_rows[2][512];

static hearth_status compute_last_row(void *work_context, struct context *context,
                                      uint32_t sequence, hearth_error *err) {
    const struct task *t = work_context;
    struct context_part part = {
        .sequence = sequence, .tokens = t->prompt, .n_tokens = t->n_prompt, .last_logits = true};
    assert_int_equal(context_sequence_length(context, sequence), 0);
    return context_decode(context, &part, 1, last_rows[0], err);
}

/* Between the passes of answers, whose pages it takes where there are no others. */
static void other_work_is_done_between(void **state) {
    static struct task t[8], other;
    (void)state;
    for (uint32_t n_pages = 0; n_pages <= 9; n_pages += 9) {
        struct hall h;
        hearth_error err = {0};
        open_hall(&h, tiny,
                  &(struct hall_options){.n_ctx = HALL_CTX, .n_sequences = 3, .n_pages = n_pages});
        make_task(&other, 5, &h.alone, 2);
        other.n_prompt = 220;
        for (uint32_t k = 0; k < other.n_prompt; k++)
            other.prompt[k] = (int32_t)(3 + k % 50);
        for (unsigned i = 0; i < 8; i++) {
            make_task(&t[i], i, &h.alone, 60);
            submit(&h, &t[i]);
        }
        for (unsigned i = 0; i < 5; i++)
            expect_ok(scheduler_do(h.scheduler, other.n_prompt, compute_last_row, &other, &err),
                      &err);
        assert_int_equal(scheduler_do(h.scheduler, HALL_CTX + 1, compute_last_row, &other, NULL),
                         HEARTH_ERROR_LIMIT);
        other.prompt[7] = -1;
        assert_int_equal(scheduler_do(h.scheduler, 220, compute_last_row, &other, &err),
                         HEARTH_ERROR_ARGUMENT);
        other.prompt[7] = 10;
        for (unsigned i = 0; i < 8; i++)
            finish(&h, &t[i], "beside other work");
        memcpy(last_rows[1], last_rows[0], sizeof last_rows[0]);
        session_clear(h.alone.session);
        expect_ok(compute_last_row(&other, h.alone.context, 0, &err), &err);
        assert_memory_equal(last_rows[0], last_rows[1], sizeof last_rows[0]);
        context_sequence_truncate(h.alone.context, 0, 0);
        close_hall(&h);
    }
}

enum { N_CLIENTS = 4, N_EACH = 8 };
struct client {
    struct hall *hall;
    struct task tasks[N_EACH];
    pthread_t thread;
};

static void *ask_and_give_up(void *context) {
    struct client *c = context;
    for (int i = 0; i < N_EACH; i++)
        submit(c->hall, &c->tasks[i]);
    for (int i = 0; i < N_EACH; i += 3) {
        clock_rest(300000);
        scheduler_cancel(c->tasks[i].job);
    }
    for (int i = 0; i < N_EACH; i++)
        scheduler_finish(c->tasks[i].job);
    return NULL;
}

static void any_thread_may_ask(void **state) {
    static struct client clients[N_CLIENTS];
    struct hall_options options = {.n_ctx = HALL_CTX, .n_sequences = 4, .n_pages = 14};
    struct hall h;
    (void)state;
    open_hall(&h, tiny, &options);
    for (unsigned c = 0; c < N_CLIENTS; c++) {
        clients[c].hall = &h;
        for (unsigned i = 0; i < N_EACH; i++)
            make_task(&clients[c].tasks[i], c * N_EACH + i, &h.alone, 90);
        assert_int_equal(pthread_create(&clients[c].thread, NULL, ask_and_give_up, &clients[c]), 0);
    }
    for (unsigned c = 0; c < N_CLIENTS; c++)
        pthread_join(clients[c].thread, NULL);
    for (unsigned c = 0; c < N_CLIENTS; c++)
        for (unsigned i = 0; i < N_EACH; i++) {
            const struct task *t = &clients[c].tasks[i];
            if (t->heard.result.reason == SCHEDULER_CANCELLED)
                assert_int_equal(i % 3, 0);
            else
                expect_as_alone(&h, t, "of many threads", &t->params, &t->heard);
        }
    close_hall(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_end_when_told),
        cmocka_unit_test(cancelled_jobs_end_at_the_next_pass),
        cmocka_unit_test(closing_ends_what_runs),
        cmocka_unit_test(impossible_jobs_are_refused),
        cmocka_unit_test(a_full_queue_refuses),
        cmocka_unit_test(the_more_important_come_first),
        cmocka_unit_test(a_long_prompt_holds_up_nobody),
        cmocka_unit_test(the_less_important_make_way),
        cmocka_unit_test(what_several_need_is_computed_once),
        cmocka_unit_test(no_sequence_is_left_idle),
        cmocka_unit_test(failing_allocations_refuse_the_job),
        cmocka_unit_test(nothing_is_allocated_between_tokens),
        cmocka_unit_test(other_work_is_done_between),
        cmocka_unit_test(any_thread_may_ask),
    };
    int failed = cmocka_run_group_tests_name("infer/scheduler_jobs", tests, NULL, NULL);
    hall_drafting = &lookup;
    return failed +
           cmocka_run_group_tests_name("infer/scheduler_jobs, drafting", tests, NULL, NULL);
}
