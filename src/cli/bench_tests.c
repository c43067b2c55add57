#include "cli/bench_tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/cache.h"

/* A context holds one sequence more: the single one. */
enum { MAX_TOKENS = 1 << 20, MAX_SEQUENCES = 1023, LIST_MAX = 32 };

struct numbers {
    uint32_t values[LIST_MAX];
    size_t count;
};

/* One number at *at, which is moved behind it. */
static bool read_number(const char **at, uint32_t most, uint32_t *out) {
    char *end;
    if (**at < '0' || **at > '9') return false;
    unsigned long value = strtoul(*at, &end, 10);
    *at = end;
    *out = (uint32_t)value;
    return value <= most;
}

static hearth_status bad_list(const char *option, const char *text, const char *expected,
                              hearth_error *err) {
    return error_set(err, HEARTH_ERROR_ARGUMENT, "%s '%s': %s expected", option, text, expected);
}

static hearth_status read_list(const char *option, const char *text, uint32_t least, uint32_t most,
                               struct numbers *list, hearth_error *err) {
    char expected[96];
    const char *at = text;
    snprintf(expected, sizeof expected, "numbers from %u to %u between commas, %d at most, were",
             least, most, LIST_MAX);
    list->count = 0;
    while (at && *at) {
        uint32_t value;
        if (list->count == LIST_MAX || !read_number(&at, most, &value) || value < least)
            return bad_list(option, text, expected, err);
        list->values[list->count++] = value;
        if (*at == ',' && at[1])
            at++;
        else if (*at)
            return bad_list(option, text, expected, err);
    }
    return HEARTH_OK;
}

static hearth_status add(struct bench_tests *tests, const struct bench_test *test,
                         hearth_error *err) {
    char depth[16] = "", sequences[16] = "";
    if (tests->count == BENCH_TESTS_MAX)
        return error_set(err, HEARTH_ERROR_LIMIT, "more than %d tests", BENCH_TESTS_MAX);
    struct bench_test *t = &tests->items[tests->count++];
    *t = *test;
    if (t->depth) snprintf(depth, sizeof depth, "@d%u", t->depth);
    if (t->n_sequences > 1) snprintf(sequences, sizeof sequences, "x%u", t->n_sequences);
    if (t->first_token)
        snprintf(t->name, sizeof t->name, "ttft%u%s", t->depth + t->n_prompt, depth);
    else if (t->n_prompt && t->n_generate)
        snprintf(t->name, sizeof t->name, "pp%u+tg%u%s", t->n_prompt, t->n_generate, depth);
    else if (t->n_prompt)
        snprintf(t->name, sizeof t->name, "pp%u%s", t->n_prompt, depth);
    else
        snprintf(t->name, sizeof t->name, "tg%u%s%s", t->n_generate, sequences, depth);
    return HEARTH_OK;
}

static hearth_status add_prompts(struct bench_tests *tests, const struct numbers *prompts,
                                 uint32_t depth, hearth_error *err) {
    for (size_t i = 0; i < prompts->count; i++)
        if (prompts->values[i])
            RETURN_IF_ERROR(add(tests,
                                &(struct bench_test){.depth = depth,
                                                     .n_prompt = prompts->values[i],
                                                     .n_sequences = 1},
                                err));
    return HEARTH_OK;
}

static hearth_status add_generations(struct bench_tests *tests, const struct numbers *generations,
                                     const struct numbers *sequences, uint32_t depth,
                                     hearth_error *err) {
    for (size_t i = 0; i < generations->count; i++)
        for (size_t j = 0; j < sequences->count; j++)
            if (generations->values[i])
                RETURN_IF_ERROR(add(tests,
                                    &(struct bench_test){.depth = depth,
                                                         .n_generate = generations->values[i],
                                                         .n_sequences = sequences->values[j]},
                                    err));
    return HEARTH_OK;
}

static hearth_status add_mixed(struct bench_tests *tests, const struct option_list *mixed,
                               uint32_t depth, hearth_error *err) {
    for (size_t i = 0; i < mixed->count; i++) {
        const char *at = mixed->items[i];
        struct bench_test test = {.depth = depth, .n_sequences = 1};
        bool fine = read_number(&at, MAX_TOKENS, &test.n_prompt) && *at++ == ',' &&
                    read_number(&at, MAX_TOKENS, &test.n_generate) && *at == '\0' &&
                    test.n_prompt && test.n_generate;
        if (!fine)
            return bad_list("-pg", mixed->items[i], "two numbers with a comma, like 512,128, were",
                            err);
        RETURN_IF_ERROR(add(tests, &test, err));
    }
    return HEARTH_OK;
}

/* `word` and a positive number behind it; otherwise *at and *out stay. */
static bool read_part(const char **at, const char *word, uint32_t most, uint32_t *out) {
    const char *number = *at + strlen(word);
    uint32_t value;
    if (strncmp(*at, word, strlen(word)) != 0) return false;
    if (!read_number(&number, most, &value) || value == 0) return false;
    *at = number;
    *out = value;
    return true;
}

