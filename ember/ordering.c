/* Which number is larger, and lists in order. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"

enum { MAX_WHOLE = 5, MAX_PLACES = 3, MIN_LIST = 3, MAX_LIST = 7, LIST_LIMIT = 100 };

/* ---- comparing: from the left, column by column ---------------------------------------------- */

/* Columns of the whole part are called a, b, ... from the ones upwards; places after the
 * point p, q, r. Those of the other number are called A, B, ... and P, Q, R (columns.c says
 * why). */
struct decimal {
    char text[24];
    int whole[MAX_WHOLE], n_whole, place[MAX_PLACES], n_places;
};

/* Places end in a digit other than 0, so that a value has one spelling. */
static struct decimal draw_decimal(struct rng *rng, int n_whole, int n_places) {
    struct decimal d = {.n_whole = n_whole, .n_places = n_places};
    for (int i = 0; i < n_whole; i++)
        d.whole[i] = draw_between(rng, i == n_whole - 1 && n_whole > 1, 9);
    for (int i = 0; i < n_places; i++)
        d.place[i] = draw_between(rng, i == n_places - 1, 9);
    return d;
}

static void spell(struct decimal *d) {
    size_t at = 0;
    for (int i = d->n_whole; i-- > 0;)
        at += (size_t)snprintf(d->text + at, sizeof d->text - at, "%d", d->whole[i]);
    for (int i = 0; i < d->n_places; i++)
        at += (size_t)snprintf(d->text + at, sizeof d->text - at, i ? "%d" : ".%d", d->place[i]);
}

static void put_decimal(struct buf *out, const struct decimal *d, int n_whole, int n_places,
                        bool is_other) {
    buf_append_format(out, "%s:", d->text);
    for (int i = n_whole; i-- > 0;)
        buf_append_format(out, " %c%d", (is_other ? 'A' : 'a') + i, d->whole[i]);
    for (int i = 0; i < n_places; i++)
        buf_append_format(out, " %c%d", (is_other ? 'P' : 'p') + i, d->place[i]);
    buf_append_char(out, '\n');
}

/* One column; the sign is the order of x and y. */
static int put_column(struct buf *out, int name, int x, int y) {
    buf_append_format(out, " %c%d%c %c%d\n", name, x,
                      x < y   ? '<'
                      : x > y ? '>'
                              : '=',
                      toupper(name), y);
    return (x > y) - (x < y);
}

static int put_comparison(struct buf *out, const struct decimal *x, const struct decimal *y) {
    int n_whole = x->n_whole > y->n_whole ? x->n_whole : y->n_whole, order = 0;
    int n_places = x->n_places > y->n_places ? x->n_places : y->n_places;
    put_decimal(out, x, n_whole, n_places, false);
    put_decimal(out, y, n_whole, n_places, true);
    for (int i = n_whole; order == 0 && i-- > 0;)
        order = put_column(out, 'a' + i, x->whole[i], y->whole[i]);
    for (int i = 0; order == 0 && i < n_places; i++)
        order = put_column(out, 'p' + i, x->place[i], y->place[i]);
    return order;
}

/* Another number, which often agrees with `x` in its first columns: else comparing would
 * nearly always stop at once. */
static struct decimal draw_other(struct rng *rng, const struct decimal *x, int n_places) {
    struct decimal y;
    do {
        int n_whole = draw(rng, 3) ? x->n_whole : draw_between(rng, 1, n_places ? 2 : MAX_WHOLE);
        y = draw_decimal(rng, n_whole, n_places ? draw_between(rng, 0, n_places) : 0);
        int n_same = n_whole == x->n_whole ? draw_between(rng, 0, n_whole) : 0;
        for (int i = n_whole - n_same; i < n_whole; i++)
            y.whole[i] = x->whole[i];
        spell(&y);
    } while (strcmp(x->text, y.text) == 0);
    return y;
}

