/* Many answers at once: each is token for token what it is alone, whatever arrives, ends, is
 * cancelled or runs out of pages beside it; and no page is lost. */
#include "scheduling.h"

#include "base/clock.h"
#include "kernels/prompt_model.h"

static const char *const models[] = {"quantmodels/q4_0/model.gguf",
                                     "models/stories260K/stories260K.gguf",
                                     "arch/qwen35-dense/model.gguf", "arch/lfm2-dense/model.gguf"};
enum { N_MODELS = sizeof models / sizeof models[0], N_TASKS = 20 };
static int n_models = N_MODELS; /* the first ones */

static struct task tasks[N_TASKS];

static void many_answers_are_as_alone(void **state) {
    (void)state;
    for (int m = 0; m < n_models; m++) {
        struct hall h;
        open_hall(&h, models[m], &(struct hall_options){.n_ctx = HALL_CTX, .n_sequences = 5});
        for (unsigned i = 0; i < N_TASKS; i++) {
            make_task(&tasks[i], i, &h.alone, 120);
            submit(&h, &tasks[i]);
            if (i % 4 == 0) clock_rest(i * 50000);
        }
        for (unsigned i = 0; i < N_TASKS; i++)
            finish(&h, &tasks[i], models[m]);
        struct scheduler_stats stats = stats_of(&h);
        assert_int_equal(stats.n_waiting + stats.n_preempted, 0);
        close_hall(&h);
    }
}

/* Two sequences of full length have pages, six want to run. */
static void running_out_of_pages_changes_no_token(void **state) {
    (void)state;
    for (int m = 0; m < n_models; m++) {
        struct hall h;
        open_hall(
            &h, models[m],
            &(struct hall_options){.n_ctx = 128, .n_sequences = 6, .n_pages = 5, .n_states = 3});
        for (unsigned i = 0; i < N_TASKS; i++) {
            make_task(&tasks[i], i, &h.alone, 60);
            tasks[i].max_tokens += 45;
            tasks[i].priority = i % 7 == 0;
            submit(&h, &tasks[i]);
        }
        for (unsigned i = 0; i < N_TASKS; i++)
            finish(&h, &tasks[i], models[m]);
        assert_true(stats_of(&h).n_preempted > 0);
        close_hall(&h);
    }
}

/* ---- what is computed once ---- */

static bool is_recurrent(const struct hall *h) {
    return config_is_recurrent(&h->alone.model.config);
}

/* Prompts that go on differently after `shared` tokens, one by one, so that each finds what the
 * others left. */
static void ask_in_turn(struct hall *h, const char *name, uint32_t shared, uint32_t reused) {
    for (unsigned i = 0; i < 6; i++) {
        struct task *t = &tasks[i];
        make_task(t, 3, &h->alone, 1);
        t->n_prompt = shared + 1 + i * 5;
        for (uint32_t k = 0; k < t->n_prompt; k++)
            t->prompt[k] = (int32_t)(3 + (k < shared ? k * 5 + shared : k + i * 7) % 100);
        submit(h, t);
        finish(h, t, name);
        if (i > 0) assert_int_equal(t->heard.result.n_reused, reused);
    }
}

static void prefixes_are_computed_once(void **state) {
    (void)state;
    for (int m = 0; m < n_models; m++) {
        struct hall h;
        open_hall(&h, models[m],
                  &(struct hall_options){.n_ctx = HALL_CTX, .n_sequences = 4, .n_states = 8});
        ask_in_turn(&h, models[m], 64, 64);
        ask_in_turn(&h, models[m], 95, 64);
        ask_in_turn(&h, models[m], 31, 0);
        ask_in_turn(&h, models[m], 129, 128);
        struct scheduler_stats stats = stats_of(&h);
        assert_int_equal(stats.n_free_pages + stats.n_kept_pages, stats.n_pages);
        assert_true(stats.n_kept_pages > 0);
        close_hall(&h);
    }
}

