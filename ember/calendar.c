/* Dates of the Gregorian calendar: days between two, the weekday of one, days added. */
#include <stdio.h>

#include "problem.h"

enum { FIRST_YEAR = 1990, LAST_YEAR = 2039, MAX_DAYS_APART = 365, MAX_DAYS_ADDED = 120 };

struct date {
    int year, month, day; /* month and day from 1 */
};

static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};
static const char *const weekdays[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                       "Friday", "Saturday", "Sunday"};

static bool is_leap(int year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int month_days(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

static struct date draw_date(struct rng *rng) {
    struct date d = {.year = draw_between(rng, FIRST_YEAR, LAST_YEAR)};
    d.month = draw_between(rng, 1, 12);
    d.day = draw_between(rng, 1, month_days(d.year, d.month));
    return d;
}

static void next_month(struct date *d) {
    d->year += d->month == 12;
    d->month = d->month % 12 + 1;
}

static const char *spell(struct date d, char out[32]) {
    snprintf(out, 32, "%d %s %d", d.day, months[d.month - 1], d.year);
    return out;
}

static void put_iso(struct buf *out, struct date d) {
    buf_append_format(out, " %04d-%02d-%02d", d.year, d.month, d.day);
}

static const char *leap_or_not(int year) {
    return is_leap(year) ? "leap" : "not leap";
}

/* How many days of the year are before a month. */
static int days_before(int year, int month) {
    int days = 0;
    for (int m = 1; m < month; m++)
        days += month_days(year, m);
    return days;
}

/* ---- days between ---------------------------------------------------------------------------- */

static int put_sum_line(struct buf *out, int a, char sign, int b) {
    buf_append_text(out, ": ");
    put_short_sum(out, a, sign, b);
    return sign == '+' ? a + b : a - b;
}

/* The number of a date in its year: "2024 leap March: 60+3:03 06=63". */
static int put_day_of_year(struct buf *out, struct date d) {
    buf_append_format(out, "%d %s %s", d.year, leap_or_not(d.year), months[d.month - 1]);
    int number = put_sum_line(out, days_before(d.year, d.month), '+', d.day);
    buf_append_char(out, '\n');
    return number;
}

/* The days of both in their years, the length of the first year when the second is in the next,
 * then the difference. */
static int put_between(struct buf *out, struct date from, struct date to) {
    int first = put_day_of_year(out, from), second = put_day_of_year(out, to);
    if (from.year != to.year) {
        buf_append_format(out, "%d %s", from.year, leap_or_not(from.year));
        second = put_sum_line(out, second, '+', is_leap(from.year) ? 366 : 365);
        buf_append_char(out, '\n');
    }
    buf_append_text(out, "days");
    return put_sum_line(out, second, '-', first);
}

void make_days_between(struct rng *rng, const struct knowledge *knowledge, struct problem *p) {
    static const char *const patterns[] = {
        "How many days from {0} to {1}?",  "How many days are between {0} and {1}?",
        "Days between {0} and {1}?",       "how many days is it from {0} until {1}",
        "Count the days from {0} to {1}.",
    };
    (void)knowledge;
    char first[32], second[32];
    struct date from = draw_date(rng), to = from;
    to.day += draw_between(rng, 1, MAX_DAYS_APART);
    for (int length; to.day > (length = month_days(to.year, to.month)); next_month(&to))
        to.day -= length;
    put_pattern(&p->question, DRAW_FROM(rng, patterns), spell(from, first), spell(to, second), "");
    buf_append_text(&p->canonical, "days_between");
    put_iso(&p->canonical, from);
    put_iso(&p->canonical, to);
    buf_append_format(&p->answer, "%d", put_between(&p->steps, from, to));
}

/* ---- weekdays -------------------------------------------------------------------------------- */

/* 0 is Monday; 1 January 1990 was one. */
static int new_years_weekday(int year) {
    int days = 0;
    for (int y = FIRST_YEAR; y < year; y++)
        days += is_leap(y) ? 366 : 365;
    return days % 7;
}

void make_weekday(struct rng *rng, const struct knowledge *knowledge, struct problem *p) {
    static const char *const patterns[] = {
        "What day of the week is {0}?",  "Which weekday was {0}?",    "What weekday is {0}?",
        "{0} is which day of the week?", "on what day does {0} fall", "Tell me the weekday of {0}.",
    };
    (void)knowledge;
    char text[32];
    struct date d = draw_date(rng);
    put_pattern(&p->question, DRAW_FROM(rng, patterns), spell(d, text), "", "");
    buf_append_text(&p->canonical, "weekday");
    put_iso(&p->canonical, d);
    int start = new_years_weekday(d.year), offset = days_before(d.year, d.month) % 7;
    int sum = start + offset, total = sum + d.day - 1;
    struct buf *out = &p->steps;
    buf_append_format(out, "1 January %d: %s %d\n", d.year, weekdays[start], start);
    buf_append_format(out, "%s %s: %d\n", leap_or_not(d.year), months[d.month - 1], offset);
    buf_append_format(out, "%d+%d=%d\n", start, offset, sum);
    buf_append_format(out, "%d-1=%d\n", d.day, d.day - 1);
    put_short_sum(out, sum, '+', d.day - 1);
    buf_append_char(out, '\n');
    buf_append_format(out, "%d/7=%d rest %d\n", total, total / 7, total % 7);
    buf_append_format(out, "%d: %s", total % 7, weekdays[total % 7]);
    buf_append_text(&p->answer, weekdays[total % 7]);
}

/* ---- days later ------------------------------------------------------------------------------ */

/* How long a month of a year is. */
static void put_month(struct buf *out, struct date d) {
    buf_append_format(out, "%s %d ", months[d.month - 1], d.year);
    if (d.month == 2) buf_append_format(out, "%s ", leap_or_not(d.year));
    buf_append_format(out, "%d", month_days(d.year, d.month));
}

void make_days_later(struct rng *rng, const struct knowledge *knowledge, struct problem *p) {
    static const char *const patterns[] = {
        "What date is {1} days after {0}?",
        "Which date comes {1} days after {0}?",
        "{0} plus {1} days?",
        "Add {1} days to {0}.",
        "what is the date {1} days from {0}",
    };
    (void)knowledge;
    char text[32], number[16];
    struct date d = draw_date(rng);
    int added = draw_between(rng, 2, MAX_DAYS_ADDED);
    snprintf(number, sizeof number, "%d", added);
    put_pattern(&p->question, DRAW_FROM(rng, patterns), spell(d, text), number, "");
    buf_append_text(&p->canonical, "days_later");
    put_iso(&p->canonical, d);
    buf_append_format(&p->canonical, " %d", added);
    put_short_sum(&p->steps, d.day, '+', added);
    buf_append_char(&p->steps, '\n');
    d.day += added;
    for (int length; d.day > (length = month_days(d.year, d.month)); next_month(&d)) {
        put_month(&p->steps, d);
        buf_append_format(&p->steps, ": %d>%d", d.day, length);
        d.day = put_sum_line(&p->steps, d.day, '-', length);
        buf_append_char(&p->steps, '\n');
    }
    put_month(&p->steps, d);
    buf_append_format(&p->steps, ": %s", spell(d, text));
    buf_append_text(&p->answer, text);
}
