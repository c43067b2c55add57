/* Files of computed prompts that are damaged, made elsewhere, something else or cut short while
 * being written. */
#include "prefixes.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/cpu.h"
#include "infer/prefix_file.h"

/* ---- files that are refused ------------------------------------------------ */

static hearth_status load_some(struct scene *s, const char *name, hearth_error *err) {
    uint32_t n_found = 77;
    hearth_status status = try_load(s, scratch(name), N_PROMPT, &n_found, err);
    if (status != HEARTH_OK) assert_int_equal(n_found, 0);
    return status;
}

static void expect_refused(struct scene *s, const char *name, hearth_status code,
                           const char *part) {
    hearth_error err = {0};
    hearth_status status = load_some(s, name, &err);
    if (status != code || !strstr(err.message, part) || !strstr(err.message, name))
        fail_msg("%d '%s' instead of %d with '%s'", (int)status, err.message, (int)code, part);
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
        struct answer a;
        char *bytes;
        size_t size;
        unsigned tried = 0;
        hearth_error err = {0};
        open_scene(&s, families[f], ELEM_F16);
        save_prompt(&s, "file");
        close_scene(&s);
        open_scene(&s, families[f], ELEM_F16);
        assert_ok(file_read(scratch("file"), 1 << 24, &bytes, &size, &err), &err);
        for (size_t i = 0; i < size; i += i < 400 ? 3 : size / 150, tried++) {
            bytes[i] ^= 0x20;
            put_damaged(bytes, size);
            bytes[i] ^= 0x20;
            hearth_status status = load_some(&s, "damaged", &err);
            if (status != HEARTH_ERROR_FORMAT && status != HEARTH_ERROR_UNSUPPORTED)
                fail_msg("byte %zu of %zu: status %d", i, size, (int)status);
            put_damaged(bytes, i);
            expect_refused(&s, "damaged",
                           i == 0  ? HEARTH_ERROR_NOT_FOUND
                           : i < 8 ? HEARTH_ERROR_UNSUPPORTED
                                   : HEARTH_ERROR_FORMAT,
                           "it");
        }
        assert_true(tried > 200);
        ask(&s, N_PROMPT, &a);
        assert_int_equal(a.n_reused, 0); /* nothing of them was used */
        mem_free(bytes);
        close_scene(&s);
    }
}

static void other_settings_are_refused(void **state) {
    struct scene s;
    struct context_options options = options_of(ELEM_F16);
    uint32_t n;
    hearth_error err = {0};
    (void)state;
    open_scene(&s, "llama-dense", ELEM_F16);
    save_prompt(&s, "file");
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
    assert_int_equal(load(&s, "file", N_PROMPT), N_WHOLE);
    assert_int_equal(try_load(&s, scratch_folder, N_PROMPT, &n, &err), HEARTH_ERROR_IO);
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
    save_prompt(&s, "file");
    const struct tensor *tensor = &s.model.directory.tensors[s.model.directory.n_tensors - 1];
    size_t at = (size_t)(tensor->data - s.model.directory.maps[0].data);
    assert_ok(file_read(family_path("llama-dense"), 1 << 24, &bytes, &size, &err), &err);
    close_scene(&s);
    scratch_put("model.gguf", bytes, size);
    open_model(&s, scratch("model.gguf"), &options);
    assert_int_equal(load(&s, "file", N_PROMPT), N_WHOLE);
    close_scene(&s);
    bytes[at] ^= 1;
    scratch_put("model.gguf", bytes, size);
    open_model(&s, scratch("model.gguf"), &options);
    expect_refused(&s, "file", HEARTH_ERROR_UNSUPPORTED, "another model");
    close_scene(&s);
    mem_free(bytes);
}

static void set_adapter(struct scene *s, const struct adapter_set *set) {
    hearth_error err = {0};
    scheduler_close(s->scheduler);
    assert_ok(context_set_adapters(s->context, set, &err), &err);
    open_scheduler(s, false);
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
    save_prompt(&s, "plain");
    set_adapter(&s, &set_of_one);
    expect_refused(&s, "plain", HEARTH_ERROR_UNSUPPORTED, "--lora");
    save_prompt(&s, "adapted");
    set_of_one.items[0].scale = 0.5f;
    set_adapter(&s, &set_of_one);
    expect_refused(&s, "adapted", HEARTH_ERROR_UNSUPPORTED, "--lora");
    set_of_one.items[0].scale = 1;
    set_adapter(&s, &set_of_one);
    assert_int_equal(load(&s, "adapted", N_PROMPT), N_WHOLE);
    close_scene(&s);
    adapter_close(&adapter);
}