/* Where prompts part is seen by the second one, which leaves a state for the third. */
static void states_are_kept_where_prompts_part(void **state) {
    (void)state;
    for (int m = 0; m < n_models; m++) {
        struct hall h;
        open_hall(&h, models[m],
                  &(struct hall_options){.n_ctx = HALL_CTX, .n_sequences = 4, .n_states = 4});
        for (unsigned i = 0; i < 5; i++) {
            struct task *t = &tasks[i];
            make_task(t, 3, &h.alone, 1);
            t->n_prompt = 150 + i * 5;
            for (uint32_t k = 0; k < t->n_prompt; k++)
                t->prompt[k] = (int32_t)(3 + (k < 70 ? k : k + i * 7 + 1) % 100);
            submit(&h, t);
            finish(&h, t, models[m]);
            bool sees = i > 1 || (i == 1 && !is_recurrent(&h));
            assert_int_equal(t->heard.result.n_reused, sees ? 64 : 0);
        }
        close_hall(&h);
    }
}

static void nothing_is_kept_where_not_wanted(void **state) {
    struct hall h;
    (void)state;
    open_hall(&h, models[0],
              &(struct hall_options){
                  .n_ctx = HALL_CTX, .n_sequences = 4, .scheduler = {.no_reuse = true}});
    ask_in_turn(&h, models[0], 64, 0);
    assert_int_equal(stats_of(&h).n_free_pages, stats_of(&h).n_pages);
    close_hall(&h);
}

/* The same prompt again, and then with the answers behind it, whose tokens are a prompt's now:
 * computed again only where prompts have an arithmetic of their own. */
static void conversations_go_on(void **state) {
    (void)state;
    for (int m = 0; m < n_models; m++) {
        struct hall h;
        struct task *t = &tasks[0];
        uint32_t whole = 0;
        open_hall(&h, models[m],
                  &(struct hall_options){.n_ctx = HALL_CTX, .n_sequences = 2, .n_states = 4});
        make_task(t, 1, &h.alone, 2);
        t->max_tokens = 40;
        t->n_prompt = 64;
        for (uint32_t k = 0; k < t->n_prompt; k++)
            t->prompt[k] = (int32_t)(40 + k);
        for (int turn = 0; turn < 4; turn++) {
            uint32_t most = (t->n_prompt - 1) / CACHE_PAGE_TOKENS * CACHE_PAGE_TOKENS;
            bool again = context_has_prompts(h.context) && whole < most;
            t->heard = (struct heard){0};
            submit(&h, t);
            finish(&h, t, models[m]);
            if (turn > 0 && !(again && is_recurrent(&h)))
                assert_int_equal(t->heard.result.n_reused, again ? whole : most);
            whole = t->n_prompt / CACHE_PAGE_TOKENS * CACHE_PAGE_TOKENS;
            if (turn == 0) continue;
            memcpy(t->prompt + t->n_prompt, t->heard.tokens, t->heard.n * sizeof *t->prompt);
            t->n_prompt += t->heard.n;
        }
        close_hall(&h);
    }
}

/* Many at once of few prompts, in a cache too small for what they leave behind. */
static void what_is_old_makes_room(void **state) {
    (void)state;
    for (int m = 0; m < n_models; m++) {
        struct hall h;
        open_hall(
            &h, models[m],
            &(struct hall_options){.n_ctx = 128, .n_sequences = 4, .n_pages = 9, .n_states = 2});
        for (unsigned i = 0; i < N_TASKS; i++) {
            make_task(&tasks[i], i, &h.alone, 3);
            tasks[i].n_prompt = 33 + i % 5 * 13;
            for (uint32_t k = 0; k < tasks[i].n_prompt; k++)
                tasks[i].prompt[k] = (int32_t)(3 + (k * 7 + i % 3 * (k > 40)) % 100);
            submit(&h, &tasks[i]);
        }
        for (unsigned i = 0; i < N_TASKS; i++)
            finish(&h, &tasks[i], models[m]);
        struct scheduler_stats stats = stats_of(&h);
        assert_true(stats.n_reused > 0);
        assert_int_equal(stats.n_free_pages + stats.n_kept_pages, 9);
        close_hall(&h);
    }
}

