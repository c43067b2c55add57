/* Arithmetic in columns. A number is first written with a letter before every digit,
 *
 *     347: c3 b4 a7
 *
 * and then worked on from a upwards; each line ends with the digit it gives its column:
 *
 *     b 4+8+1=13 b3
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "problem.h"

enum { MAX_COLUMNS = 16, SUM_DIGITS = 6, FACTOR_DIGITS = 4, DIVIDEND_DIGITS = 5 };

struct columns {
    int n, digit[MAX_COLUMNS]; /* digit[0] are the ones; 0 above n */
};

static struct columns columns_of(int64_t value) {
    struct columns c = {0};
    do {
        c.digit[c.n++] = (int)(value % 10);
        value /= 10;
    } while (value);
    return c;
}

static char letter(int column) {
    return (char)('a' + column);
}

static void put_columns(struct buf *out, const struct columns *c, int n) {
    for (int i = n; i-- > 0;)
        buf_append_format(out, "%c%d%s", letter(i), c->digit[i], i ? " " : "");
}

static void put_named(struct buf *out, int64_t value, const struct columns *c, int n) {
    buf_append_format(out, "%" PRId64 ": ", value);
    put_columns(out, c, n);
    buf_append_char(out, '\n');
}

static int widest(const struct columns *a, const struct columns *b) {
    return a->n > b->n ? a->n : b->n;
}

/* The lines that add two rows; the sum's columns stand in the last line. */
static void put_sum(struct buf *out, const struct columns *a, const struct columns *b) {
    struct columns sum = {0};
    int n = widest(a, b), carry = 0;
    for (int i = 0; i < n; i++) {
        int total = a->digit[i] + b->digit[i] + carry;
        sum.digit[i] = total % 10;
        buf_append_format(out, carry ? "%c %d+%d+1=%d %c%d\n" : "%c %d+%d=%d %c%d\n", letter(i),
                          a->digit[i], b->digit[i], total, letter(i), sum.digit[i]);
        carry = total / 10;
    }
    if (carry) {
        sum.digit[n] = 1;
        buf_append_format(out, "%c 1=1 %c1\n", letter(n), letter(n));
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
    struct columns x = columns_of(a), y = columns_of(b);
    put_question(rng, p, patterns, COUNT_OF(patterns), a, b);
    put_pair(p, "add", a, b);
    put_named(&p->steps, a, &x, widest(&x, &y));
    put_named(&p->steps, b, &y, widest(&x, &y));
    put_sum(&p->steps, &x, &y);
    buf_append_format(&p->answer, "%" PRId64, a + b);
}

/* Which number is larger, from the highest column down to the first that differs. */
static void put_order(struct buf *out, const struct columns *a, const struct columns *b, int n) {
    for (int i = n; i-- > 0;) {
        int x = a->digit[i], y = b->digit[i];
        buf_append_format(out, "%c %d%c%d\n", letter(i), x, x < y ? '<' : x > y ? '>' : '=', y);
        if (x != y) return;
    }
}

static void put_difference(struct buf *out, const struct columns *large,
                           const struct columns *small, int n) {
    struct columns difference = {0};
    bool borrowed = false;
    for (int i = 0; i < n; i++) {
        int x = large->digit[i], y = small->digit[i], rest = x - y - borrowed;
        bool borrows = rest < 0;
        const char *take = borrowed ? "-1" : "";
        difference.digit[i] = rest + (borrows ? 10 : 0);
        buf_append_format(out, "%c ", letter(i));
        if (borrows) buf_append_format(out, "%d-%d%s<0 ", x, y, take);
        buf_append_format(out, "%d-%d%s=%d %c%d%s\n", x + (borrows ? 10 : 0), y, take,
                          difference.digit[i], letter(i), difference.digit[i],
                          borrows ? " borrow" : "");
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
    struct columns x = columns_of(a), y = columns_of(b);
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

/* The row a * digit, `shift` columns to the left; returns it. */
static struct columns put_row(struct buf *out, const struct columns *a, int digit, int shift) {
    struct columns row = {.n = shift};
    int carry = 0;
    buf_append_format(out, "* %d\n", digit);
    for (int i = 0; i < a->n; i++) {
        int product = a->digit[i] * digit, total = product + carry;
        row.digit[row.n] = total % 10;
        buf_append_format(out, "%c %d*%d=%d ", letter(i), a->digit[i], digit, product);
        if (carry) buf_append_format(out, "%d+%d=%d ", product, carry, total);
        buf_append_format(out, "%c%d carry %d\n", letter(row.n), row.digit[row.n], total / 10);
        carry = total / 10;
        row.n++;
    }
    if (carry) row.digit[row.n++] = carry;
    buf_append_text(out, "= ");
    put_columns(out, &row, row.n);
    return row;
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
    struct columns x = columns_of(a), y = columns_of(b);
    put_question(rng, p, patterns, COUNT_OF(patterns), a, b);
    put_pair(p, "multiply", a, b);
    put_named(&p->steps, a, &x, x.n);
    if (two_rows) put_named(&p->steps, b, &y, y.n);
    struct columns row = put_row(&p->steps, &x, y.digit[0], 0);
    if (two_rows) {
        buf_append_char(&p->steps, '\n');
        struct columns second = put_row(&p->steps, &x, y.digit[1], 1);
        buf_append_text(&p->steps, "\nsum\n");
        put_sum(&p->steps, &row, &second);
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
    struct columns x = columns_of(a), quotient = {.n = x.n};
    put_question(rng, p, patterns, COUNT_OF(patterns), a, b);
    buf_append_format(&p->canonical, "divide %" PRId64 " %d", a, b);
    put_named(&p->steps, a, &x, x.n);
    for (int i = x.n; i-- > 0;) {
        int part = 10 * rest + x.digit[i];
        quotient.digit[i] = part / b;
        rest = part % b;
        buf_append_format(&p->steps, "%c %d/%d=%d rest %d\n", letter(i), part, b, quotient.digit[i],
                          rest);
    }
    put_columns(&p->steps, &quotient, quotient.n);
    buf_append_format(&p->steps, " rest %d", rest);
    buf_append_format(&p->answer, "%" PRId64, a / b);
    if (rest) buf_append_format(&p->answer, " remainder %d", rest);
}
