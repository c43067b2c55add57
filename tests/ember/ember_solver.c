#include "ember_solver.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_NUMBERS = 16, MAX_STEPS = 1 << 14, SECONDS_A_DAY = 86400 };

/* ---- reading ------------------------------------------------------------------------------ */

static int read_numbers(const char *text, double numbers[MAX_NUMBERS]) {
    int n = 0;
    for (const char *at = text; *at && n < MAX_NUMBERS;) {
        char *end;
        if (!isdigit((unsigned char)*at)) {
            at++;
            continue;
        }
        numbers[n++] = strtod(at, &end);
        at = end;
    }
    return n;
}

static bool says(const char *question, const char *word) {
    return strcasestr(question, word) != NULL;
}

/* ---- arithmetic --------------------------------------------------------------------------- */

static void calculate(const char *task, const char *question, char *answer, size_t size) {
    double n[MAX_NUMBERS] = {0};
    read_numbers(question, n);
    long a = (long)n[0], b = (long)n[1];
    bool reversed = says(question, "subtract") || says(question, "take");
    if (strcmp(task, "add") == 0) snprintf(answer, size, "%ld", a + b);
    if (strcmp(task, "subtract") == 0) snprintf(answer, size, "%ld", reversed ? b - a : a - b);
    if (strcmp(task, "multiply") == 0) snprintf(answer, size, "%ld", a * b);
    if (strcmp(task, "divide") != 0) return;
    ldiv_t d = ldiv(a, b);
    snprintf(answer, size, d.rem ? "%ld remainder %ld" : "%ld", d.quot, d.rem);
}

/* The numbers as they are spelt in the problem. */
static void compare(const char *problem, const char *question, char *answer, size_t size) {
    char a[32], b[32];
    bool smaller = says(question, "small") || says(question, "less");
    if (sscanf(problem, "compare %31s %31s", a, b) != 2) return;
    bool a_less = strtod(a, NULL) < strtod(b, NULL);
    snprintf(answer, size, "%s", a_less == smaller ? a : b);
}

static void sort(const char *question, char *answer, size_t size) {
    double n[MAX_NUMBERS];
    int count = read_numbers(question, n);
    bool down = says(question, "descending") || says(question, "from largest") ||
                says(question, "from high");
    size_t at = 0;
    for (int value = down ? 200 : 0; value >= 0 && value <= 200; value += down ? -1 : 1)
        for (int i = 0; i < count; i++)
            if (n[i] == value)
                at += (size_t)snprintf(answer + at, size - at, at ? ", %d" : "%d", value);
}

/* ---- counting ----------------------------------------------------------------------------- */

static int count_char(const char *text, char c) {
    int n = 0;
    for (; *text; text++)
        n += *text == c;
    return n;
}

static void count(const char *task, const char *problem, char *answer, size_t size) {
    const char *rest = strchr(problem, ' ') + 1;
    if (strcmp(task, "count_words") == 0) snprintf(answer, size, "%d", 1 + count_char(rest, ' '));
    if (strcmp(task, "count_letters") == 0)
        snprintf(answer, size, "%d", count_char(rest + 2, rest[0]));
    if (strcmp(task, "count_items") != 0) return;
    char item[32], all[512];
    int n = 0;
    size_t length = strcspn(rest, " ");
    snprintf(item, sizeof item, ", %.*s,", (int)length, rest);
    snprintf(all, sizeof all, ", %s,", rest + length + 1);
    for (const char *at = all; (at = strstr(at, item)) != NULL; at++)
        n++;
    snprintf(answer, size, "%d", n);
}

/* ---- dates, by the C library --------------------------------------------------------------- */

static time_t read_date(const char *text) {
    struct tm fields = {0};
    strptime(text, "%Y-%m-%d", &fields);
    return timegm(&fields);
}

static void dates(const char *task, const char *problem, char *answer, size_t size) {
    const char *first = strchr(problem, ' ') + 1, *second = strchr(first, ' ');
    time_t from = read_date(first);
    struct tm fields;
    if (strcmp(task, "days_between") == 0)
        snprintf(answer, size, "%ld", (long)((read_date(second + 1) - from) / SECONDS_A_DAY));
    if (strcmp(task, "weekday") == 0) strftime(answer, size, "%A", gmtime_r(&from, &fields));
    if (strcmp(task, "days_later") != 0) return;
    from += strtol(second, NULL, 10) * SECONDS_A_DAY;
    strftime(answer, size, "%e %B %Y", gmtime_r(&from, &fields));
    if (answer[0] == ' ') memmove(answer, answer + 1, strlen(answer));
}

/* ---- stories ------------------------------------------------------------------------------ */