/* The reverse of `add`. */
static bool read_name(const char **at, struct bench_test *test) {
    uint32_t length = 0;
    *test = (struct bench_test){.n_sequences = 1};
    test->first_token = read_part(at, "ttft", MAX_TOKENS, &length);
    if (test->first_token) {
        read_part(at, "@d", MAX_TOKENS, &test->depth);
        test->n_prompt = length - test->depth;
        return test->depth < length;
    }
    if (read_part(at, "pp", MAX_TOKENS, &test->n_prompt))
        read_part(at, "+tg", MAX_TOKENS, &test->n_generate);
    else if (read_part(at, "tg", MAX_TOKENS, &test->n_generate))
        read_part(at, "x", MAX_SEQUENCES, &test->n_sequences);
    read_part(at, "@d", MAX_TOKENS, &test->depth);
    return test->n_prompt + test->n_generate > 0;
}

static hearth_status add_names(struct bench_tests *tests, const char *text, hearth_error *err) {
    const char *at = text;
    while (at && *at) {
        struct bench_test test;
        if (!read_name(&at, &test) || (*at && (*at != ',' || !at[1])))
            return bad_list("--tests", text,
                            "names between commas, like pp512, tg64x8, pp512+tg64, tg64@d8192 or "
                            "ttft512@d500, were",
                            err);
        RETURN_IF_ERROR(add(tests, &test, err));
        if (*at) at++;
    }
    return HEARTH_OK;
}

static hearth_status add_first_tokens(struct bench_tests *tests, const char *text,
                                      hearth_error *err) {
    const char *at = text;
    while (at && *at && strcmp(text, "0") != 0) {
        uint32_t prompt, known = 0;
        bool fine = read_number(&at, MAX_TOKENS, &prompt);
        if (fine && *at == ':') {
            at++;
            fine = read_number(&at, MAX_TOKENS, &known);
        }
        if (!fine || known >= prompt || (*at && *at != ','))
            return bad_list("--ttft", text,
                            "lengths of prompts, each with ':' and how much of it is known or "
                            "without, between commas, like 512,512:500, were",
                            err);
        RETURN_IF_ERROR(add(
            tests,
            &(struct bench_test){
                .depth = known, .n_prompt = prompt - known, .n_sequences = 1, .first_token = true},
            err));
        if (*at) at++;
    }
    return HEARTH_OK;
}

hearth_status bench_tests_make(struct bench_tests *tests, const struct bench_lists *lists,
                               hearth_error *err) {
    struct numbers prompts, generations, depths, sequences;
    tests->count = 0;
    RETURN_IF_ERROR(read_list("-p", lists->prompts, 0, MAX_TOKENS, &prompts, err));
    RETURN_IF_ERROR(read_list("-n", lists->generations, 0, MAX_TOKENS, &generations, err));
    RETURN_IF_ERROR(read_list("-d", lists->depths, 0, MAX_TOKENS, &depths, err));
    RETURN_IF_ERROR(read_list("--sequences", lists->sequences, 1, MAX_SEQUENCES, &sequences, err));
    for (size_t i = 0; i < depths.count; i++) {
        uint32_t depth = depths.values[i];
        RETURN_IF_ERROR(add_prompts(tests, &prompts, depth, err));
        RETURN_IF_ERROR(add_generations(tests, &generations, &sequences, depth, err));
        RETURN_IF_ERROR(add_mixed(tests, &lists->mixed, depth, err));
    }
    RETURN_IF_ERROR(add_first_tokens(tests, lists->first_tokens, err));
    return add_names(tests, lists->names, err);
}

bool bench_test_has_single(const struct bench_test *t) {
    return t->n_prompt == 0 && (t->n_sequences > 1 || t->depth > 0);
}

uint32_t bench_test_positions(const struct bench_test *t) {
    return t->depth + t->n_prompt + t->n_generate;
}

static uint32_t pages_for(uint32_t positions) {
    return positions / CACHE_PAGE_TOKENS + (positions % CACHE_PAGE_TOKENS != 0);
}

uint32_t bench_tests_context(const struct bench_tests *tests) {
    uint32_t most = 1;
    for (size_t i = 0; i < tests->count; i++) {
        uint32_t n = bench_test_positions(&tests->items[i]);
        if (n > most) most = n;
    }
    return most;
}

uint32_t bench_tests_sequences(const struct bench_tests *tests) {
    uint32_t most = 1;
    for (size_t i = 0; i < tests->count; i++) {
        uint32_t n = tests->items[i].n_sequences + bench_test_has_single(&tests->items[i]);
        if (n > most) most = n;
    }
    return most;
}

uint32_t bench_tests_pages(const struct bench_tests *tests) {
    uint32_t most = 1;
    for (size_t i = 0; i < tests->count; i++) {
        const struct bench_test *t = &tests->items[i];
        uint32_t n = t->n_sequences * pages_for(bench_test_positions(t));
        if (bench_test_has_single(t)) n += pages_for(t->n_generate);
        if (n > most) most = n;
    }
    return most;
}
