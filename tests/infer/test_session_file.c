/* Timelines on disk: the same bits as without a file, for every kind of cache; files that
 * are damaged, made elsewhere, something else or cut short while being written. */
#include "format/scratch.h"
#include "model/golden.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/cpu.h"
#include "infer/session_file.h"

enum { N_CTX = 96, N_SAVED = 40 };

static const char *const families[] = {"llama-dense",     "qwen35-dense",  "granitehybrid-dense",
                                       "lfm2-dense",      "deepseek2-moe", "gemma3-dense",
                                       "nemotron_h-dense"};
enum { N_FAMILIES = sizeof families / sizeof families[0] };

struct scene {
    struct model model;
    struct context *context;
    struct session *session;
    int32_t tokens[N_TOKENS];
};

static struct context_options options_of(enum elem cache) {
    struct context_options options = context_defaults();
    options.n_threads = 1;
    options.n_ctx = N_CTX;
    options.n_draft = 3;
    options.k_type = options.v_type = cache;
    return options;
}

static void open_model(struct scene *s, const char *path, const struct context_options *options) {
    hearth_error err = {0};
    *s = (struct scene){0};
    assert_ok(model_open(&s->model, path, &err), &err);
    assert_ok(context_open(&s->context, &s->model, options, &err), &err);
    assert_ok(session_open(&s->session, s->context, 0, &err), &err);
    read_tokens(testdata("arch/llama-dense/tokens.txt"), s->tokens);
}

static const char *family_path(const char *family) {
    char path[128];
    snprintf(path, sizeof path, "arch/%s/model.gguf", family);
    return testdata(path);
}

static void open_scene(struct scene *s, const char *family, enum elem cache) {
    struct context_options options = options_of(cache);
    open_model(s, family_path(family), &options);
}

static void close_scene(struct scene *s) {
    session_close(s->session);
    context_close(s->context);
    model_close(&s->model);
}

static void set(struct scene *s, uint32_t n, uint32_t *reused) {
    hearth_error err = {0};
    assert_ok(session_set(s->session, s->tokens, n, NULL, NULL, reused, &err), &err);
}

static void save(struct scene *s, const char *name) {
    hearth_error err = {0};
    assert_ok(session_save(s->session, scratch(name), &err), &err);
}

static uint32_t load(struct scene *s, const char *name, uint32_t n) {
    uint32_t shared, held;
    hearth_error err = {0};
    assert_ok(session_load(s->session, scratch(name), s->tokens, n, &shared, &err), &err);
    session_tokens(s->session, &held);
    assert_int_equal(context_sequence_length(s->context, 0), held);
    return shared;
}

static void expect_logits(const struct scene *s, const float *expected, const char *what) {
    assert_true(session_has_logits(s->session));
    if (memcmp(session_logits(s->session), expected, N_VOCAB * sizeof *expected) != 0)
        fail_msg("%s: other logits", what);
}

/* Logits after the first n tokens, computed at once by a session without a past. */
static void plain_logits(const char *family, enum elem cache, uint32_t n, float *logits) {
    struct scene s;
    open_scene(&s, family, cache);
    set(&s, n, NULL);
    memcpy(logits, session_logits(s.session), N_VOCAB * sizeof *logits);
    close_scene(&s);
}

