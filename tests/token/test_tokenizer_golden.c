/* Every golden text gives exactly the golden ids. */
#include "tokenizer_cases.h"

static int check_case(const struct tokenizer *t, const char *text, size_t n, bool add_special,
                      bool parse_special, const int32_t *ids, size_t n_ids, json_t *line,
                      int n_failed) {
    (void)line;
    return check_ids(t, text, n, add_special, parse_special, ids, n_ids, n_failed);
}

static size_t parse_ids(char *line, int32_t *ids, size_t max) {
    size_t n = 0;
    for (char *end; n < max; line = end) {
        long id = strtol(line, &end, 10);
        if (end == line) break;
        ids[n++] = (int32_t)id;
    }
    return n;
}

/* vocab.gguf.inp and .out: texts between separator lines, one line of ids for each. */
static int check_separated(const struct tokenizer *t, const char *folder) {
    static const char separator[] = "\n__ggml_vocab_test__\n";
    char *texts, *lines;
    size_t n_texts, n_lines;
    assert_int_equal(
        file_read(golden_path(folder, "vocab.gguf.inp"), 1 << 24, &texts, &n_texts, NULL),
        HEARTH_OK);
    assert_int_equal(
        file_read(golden_path(folder, "vocab.gguf.out"), 1 << 24, &lines, &n_lines, NULL),
        HEARTH_OK);
    int n_failed = 0, n_cases = 0;
    char *text = texts, *line = lines;
    while (text) {
        static int32_t ids[1 << 16];
        char *end = memmem(text, (size_t)(texts + n_texts - text), separator, strlen(separator));
        size_t n = end ? (size_t)(end - text) : (size_t)(texts + n_texts - text);
        char *newline = line ? strchr(line, '\n') : NULL;
        if (newline) *newline = '\0';
        size_t n_ids = line ? parse_ids(line, ids, 1 << 16) : 0;
        n_failed += check_ids(t, text, n, false, false, ids, n_ids, n_failed);
        n_cases++;
        line = newline ? newline + 1 : NULL;
        text = end ? end + strlen(separator) : NULL;
    }
    assert_true(n_cases > 30);
    mem_free(texts);
    mem_free(lines);
    return n_failed;
}

static void check_vocabulary(void **state) {
    const char *folder = *state;
    struct tokenizer *t = open_golden(folder);
    int n_failed = walk_golden(t, folder, check_case) + check_separated(t, folder);
    tokenizer_close(t);
    if (n_failed) fail_msg("%s: %d texts give other ids", folder, n_failed);
}

int main(void) {
    struct CMUnitTest tests[N_GOLDEN_VOCABULARIES];
    for (int i = 0; i < N_GOLDEN_VOCABULARIES; i++)
        tests[i] = (struct CMUnitTest){.name = golden_vocabularies[i],
                                       .test_func = check_vocabulary,
                                       .initial_state = (void *)(uintptr_t)golden_vocabularies[i]};
    return cmocka_run_group_tests_name("golden ids", tests, NULL, NULL);
}
