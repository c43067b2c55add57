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

/* A copy without the letters of columns: " b4+ B8=12" becomes " 4+8=12". */
static void without_letters(const char *steps, char *out, size_t size) {
    size_t n = 0;
    for (const char *at = steps; *at && n + 1 < size; at++) {
        bool begins = at > steps && at[-1] == ' ';
        if (begins && isalpha((unsigned char)at[0]) && isdigit((unsigned char)at[1])) {
            if (n > 1 && strchr("+-*<>=", out[n - 2])) n--;
            continue;
        }
        out[n++] = *at;
    }
    out[n] = '\0';
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
        double rest, other_rest, left = read_chain(&at, &rest);
        char sign = *at;
        if (!sign || !strchr("=<>", sign)) continue;
        at++;
        double right = read_chain(&at, &other_rest);
        ++*count_out;
        bool says_rest = memchr(begin, '/', (size_t)(at - begin)) != NULL;
        if (holds(left, sign, right) && (!says_rest || rest_holds(at, rest))) continue;
        snprintf(wrong, size, "%.*s", (int)(at - begin), begin);
        return false;
    }
    return true;
}

void solver_columns(const char *line, char *number, size_t size) {
    size_t n = 0;
    for (; *line && strncmp(line, " rest", 5) != 0; line++)
        if (isdigit((unsigned char)*line) && (n || *line != '0') && n + 1 < size)
            number[n++] = *line;
    if (n == 0) number[n++] = '0';
    number[n] = '\0';
}