static void a_timeline_comes_back_bit_for_bit(void **state) {
    static const enum elem caches[] = {ELEM_F32, ELEM_F16, ELEM_Q8_0, ELEM_Q4_0};
    float expected[N_VOCAB];
    (void)state;
    for (int f = 0; f < N_FAMILIES; f++) {
        for (int c = 0; c < 4; c++) {
            struct scene s;
            uint32_t n, reused;
            hearth_error err = {0};
            bool odd_heads = strcmp(families[f], "deepseek2-moe") == 0;
            if (odd_heads && caches[c] > ELEM_F16) continue;
            open_scene(&s, families[f], caches[c]);
            set(&s, N_SAVED, NULL);
            save(&s, "file");
            memcpy(expected, session_logits(s.session), sizeof expected);
            session_clear(s.session);
            assert_int_equal(load(&s, "file", N_SAVED), N_SAVED);
            session_tokens(s.session, &n);
            assert_int_equal(n, N_SAVED);
            expect_logits(&s, expected, families[f]);
            close_scene(&s);

            open_scene(&s, families[f], caches[c]);
            set(&s, 60, NULL); /* what is there before is no obstacle */
            s.tokens[0] ^= 1;
            set(&s, 9, NULL);
            s.tokens[0] ^= 1;
            assert_int_equal(load(&s, "file", N_SAVED + 7), N_SAVED);
            set(&s, N_SAVED + 7, &reused);
            assert_int_equal(reused, N_SAVED);
            plain_logits(families[f], caches[c], N_SAVED + 7, expected);
            expect_logits(&s, expected, families[f]);
            for (uint32_t i = 0; i < 3; i++)
                assert_ok(session_append(s.session, s.tokens[N_SAVED + 7 + i], &err), &err);
            plain_logits(families[f], caches[c], N_SAVED + 10, expected);
            expect_logits(&s, expected, families[f]);
            close_scene(&s);
        }
    }
}

/* Prompts that leave the file's timeline, or end inside it. */
static void only_what_is_shared_is_taken(void **state) {
    static const struct {
        uint32_t n, differs_at, shared, taken;
    } prompts[] = {{50, 37, 37, 37}, {50, 32, 32, 32}, {50, 5, 5, 5},    {50, 0, 0, 0},
                   {20, 99, 20, 19}, {32, 99, 32, 31}, {33, 99, 33, 32}, {1, 99, 1, 0}};
    float expected[N_VOCAB];
    (void)state;
    for (int f = 0; f < N_FAMILIES; f++) {
        for (size_t p = 0; p < sizeof prompts / sizeof prompts[0]; p++) {
            struct scene s, fresh;
            uint32_t n, reused;
            open_scene(&s, families[f], ELEM_F16);
            open_scene(&fresh, families[f], ELEM_F16);
            set(&s, N_SAVED, NULL);
            if (p == 0) save(&s, "file");
            session_clear(s.session);
            if (prompts[p].differs_at < N_TOKENS) {
                s.tokens[prompts[p].differs_at] ^= 1;
                fresh.tokens[prompts[p].differs_at] ^= 1;
            }
            assert_int_equal(load(&s, "file", prompts[p].n), prompts[p].shared);
            session_tokens(s.session, &n);
            bool recurrent = config_is_recurrent(&s.model.config);
            assert_int_equal(n, recurrent ? 0 : prompts[p].taken);
            assert_false(session_has_logits(s.session));
            set(&s, prompts[p].n, &reused);
            assert_int_equal(reused, n);
            set(&fresh, prompts[p].n, NULL);
            memcpy(expected, session_logits(fresh.session), sizeof expected);
            expect_logits(&s, expected, families[f]);
            close_scene(&fresh);
            close_scene(&s);
        }
    }
}

/* A file holds its timeline and nothing of what the session computed and forgot. */
static void what_was_forgotten_is_not_in_the_file(void **state) {
    (void)state;
    for (int f = 0; f < N_FAMILIES; f++) {
        struct scene s;
        char *first, *second;
        size_t n_first, n_second;
        hearth_error err = {0};
        open_scene(&s, families[f], ELEM_F16);
        set(&s, N_SAVED, NULL);
        save(&s, "plain");
        session_clear(s.session);
        s.tokens[0] ^= 1;
        set(&s, 90, NULL);
        s.tokens[0] ^= 1;
        set(&s, N_SAVED - 1, NULL);
        assert_ok(session_append_drafts(s.session, s.tokens[N_SAVED - 1], s.tokens, 3, &err), &err);
        save(&s, "after");
        assert_ok(file_read(scratch("plain"), 1 << 24, &first, &n_first, &err), &err);
        assert_ok(file_read(scratch("after"), 1 << 24, &second, &n_second, &err), &err);
        assert_int_equal(n_first, n_second);
        assert_memory_equal(first, second, n_first);
        mem_free(first);
        mem_free(second);
        close_scene(&s);
    }
}

