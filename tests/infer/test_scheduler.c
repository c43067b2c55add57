/* Many answers at once: each is token for token what it is alone, whatever arrives, ends, is
 * cancelled or runs out of pages beside it; and no page is lost. */
#include "scheduling.h"

#include "base/clock.h"

static const char *const models[] = {"models/stories260K/stories260K.gguf",
                                     "arch/qwen35-dense/model.gguf", "arch/lfm2-dense/model.gguf"};
enum { N_MODELS = sizeof models / sizeof models[0], N_TASKS = 30 };

static struct task tasks[N_TASKS];

static void many_answers_are_as_alone(void **state) {
    (void)state;
    for (int m = 0; m < N_MODELS; m++) {
        struct hall h;
        open_hall(&h, models[m], &(struct hall_options){.n_ctx = HALL_CTX, .n_sequences = 5});
        for (unsigned i = 0; i < N_TASKS; i++) {
            make_task(&tasks[i], i, &h.alone, 150);
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
    for (int m = 0; m < N_MODELS; m++) {
        struct hall h;
        open_hall(&h, models[m],
                  &(struct hall_options){.n_ctx = 128, .n_sequences = 6, .n_pages = 5});
        for (unsigned i = 0; i < N_TASKS; i++) {
            make_task(&tasks[i], i, &h.alone, 60);
            tasks[i].max_tokens += 30;
            tasks[i].priority = i % 7 == 0;
            submit(&h, &tasks[i]);
        }
        for (unsigned i = 0; i < N_TASKS; i++)
            finish(&h, &tasks[i], models[m]);
        assert_true(stats_of(&h).n_preempted > 0);
        close_hall(&h);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_answers_are_as_alone),
        cmocka_unit_test(running_out_of_pages_changes_no_token),
    };
    return cmocka_run_group_tests_name("infer/scheduler", tests, NULL, NULL);
}
