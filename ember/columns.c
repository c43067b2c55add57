/* Arithmetic in columns. A number is first written with a letter before every digit; the
 * letters of the other number, and of every row that is made, are others:
 *
 *     347: c3 b4 a7
 *     86: C0 B8 A6
 *
 * Then columns are worked on from the ones upwards. A digit is fetched by writing its letter,
 * which occurs once above, and each line ends with the digit it makes:
 *
 *      b4+ B8+1=13 o3
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "problem.h"

/* The letter of the ones of a row; that of the tens follows it in the alphabet. */
enum row_name { FIRST = 'a', SECOND = 'A', RESULT = 'n', OTHER_RESULT = 'N', SUM = 'h' };
enum { MAX_COLUMNS = 16, SUM_DIGITS = 6, FACTOR_DIGITS = 4, DIVIDEND_DIGITS = 5 };

struct columns {
    enum row_name name;
    int n, digit[MAX_COLUMNS]; /* digit[0] are the ones; 0 above n */
};

static struct columns columns_of(enum row_name name, int64_t value) {
    struct columns c = {.name = name};
    do {
        c.digit[c.n++] = (int)(value % 10);
        value /= 10;
    } while (value);
    return c;
}

/* Always with a space before it: the same letter without would be another token. */
static void put_digit(struct buf *out, const struct columns *c, int i) {
    buf_append_format(out, " %c%d", (int)c->name + i, c->digit[i]);
}

static void put_columns(struct buf *out, const struct columns *c, int n) {
    for (int i = n; i-- > 0;)
        put_digit(out, c, i);
}

static void put_named(struct buf *out, int64_t value, const struct columns *c, int n) {
    buf_append_format(out, "%" PRId64 ":", value);
    put_columns(out, c, n);
    buf_append_char(out, '\n');
}

static int widest(const struct columns *a, const struct columns *b) {
    return a->n > b->n ? a->n : b->n;
}

/* The lines that add two rows; the sum's columns stand in the last line. */
static void put_sum(struct buf *out, const struct columns *a, const struct columns *b,
                    enum row_name name) {
    struct columns sum = {.name = name};
    int n = widest(a, b), carry = 0;
    for (int i = 0; i < n; i++) {
        int total = a->digit[i] + b->digit[i] + carry;
        sum.digit[i] = total % 10;
        put_digit(out, a, i);
        buf_append_char(out, '+');
        put_digit(out, b, i);
        buf_append_format(out, carry ? "+1=%d" : "=%d", total);
        put_digit(out, &sum, i);
        buf_append_char(out, '\n');
        carry = total / 10;
    }
    if (carry) {
        sum.digit[n] = 1;
        buf_append_text(out, "1=1");
        put_digit(out, &sum, n);
        buf_append_char(out, '\n');
    }
    put_columns(out, &sum, n + carry);
}

static void put_question(struct rng *rng, struct problem *p, const char *const *patterns,
                         size_t n_patterns, int64_t a, int64_t b) {
    char first[24], second[24];
    snprintf(first, sizeof first, "%" PRId64, a);
    snprintf(second, sizeof second, "%" PRId64, b);
    put_pattern(&p->question, patterns[draw(rng, (unsigned)n_patterns)], first, second, "");
}

static void put_pair(struct problem *p, const char *what, int64_t a, int64_t b) {
    buf_append_format(&p->canonical, "%s %" PRId64 " %" PRId64, what, a < b ? a : b, a < b ? b : a);
}

/* ---- addition and subtraction ---------------------------------------------------------------- */

