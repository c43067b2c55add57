/* Arithmetic in columns. The numbers of the question are first written with a letter before
 * every digit, from the left; the letters of the second number are others:
 *
 *     What is 347 + 85?
 *     a3b4c7
 *     A8B5
 *
 * Then columns are worked on from the ones upwards. A digit is fetched by writing its letter,
 * which stood once above; a column that a number does not have is ".0". What follows "=" is
 * the carry, the new digit and the digits so far, that is, the sum of the columns up to here:
 *
 *     c7+B5=12
 *     b4+A8=132
 *     a3+.0=0432
 *
 * So every line copies or looks up only what is near or named: its letters are those before
 * the letters of the line above, the carry stands behind the "=" of the line above, and the
 * last line ends with the result. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "problem.h"

/* The letter of the highest column of a row; the others follow it in the alphabet. */
enum row_name { FIRST = 'a', SECOND = 'A', LOW_PRODUCT = 'g', HIGH_PRODUCT = 'G' };
enum { MAX_COLUMNS = 16, SUM_DIGITS = 5, DIVIDEND_DIGITS = 4 };

struct row {
    enum row_name name;
    int n, digit[MAX_COLUMNS]; /* digit[0] are the ones; 0 from n on */
};

static struct row row_of(enum row_name name, int64_t value) {
    struct row r = {.name = name};
    do {
        r.digit[r.n++] = (int)(value % 10);
        value /= 10;
    } while (value);
    return r;
}

static void put_column(struct buf *out, const struct row *r, int i) {
    if (i < r->n)
        buf_append_format(out, "%c%d", (int)r->name + r->n - 1 - i, r->digit[i]);
    else
        buf_append_text(out, ".0");
}

static void put_row(struct buf *out, const struct row *r) {
    for (int i = r->n; i-- > 0;)
        put_column(out, r, i);
    buf_append_char(out, '\n');
}

/* "=", what is carried, and the digits made so far; the row then has them all. */
static void put_so_far(struct buf *out, struct row *result, int carry) {
    buf_append_format(out, "=%d", carry);
    for (int i = result->n; i-- > 0;)
        buf_append_format(out, "%d", result->digit[i]);
    buf_append_char(out, '\n');
}

static int widest(const struct row *a, const struct row *b) {
    return a->n > b->n ? a->n : b->n;
}

/* The lines of a sum, or of a difference; returns the last carry or borrow. */
static int put_sum(struct buf *out, const struct row *a, char sign, const struct row *b) {
    struct row result = {.n = 0};
    int carry = 0;
    for (int i = 0; i < widest(a, b); i++) {
        int x = a->digit[i], y = b->digit[i];
        int total = sign == '+' ? x + y + carry : x - y - carry;
        carry = total < 0 || total > 9;
        result.digit[result.n++] = (total + 10) % 10;
        put_column(out, a, i);
        buf_append_char(out, sign);
        put_column(out, b, i);
        put_so_far(out, &result, carry);
    }
    return carry;
}

void put_short_sum(struct buf *out, int a, char sign, int b) {
    int x = a, y = b, carry = 0;
    char before = ':';
    buf_append_format(out, "%d%c%d", a, sign, b);
    do {
        int digit = sign == '+' ? x % 10 + y % 10 + carry : x % 10 - y % 10 - carry;
        carry = digit < 0 || digit > 9;
        buf_append_format(out, "%c%d%d", before, carry, (digit + 10) % 10);
        before = ' ';
        x /= 10;
        y /= 10;
    } while (x || y);
    buf_append_format(out, "=%d", sign == '+' ? a + b : a - b);
}

