/* Clients of the scheduler that want more than there is: whose turn it is, who makes way, who has
 * room to wait; and that nobody's answer depends on it. */
#include "scheduling.h"

static const char tiny[] = "quantmodels/q4_0/model.gguf";

enum { MOST_ASKED = 24 };

/* Jobs that wait behind a gate, in the order in which they are asked for. */
struct crowd {
    struct hall hall;
    struct gate gate;
    struct task first, tasks[MOST_ASKED];
    struct starter starters[MOST_ASKED];
    unsigned n;
};
static struct crowd crowd;

/* The next one gathers, behind an answer of this client. */
static void gather(uint64_t client, uint32_t max_tokens) {
    make_task(&crowd.first, 2, &crowd.hall.alone, 10);
    crowd.first.client = client;
    crowd.first.max_tokens = max_tokens;
    submit_gate(&crowd.hall, &crowd.first, &crowd.gate);
    crowd.n = n_started = 0;
}

static void disperse(void) {
    open_gate(&crowd.gate);
    for (unsigned i = 0; i < crowd.n; i++) {
        scheduler_finish(crowd.tasks[i].job);
        expect_as_alone(&crowd.hall, &crowd.tasks[i], "in a crowd", &crowd.tasks[i].params,
                        &crowd.starters[i].heard);
    }
    scheduler_finish(crowd.first.job);
}

static void begin_crowd(const struct hall_options *options, uint64_t client) {
    open_hall(&crowd.hall, tiny, options);
    gather(client, 10);
}

/* A prompt of less than a page, of which nothing can be found computed. */
static struct task *add_task(uint64_t client, uint32_t max_tokens) {
    struct task *t = &crowd.tasks[crowd.n];
    make_task(t, crowd.n++, &crowd.hall.alone, 10);
    t->n_prompt = 10;
    for (uint32_t k = 0; k < t->n_prompt; k++)
        t->prompt[k] = (int32_t)(3 + (k * crowd.n) % 90);
    t->client = client;
    t->max_tokens = max_tokens;
    t->ignore_end = true;
    return t;
}

static void ask_task(struct task *t) {
    struct starter *starter = &crowd.starters[t - crowd.tasks];
    hearth_error err = {0};
    *starter = (struct starter){0};
    struct scheduler_choice choice = {.params = &t->params, .context = starter};
    struct scheduler_request request = request_of(t, &choice);
    request.callbacks.take = start;
    expect_ok(scheduler_submit(crowd.hall.scheduler, &request, &t->job, &err), &err);
}

static void ask_for(uint64_t client, uint32_t max_tokens) {
    ask_task(add_task(client, max_tokens));
}

static void end_crowd(void) {
    disperse();
    close_hall(&crowd.hall);
}

/* Of the first `n` that began those of one client. */
static unsigned begun_of(uint64_t client, unsigned n) {
    unsigned found = 0;
    for (unsigned i = 0; i < crowd.n; i++)
        found += crowd.tasks[i].client == client && crowd.starters[i].place <= n;
    return found;
}

static const struct hall_options one_at_a_time = {.n_ctx = HALL_CTX, .n_sequences = 1};

/* ---- turns ---- */

static void a_flood_keeps_nobody_waiting(void **state) {
    /* The second time nothing comes in between: the clients have had as much. */
    static const uint32_t before[] = {30, 1};
    (void)state;
    open_hall(&crowd.hall, tiny, &one_at_a_time);
    for (int round = 0; round < 2; round++) {
        gather(1, before[round]);
        for (unsigned i = 0; i < 20; i++)
            ask_for(1, 12);
        ask_for(2, 12);
        disperse();
        assert_int_equal(crowd.starters[20].place, 1);
        for (unsigned i = 0; i < 20; i++)
            assert_int_equal(crowd.starters[i].place, i + 2);
    }
    close_hall(&crowd.hall);
}