void make_comparison(struct rng *rng, const struct knowledge *knowledge, struct problem *p) {
    static const struct {
        const char *pattern;
        bool wants_smaller;
    } kinds[] = {
        {"Which is larger, {0} or {1}?", false},     {"Which number is bigger: {0} or {1}?", false},
        {"{0} or {1}, which is greater?", false},    {"Is {0} or {1} the larger number?", false},
        {"what is more, {0} or {1}", false},         {"Which is smaller, {0} or {1}?", true},
        {"Which number is less: {0} or {1}?", true}, {"{0} or {1}, which is smaller?", true},
    };
    (void)knowledge;
    int n_places = draw(rng, 3) ? 0 : MAX_PLACES;
    int n_whole = draw_between(rng, 1, n_places ? 2 : MAX_WHOLE);
    struct decimal x = draw_decimal(rng, n_whole, n_places ? draw_between(rng, 1, n_places) : 0);
    spell(&x);
    struct decimal y = draw_other(rng, &x, n_places);
    unsigned kind = draw(rng, COUNT_OF(kinds));
    put_pattern(&p->question, kinds[kind].pattern, x.text, y.text, "");
    bool x_first = strcmp(x.text, y.text) < 0;
    buf_append_format(&p->canonical, "compare %s %s", x_first ? x.text : y.text,
                      x_first ? y.text : x.text);
    int order = put_comparison(&p->steps, &x, &y);
    const char *large = order > 0 ? x.text : y.text, *small = order > 0 ? y.text : x.text;
    buf_append_format(&p->steps, "%s<%s", small, large);
    buf_append_text(&p->answer, kinds[kind].wants_smaller ? small : large);
}

/* ---- sorting: take the least (or greatest) of what is left, again and again ------------------ */

struct list {
    int n, items[MAX_LIST];
};

static void put_list(struct buf *out, const struct list *list, const char *between) {
    for (int i = 0; i < list->n; i++)
        buf_append_format(out, "%s%d", i ? between : "", list->items[i]);
}

/* Every item with the best so far behind it, which is taken at the end; returns its place. */
static int put_round(struct buf *out, const struct list *list, bool descending) {
    int best = 0;
    for (int i = 0; i < list->n; i++) {
        bool better =
            descending ? list->items[i] > list->items[best] : list->items[i] < list->items[best];
        if (better) best = i;
        buf_append_format(out, "%d:%d ", list->items[i], list->items[best]);
    }
    buf_append_format(out, "take %d\n", list->items[best]);
    return best;
}

static struct list put_sorting(struct buf *out, struct list left, bool descending) {
    struct list sorted = {0};
    while (left.n) {
        int best = put_round(out, &left, descending);
        sorted.items[sorted.n++] = left.items[best];
        memmove(left.items + best, left.items + best + 1,
                (size_t)(left.n - best - 1) * sizeof left.items[0]);
        left.n--;
    }
    put_list(out, &sorted, " ");
    return sorted;
}

static int by_value(const void *a, const void *b) {
    return *(const int *)a - *(const int *)b;
}

static void put_multiset(struct buf *out, struct list list) {
    qsort(list.items, (size_t)list.n, sizeof list.items[0], by_value);
    buf_append_text(out, "sort ");
    put_list(out, &list, " ");
}

void make_sorting(struct rng *rng, const struct knowledge *knowledge, struct problem *p) {
    static const struct {
        const char *pattern;
        bool descending;
    } kinds[] = {
        {"Sort these numbers: {0}", false},
        {"Sort {0} in ascending order.", false},
        {"Put {0} in order from smallest to largest.", false},
        {"Order these from low to high: {0}", false},
        {"sort {0}", false},
        {"Sort {0} in descending order.", true},
        {"Put {0} in order from largest to smallest.", true},
        {"Order these from high to low: {0}", true},
    };
    (void)knowledge;
    struct list list = {.n = draw_between(rng, MIN_LIST, MAX_LIST)};
    struct buf text;
    buf_init(&text, 256);
    for (int i = 0; i < list.n; i++)
        list.items[i] = (int)draw(rng, LIST_LIMIT);
    put_list(&text, &list, ", ");
    unsigned kind = draw(rng, COUNT_OF(kinds));
    put_pattern(&p->question, kinds[kind].pattern, buf_text(&text), "", "");
    put_multiset(&p->canonical, list);
    struct list sorted = put_sorting(&p->steps, list, kinds[kind].descending);
    put_list(&p->answer, &sorted, ", ");
    buf_release(&text);
}