/* ---- choices ---- */

enum { N_CHOICES = 5 };

static void ask_choices(struct hall *h, const char *name, struct task *t) {
    static struct heard heard[N_CHOICES];
    static struct sampler_params params[N_CHOICES];
    struct scheduler_choice choices[N_CHOICES];
    struct scheduler_request request = request_of(t, choices);
    hearth_error err = {0};
    for (unsigned i = 0; i < N_CHOICES; i++) {
        heard[i] = (struct heard){0};
        params[i] = i == 0 ? greedy() : sampling(100 + i);
        choices[i] = (struct scheduler_choice){.params = &params[i], .context = &heard[i]};
    }
    request.n_choices = N_CHOICES;
    expect_ok(scheduler_submit(h->scheduler, &request, &t->job, &err), &err);
    scheduler_finish(t->job);
    for (int i = 0; i < N_CHOICES; i++)
        expect_as_alone(h, t, name, &params[i], &heard[i]);
}

static void choices_share_their_prompt(void **state) {
    static const uint32_t lengths[] = {1, 32, 45};
    (void)state;
    for (int m = 0; m < n_models; m++)
        for (uint32_t n_pages = 0; n_pages < 10; n_pages += 9) {
            struct hall h;
            open_hall(&h, models[m],
                      &(struct hall_options){
                          .n_ctx = HALL_CTX, .n_sequences = n_pages ? 4 : 8, .n_pages = n_pages});
            uint64_t rows = 0;
            for (int i = 0; i < 3; i++) {
                make_task(&tasks[i], 2 + (unsigned)i, &h.alone, 2);
                tasks[i].n_prompt = lengths[i];
                tasks[i].max_tokens = 12;
                ask_choices(&h, models[m], &tasks[i]);
                rows += lengths[i] + N_CHOICES * 12;
            }
            /* With a sequence for each, every prompt is computed once. */
            struct scheduler_stats stats = stats_of(&h);
            uint64_t refused = stats.n_drafted - stats.n_accepted;
            if (!n_pages) assert_true(stats.n_rows <= rows + refused);
            close_hall(&h);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_answers_are_as_alone),
        cmocka_unit_test(running_out_of_pages_changes_no_token),
        cmocka_unit_test(prefixes_are_computed_once),
        cmocka_unit_test(states_are_kept_where_prompts_part),
        cmocka_unit_test(nothing_is_kept_where_not_wanted),
        cmocka_unit_test(conversations_go_on),
        cmocka_unit_test(what_is_old_makes_room),
        cmocka_unit_test(choices_share_their_prompt),
    };
    const struct CMUnitTest drafting[] = {
        cmocka_unit_test(running_out_of_pages_changes_no_token),
        cmocka_unit_test(conversations_go_on),
        cmocka_unit_test(choices_share_their_prompt),
    };
    int failed = cmocka_run_group_tests_name("infer/scheduler", tests, NULL, NULL);
    hall_drafting = &lookup;
    failed += cmocka_run_group_tests_name("infer/scheduler, drafting", drafting, NULL, NULL);
    hall_drafting = NULL;
    enum cpu_level level;
    if (!prompt_model_runs() || cpu_choose(&level, NULL) != HEARTH_OK) return failed;
    /* Once more where a quantised model's prompts have an arithmetic of their own. */
    prompt_model_use(level, &amx_model_prompt);
    n_models = 1;
    return failed +
           cmocka_run_group_tests_name("infer/scheduler, prompts apart", tests, NULL, NULL);
}