static void story(const char *problem, char *answer, size_t size) {
    char kind[32];
    long a, b, c, result = -1;
    if (sscanf(problem, "story %31s %ld %ld %ld", kind, &a, &b, &c) != 4) return;
    if (strcmp(kind, "gain_loss") == 0) result = a + b - c;
    if (strcmp(kind, "loss_gain") == 0) result = a - b + c;
    if (strcmp(kind, "together") == 0) result = a + b;
    if (strcmp(kind, "more") == 0) result = a - b;
    if (strcmp(kind, "boxes_loss") == 0) result = a * b - c;
    if (strcmp(kind, "boxes_gain") == 0) result = a * b + c;
    if (strcmp(kind, "share") == 0) result = a / b + c;
    if (strcmp(kind, "change") == 0) result = c - a * b;
    snprintf(answer, size, "%ld", result);
}

bool solver_answer(const char *task, const char *problem, const char *question, char *answer,
                   size_t size) {
    answer[0] = '\0';
    calculate(task, question, answer, size);
    if (strcmp(task, "compare") == 0) compare(problem, question, answer, size);
    if (strcmp(task, "sort") == 0) sort(question, answer, size);
    if (strcmp(task, "story") == 0) story(problem, answer, size);
    count(task, problem, answer, size);
    dates(task, problem, answer, size);
    return answer[0] != '\0';
}

/* ---- steps -------------------------------------------------------------------------------- */

/* A chain of numbers and signs at *at, from left to right; its value. Division is whole,
 * what it leaves is *rest. */
static double read_chain(const char **at, double *rest) {
    char *end;
    double value = strtod(*at, &end);
    *rest = 0;
    while (*end && strchr("+-*/", *end) && isdigit((unsigned char)end[1])) {
        char sign = *end;
        double next = strtod(end + 1, &end), old = value;
        if (sign == '+') value += next;
        if (sign == '-') value -= next;
        if (sign == '*') value *= next;
        if (sign != '/') continue;
        value = floor(old / next);
        *rest = old - value * next;
    }
    *at = end;
    return value;
}

static bool holds(double left, char sign, double right) {
    return sign == '=' ? left == right : sign == '<' ? left < right : left > right;
}

/* "rest 2" behind a quotient. */
static bool rest_holds(const char *at, double rest) {
    static const char word[] = " rest ";
    if (strncmp(at, word, sizeof word - 1) != 0) return rest == 0;
    return strtod(at + sizeof word - 1, NULL) == rest;
}

/* A copy without the letters of columns: "b4<B8" becomes "4<8". */
static void without_letters(const char *steps, char *out, size_t size) {
    size_t n = 0;
    for (const char *at = steps; *at && n + 1 < size; at++) {
        bool begins = at == steps || !isalpha((unsigned char)at[-1]);
        if (begins && isalpha((unsigned char)at[0]) && isdigit((unsigned char)at[1])) continue;
        out[n++] = *at;
    }
    out[n] = '\0';
}

/* "47+85:12 13=132": carry and digit of every column stand before the sum. */
struct short_sum {
    long a, b, result;
    int n_columns, column[8]; /* from the ones; carry and digit */
    int length;               /* 0: is none */
};

static struct short_sum read_short_sum(const char *text) {
    struct short_sum s = {0};
    char sign, before = ':';
    int at = 0, n = 0;
    if (sscanf(text, "%ld%c%ld%n", &s.a, &sign, &s.b, &at) != 3) return s;
    for (; s.n_columns < 8 && text[at] == before; before = ' ', at += n)
        if (sscanf(text + at + 1, "%2d%n", &s.column[s.n_columns++], &n) != 1 || n++ != 2) return s;
    if (s.n_columns && sscanf(text + at, "=%ld%n", &s.result, &n) == 1) s.length = at + n;
    if (sign == '-') s.b = -s.b;
    return s;
}

static bool short_sum_holds(const struct short_sum *s) {
    long power = 1;
    for (int i = 0; i < s->n_columns; i++) {
        power *= 10;
        long sum = s->a % power + s->b % power; /* of the columns up to this one */
        long carry = sum < 0 || sum >= power;
        if (s->column[i] != 10 * carry + (sum + power) % power * 10 / power) return false;
    }
    bool are_all = labs(s->a) < power && labs(s->b) < power;
    return are_all && s->result == s->a + s->b;
}

bool solver_steps_hold(const char *text, size_t *count_out, char *wrong, size_t size) {
    char steps[MAX_STEPS];
    without_letters(text, steps, sizeof steps);
    for (const char *at = steps; *at;) {
        bool inside = at > steps && (isalnum((unsigned char)at[-1]) || at[-1] == '.');
        if (inside || !isdigit((unsigned char)*at)) {
            at++;
            continue;
        }
        const char *begin = at;
        struct short_sum sum = read_short_sum(at);
        double rest = 0, other_rest, left = sum.length ? 0 : read_chain(&at, &rest);
        char sign = *at;
        if (!sum.length && (!sign || !strchr("=<>", sign))) continue;
        ++*count_out;
        if (sum.length) {
            at += sum.length;
            if (short_sum_holds(&sum)) continue;
        } else {
            at++;
            double right = read_chain(&at, &other_rest);
            bool says_rest = memchr(begin, '/', (size_t)(at - begin)) != NULL;
            if (holds(left, sign, right) && (!says_rest || rest_holds(at, rest))) continue;
        }
        snprintf(wrong, size, "%.*s", (int)(at - begin), begin);
        return false;
    }
    return true;
}