/* ---- writing --------------------------------------------------------------- */

static void other_files_are_not_overwritten(void **state) {
    static const char notes[] = "HEARTH is where the home is";
    struct scene s;
    char *bytes;
    size_t size;
    uint32_t n;
    hearth_error err = {0};
    (void)state;
    open_scene(&s, "llama-dense", ELEM_F16);
    save_prompt(&s, "file");
    scratch_put_text("notes", notes);
    assert_int_equal(try_save(&s, scratch("notes"), N_PROMPT, &n, &err), HEARTH_ERROR_UNSUPPORTED);
    assert_contains(err.message, "notes' is not a prompt cache");
    assert_ok(file_read(scratch("notes"), 1 << 20, &bytes, &size, &err), &err);
    assert_string_equal(bytes, notes);
    mem_free(bytes);
    scratch_put("empty", "", 0);
    save_prompt(&s, "empty");
    save_prompt(&s, "empty"); /* its own kind is replaced */
    assert_int_equal(load(&s, "empty", N_PROMPT), N_WHOLE);
    assert_int_equal(try_save(&s, scratch_folder, N_PROMPT, &n, &err), HEARTH_ERROR_IO);
    assert_int_equal(try_save(&s, "/proc/none/file", N_PROMPT, &n, &err), HEARTH_ERROR_IO);
    assert_int_equal(n, 0);
    close_scene(&s);
}

/* A file of one page and its half: as much as can be written. By default that kills the process. */
static int write_into_half(const char *path, const struct prefix_origin *origin,
                           const int32_t *tokens) {
    struct prefix_writer writer;
    static uint8_t page[1 << 20];
    const uint32_t no_ends = 0;
    assert_true(origin->page_bytes <= sizeof page);
    if (prefix_writer_open(&writer, path, origin, 2, 0, NULL) != HEARTH_OK) return 97;
    for (int i = 0; i < 2; i++)
        if (prefix_writer_put(&writer, page, NULL) != HEARTH_OK) {
            prefix_writer_discard(&writer);
            return 7;
        }
    return prefix_writer_commit(&writer, tokens, &no_ends, NULL) == HEARTH_ERROR_IO ? 7 : 98;
}

static void write_limited(const struct scene *s, const char *name, bool survive) {
    struct prefix_origin origin;
    hearth_error err = {0};
    assert_ok(prefix_origin_of(s->context, context_adapters(s->context), &origin, &err), &err);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        rlim_t half = origin.page_bytes * 3 / 2;
        struct rlimit limit = {.rlim_cur = half, .rlim_max = half};
        signal(SIGXFSZ, survive ? SIG_IGN : SIG_DFL);
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(99);
        _exit(write_into_half(scratch(name), &origin, s->tokens));
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
    scratch_clear();
    save_prompt(&s, "file");
    write_limited(&s, "file", true);
    assert_int_equal(scratch_count(), 1); /* what was written is removed */
    write_limited(&s, "file", false);
    assert_int_equal(load(&s, "file", N_PROMPT), N_WHOLE);
    close_scene(&s);
}

static void without_memory_nothing_is_lost(void **state) {
    struct scene s;
    struct answer expected, a;
    unsigned failures = 0;
    uint32_t n_tokens;
    (void)state;
    open_scene(&s, "qwen35-dense", ELEM_F16);
    save_prompt(&s, "file");
    ask(&s, N_PROMPT, &expected);
    for (int what = 0; what < 2; what++)
        for (uint64_t n = 1; n < 100; n++) {
            hearth_error err = {0};
            mem_fail_after(n);
            hearth_status status = what == 0
                                       ? try_save(&s, scratch("other"), N_PROMPT, &n_tokens, &err)
                                       : try_load(&s, scratch("file"), N_PROMPT, &n_tokens, &err);
            bool pending = mem_fail_pending();
            mem_fail_after(0);
            if (pending) break;
            if (status == HEARTH_OK) continue; /* of what is done for the disk's sake only */
            assert_int_equal(status, HEARTH_ERROR_NO_MEMORY);
            failures++;
        }
    assert_true(failures >= 4);
    ask(&s, N_PROMPT, &a);
    expect_same(&a, &expected, "without memory");
    close_scene(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
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
