/* bench_tests.h - what 'hearth bench' measures: the lists of its command line as tests
 * with names.
 *
 * Every test brings its sequences to a depth (not timed), then takes a prompt in one go
 * and after it single tokens, in all sequences together. Names follow llama-bench:
 *
 *     pp512                a prompt of 512 tokens
 *     tg128                128 tokens one after the other
 *     tg128x8              the same in 8 sequences at once
 *     pp512+tg128          a prompt and what follows
 *     tg128@d8192          behind 8192 tokens that are there already
 *     ttft512              from a prompt of 512 tokens to the first token of the answer
 *     ttft512@d500         the same when the first 500 of them are known */
#ifndef HEARTH_CLI_BENCH_TESTS_H
#define HEARTH_CLI_BENCH_TESTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "cli/options.h"

enum { BENCH_TESTS_MAX = 256, BENCH_NAME_BYTES = 64 };

struct bench_test {
    char name[BENCH_NAME_BYTES];
    uint32_t depth, n_prompt, n_generate, n_sequences;
    bool first_token; /* judged by seconds; ends with the choice of a token */
};

struct bench_tests {
    struct bench_test items[BENCH_TESTS_MAX];
    size_t count;
};

/* The command line's words. Lists are numbers between commas; an empty list, a NULL or "0"
 * means no such test. */
struct bench_lists {
    const char *prompts, *generations, *depths, *sequences;
    struct option_list mixed; /* each "P,N" */
    const char *names;        /* tests by their names, between commas */
    const char *first_tokens; /* "512,512:500": prompt, and how much of it is known */
};

/* Several sequences, or one behind a depth, that generate: measured in turn with a single sequence
 * from nothing, to be compared with it. */
bool bench_test_has_single(const struct bench_test *test);
uint32_t bench_test_positions(const struct bench_test *test); /* of each sequence, at its end */

/* An error names the option and the word that is wrong. Tests of one depth follow each
 * other. */
hearth_status bench_tests_make(struct bench_tests *tests, const struct bench_lists *lists,
                               hearth_error *err);
/* Positions of the longest sequence, the most sequences, single ones included, and the most pages
 * of the cache that they fill together, of all tests. */
uint32_t bench_tests_context(const struct bench_tests *tests);
uint32_t bench_tests_sequences(const struct bench_tests *tests);
uint32_t bench_tests_pages(const struct bench_tests *tests);

#endif