void make_addition(struct rng *rng, const struct knowledge *knowledge, struct problem *p) {
    static const char *const patterns[] = {
        "What is {0} + {1}?",
        "{0} + {1}",
        "{0}+{1}=?",
        "Add {0} and {1}.",
        "Calculate {0} + {1}.",
        "How much is {0} plus {1}?",
        "what's {0} plus {1}",
        "Compute {0}+{1}.",
        "The sum of {0} and {1}?",
        "Please add {1} to {0}.",
    };
    (void)knowledge;
    int64_t a = draw_number(rng, draw_between(rng, 1, SUM_DIGITS));
    int64_t b = draw_number(rng, draw_between(rng, 1, SUM_DIGITS));
    struct columns x = columns_of(FIRST, a), y = columns_of(SECOND, b);
    put_question(rng, p, patterns, COUNT_OF(patterns), a, b);
    put_pair(p, "add", a, b);
    put_named(&p->steps, a, &x, widest(&x, &y));
    put_named(&p->steps, b, &y, widest(&x, &y));
    put_sum(&p->steps, &x, &y, RESULT);
    buf_append_format(&p->answer, "%" PRId64, a + b);
}

/* Which number is larger, from the highest column down to the first that differs. */
static void put_order(struct buf *out, const struct columns *a, const struct columns *b, int n) {
    for (int i = n; i-- > 0;) {
        int x = a->digit[i], y = b->digit[i];
        put_digit(out, a, i);
        buf_append_char(out, x < y ? '<' : x > y ? '>' : '=');
        put_digit(out, b, i);
        buf_append_char(out, '\n');
        if (x != y) return;
    }
}

static void put_difference(struct buf *out, const struct columns *large,
                           const struct columns *small, int n) {
    struct columns difference = {.name = RESULT};
    bool borrowed = false;
    for (int i = 0; i < n; i++) {
        int x = large->digit[i], y = small->digit[i], rest = x - y - borrowed;
        bool borrows = rest < 0;
        const char *take = borrowed ? "-1" : "";
        difference.digit[i] = rest + (borrows ? 10 : 0);
        put_digit(out, large, i);
        buf_append_char(out, '-');
        put_digit(out, small, i);
        buf_append_text(out, take);
        if (borrows) buf_append_format(out, "<0 1%d-%d%s", x, y, take);
        buf_append_format(out, "=%d", difference.digit[i]);
        put_digit(out, &difference, i);
        buf_append_text(out, borrows ? " borrow\n" : "\n");
        borrowed = borrows;
    }
    put_columns(out, &difference, n);
}

void make_subtraction(struct rng *rng, const struct knowledge *knowledge, struct problem *p) {
    static const char *const patterns[] = {
        "What is {0} - {1}?",
        "{0} - {1}",
        "{0}-{1}=?",
        "Subtract {1} from {0}.",
        "Calculate {0} - {1}.",
        "How much is {0} minus {1}?",
        "what's {0} minus {1}",
        "Compute {0}-{1}.",
        "Take {1} away from {0}.",
        "What is {0} less {1}?",
    };
    (void)knowledge;
    int64_t a = draw_number(rng, draw_between(rng, 1, SUM_DIGITS));
    int64_t b = draw_number(rng, draw_between(rng, 1, SUM_DIGITS));
    if (a < b && draw(rng, 4)) { /* a quarter of them fall below zero */
        int64_t c = a;
        a = b;
        b = c;
    }
    struct columns x = columns_of(FIRST, a), y = columns_of(SECOND, b);
    int n = widest(&x, &y);
    put_question(rng, p, patterns, COUNT_OF(patterns), a, b);
    put_pair(p, "subtract", a, b);
    put_named(&p->steps, a, &x, n);
    put_named(&p->steps, b, &y, n);
    put_order(&p->steps, &x, &y, n);
    buf_append_text(&p->steps, a < b ? "swap, minus\n" : "keep\n");
    put_difference(&p->steps, a < b ? &y : &x, a < b ? &x : &y, n);
    buf_append_format(&p->answer, "%" PRId64, a - b);
}

/* ---- multiplication -------------------------------------------------------------------------- */

/* The row a * digit, `shift` columns to the left and at least `width` wide; returns it. */
static struct columns put_row(struct buf *out, const struct columns *a, int digit, int shift,
                              int width) {
    struct columns row = {.name = shift ? OTHER_RESULT : RESULT, .n = shift};
    int carry = 0;
    for (int i = 0; i < a->n; i++) {
        int product = a->digit[i] * digit, total = product + carry;
        row.digit[row.n] = total % 10;
        put_digit(out, a, i);
        buf_append_format(out, "*%d=%d", digit, product);
        if (carry) buf_append_format(out, " %d+%d=%d", product, carry, total);
        put_digit(out, &row, row.n);
        buf_append_format(out, " carry %d\n", total / 10);
        carry = total / 10;
        row.n++;
    }
    if (carry) row.digit[row.n++] = carry;
    if (row.n < width) row.n = width;
    buf_append_char(out, '=');
    put_columns(out, &row, row.n);
    return row;
}

