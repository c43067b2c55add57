/* Small word problems: someone has things, and one or two changes happen. */
#include <stdio.h>

#include "problem.h"

static const char *const names[] = {"Tom",  "Anna", "Ben",  "Mia",   "Leo", "Sara", "Max",  "Lily",
                                    "Noah", "Emma", "Paul", "Nina",  "Sam", "Ella", "Finn", "Rosa",
                                    "Ali",  "Yuki", "Omar", "Priya", "Jan", "Vera", "Hugo", "Ida"};
static const char *const things[] = {"apples", "books",   "coins",   "pens",     "cards",
                                     "stamps", "marbles", "cookies", "stickers", "shells",
                                     "eggs",   "balls",   "flowers", "photos",   "toys"};
static const char *const boxes[] = {"boxes", "bags", "baskets", "shelves", "jars", "packs"};

struct story {
    const char *name, *thing, *box;
    int a, b, c;
    struct problem *p;
};

/* What two tellings of the same sum share. */
static void name_story(struct story *s, const char *kind) {
    buf_append_format(&s->p->canonical, "story %s %d %d %d", kind, s->a, s->b, s->c);
}

static int step(struct story *s, const char *what, int left, char sign, int right) {
    struct buf *out = &s->p->steps;
    buf_append_format(out, "%s%s: ", out->length ? "\n" : "", what);
    if (sign == '+' || sign == '-') {
        put_short_sum(out, left, sign, right);
        return sign == '+' ? left + right : left - right;
    }
    int result = sign == '*' ? left * right : left / right;
    buf_append_format(out, "%d%c%d=%d", left, sign, right, result);
    return result;
}

static void answer(struct story *s, int value) {
    buf_append_format(&s->p->answer, "%d", value);
}

/* ---- the stories --------------------------------------------------------------------------- */

static void gain_and_loss(struct rng *rng, struct story *s) {
    static const char *const gains[] = {"buys", "finds", "gets"};
    static const char *const losses[] = {"gives away", "loses", "sells"};
    const char *gain = DRAW_FROM(rng, gains), *loss = DRAW_FROM(rng, losses);
    s->a = draw_between(rng, 2, 60);
    s->b = draw_between(rng, 2, 39);
    s->c = draw_between(rng, 1, s->a + s->b - 1);
    name_story(s, "gain_loss");
    buf_append_format(&s->p->question,
                      "%s has %d %s. %s %s %d more and %s %d. How many %s are left?", s->name, s->a,
                      s->thing, s->name, gain, s->b, loss, s->c, s->thing);
    int sum = step(s, gain, s->a, '+', s->b);
    answer(s, step(s, loss, sum, '-', s->c));
}

static void loss_and_gain(struct rng *rng, struct story *s) {
    s->a = draw_between(rng, 5, 90);
    s->b = draw_between(rng, 1, s->a - 1);
    s->c = draw_between(rng, 1, s->b);
    name_story(s, "loss_gain");
    buf_append_format(
        &s->p->question,
        "There were %d %s on the table. %s took %d of them and later put %d back. How many %s are "
        "on the table now?",
        s->a, s->thing, s->name, s->b, s->c, s->thing);
    int rest = step(s, "took", s->a, '-', s->b);
    answer(s, step(s, "put back", rest, '+', s->c));
}

/* Somebody else; names are told apart by where they stand. */
static const char *draw_other_name(struct rng *rng, const struct story *s) {
    const char *other = s->name;
    while (other == s->name)
        other = DRAW_FROM(rng, names);
    return other;
}

static void together(struct rng *rng, struct story *s) {
    const char *other = draw_other_name(rng, s);
    s->a = draw_between(rng, 2, 49);
    s->b = draw_between(rng, 2, 49);
    name_story(s, "together");
    buf_append_format(&s->p->question,
                      "%s has %d %s and %s has %d. How many %s do they have together?", s->name,
                      s->a, s->thing, other, s->b, s->thing);
    answer(s, step(s, "together", s->a, '+', s->b));
}

static void how_many_more(struct rng *rng, struct story *s) {
    const char *other = draw_other_name(rng, s);
    s->b = draw_between(rng, 2, 80);
    s->a = s->b + draw_between(rng, 1, 99 - s->b);
    name_story(s, "more");
    buf_append_format(&s->p->question, "%s has %d %s. %s has %d. How many more %s does %s have?",
                      s->name, s->a, s->thing, other, s->b, s->thing, s->name);
    answer(s, step(s, "more", s->a, '-', s->b));
}

static void filled_boxes(struct rng *rng, struct story *s) {
    s->a = draw_between(rng, 2, 9);
    s->b = draw_between(rng, 2, 9);
    s->c = draw_between(rng, 1, s->a * s->b - 1);
    name_story(s, "boxes_loss");
    buf_append_format(&s->p->question,
                      "%s has %d %s with %d %s in each. %s gives away %d %s. How many are left?",
                      s->name, s->a, s->box, s->b, s->thing, s->name, s->c, s->thing);
    int all = step(s, s->box, s->a, '*', s->b);
    answer(s, step(s, "gives away", all, '-', s->c));
}

static void boxes_and_loose(struct rng *rng, struct story *s) {
    s->a = draw_between(rng, 2, 9);
    s->b = draw_between(rng, 2, 9);
    s->c = draw_between(rng, 1, 18);
    name_story(s, "boxes_gain");
    buf_append_format(
        &s->p->question,
        "There are %d %s with %d %s each, and %d loose %s. How many %s are there in all?", s->a,
        s->box, s->b, s->thing, s->c, s->thing, s->thing);
    int all = step(s, s->box, s->a, '*', s->b);
    answer(s, step(s, "loose", all, '+', s->c));
}

static void shared_evenly(struct rng *rng, struct story *s) {
    s->b = draw_between(rng, 2, 9);
    s->a = s->b * draw_between(rng, 2, 9);
    s->c = draw_between(rng, 1, 9);
    name_story(s, "share");
    buf_append_format(
        &s->p->question,
        "%s shares %d %s evenly among %d children. Each child had %d before. How many %s does each "
        "child have now?",
        s->name, s->a, s->thing, s->b, s->c, s->thing);
    int each = step(s, "each", s->a, '/', s->b);
    answer(s, step(s, "before", each, '+', s->c));
}

static void price_and_change(struct rng *rng, struct story *s) {
    s->a = draw_between(rng, 2, 9);
    s->b = draw_between(rng, 2, 9);
    s->c = draw_between(rng, s->a * s->b, 99);
    name_story(s, "change");
    buf_append_format(
        &s->p->question,
        "%s buys %d %s for %d euros each and pays with %d euros. How much change does %s get?",
        s->name, s->a, s->thing, s->b, s->c, s->name);
    int price = step(s, "price", s->a, '*', s->b);
    answer(s, step(s, "change", s->c, '-', price));
}

void make_story(struct rng *rng, const struct knowledge *knowledge, struct problem *p) {
    static void (*const kinds[])(struct rng *, struct story *) = {
        gain_and_loss, loss_and_gain,   together,      how_many_more,
        filled_boxes,  boxes_and_loose, shared_evenly, price_and_change};
    (void)knowledge;
    struct story s = {.p = p};
    s.name = DRAW_FROM(rng, names);
    s.thing = DRAW_FROM(rng, things);
    s.box = DRAW_FROM(rng, boxes);
    DRAW_FROM(rng, kinds)(rng, &s);
}