static void a_session_without_logits_is_computed_or_refused(void **state) {
    struct scene s;
    float expected[N_VOCAB];
    hearth_error err = {0};
    (void)state;
    open_scene(&s, "llama-dense", ELEM_F16);
    assert_int_equal(session_save(s.session, scratch("file"), &err), HEARTH_ERROR_ARGUMENT);
    set(&s, 20, NULL);
    memcpy(expected, session_logits(s.session), sizeof expected);
    set(&s, N_SAVED, NULL);
    assert_true(session_go_back(s.session, 20));
    assert_int_equal(session_save(s.session, scratch("file"), &err), HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, "nothing is computed");
    set(&s, 20, NULL); /* is not content with the logits of another token */
    expect_logits(&s, expected, "after going back");
    close_scene(&s);
}

/* ---- files that are refused ------------------------------------------------ */

static void expect_refused(struct scene *s, const char *name, hearth_status code,
                           const char *part) {
    uint32_t shared = 77, n;
    hearth_error err = {0};
    hearth_status status =
        session_load(s->session, scratch(name), s->tokens, N_SAVED, &shared, &err);
    if (status != code || !strstr(err.message, part) || !strstr(err.message, name))
        fail_msg("%d '%s' instead of %d with '%s'", (int)status, err.message, (int)code, part);
    session_tokens(s->session, &n);
    assert_int_equal(n, 0);
    assert_int_equal(shared, 0);
}

