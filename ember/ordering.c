/* Which number is larger, and lists in order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"

enum { MAX_WHOLE = 5, MAX_PLACES = 3, MIN_LIST = 3, MAX_LIST = 6, LIST_LIMIT = 100 };

/* ---- comparing: from the left, column by column ---------------------------------------------- */

/* Letters as in columns.c: those of the whole part are a, b, ... from the left, of the places
 * after the point p, q, r; the other number has capitals. A longer whole part is larger, which
 * the last letters tell; else the first column that differs decides:
 *
 *     larger
 *     a7b5p2
 *     A7B5P2Q6
 *     b=B
 *     a7=A7
 *     b5=B5
 *     p2=P2
 *     .0<Q6
 *     larger: second
 */
struct decimal {
    char text[24];
    int whole[MAX_WHOLE], n_whole, place[MAX_PLACES], n_places; /* from the left */
};

/* Places end in a digit other than 0, so that a value has one spelling. */
static struct decimal draw_decimal(struct rng *rng, int n_whole, int n_places) {
    struct decimal d = {.n_whole = n_whole, .n_places = n_places};
    for (int i = 0; i < n_whole; i++)
        d.whole[i] = draw_between(rng, i == 0 && n_whole > 1, 9);
    for (int i = 0; i < n_places; i++)
        d.place[i] = draw_between(rng, i == n_places - 1, 9);
    return d;
}

static void spell(struct decimal *d) {
    size_t at = 0;
    for (int i = 0; i < d->n_whole; i++)
        at += (size_t)snprintf(d->text + at, sizeof d->text - at, "%d", d->whole[i]);
    for (int i = 0; i < d->n_places; i++)
        at += (size_t)snprintf(d->text + at, sizeof d->text - at, i ? "%d" : ".%d", d->place[i]);
}

static void put_decimal(struct buf *out, const struct decimal *d, bool is_other) {
    for (int i = 0; i < d->n_whole; i++)
        buf_append_format(out, "%c%d", (is_other ? 'A' : 'a') + i, d->whole[i]);
    for (int i = 0; i < d->n_places; i++)
        buf_append_format(out, "%c%d", (is_other ? 'P' : 'p') + i, d->place[i]);
    buf_append_char(out, '\n');
}

static char order_sign(int x, int y) {
    return x < y ? '<' : x > y ? '>' : '=';
}

static void put_place(struct buf *out, const struct decimal *d, int i, char name) {
    if (i < d->n_places)
        buf_append_format(out, "%c%d", name + i, d->place[i]);
    else
        buf_append_text(out, ".0");
}

static int put_comparison(struct buf *out, const struct decimal *x, const struct decimal *y) {
    int n_places = x->n_places > y->n_places ? x->n_places : y->n_places;
    int order = x->n_whole - y->n_whole;
    put_decimal(out, x, false);
    put_decimal(out, y, true);
    buf_append_format(out, "%c%c%c\n", 'a' + x->n_whole - 1, order_sign(x->n_whole, y->n_whole),
                      'A' + y->n_whole - 1);
    for (int i = 0; order == 0 && i < x->n_whole; i++) {
        order = x->whole[i] - y->whole[i];
        buf_append_format(out, "%c%d%c%c%d\n", 'a' + i, x->whole[i],
                          order_sign(x->whole[i], y->whole[i]), 'A' + i, y->whole[i]);
    }
    for (int i = 0; order == 0 && i < n_places; i++) {
        order = x->place[i] - y->place[i];
        put_place(out, x, i, 'p');
        buf_append_char(out, order_sign(x->place[i], y->place[i]));
        put_place(out, y, i, 'P');
        buf_append_char(out, '\n');
    }
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
        for (int i = 0; i < n_same; i++)
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
    const char *wanted = kinds[kind].wants_smaller ? "smaller" : "larger";
    buf_append_format(&p->steps, "%s\n", wanted);
    bool first = (put_comparison(&p->steps, &x, &y) > 0) != kinds[kind].wants_smaller;
    buf_append_format(&p->steps, "%s: %s", wanted, first ? "first" : "second");
    buf_append_text(&p->answer, first ? x.text : y.text);
}

/* ---- sorting: every item goes to its place among those before ------------------------------ */

/* An item is compared with the list so far until the first that it stands before, then written
 * between its new neighbours; the list with it can be copied from that and from the list above:
 *
 *     Sort 41, 12, 30 in ascending order.
 *     (41)
 *     up 12: 41> (12 41
 *     (12 41)
 *     up 30: 12<41> 12 30 41
 *     (12 30 41)
 */

struct list {
    int n, items[MAX_LIST];
};

static void put_list(struct buf *out, const struct list *list, const char *between) {
    for (int i = 0; i < list->n; i++)
        buf_append_format(out, "%s%d", i ? between : "", list->items[i]);
}

static void put_insertion(struct buf *out, struct list *sorted, int item, bool descending) {
    int at = 0, n = sorted->n, *items = sorted->items;
    buf_append_format(out, "%s %d: ", descending ? "down" : "up", item);
    for (bool before = true; before && at < n; at += before) {
        before = descending ? items[at] >= item : items[at] <= item;
        buf_append_format(out, "%d%c", items[at], order_sign(items[at], item));
    }
    if (at > 0)
        buf_append_format(out, " %d %d", items[at - 1], item);
    else
        buf_append_format(out, " (%d", item);
    if (at < n)
        buf_append_format(out, " %d\n", items[at]);
    else
        buf_append_text(out, ")\n");
    memmove(items + at + 1, items + at, (size_t)(n - at) * sizeof *items);
    items[at] = item;
    sorted->n++;
}

static struct list put_sorting(struct buf *out, const struct list *list, bool descending) {
    struct list sorted = {0};
    for (int i = 0; i < list->n; i++) {
        if (i > 0)
            put_insertion(out, &sorted, list->items[i], descending);
        else
            sorted.items[sorted.n++] = list->items[0];
        buf_append_char(out, '(');
        put_list(out, &sorted, " ");
        buf_append_text(out, i + 1 < list->n ? ")\n" : ")");
    }
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

/* Different ones in most lists. */
static void draw_items(struct rng *rng, struct list *list) {
    bool may_repeat = draw(rng, 8) == 0;
    for (int i = 0; i < list->n;) {
        list->items[i] = (int)draw(rng, LIST_LIMIT);
        int same = 0;
        while (list->items[same] != list->items[i])
            same++;
        i += may_repeat || same == i;
    }
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
    draw_items(rng, &list);
    put_list(&text, &list, ", ");
    unsigned kind = draw(rng, COUNT_OF(kinds));
    put_pattern(&p->question, kinds[kind].pattern, buf_text(&text), "", "");
    put_multiset(&p->canonical, list);
    struct list sorted = put_sorting(&p->steps, &list, kinds[kind].descending);
    put_list(&p->answer, &sorted, ", ");
    buf_release(&text);
}