/* Whoever asks for longer answers gets fewer of them. */
static void clients_get_equal_shares(void **state) {
    (void)state;
    begin_crowd(&one_at_a_time, 9);
    for (unsigned i = 0; i < 8; i++) {
        ask_for(1, 10);
        ask_for(2, 10);
        ask_for(3, 55); /* 120 by the counter, against 30 */
    }
    end_crowd();
    assert_int_equal(begun_of(1, 9), 4);
    assert_int_equal(begun_of(2, 9), 4);
    assert_int_equal(begun_of(3, 9), 1);
    assert_int_equal(begun_of(3, 18), 2);
    for (unsigned i = 3; i < crowd.n; i++) /* and each client's own in their order */
        assert_true(crowd.starters[i].place > crowd.starters[i - 3].place);
}

static void nobody_saves_up(void **state) {
    (void)state;
    begin_crowd(&one_at_a_time, 1);
    ask_for(2, 1);
    for (unsigned i = 0; i < 6; i++)
        ask_for(1, 40);
    disperse();
    gather(3, 10);
    for (unsigned i = 0; i < 12; i++)
        ask_for(i < 6 ? 2 : 1, 10); /* which came back, and which had so much */
    end_crowd();
    for (unsigned n = 2; n <= 12; n += 2) {
        assert_in_range(begun_of(1, n), n / 2 - 1, n / 2 + 1);
        assert_int_equal(begun_of(1, n) + begun_of(2, n), n);
    }
}

/* A prompt of whole pages; `kind`: that begin alike. */
static struct task *add_long_task(uint64_t client, uint32_t n_pages, uint32_t kind) {
    struct task *t = add_task(client, 4);
    t->n_prompt = n_pages * 32;
    for (uint32_t k = 0; k < t->n_prompt; k++)
        t->prompt[k] = (int32_t)(3 + (k * (kind + 1) + k / 32) % 90);
    return t;
}

/* 128 tokens to compute, or 32. */
static void what_is_found_computed_costs_nothing(void **state) {
    (void)state;
    begin_crowd(&one_at_a_time, 9);
    for (unsigned i = 0; i < 10; i++)
        ask_task(add_long_task(1 + i % 2, 4, i % 2 ? 50 : i));
    end_crowd();
    assert_int_equal(begun_of(1, 6), 2);
}

static void importance_comes_before_turns(void **state) {
    (void)state;
    begin_crowd(&one_at_a_time, 1);
    ask_for(2, 10);
    for (unsigned i = 0; i < 4; i++) {
        struct task *t = add_task(1, 10);
        t->priority = 1;
        ask_task(t);
    }
    end_crowd();
    assert_int_equal(crowd.starters[0].place, 5);
}

/* ---- who makes way ---- */

/* Whoever has most answers running gives one up when pages run out, although another is younger. */
static void the_greedy_make_way(void **state) {
    static const struct hall_options tight = {.n_ctx = HALL_CTX, .n_sequences = 4, .n_pages = 9};
    unsigned others = 0;
    (void)state;
    begin_crowd(&tight, 1);
    ask_for(1, 90);
    ask_for(1, 90);
    ask_for(2, 90);
    end_crowd();
    assert_int_equal(crowd.starters[2].heard.result.n_preempted, 0);
    for (unsigned i = 0; i < 2; i++)
        others += crowd.starters[i].heard.result.n_preempted;
    assert_true(others > 0);
}

/* ---- long prompts ---- */

/* Counts its tokens until another answer has its first: with a page of prompts in each pass, the
 * pages that were computed before that one's last. */
struct watcher {
    struct heard heard;
    const struct starter *watched;
    uint32_t before;
};

static enum scheduler_verdict watch(void *context, const struct scheduler_token *token,
                                    struct scheduler_words *words) {
    struct watcher *w = context;
    if (w->heard.n > 0 && w->watched->place == 0) w->before++;
    if (w->heard.n > 0) return hear(&w->heard, token, words);
    enum scheduler_verdict verdict = wait_at_gate(&crowd.gate, token, words);
    w->heard.n++;
    return verdict;
}