/* Without waiting for the disk, as these are many. */
static void put_damaged(const char *bytes, size_t size) {
    FILE *file = fopen(scratch("damaged"), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static void damaged_files_are_refused(void **state) {
    (void)state;
    for (int f = 0; f < 2; f++) {
        struct scene s;
        char *bytes;
        size_t size;
        unsigned tried = 0;
        hearth_error err = {0};
        open_scene(&s, families[f], ELEM_F16);
        set(&s, N_SAVED, NULL);
        save(&s, "file");
        session_clear(s.session);
        assert_ok(file_read(scratch("file"), 1 << 24, &bytes, &size, &err), &err);
        for (size_t i = 0; i < size; i += i < 400 ? 3 : size / 150, tried++) {
            bytes[i] ^= 0x20;
            put_damaged(bytes, size);
            bytes[i] ^= 0x20;
            hearth_status status =
                session_load(s.session, scratch("damaged"), s.tokens, N_SAVED, NULL, &err);
            if (status != HEARTH_ERROR_FORMAT && status != HEARTH_ERROR_UNSUPPORTED)
                fail_msg("byte %zu of %zu: status %d", i, size, (int)status);
            assert_int_equal(context_sequence_length(s.context, 0), 0);
            put_damaged(bytes, i);
            expect_refused(&s, "damaged",
                           i == 0  ? HEARTH_ERROR_NOT_FOUND
                           : i < 8 ? HEARTH_ERROR_UNSUPPORTED
                                   : HEARTH_ERROR_FORMAT,
                           "it");
        }
        assert_true(tried > 200);
        put_damaged(bytes, size);
        assert_int_equal(load(&s, "damaged", N_SAVED), N_SAVED);
        mem_free(bytes);
        close_scene(&s);
    }
}

static void other_settings_are_refused(void **state) {
    struct scene s;
    struct context_options options = options_of(ELEM_F16);
    hearth_error err = {0};
    (void)state;
    open_scene(&s, "llama-dense", ELEM_F16);
    set(&s, N_SAVED, NULL);
    save(&s, "file");
    close_scene(&s);

    open_scene(&s, "qwen3-dense", ELEM_F16);
    expect_refused(&s, "file", HEARTH_ERROR_UNSUPPORTED, "another model");
    close_scene(&s);
    open_scene(&s, "llama-dense", ELEM_Q8_0);
    expect_refused(&s, "file", HEARTH_ERROR_UNSUPPORTED, "q8_0");
    close_scene(&s);
    options.activations_f32 = true;
    open_model(&s, family_path("llama-dense"), &options);
    expect_refused(&s, "file", HEARTH_ERROR_UNSUPPORTED, "--activations");
    close_scene(&s);
    open_scene(&s, "llama-dense", ELEM_F16);
    if (cpu_best() != CPU_SCALAR) {
        setenv("HEARTH_CPU", "scalar", 1);
        expect_refused(&s, "file", HEARTH_ERROR_UNSUPPORTED, "'scalar'");
        unsetenv("HEARTH_CPU");
    }
    expect_refused(&s, "absent", HEARTH_ERROR_NOT_FOUND, "absent");
    assert_int_equal(load(&s, "file", N_SAVED), N_SAVED);
    assert_int_equal(session_load(s.session, scratch_folder, s.tokens, N_SAVED, NULL, &err),
                     HEARTH_ERROR_IO);
    close_scene(&s);
}

/* Same name and sizes, other weights; same weights, other name. */
static void a_model_is_known_by_its_content(void **state) {
    struct scene s;
    char *bytes;
    size_t size;
    hearth_error err = {0};
    struct context_options options = options_of(ELEM_F16);
    (void)state;
    open_scene(&s, "llama-dense", ELEM_F16);
    set(&s, N_SAVED, NULL);
    save(&s, "file");
    const struct tensor *tensor = &s.model.directory.tensors[s.model.directory.n_tensors - 1];
    size_t at = (size_t)(tensor->data - s.model.directory.maps[0].data);
    assert_ok(file_read(family_path("llama-dense"), 1 << 24, &bytes, &size, &err), &err);
    close_scene(&s);
    scratch_put("model.gguf", bytes, size);
    open_model(&s, scratch("model.gguf"), &options);
    assert_int_equal(load(&s, "file", N_SAVED), N_SAVED);
    close_scene(&s);
    bytes[at] ^= 1;
    scratch_put("model.gguf", bytes, size);
    open_model(&s, scratch("model.gguf"), &options);
    expect_refused(&s, "file", HEARTH_ERROR_UNSUPPORTED, "another model");
    close_scene(&s);
    mem_free(bytes);
}

static void adapters_count(void **state) {
    struct scene s;
    struct adapter adapter;
    struct adapter_set set_of_one = {.count = 1};
    hearth_error err = {0};
    (void)state;
    open_scene(&s, "llama-dense", ELEM_F16);
    assert_ok(adapter_open(&adapter, testdata("lora/adapter.gguf"), &s.model.config, &err), &err);
    set_of_one.items[0].adapter = &adapter;
    set_of_one.items[0].scale = 1;
    set(&s, N_SAVED, NULL);
    save(&s, "plain");
    session_clear(s.session);
    assert_ok(context_set_adapters(s.context, &set_of_one, &err), &err);
    expect_refused(&s, "plain", HEARTH_ERROR_UNSUPPORTED, "--lora");
    set(&s, N_SAVED, NULL);
    save(&s, "adapted");
    session_clear(s.session);
    set_of_one.items[0].scale = 0.5f;
    assert_ok(context_set_adapters(s.context, &set_of_one, &err), &err);
    expect_refused(&s, "adapted", HEARTH_ERROR_UNSUPPORTED, "--lora");
    set_of_one.items[0].scale = 1;
    assert_ok(context_set_adapters(s.context, &set_of_one, &err), &err);
    assert_int_equal(load(&s, "adapted", N_SAVED), N_SAVED);
    close_scene(&s);
    adapter_close(&adapter);
}

/* ---- writing --------------------------------------------------------------- */

static void other_files_are_not_overwritten(void **state) {
    static const char notes[] = "HEARTH is where the home is";
    struct scene s;
    char *bytes;
    size_t size;
    hearth_error err = {0};
    (void)state;
    open_scene(&s, "llama-dense", ELEM_F16);
    set(&s, N_SAVED, NULL);
    scratch_put_text("notes", notes);
    assert_int_equal(session_save(s.session, scratch("notes"), &err), HEARTH_ERROR_UNSUPPORTED);
    assert_contains(err.message, "notes' is not a prompt cache");
    assert_ok(file_read(scratch("notes"), 1 << 20, &bytes, &size, &err), &err);
    assert_string_equal(bytes, notes);
    mem_free(bytes);
    scratch_put("empty", "", 0);
    save(&s, "empty");
    save(&s, "empty"); /* its own kind is replaced */
    session_clear(s.session);
    assert_int_equal(load(&s, "empty", N_SAVED), N_SAVED);
    assert_int_equal(session_save(s.session, scratch_folder, &err), HEARTH_ERROR_IO);
    assert_int_equal(session_save(s.session, "/proc/none/file", &err), HEARTH_ERROR_IO);
    close_scene(&s);
}

/* No more than half of the file can be written: by default that kills the process. */
static void save_into_half(struct scene *s, const char *name, bool survive) {
    uint64_t size;
    hearth_error err = {0};
    assert_ok(file_size(scratch(name), &size, &err), &err);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit limit = {.rlim_cur = size / 2, .rlim_max = size / 2};
        signal(SIGXFSZ, survive ? SIG_IGN : SIG_DFL);
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(99);
        _exit(session_save(s->session, scratch(name), NULL) == HEARTH_ERROR_IO ? 7 : 98);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    if (survive)
        assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 7);
    else
        assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGXFSZ);
}

