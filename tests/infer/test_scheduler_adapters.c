/* Answers with adapters of their own beside each other: each is token for token what generate()
 * says in a context of that set, and no page of one is found by another. */
#include "scheduling.h"

#include "model/random_adapter.h"

static const char *const models[] = {"models/stories260K/stories260K.gguf",
                                     "arch/lfm2-dense/model.gguf"};
enum { N_MODELS = sizeof models / sizeof models[0], N_ADAPTERS = 2, N_SETS = 5, N_TASKS = 20 };

/* The sets that tasks have in turn: two adapters, each with two scales, both, and none. */
struct library {
    struct random_adapter adapters[N_ADAPTERS];
    struct adapter_set sets[N_SETS];
};

static struct library library;
static struct task tasks[N_TASKS];

static void open_library(struct library *l, struct hall *h) {
    hearth_error err = {0};
    for (int a = 0; a < N_ADAPTERS; a++)
        random_adapter_open(
            &l->adapters[a], &h->alone.model,
            &(struct random_adapter_shape){.seed = 7 + (uint64_t)a, .rank = 4 + (uint32_t)a});
    const struct adapter *first = &l->adapters[0].adapter, *second = &l->adapters[1].adapter;
    l->sets[0] = (struct adapter_set){{{first, 1}}, 1};
    l->sets[1] = (struct adapter_set){{{first, -0.5f}}, 1};
    l->sets[2] = (struct adapter_set){{{second, 0.75f}}, 1};
    l->sets[3] = (struct adapter_set){{{first, 0.5f}, {second, 1}}, 2};
    l->sets[4] = (struct adapter_set){.count = 0};
    for (int a = 0; a < N_ADAPTERS; a++)
        expect_ok(scheduler_load_adapter(h->scheduler, &l->adapters[a].adapter, 1, &err), &err);
}

static void close_library(struct library *l) {
    for (int a = 0; a < N_ADAPTERS; a++)
        random_adapter_close(&l->adapters[a]);
}

static void mixed_answers_are_as_alone(void **state) {
    (void)state;
    for (int m = 0; m < N_MODELS; m++) {
        struct hall h;
        open_hall(&h, models[m], &(struct hall_options){.n_ctx = HALL_CTX, .n_sequences = 6});
        open_library(&library, &h);
        for (unsigned i = 0; i < N_TASKS; i++) {
            make_task(&tasks[i], i, &h.alone, 90);
            tasks[i].adapters = &library.sets[i % N_SETS];
            submit(&h, &tasks[i]);
        }
        for (unsigned i = 0; i < N_TASKS; i++)
            finish(&h, &tasks[i], models[m]);
        close_hall(&h);
        close_library(&library);
    }
}

/* The same question to all sets at once, longer than the pages last: who waits again has its own
 * adapters afterwards. The answers are not all the same. */
static void waiting_for_pages_keeps_them(void **state) {
    (void)state;
    for (int m = 0; m < N_MODELS; m++) {
        struct hall h;
        uint32_t n_preempted = 0, n_different = 0;
        open_hall(
            &h, models[m],
            &(struct hall_options){.n_ctx = 128, .n_sequences = 5, .n_pages = 6, .n_states = 3});
        open_library(&library, &h);
        for (unsigned i = 0; i < 2 * N_SETS; i++) {
            make_task(&tasks[i], 3, &h.alone, 60);
            tasks[i].n_prompt = 40;
            tasks[i].max_tokens = 60;
            tasks[i].ignore_end = true;
            tasks[i].adapters = &library.sets[i % N_SETS];
            submit(&h, &tasks[i]);
        }
        for (unsigned i = 0; i < 2 * N_SETS; i++) {
            finish(&h, &tasks[i], models[m]);
            n_preempted += tasks[i].heard.result.n_preempted;
            n_different += memcmp(tasks[i].heard.tokens, tasks[0].heard.tokens,
                                  sizeof tasks[i].heard.tokens) != 0;
        }
        assert_true(n_preempted > 0);
        assert_true(n_different >= 2 * (N_SETS - 1) - 2);
        close_hall(&h);
        close_library(&library);
    }
}

/* A prompt of three pages, the last token of which is computed in any case. */
static void ask_with(struct hall *h, const struct adapter_set *set, uint32_t reused,
                     const char *what) {
    struct task *t = &tasks[0];
    make_task(t, 3, &h->alone, 1);
    t->n_prompt = 3 * CACHE_PAGE_TOKENS + 1;
    for (uint32_t k = 0; k < t->n_prompt; k++)
        t->prompt[k] = (int32_t)(3 + k * 5 % 100);
    t->adapters = set;
    submit(h, t);
    finish(h, t, what);
    if (t->heard.result.n_reused != reused)
        fail_msg("%s: %u tokens were found, not %u", what, t->heard.result.n_reused, reused);
}

