/* Computed prompts on disk: the same answers, to the bit, as without a file, for every kind of
 * cache. */
#include "prefixes.h"

#include <pthread.h>
#include <stdatomic.h>

static void a_prompt_comes_back_bit_for_bit(void **state) {
    static const enum elem caches[] = {ELEM_F32, ELEM_F16, ELEM_Q8_0, ELEM_Q4_0};
    (void)state;
    for (int f = 0; f < N_FAMILIES; f++) {
        for (int c = 0; c < 4; c++) {
            struct scene s;
            struct answer expected, a;
            if (strcmp(families[f], "deepseek2-moe") == 0 && caches[c] > ELEM_F16) continue;
            open_scene(&s, families[f], caches[c]);
            save_prompt(&s, "file");
            ask_alone(&s, families[f], caches[c], N_PROMPT, &expected);
            close_scene(&s);
            open_scene(&s, families[f], caches[c]);
            assert_int_equal(load(&s, "file", N_PROMPT), N_WHOLE);
            ask(&s, N_PROMPT, &a);
            assert_int_equal(a.n_reused, N_WHOLE);
            expect_same(&a, &expected, families[f]);
            close_scene(&s);
        }
    }
}

/* A recurrent model goes on only where a state was kept: at the end of all pages. */
static void only_what_is_shared_is_taken(void **state) {
    static const struct {
        uint32_t n, differs_at, found, reused;
    } prompts[] = {
        {N_TOKENS, 65, 64, 64}, {N_PROMPT, 64, 64, 64}, {N_PROMPT, 63, 32, 32}, {64, 100, 64, 32},
        {63, 100, 32, 32},      {N_PROMPT, 31, 0, 0},   {20, 100, 0, 0},
    };
    (void)state;
    for (int f = 0; f < 2; f++) {
        struct scene writer;
        open_scene(&writer, families[f], ELEM_F16);
        save_prompt(&writer, "file");
        close_scene(&writer);
        for (size_t i = 0; i < sizeof prompts / sizeof prompts[0]; i++) {
            struct scene s;
            struct answer expected, a;
            open_scene(&s, families[f], ELEM_F16);
            bool whole = !config_is_recurrent(&s.model.config) || prompts[i].found == N_WHOLE;
            bool goes_on = !config_is_recurrent(&s.model.config) || prompts[i].reused == N_WHOLE;
            if (prompts[i].differs_at < N_TOKENS) s.tokens[prompts[i].differs_at] ^= 1;
            ask_alone(&s, families[f], ELEM_F16, prompts[i].n, &expected);
            assert_int_equal(load(&s, "file", prompts[i].n), whole ? prompts[i].found : 0);
            ask(&s, prompts[i].n, &a);
            assert_int_equal(a.n_reused, goes_on ? prompts[i].reused : 0);
            expect_same(&a, &expected, families[f]);
            close_scene(&s);
        }
    }
}

/* The states that prompts leave where they part are in the file, too. */
static void states_along_the_way_are_kept(void **state) {
    (void)state;
    for (int f = 1; f < 4; f++) {
        struct scene s;
        struct answer expected, a;
        open_scene(&s, families[f], ELEM_F16);
        ask(&s, N_PROMPT, &a);
        s.tokens[40] ^= 1;
        ask(&s, N_PROMPT, &a); /* sees where the first parted */
        assert_int_equal(save(&s, "file", N_PROMPT), N_WHOLE);
        close_scene(&s);
        open_scene(&s, families[f], ELEM_F16);
        s.tokens[50] ^= 1;
        ask_alone(&s, families[f], ELEM_F16, N_PROMPT, &expected);
        assert_int_equal(load(&s, "file", N_PROMPT), 32);
        ask(&s, N_PROMPT, &a);
        assert_int_equal(a.n_reused, 32);
        expect_same(&a, &expected, families[f]);
        close_scene(&s);
    }
}

/* What is there already is not there twice, and the same file is made of it. */
static void loading_again_changes_nothing(void **state) {
    (void)state;
    for (int f = 0; f < 2; f++) {
        struct scene s;
        struct scheduler_stats before, after;
        char *first, *second;
        size_t n_first, n_second;
        hearth_error err = {0};
        open_scene(&s, families[f], ELEM_F16);
        save_prompt(&s, "first");
        scheduler_read_stats(s.scheduler, &before);
        assert_int_equal(load(&s, "first", N_PROMPT), N_WHOLE);
        assert_int_equal(save(&s, "second", N_PROMPT), N_WHOLE);
        scheduler_close(s.scheduler); /* all that is kept is shown by then */
        open_scheduler(&s, false);
        assert_int_equal(load(&s, "second", N_PROMPT), N_WHOLE);
        assert_int_equal(load(&s, "first", N_PROMPT), N_WHOLE);
        struct answer a;
        ask(&s, N_PROMPT, &a);
        scheduler_read_stats(s.scheduler, &after);
        assert_int_equal(after.n_kept_pages, before.n_kept_pages);
        assert_ok(file_read(scratch("first"), 1 << 24, &first, &n_first, &err), &err);
        assert_ok(file_read(scratch("second"), 1 << 24, &second, &n_second, &err), &err);
        assert_int_equal(n_first, n_second);
        assert_memory_equal(first, second, n_first);
        mem_free(first);
        mem_free(second);
        close_scene(&s);
    }
}