static void a_death_while_writing_leaves_the_old_file(void **state) {
    struct scene s;
    (void)state;
    open_scene(&s, "llama-dense", ELEM_F16);
    set(&s, N_SAVED, NULL);
    scratch_clear();
    save(&s, "file");
    set(&s, N_SAVED + 5, NULL);
    save_into_half(&s, "file", true);
    assert_int_equal(scratch_count(), 1); /* what was written is removed */
    save_into_half(&s, "file", false);
    session_clear(s.session);
    assert_int_equal(load(&s, "file", N_SAVED + 5), N_SAVED);
    close_scene(&s);
}

static void without_memory_nothing_is_lost(void **state) {
    struct scene s;
    float expected[N_VOCAB];
    unsigned failures[2] = {0};
    (void)state;
    open_scene(&s, "qwen35-dense", ELEM_F16);
    set(&s, N_SAVED, NULL);
    save(&s, "file");
    memcpy(expected, session_logits(s.session), sizeof expected);
    for (int what = 0; what < 2; what++) {
        for (uint64_t n = 1; n < 100; n++) {
            hearth_error err = {0};
            if (what == 1) session_clear(s.session);
            mem_fail_after(n);
            hearth_status status =
                what == 0 ? session_save(s.session, scratch("other"), &err)
                          : session_load(s.session, scratch("file"), s.tokens, N_SAVED, NULL, &err);
            bool pending = mem_fail_pending();
            mem_fail_after(0);
            if (pending) break;
            if (status == HEARTH_OK) continue; /* of what is done for the disk's sake only */
            assert_int_equal(status, HEARTH_ERROR_NO_MEMORY);
            failures[what]++;
        }
        expect_logits(&s, expected, "without memory");
    }
    assert_true(failures[0] >= 4 && failures[1] >= 1);
    close_scene(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timeline_comes_back_bit_for_bit),
        cmocka_unit_test(only_what_is_shared_is_taken),
        cmocka_unit_test(what_was_forgotten_is_not_in_the_file),
        cmocka_unit_test(a_session_without_logits_is_computed_or_refused),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(other_settings_are_refused),
        cmocka_unit_test(a_model_is_known_by_its_content),
        cmocka_unit_test(adapters_count),
        cmocka_unit_test(other_files_are_not_overwritten),
        cmocka_unit_test(a_death_while_writing_leaves_the_old_file),
        cmocka_unit_test(without_memory_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