/* Steps have no newline at the end. */
static void end_steps(struct problem *p) {
    if (p->steps.length && !p->steps.failed) p->steps.data[--p->steps.length] = '\0';
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
    };
    (void)knowledge;
    int64_t a = draw_number(rng, draw_between(rng, 1, SUM_DIGITS));
    int64_t b = draw_number(rng, draw_between(rng, 1, SUM_DIGITS));
    struct row x = row_of(FIRST, a), y = row_of(SECOND, b);
    put_question(rng, p, patterns, COUNT_OF(patterns), a, b);
    put_pair(p, "add", a, b);
    put_row(&p->steps, &x);
    put_row(&p->steps, &y);
    put_sum(&p->steps, &x, '+', &y);
    end_steps(p);
    buf_append_format(&p->answer, "%" PRId64, a + b);
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
    if (a < b && draw(rng, 4)) { /* an eighth of them fall below zero */
        int64_t c = a;
        a = b;
        b = c;
    }
    struct row x = row_of(FIRST, a), y = row_of(SECOND, b);
    put_question(rng, p, patterns, COUNT_OF(patterns), a, b);
    put_pair(p, "subtract", a, b);
    put_row(&p->steps, &x);
    put_row(&p->steps, &y);
    if (put_sum(&p->steps, &x, '-', &y)) { /* a borrow is left: the other way round */
        buf_append_text(&p->steps, "minus\n");
        put_sum(&p->steps, &y, '-', &x);
    }
    end_steps(p);
    buf_append_format(&p->answer, "%" PRId64, a - b);
}

/* ---- multiplication -------------------------------------------------------------------------- */

/* The lines of a * digit i of b, each with its product of two digits before what is carried
 * is added; returns the product as a row of its own, `shift` columns to the left. */
static struct row put_product(struct buf *out, const struct row *a, const struct row *b, int i,
                              enum row_name name, int shift) {
    struct row result = {.n = 0}, shifted = {.name = name, .n = shift};
    int carry = 0;
    for (int j = 0; j < a->n; j++) {
        int product = a->digit[j] * b->digit[i], total = product + carry;
        carry = total / 10;
        result.digit[result.n++] = total % 10;
        put_column(out, a, j);
        buf_append_char(out, '*');
        put_column(out, b, i);
        buf_append_format(out, ":%02d", product);
        put_so_far(out, &result, carry);
    }
    for (int j = 0; j < result.n; j++)
        shifted.digit[shifted.n++] = result.digit[j];
    shifted.digit[shifted.n++] = carry;
    return shifted;
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
    bool two_rows = draw(rng, 3) == 0;
    int64_t a = draw_number(rng, two_rows ? draw_between(rng, 2, 3) : draw_between(rng, 1, 4));
    int64_t b = draw_number(rng, 1 + two_rows);
    struct row x = row_of(FIRST, a), y = row_of(SECOND, b);
    put_question(rng, p, patterns, COUNT_OF(patterns), a, b);
    put_pair(p, "multiply", a, b);
    put_row(&p->steps, &x);
    put_row(&p->steps, &y);
    struct row low = put_product(&p->steps, &x, &y, 0, LOW_PRODUCT, 0);
    if (two_rows) {
        put_row(&p->steps, &low);
        struct row high = put_product(&p->steps, &x, &y, 1, HIGH_PRODUCT, 1);
        put_row(&p->steps, &high);
        put_sum(&p->steps, &low, '+', &high);
    }
    end_steps(p);
    buf_append_format(&p->answer, "%" PRId64, a * b);
}

/* ---- division -------------------------------------------------------------------------------- */

/* A line brings down a digit behind what was left by the line above:
 *
 *     What is 97 / 4?
 *     a9b7
 *     0a9/4:08=2r1
 *     1b7/4:16=24r1
 *
 * The multiple of the divisor below it comes first: the digit and what is left follow from it. */
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
    struct row x = row_of(FIRST, a), quotient = {.n = x.n};
    put_question(rng, p, patterns, COUNT_OF(patterns), a, b);
    buf_append_format(&p->canonical, "divide %" PRId64 " %d", a, b);
    put_row(&p->steps, &x);
    for (int i = x.n; i-- > 0;) {
        int part = 10 * rest + x.digit[i];
        quotient.digit[i] = part / b;
        buf_append_format(&p->steps, "%d", rest);
        put_column(&p->steps, &x, i);
        rest = part % b;
        buf_append_format(&p->steps, "/%d:%02d=", b, part - rest);
        for (int j = x.n; j-- > i;)
            buf_append_format(&p->steps, "%d", quotient.digit[j]);
        buf_append_format(&p->steps, "r%d\n", rest);
    }
    end_steps(p);
    buf_append_format(&p->answer, "%" PRId64, a / b);
    if (rest) buf_append_format(&p->answer, " remainder %d", rest);
}