/* A cache that is full of other things makes room. */
static void what_is_loaded_takes_the_place_of_what_is_old(void **state) {
    (void)state;
    for (int f = 0; f < 2; f++) {
        struct scene s;
        struct answer expected, a;
        struct context_options options = options_of(ELEM_F16);
        open_scene(&s, families[f], ELEM_F16);
        save_prompt(&s, "file");
        close_scene(&s);
        options.n_pages = 4;
        options.n_states = 1;
        open_model(&s, family_path(families[f]), &options);
        ask_alone(&s, families[f], ELEM_F16, N_PROMPT, &expected);
        s.tokens[0] ^= 1;
        ask(&s, N_PROMPT, &a);
        s.tokens[0] ^= 1;
        assert_int_equal(load(&s, "file", N_PROMPT), N_WHOLE);
        ask(&s, N_PROMPT, &a);
        assert_int_equal(a.n_reused, N_WHOLE);
        expect_same(&a, &expected, families[f]);
        close_scene(&s);
    }
}

static void what_is_not_computed_is_not_saved(void **state) {
    struct scene s;
    struct answer a;
    uint32_t n = 7;
    hearth_error err = {0};
    (void)state;
    open_scene(&s, "llama-dense", ELEM_F16);
    assert_int_equal(save(&s, "nothing", N_PROMPT), 0);
    ask(&s, 20, &a);
    assert_int_equal(save(&s, "nothing", 20), 0);
    assert_false(file_exists(scratch("nothing")));
    ask(&s, 40, &a);
    assert_int_equal(save(&s, "some", N_PROMPT), 32);
    s.tokens[3] = N_VOCAB;
    assert_int_equal(try_save(&s, scratch("no"), 40, &n, &err), HEARTH_ERROR_ARGUMENT);
    assert_int_equal(try_load(&s, scratch("some"), 40, &n, &err), HEARTH_ERROR_ARGUMENT);
    s.tokens[3] = 3;
    scheduler_close(s.scheduler);
    open_scheduler(&s, true);
    assert_int_equal(try_load(&s, scratch("some"), 40, &n, &err), HEARTH_ERROR_UNSUPPORTED);
    assert_int_equal(n, 0);
    close_scene(&s);
}

/* What answers with adapters left is for answers with the same ones. */
static void adapters_have_prefixes_of_their_own(void **state) {
    struct adapter adapter;
    struct adapter_set set = {.count = 1};
    struct answer expected, a;
    hearth_error err = {0};
    (void)state;
    for (int turn = 0; turn < 2; turn++) {
        struct scene s;
        open_scene(&s, "llama-dense", ELEM_F16);
        assert_ok(adapter_open(&adapter, testdata("lora/adapter.gguf"), &s.model.config, &err),
                  &err);
        set.items[0] = (struct adapter_item){&adapter, 1};
        assert_ok(scheduler_load_adapter(s.scheduler, &adapter, 1, &err), &err);
        s.adapters = &set;
        if (turn == 0) {
            ask(&s, N_PROMPT, &expected);
            assert_int_equal(save(&s, "file", N_PROMPT), N_WHOLE);
        } else {
            assert_int_equal(load(&s, "file", N_PROMPT), N_WHOLE);
            ask(&s, N_PROMPT, &a);
            assert_int_equal(a.n_reused, N_WHOLE);
            expect_same(&a, &expected, "with an adapter");
            s.adapters = NULL;
            ask(&s, N_PROMPT, &a);
            assert_int_equal(a.n_reused, 0);
            uint32_t n;
            assert_int_equal(try_load(&s, scratch("file"), N_PROMPT, &n, &err),
                             HEARTH_ERROR_UNSUPPORTED);
        }
        close_scene(&s);
        adapter_close(&adapter);
    }
}

/* Beside answers, which hear nothing of it. */
struct asker {
    struct scene *scene;
    struct answer expected;
    atomic_bool enough;
};

static void *ask_again_and_again(void *context) {
    struct asker *asker = context;
    struct answer a;
    do {
        ask(asker->scene, N_PROMPT, &a);
        if (memcmp(a.tokens, asker->expected.tokens, sizeof a.tokens) != 0) return asker;
    } while (!atomic_load(&asker->enough));
    return NULL;
}

static void answers_go_on_meanwhile(void **state) {
    (void)state;
    for (int f = 0; f < 2; f++) {
        struct scene s;
        struct asker asker = {.scene = &s};
        pthread_t thread;
        void *wrong;
        atomic_init(&asker.enough, false);
        open_scene(&s, families[f], ELEM_F16);
        ask(&s, N_PROMPT, &asker.expected);
        assert_int_equal(pthread_create(&thread, NULL, ask_again_and_again, &asker), 0);
        for (int i = 0; i < 5; i++) {
            assert_int_equal(save(&s, "file", N_PROMPT), N_WHOLE);
            assert_int_equal(load(&s, "file", N_PROMPT), N_WHOLE);
        }
        atomic_store(&asker.enough, true);
        assert_int_equal(pthread_join(thread, &wrong), 0);
        assert_null(wrong);
        close_scene(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prompt_comes_back_bit_for_bit),
        cmocka_unit_test(only_what_is_shared_is_taken),
        cmocka_unit_test(states_along_the_way_are_kept),
        cmocka_unit_test(loading_again_changes_nothing),
        cmocka_unit_test(what_is_loaded_takes_the_place_of_what_is_old),
        cmocka_unit_test(what_is_not_computed_is_not_saved),
        cmocka_unit_test(adapters_have_prefixes_of_their_own),
        cmocka_unit_test(answers_go_on_meanwhile),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
