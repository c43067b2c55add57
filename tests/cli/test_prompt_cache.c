/* --prompt-cache: the same answers sooner, and never a failure nor someone's file lost. */
#include "program.h"

#include <string.h>

#include "base/mem.h"

#define STORIES "models/stories260K/stories260K.gguf"
#define ANSWER "run", model, "--raw", "--temp", "0", "-n", "24", "-t", "1", "-v"
/* 38 tokens, 83 and 52, of which whole pages of 32 are kept. */
#define BEGINNING                                                                                  \
    "Once upon a time there was a little girl who lived in a small house near a big forest with "  \
    "her mother"
#define PROMPT                                                                                     \
    BEGINNING ", her father and a cat. Every day she went out to play with the cat, and every "    \
              "day she came home to eat. One day she saw"
#define OTHER BEGINNING ", her father and a dog. Every day"

static char *model, *cache, *expected;

static int begin(void **state) {
    if (program_set_up(state) != 0) return -1;
    model = mem_strdup(testdata(STORIES));
    cache = mem_strdup(program_path("prompt.cache"));
    RUN_OK(ANSWER, PROMPT);
    expected = mem_strdup(program_out(NULL));
    return 0;
}

static int end(void **state) {
    mem_free(model);
    mem_free(cache);
    mem_free(expected);
    return program_tear_down(state);
}

/* The run's figures begin with how many tokens there were. */
static void expect_reused(const char *counts) {
    if (!strstr(program_err(), counts)) fail_msg("'%s' without '%s'", program_err(), counts);
}

static char *content(size_t *size) {
    char *bytes;
    hearth_error err = {0};
    if (file_read(cache, 1 << 24, &bytes, size, &err) != HEARTH_OK) fail_msg("%s", err.message);
    return bytes;
}

static void prompts_are_computed_once(void **state) {
    size_t before, after;
    (void)state;
    RUN_OK(ANSWER, "--prompt-cache", cache, PROMPT);
    assert_string_equal(program_out(NULL), expected);
    expect_reused("prompt 83 tokens (0 reused)");
    char *first = content(&before);
    RUN_OK(ANSWER, "--prompt-cache", cache, PROMPT);
    assert_string_equal(program_out(NULL), expected);
    expect_reused("prompt 83 tokens (64 reused)");
    RUN_OK(ANSWER, "--prompt-cache", cache, BEGINNING); /* all of it is there */
    expect_reused("(32 reused)");
    char *second = content(&after);
    assert_int_equal(before, after);
    assert_memory_equal(first, second, after);
    mem_free(first);
    mem_free(second);
    RUN_OK(ANSWER, OTHER);
    char *other = mem_strdup(program_out(NULL));
    RUN_OK(ANSWER, "--prompt-cache", cache, "--prompt-cache-ro", OTHER);
    assert_string_equal(program_out(NULL), other);
    expect_reused("(32 reused)");
    RUN_OK(ANSWER, "--prompt-cache", cache, PROMPT);
    expect_reused("(64 reused)"); /* -ro left the longer one */
    mem_free(other);
    assert_int_equal(remove(cache), 0);
    RUN_OK(ANSWER, "--prompt-cache", cache, "Once upon a time");
    assert_false(file_exists(cache)); /* too short to be worth it */
}

static void answers_are_kept_when_asked(void **state) {
    char prompt[1024];
    (void)state;
    setenv("HEARTH_CPU", "scalar", 1); /* where prompts have no arithmetic of their own */
    RUN_OK(ANSWER, "--prompt-cache", cache, "--prompt-cache-all", PROMPT);
    snprintf(prompt, sizeof prompt, "%s %.40s", PROMPT, program_out(NULL));
    RUN_OK(ANSWER, "--prompt-cache", cache, prompt);
    unsetenv("HEARTH_CPU");
    unsigned n_prompt, n_reused;
    assert_int_equal(sscanf(program_err(), "prompt %u tokens (%u reused", &n_prompt, &n_reused), 2);
    if (n_reused < 96 || n_reused > n_prompt)
        fail_msg("%u of %u tokens reused", n_reused, n_prompt);
}

static void expect_warning(const char *part) {
    const char *line = program_err();
    if (strncmp(line, "hearth: ", 8) != 0 || !strstr(line, part))
        fail_msg("'%s' without '%s'", line, part);
    assert_string_equal(program_out(NULL), expected);
    expect_reused("prompt 83 tokens (0 reused)");
}

static void damaged_files_are_made_anew(void **state) {
    size_t size;
    (void)state;
    RUN_OK(ANSWER, "--prompt-cache", cache, PROMPT);
    char *bytes = content(&size);
    bytes[size / 2] ^= 1;
    assert_int_equal(file_write(cache, bytes, size, NULL), HEARTH_OK);
    RUN_OK(ANSWER, "--prompt-cache", cache, "--prompt-cache-ro", PROMPT);
    expect_warning("left as it is");
    RUN_OK(ANSWER, "--prompt-cache", cache, PROMPT);
    expect_warning("made anew");
    RUN_OK(ANSWER, "--prompt-cache", cache, PROMPT);
    expect_reused("(64 reused)");
    assert_int_equal(file_write(cache, bytes, size / 3, NULL), HEARTH_OK);
    RUN_OK(ANSWER, "--prompt-cache", cache, PROMPT);
    expect_warning("damaged");
    mem_free(bytes);
}

static void others_keep_their_files(void **state) {
    static const char notes[] = "not to be lost";
    size_t size, after;
    (void)state;
    assert_int_equal(file_write(cache, notes, sizeof notes, NULL), HEARTH_OK);
    RUN_OK(ANSWER, "--prompt-cache", cache, "--prompt-cache-all", PROMPT);
    expect_warning("it is not a prompt cache");
    char *bytes = content(&size);
    assert_string_equal(bytes, notes);
    mem_free(bytes);
    assert_int_equal(remove(cache), 0);
    RUN_OK(ANSWER, "--prompt-cache", cache, "-ctk", "f32", PROMPT);
    bytes = content(&size);
    RUN_OK(ANSWER, "--prompt-cache", cache, PROMPT);
    expect_warning("left as it is");
    char *same = content(&after);
    assert_int_equal(size, after);
    assert_memory_equal(bytes, same, size);
    mem_free(bytes);
    mem_free(same);
    RUN_OK(ANSWER, "--prompt-cache", program_path("no/folder"), PROMPT);
    expect_warning("the prompt cache is not saved: ");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(prompts_are_computed_once, begin, end),
        cmocka_unit_test_setup_teardown(answers_are_kept_when_asked, begin, end),
        cmocka_unit_test_setup_teardown(damaged_files_are_made_anew, begin, end),
        cmocka_unit_test_setup_teardown(others_keep_their_files, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