/* ---- columns ------------------------------------------------------------------------------ */

/* What the lines since the last line of another kind have used. */
struct columns {
    long x, y, power; /* numbers so far; 10 to their number of digits */
    int n;
};

/* "c7+B5=12": what stands behind "=" is the carry, then the sum of all digits so far. */
static bool sum_line_holds(struct columns *c, const char *line) {
    char x_name, y_name, sign, so_far[32], expected[32];
    long x, y;
    if (sscanf(line, "%c%1ld%c%c%1ld=%31[0-9]", &x_name, &x, &sign, &y_name, &y, so_far) != 6)
        return false;
    c->x += x * c->power;
    c->y += y * c->power;
    c->power *= 10;
    long result = sign == '+' ? c->x + c->y : c->x - c->y;
    if (result < 0) result += 2 * c->power; /* a borrow in front */
    snprintf(expected, sizeof expected, "%0*ld", ++c->n + 1, result);
    return strcmp(so_far, expected) == 0;
}

/* "b4*A6:24=282", the same with the product of the two digits before it. */
static bool product_line_holds(struct columns *c, const char *line) {
    char x_name, y_name, so_far[32], expected[32];
    long x, y, product;
    if (sscanf(line, "%c%1ld*%c%1ld:%2ld=%31[0-9]", &x_name, &x, &y_name, &y, &product, so_far) !=
        6)
        return false;
    c->x += x * c->power;
    c->power *= 10;
    snprintf(expected, sizeof expected, "%0*ld", ++c->n + 1, c->x * y);
    return product == x * y && strcmp(so_far, expected) == 0;
}

/* "1b7/4:16=24r1": what was left, the next digit, the multiple below them, the quotient so far,
 * what is left. */
static bool quotient_line_holds(struct columns *c, const char *line) {
    char name, so_far[32], expected[32];
    long before, digit, divisor, multiple, rest;
    if (sscanf(line, "%1ld%c%1ld/%1ld:%2ld=%31[0-9]r%1ld", &before, &name, &digit, &divisor,
               &multiple, so_far, &rest) != 7 ||
        multiple != 10 * before + digit - rest || (c->n && before != c->x % divisor) ||
        (!c->n && before))
        return false;
    c->x = 10 * c->x + digit;
    snprintf(expected, sizeof expected, "%0*ld", ++c->n, c->x / divisor);
    return rest == c->x % divisor && strcmp(so_far, expected) == 0;
}

/* A digit with its letter is one of a row above; ".0" is of no row. */
static bool is_fetched(const char *steps, const char *line, const char *digit) {
    if (strncmp(digit, ".0", 2) == 0) return true;
    for (const char *at = steps; at < line; at++)
        if (at[0] == digit[0] && at[1] == digit[1]) return true;
    return false;
}

bool solver_columns_hold(const char *steps, size_t *count_out, char *wrong, size_t size) {
    struct columns c = {.power = 1};
    for (const char *line = steps; *line;) {
        size_t n = strcspn(line, "\n");
        char text[128];
        snprintf(text, sizeof text, "%.*s", (int)n, line);
        if (!strchr(text, '=')) {
            c = (struct columns){.power = 1};
        } else {
            bool divides = strchr(text, '/') != NULL;
            bool fetched = is_fetched(steps, line, line + divides) &&
                           (divides || is_fetched(steps, line, line + 3));
            bool right = divides             ? quotient_line_holds(&c, text)
                         : strchr(text, '*') ? product_line_holds(&c, text)
                                             : sum_line_holds(&c, text);
            ++*count_out;
            if (!fetched || !right) {
                snprintf(wrong, size, "%s", text);
                return false;
            }
        }
        line += n + (line[n] == '\n');
    }
    return true;
}

bool solver_insertions_hold(const char *steps) {
    bool down = strstr(steps, "down ") != NULL;
    const char *line = strchr(steps, '\n');
    for (; line; line = strchr(line + 1, '\n')) { /* of an item, then of the list */
        int item, other, n;
        bool stays = true;
        char sign[2];
        if (sscanf(line, down ? "\ndown %d:%n" : "\nup %d:%n", &item, &n) != 1) return false;
        for (const char *at = line + n; sscanf(at, "%d%1[<=>]%n", &other, sign, &n) == 2; at += n) {
            if (!stays || !holds(other, sign[0], item)) return false;
            stays = sign[0] == '=' || (sign[0] == '>') == down;
        }
        line = strchr(line + 1, '\n');
        if (!line || line[1] != '(') return false;
    }
    return true;
}

void solver_result(const char *line, char *number, size_t size) {
    const char *at = strrchr(line, '=');
    size_t n = 0;
    for (at = at ? at + 1 : line; isdigit((unsigned char)*at); at++)
        if ((n || *at != '0') && n + 1 < size) number[n++] = *at;
    if (n == 0) number[n++] = '0';
    number[n] = '\0';
}
