/* problem.h - one problem that Ember learns from or is tested on, and the kinds there are.
 *
 * A task makes problems from random numbers. What makes two problems the same is their
 * canonical form: 3 + 4 and 4 + 3 share one. Whether a problem belongs to training or to
 * the test is decided by a keyed hash of its canonical form (split.h), never by chance, so
 * no problem can be in both.
 *
 * Steps are written for a small model: each follows from the question and the lines before
 * it by one look-up of at most two digits. Numbers are written as they are, since the
 * vocabulary keeps every digit apart; in steps each digit of a number has a letter, so that
 * it is found by name, not by counting places. */
#ifndef HEARTH_EMBER_PROBLEM_H
#define HEARTH_EMBER_PROBLEM_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/rng.h"
#include "base/status.h"

enum { PROBLEM_MAX_BYTES = 1 << 16 };

struct problem {
    struct buf question, steps, answer; /* steps: lines without a newline at the end */
    struct buf canonical;
    bool only_trained; /* may not be held out: there is no other way to learn it */
};

void problem_init(struct problem *p);
void problem_release(struct problem *p);
void problem_clear(struct problem *p);
bool problem_failed(const struct problem *p); /* a text did not fit, or no memory */

struct knowledge; /* what knowledge.h learnt from the program itself */

struct task {
    const char *name;
    unsigned weight;   /* share among the tasks asked for */
    bool is_reasoning; /* has a right answer that follows from steps */
    bool needs_knowledge;
    void (*make)(struct rng *rng, const struct knowledge *knowledge, struct problem *p);
};

size_t task_count(void);
const struct task *task_at(size_t i);
const struct task *task_find(const char *name); /* NULL: none */

/* ---- what makers share ------------------------------------------------------------------- */

/* 0 .. n - 1; n is at least 1. */
static inline unsigned draw(struct rng *rng, unsigned n) {
    assert(n > 0);
    return (unsigned)(rng_u64(rng) % n);
}

static inline int draw_between(struct rng *rng, int least, int most) {
    return least + (int)draw(rng, (unsigned)(most - least + 1));
}

/* A number of exactly that many digits (1: 0 to 9). */
int64_t draw_number(struct rng *rng, int n_digits);

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define DRAW_FROM(rng, array) ((array)[draw(rng, (unsigned)COUNT_OF(array))])

/* Appends the pattern with {0}, {1}, {2} replaced by the texts; a pattern may leave some out. */
void put_pattern(struct buf *out, const char *pattern, const char *a, const char *b, const char *c);

/* columns.c */
/* A sum or difference of one line. Before the result stand the carry or borrow and the digit of
 * every column, from the ones: "47+85:12 13=132"; "52-17:15 03=35". */
void put_short_sum(struct buf *out, int a, char sign, int b);
void make_addition(struct rng *rng, const struct knowledge *knowledge, struct problem *p);
void make_subtraction(struct rng *rng, const struct knowledge *knowledge, struct problem *p);
void make_multiplication(struct rng *rng, const struct knowledge *knowledge, struct problem *p);
void make_division(struct rng *rng, const struct knowledge *knowledge, struct problem *p);
/* ordering.c */
void make_comparison(struct rng *rng, const struct knowledge *knowledge, struct problem *p);
void make_sorting(struct rng *rng, const struct knowledge *knowledge, struct problem *p);
/* counting.c */
void make_letter_count(struct rng *rng, const struct knowledge *knowledge, struct problem *p);
void make_word_count(struct rng *rng, const struct knowledge *knowledge, struct problem *p);
void make_item_count(struct rng *rng, const struct knowledge *knowledge, struct problem *p);
void make_repetition(struct rng *rng, const struct knowledge *knowledge, struct problem *p);
/* calendar.c */
void make_days_between(struct rng *rng, const struct knowledge *knowledge, struct problem *p);
void make_weekday(struct rng *rng, const struct knowledge *knowledge, struct problem *p);
void make_days_later(struct rng *rng, const struct knowledge *knowledge, struct problem *p);
/* stories.c */
void make_story(struct rng *rng, const struct knowledge *knowledge, struct problem *p);
/* talk.c */
void make_help(struct rng *rng, const struct knowledge *knowledge, struct problem *p);
void make_small_talk(struct rng *rng, const struct knowledge *knowledge, struct problem *p);
void make_refusal(struct rng *rng, const struct knowledge *knowledge, struct problem *p);

#endif
