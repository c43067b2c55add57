#include "problem.h"

#include <string.h>

static const struct task tasks[] = {
    {"add", 8, true, false, make_addition},
    {"subtract", 10, true, false, make_subtraction},
    {"multiply", 10, true, false, make_multiplication},
    {"divide", 10, true, false, make_division},
    {"compare", 8, true, false, make_comparison},
    {"sort", 8, true, false, make_sorting},
    {"count_letters", 12, true, false, make_letter_count},
    {"count_words", 6, true, false, make_word_count},
    {"count_items", 6, true, false, make_item_count},
    {"repeat", 16, true, false, make_repetition},
    {"days_between", 6, true, false, make_days_between},
    {"weekday", 6, true, false, make_weekday},
    {"days_later", 8, true, false, make_days_later},
    {"story", 12, true, false, make_story},
    {"help", 24, false, true, make_help},
    {"talk", 6, false, false, make_small_talk},
    {"beyond", 4, false, false, make_refusal},
};

size_t task_count(void) {
    return COUNT_OF(tasks);
}

const struct task *task_at(size_t i) {
    return &tasks[i];
}

const struct task *task_find(const char *name) {
    for (size_t i = 0; i < COUNT_OF(tasks); i++)
        if (strcmp(tasks[i].name, name) == 0) return &tasks[i];
    return NULL;
}

void problem_init(struct problem *p) {
    buf_init(&p->question, PROBLEM_MAX_BYTES);
    buf_init(&p->steps, PROBLEM_MAX_BYTES);
    buf_init(&p->answer, PROBLEM_MAX_BYTES);
    buf_init(&p->canonical, PROBLEM_MAX_BYTES);
    p->only_trained = false;
}

void problem_release(struct problem *p) {
    buf_release(&p->question);
    buf_release(&p->steps);
    buf_release(&p->answer);
    buf_release(&p->canonical);
}

void problem_clear(struct problem *p) {
    buf_clear(&p->question);
    buf_clear(&p->steps);
    buf_clear(&p->answer);
    buf_clear(&p->canonical);
    p->only_trained = false;
}

bool problem_failed(const struct problem *p) {
    return p->question.failed || p->steps.failed || p->answer.failed || p->canonical.failed;
}

int64_t draw_number(struct rng *rng, int n_digits) {
    int64_t least = n_digits == 1 ? 0 : 1;
    for (int i = 1; i < n_digits; i++)
        least *= 10;
    int64_t range = n_digits == 1 ? 10 : 9 * least;
    return least + (int64_t)(rng_u64(rng) % (uint64_t)range);
}

void put_pattern(struct buf *out, const char *pattern, const char *a, const char *b,
                 const char *c) {
    const char *const texts[] = {a, b, c};
    for (const char *at = pattern; *at; at++) {
        bool is_place = at[0] == '{' && at[1] >= '0' && at[1] <= '2' && at[2] == '}';
        if (!is_place) {
            buf_append_char(out, *at);
            continue;
        }
        buf_append_text(out, texts[at[1] - '0']);
        at += 2;
    }
}