static void prompts_of_clients_take_turns(void **state) {
    static struct watcher watcher;
    const struct hall_options options = {
        .n_ctx = HALL_CTX, .n_sequences = 5, .scheduler = {.max_prompt_rows = 32}};
    hearth_error err = {0};
    (void)state;
    open_hall(&crowd.hall, tiny, &options);
    crowd.n = n_started = 0;
    make_task(&crowd.first, 2, &crowd.hall.alone, 10);
    crowd.first.max_tokens = 100;
    crowd.first.ignore_end = true;
    watcher = (struct watcher){.watched = &crowd.starters[3]};
    struct scheduler_choice choice = {.params = &crowd.first.params, .context = &watcher};
    struct scheduler_request request = request_of(&crowd.first, &choice);
    request.callbacks.take = watch;
    begin_gate(&crowd.gate);
    expect_ok(scheduler_submit(crowd.hall.scheduler, &request, &crowd.first.job, &err), &err);
    await_gate(&crowd.gate);
    for (unsigned i = 0; i < 3; i++)
        ask_task(add_long_task(1, 7, i));
    ask_task(add_long_task(2, 3, 7));
    end_crowd();
    assert_in_range(watcher.before, 3, 6);
}

/* ---- room to wait ---- */

static void one_client_does_not_fill_the_queue(void **state) {
    struct hall_options options = one_at_a_time;
    (void)state;
    options.scheduler.max_waiting = 8;
    begin_crowd(&options, 1);
    for (unsigned i = 0; i < 6; i++)
        ask_for(1, 5);
    struct task *t = add_task(1, 5);
    struct scheduler_choice choice = {.params = &t->params, .context = &t->heard};
    struct scheduler_request request = request_of(t, &choice);
    expect_refused(&crowd.hall, &request, HEARTH_ERROR_LIMIT, "no more room for one client");
    crowd.n--;
    ask_for(2, 5);
    ask_for(3, 5);
    request.client = 4;
    expect_refused(&crowd.hall, &request, HEARTH_ERROR_LIMIT, "queue is full");
    end_crowd();
}

static void nobody_in_particular_may_fill_it(void **state) {
    struct hall_options options = one_at_a_time;
    (void)state;
    options.scheduler.max_waiting = 8;
    begin_crowd(&options, 0);
    for (unsigned i = 0; i < 8; i++)
        ask_for(0, 5);
    end_crowd();
}

/* Far more clients than are remembered. */
static void clients_come_and_go(void **state) {
    struct hall_options options = one_at_a_time;
    (void)state;
    options.scheduler.max_waiting = 8;
    open_hall(&crowd.hall, tiny, &options);
    for (uint64_t round = 0; round < 20; round++) {
        gather(1, 1);
        for (uint64_t i = 0; i < 8; i++)
            ask_for(UINT64_MAX - round * 8 - i, 2);
        disperse();
        for (unsigned i = 0; i < 8; i++)
            assert_int_equal(crowd.starters[i].place, i + 1);
    }
    close_hall(&crowd.hall);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_keeps_nobody_waiting),
        cmocka_unit_test(clients_get_equal_shares),
        cmocka_unit_test(nobody_saves_up),
        cmocka_unit_test(what_is_found_computed_costs_nothing),
        cmocka_unit_test(importance_comes_before_turns),
        cmocka_unit_test(the_greedy_make_way),
        cmocka_unit_test(prompts_of_clients_take_turns),
        cmocka_unit_test(one_client_does_not_fill_the_queue),
        cmocka_unit_test(nobody_in_particular_may_fill_it),
        cmocka_unit_test(clients_come_and_go),
    };
    return cmocka_run_group_tests_name("infer/scheduler_clients", tests, NULL, NULL);
}