static void put_factor(struct buf *out, const struct columns *b, int i) {
    buf_append_char(out, '*');
    put_digit(out, b, i);
    buf_append_char(out, '\n');
}

void make_multiplication(struct rng *rng, const struct knowledge *knowledge, struct problem *p) {
    static const char *const patterns[] = {
        "What is {0} * {1}?",
        "{0} * {1}",
        "{0} x {1}",
        "Multiply {0} by {1}.",
        "Calculate {0} * {1}.",
        "How much is {0} times {1}?",
        "what's {0} times {1}",
        "Compute {0}*{1}.",
        "The product of {0} and {1}?",
        "{0} times {1}?",
    };
    (void)knowledge;
    bool two_rows = draw(rng, 2);
    int64_t a = draw_number(rng, draw_between(rng, 1 + two_rows, FACTOR_DIGITS - two_rows));
    int64_t b = draw_number(rng, 1 + two_rows);
    struct columns x = columns_of(FIRST, a), y = columns_of(SECOND, b);
    put_question(rng, p, patterns, COUNT_OF(patterns), a, b);
    put_pair(p, "multiply", a, b);
    put_named(&p->steps, a, &x, x.n);
    put_named(&p->steps, b, &y, y.n);
    put_factor(&p->steps, &y, 0);
    int width = two_rows ? x.n + y.n : 0; /* so that every column of the sum is there twice */
    struct columns row = put_row(&p->steps, &x, y.digit[0], 0, width);
    if (two_rows) {
        buf_append_char(&p->steps, '\n');
        put_factor(&p->steps, &y, 1);
        struct columns second = put_row(&p->steps, &x, y.digit[1], 1, width);
        buf_append_text(&p->steps, "\nsum\n");
        put_sum(&p->steps, &row, &second, SUM);
    }
    buf_append_format(&p->answer, "%" PRId64, a * b);
}

/* ---- division -------------------------------------------------------------------------------- */

void make_division(struct rng *rng, const struct knowledge *knowledge, struct problem *p) {
    static const char *const patterns[] = {
        "What is {0} / {1}?",
        "{0} / {1}",
        "{0} : {1}",
        "Divide {0} by {1}.",
        "Calculate {0} / {1}.",
        "How much is {0} divided by {1}?",
        "what's {0} divided by {1}",
        "Compute {0}/{1}.",
    };
    (void)knowledge;
    int64_t a = draw_number(rng, draw_between(rng, 1, DIVIDEND_DIGITS));
    int b = draw_between(rng, 2, 9), rest = 0;
    if (draw(rng, 2)) a -= a % b; /* half of them leave nothing */
    struct columns x = columns_of(FIRST, a), quotient = {.name = RESULT, .n = x.n};
    put_question(rng, p, patterns, COUNT_OF(patterns), a, b);
    buf_append_format(&p->canonical, "divide %" PRId64 " %d", a, b);
    put_named(&p->steps, a, &x, x.n);
    for (int i = x.n; i-- > 0;) {
        int part = 10 * rest + x.digit[i];
        quotient.digit[i] = part / b;
        rest = part % b;
        put_digit(&p->steps, &x, i);
        buf_append_format(&p->steps, " %d/%d=%d rest %d", part, b, quotient.digit[i], rest);
        put_digit(&p->steps, &quotient, i);
        buf_append_char(&p->steps, '\n');
    }
    put_columns(&p->steps, &quotient, quotient.n);
    buf_append_format(&p->steps, " rest %d", rest);
    buf_append_format(&p->answer, "%" PRId64, a / b);
    if (rest) buf_append_format(&p->answer, " remainder %d", rest);
}