static void pages_are_found_by_their_own_set_only(void **state) {
    (void)state;
    for (int m = 0; m < N_MODELS; m++) {
        struct hall h;
        open_hall(&h, models[m],
                  &(struct hall_options){
                      .n_ctx = HALL_CTX, .n_sequences = 2, .n_states = 30, .n_pages = 40});
        open_library(&library, &h);
        for (int i = 0; i < N_SETS; i++)
            ask_with(&h, &library.sets[i], 0, "first");
        for (int i = N_SETS; i-- > 0;)
            ask_with(&h, &library.sets[i], 3 * CACHE_PAGE_TOKENS, "again");
        /* What is switched off is not there; the context has none of its own. */
        struct adapter_set off = {{{&library.adapters[0].adapter, 0}}, 1};
        ask_with(&h, &off, 3 * CACHE_PAGE_TOKENS, "off");
        assert_int_equal(context_adapters(h.context)->count, 0);
        expect_ok(context_set_adapters(h.alone.context, &off, NULL), NULL);
        ask_with(&h, NULL, 3 * CACHE_PAGE_TOKENS, "own");
        close_hall(&h);
        close_library(&library);
    }
}

/* More sets than the scheduler remembers, and the first one once more. */
static void forgotten_sets_begin_anew(void **state) {
    struct hall h;
    struct adapter_set set = {{{&library.adapters[0].adapter, 0}}, 1};
    (void)state;
    open_hall(&h, models[0],
              &(struct hall_options){.n_ctx = HALL_CTX, .n_sequences = 2, .n_pages = 40});
    open_library(&library, &h);
    for (int i = 0; i < 70; i++) {
        set.items[0].scale = 0.1f + 0.01f * (float)i;
        ask_with(&h, &set, 0, "another scale");
    }
    ask_with(&h, &set, 3 * CACHE_PAGE_TOKENS, "the last one");
    set.items[0].scale = 0.1f;
    ask_with(&h, &set, 0, "the first one");
    close_hall(&h);
    close_library(&library);
}

/* The choices of a job share the pages of its prompt, and its adapters. */
static void choices_share_them(void **state) {
    enum { N_CHOICES = 3 };
    static struct heard heard[N_CHOICES];
    struct hall h;
    struct task t;
    struct scheduler_choice choices[N_CHOICES];
    struct sampler_params params[N_CHOICES];
    hearth_error err = {0};
    (void)state;
    open_hall(&h, models[0], &(struct hall_options){.n_ctx = HALL_CTX, .n_sequences = 4});
    open_library(&library, &h);
    make_task(&t, 5, &h.alone, 90);
    t.adapters = &library.sets[3];
    memset(heard, 0, sizeof heard);
    for (unsigned i = 0; i < N_CHOICES; i++) {
        params[i] = sampling(i);
        choices[i] = (struct scheduler_choice){.params = &params[i], .context = &heard[i]};
    }
    struct scheduler_request request = request_of(&t, choices);
    request.n_choices = N_CHOICES;
    expect_ok(scheduler_submit(h.scheduler, &request, &t.job, &err), &err);
    scheduler_finish(t.job);
    for (unsigned i = 0; i < N_CHOICES; i++)
        expect_as_alone(&h, &t, "a choice", &params[i], &heard[i]);
    close_hall(&h);
    close_library(&library);
}

static void what_is_not_loaded_fails_alone(void **state) {
    struct hall h;
    struct random_adapter other;
    (void)state;
    open_hall(&h, models[0], &(struct hall_options){.n_ctx = HALL_CTX, .n_sequences = 4});
    open_library(&library, &h);
    random_adapter_open(&other, &h.alone.model, &(struct random_adapter_shape){.rank = 2});
    struct adapter_set unknown = {{{&other.adapter, 1}}, 1};
    for (unsigned i = 0; i < 3; i++) {
        make_task(&tasks[i], i, &h.alone, 40);
        tasks[i].adapters = i == 1 ? &unknown : &library.sets[i];
        submit(&h, &tasks[i]);
    }
    scheduler_finish(tasks[1].job);
    assert_int_equal(tasks[1].heard.result.reason, SCHEDULER_FAILED);
    assert_int_equal(tasks[1].heard.result.status, HEARTH_ERROR_NOT_FOUND);
    finish(&h, &tasks[0], "before it");
    finish(&h, &tasks[2], "after it");
    close_hall(&h);
    random_adapter_close(&other);
    close_library(&library);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mixed_answers_are_as_alone),
        cmocka_unit_test(waiting_for_pages_keeps_them),
        cmocka_unit_test(pages_are_found_by_their_own_set_only),
        cmocka_unit_test(forgotten_sets_begin_anew),
        cmocka_unit_test(choices_share_them),
        cmocka_unit_test(what_is_not_loaded_fails_alone),
    };
    return cmocka_run_group_tests_name("infer/scheduler_adapters", tests, NULL, NULL);
}
