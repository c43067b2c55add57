/* tokenizer_cases.h - opening golden vocabularies and walking their cases. */
#ifndef HEARTH_TESTS_TOKENIZER_CASES_H
#define HEARTH_TESTS_TOKENIZER_CASES_H

#include "testdata.h"

#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "format/directory.h"
#include "token/tokenizer.h"

static const char *const golden_vocabularies[] = {
    "llama-spm", "gpt-2",     "llama-bpe", "qwen2",    "qwen35",
    "phi-3",     "starcoder", "gemma-4",   "bert-bge", "deepseek-llm",
};
enum { N_GOLDEN_VOCABULARIES = sizeof golden_vocabularies / sizeof *golden_vocabularies };

static inline const char *golden_path(const char *folder, const char *file) {
    char name[256];
    snprintf(name, sizeof name, "tokenizers/%s/%s", folder, file);
    return testdata(name);
}

static inline void open_directory(struct directory *dir, const char *folder) {
    hearth_error err = {0};
    if (gguf_open(dir, golden_path(folder, "vocab.gguf"), &err) != HEARTH_OK)
        fail_msg("%s", err.message);
}

static inline struct tokenizer *open_golden(const char *folder) {
    struct directory dir = {0};
    hearth_error err = {0};
    struct tokenizer *t = NULL;
    open_directory(&dir, folder);
    if (tokenizer_open(&t, &dir.metadata, &err) != HEARTH_OK) fail_msg("%s", err.message);
    directory_close(&dir);
    return t;
}

static inline bool same_ids(const struct token_list *list, const int32_t *ids, size_t n) {
    return list->count == n && (n == 0 || memcmp(list->ids, ids, n * sizeof *ids) == 0);
}

static inline void print_ids(const char *label, const int32_t *ids, size_t n) {
    print_message("  %s:", label);
    for (size_t i = 0; i < n && i < 60; i++)
        print_message(" %d", (int)ids[i]);
    print_message("\n");
}

/* Encodes and compares; returns 1 on a difference, printing the first few. */
static inline int check_ids(const struct tokenizer *t, const char *text, size_t n, bool add_special,
                            bool parse_special, const int32_t *ids, size_t n_ids, int n_failed) {
    struct token_list list = {0};
    hearth_error err = {0};
    if (tokenizer_encode(t, text, n, add_special, parse_special, &list, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    bool same = same_ids(&list, ids, n_ids);
    if (!same && n_failed < 5) {
        print_message("  text (add %d, parse %d): '%.*s'\n", add_special, parse_special,
                      (int)(n < 200 ? n : 200), text);
        print_ids("found   ", list.ids, list.count);
        print_ids("expected", ids, n_ids);
    }
    token_list_release(&list);
    return !same;
}

typedef int (*golden_case)(const struct tokenizer *t, const char *text, size_t n, bool add_special,
                           bool parse_special, const int32_t *ids, size_t n_ids, json_t *line,
                           int n_failed);

/* Calls `check` for every line of golden.jsonl; returns how many failed. */
static inline int walk_golden(const struct tokenizer *t, const char *folder, golden_case check) {
    FILE *file = fopen(golden_path(folder, "golden.jsonl"), "r");
    assert_non_null(file);
    char *line = NULL;
    size_t capacity = 0;
    int n_failed = 0, n_cases = 0;
    while (getline(&line, &capacity, file) > 0) {
        json_t *object = json_loads(line, JSON_ALLOW_NUL, NULL);
        assert_non_null(object);
        json_t *text = json_object_get(object, "text"), *array = json_object_get(object, "ids");
        size_t n_ids = json_array_size(array);
        int32_t *ids = mem_alloc_array(n_ids, sizeof *ids);
        for (size_t i = 0; i < n_ids; i++)
            ids[i] = (int32_t)json_integer_value(json_array_get(array, i));
        n_failed += check(t, json_string_value(text), json_string_length(text),
                          json_is_true(json_object_get(object, "add_special")),
                          json_is_true(json_object_get(object, "parse_special")), ids, n_ids,
                          object, n_failed);
        n_cases++;
        mem_free(ids);
        json_decref(object);
    }
    free(line);
    fclose(file);
    assert_true(n_cases > 100);
    return n_failed;
}

#endif
