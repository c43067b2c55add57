/* template_container.c - methods of dictionaries, lists and tuples, and the global
 * functions that make things: namespace, dict, range, cycler, joiner, …
 *
 * The methods that change a list or a dictionary go beyond Jinja's sandbox: some published
 * templates collect tool calls with list.append. What they change is the rendering's own
 * copy of the context. */
#include <stdio.h>

#include "chat/template_ast.h"

#define METHOD(name)                                                                               \
    static struct value name(struct render *r, struct value self, const struct value *a,           \
                             const struct args *args)
#define UNUSED (void)a, (void)args

enum { RANGE_MAX = 100000 }; /* as in Jinja's sandbox */

/* ---- dictionaries ---- */

METHOD(dict_items) {
    UNUSED;
    return tpl_dict_view(r, self.as.dict, VIEW_ITEMS);
}

METHOD(dict_keys) {
    UNUSED;
    return tpl_dict_view(r, self.as.dict, VIEW_KEYS);
}

METHOD(dict_values) {
    UNUSED;
    return tpl_dict_view(r, self.as.dict, VIEW_VALUES);
}

METHOD(dict_get) {
    (void)args;
    const struct value *found = tpl_dict_get(r, self.as.dict, a[0]);
    return found ? *found : a[1].kind == V_ABSENT ? tpl_none() : a[1];
}

METHOD(dict_copy) {
    UNUSED;
    return tpl_dict_of(tpl_dict_copy(r, self.as.dict));
}

METHOD(dict_setdefault) {
    (void)args;
    const struct value *found = tpl_dict_get(r, self.as.dict, a[0]);
    if (found) return *found;
    struct value v = a[1].kind == V_ABSENT ? tpl_none() : a[1];
    tpl_dict_set(r, self.as.dict, a[0], v);
    return v;
}

METHOD(dict_pop) {
    (void)args;
    const struct value *found = tpl_dict_get(r, self.as.dict, a[0]);
    if (!found) return a[1].kind == V_ABSENT ? tpl_fail(r, "pop: no such key") : a[1];
    struct value v = *found;
    tpl_dict_remove(r, self.as.dict, a[0]);
    return v;
}

/* Adds pairs from a dictionary, or from an iterable of pairs, then the keywords. */
static bool merge_into(struct render *r, struct dict *dict, const struct args *args) {
    struct value from = args->n_positional ? args->positional[0] : tpl_none(), item;
    if (args->n_positional > 1) return tpl_fail(r, "expected at most 1 argument"), false;
    if (from.kind == V_DICT || from.kind == V_NAMESPACE) {
        for (size_t i = 0; i < from.as.dict->count && !r->failed; i++)
            tpl_dict_set(r, dict, from.as.dict->entries[i].key, from.as.dict->entries[i].value);
    } else if (args->n_positional) {
        struct iterator *it = tpl_iterate(r, from);
        while (it && tpl_next(r, it, &item)) {
            struct list *pair = tpl_to_list(r, item);
            if (pair && pair->count == 2)
                tpl_dict_set(r, dict, pair->items[0], pair->items[1]);
            else
                tpl_fail(r, "dictionary update needs pairs");
        }
    }
    for (size_t i = 0; i < args->n_keywords && !r->failed; i++)
        tpl_dict_set(r, dict, tpl_string_of(args->keywords[i].name), args->keywords[i].value);
    return !r->failed;
}

METHOD(dict_update) {
    (void)a;
    merge_into(r, self.as.dict, args);
    return tpl_none();
}

METHOD(dict_clear) {
    UNUSED, (void)r;
    struct dict *d = self.as.dict;
    d->count = 0;
    if (d->slots) memset(d->slots, 0, d->n_slots * sizeof *d->slots);
    return tpl_none();
}

static const struct native dict_methods[] = {
    {"items", dict_items, "", 0},
    {"get", dict_get, "key,default", 1},
    {"keys", dict_keys, "", 0},
    {"values", dict_values, "", 0},
    {"copy", dict_copy, "", 0},
    {"update", dict_update, NULL, 0},
    {"setdefault", dict_setdefault, "key,default", 1},
    {"pop", dict_pop, "key,default", 1},
    {"clear", dict_clear, "", 0},
};

/* ---- lists ---- */

METHOD(list_append) {
    (void)args;
    tpl_list_append(r, self.as.list, a[0]);
    return tpl_none();
}

METHOD(list_extend) {
    (void)args;
    struct list *more = tpl_to_list(r, a[0]);
    for (size_t i = 0; more && i < more->count && !r->failed; i++)
        tpl_list_append(r, self.as.list, more->items[i]);
    return tpl_none();
}

METHOD(list_insert) {
    (void)args;
    struct list *list = self.as.list;
    int64_t n = (int64_t)list->count, at = tpl_arg_int(r, a[0], 0, "index");
    if (at < 0) at = at < -n ? 0 : at + n;
    if (at > n) at = n;
    if (!tpl_charge(r, list->count / 16) || !tpl_list_append(r, list, a[1])) return tpl_none();
    memmove(list->items + at + 1, list->items + at, (size_t)(n - at) * sizeof *list->items);
    list->items[at] = a[1];
    return tpl_none();
}

METHOD(list_pop) {
    (void)args;
    struct list *list = self.as.list;
    int64_t n = (int64_t)list->count, at = tpl_arg_int(r, a[0], -1, "index");
    if (at < 0) at += n;
    if (at < 0 || at >= n) return tpl_fail(r, "pop index out of range");
    struct value v = list->items[at];
    tpl_charge(r, list->count / 16);
    memmove(list->items + at, list->items + at + 1, (size_t)(n - at - 1) * sizeof *list->items);
    list->count--;
    return v;
}

METHOD(list_copy) {
    UNUSED;
    return tpl_list_of(tpl_to_list(r, self));
}

METHOD(list_clear) {
    UNUSED, (void)r;
    self.as.list->count = 0;
    return tpl_none();
}

METHOD(list_reverse) {
    UNUSED;
    struct list *list = self.as.list;
    tpl_charge(r, list->count / 16);
    for (size_t i = 0; i < list->count / 2; i++) {
        struct value v = list->items[i];
        list->items[i] = list->items[list->count - 1 - i];
        list->items[list->count - 1 - i] = v;
    }
    return tpl_none();
}

METHOD(list_index) {
    (void)args;
    const struct list *list = self.as.list;
    for (size_t i = 0; i < list->count && !r->failed; i++)
        if (tpl_equal(r, list->items[i], a[0])) return tpl_int((int64_t)i);
    return tpl_fail(r, "value is not in list");
}

METHOD(list_count) {
    (void)args;
    int64_t n = 0;
    for (size_t i = 0; i < self.as.list->count && !r->failed; i++)
        n += tpl_equal(r, self.as.list->items[i], a[0]);
    return tpl_int(n);
}

static const struct native list_methods[] = {
    {"index", list_index, "value", 1}, /* index and count: of tuples too */
    {"count", list_count, "value", 1},      {"append", list_append, "value", 1},
    {"extend", list_extend, "iterable", 1}, {"insert", list_insert, "index,value", 2},
    {"pop", list_pop, "index", 0},          {"copy", list_copy, "", 0},
    {"clear", list_clear, "", 0},           {"reverse", list_reverse, "", 0},
};
enum { N_TUPLE_METHODS = 2 };

/* ---- cycler ---- */

METHOD(cycler_next) {
    UNUSED, (void)r;
    struct cycler *c = self.as.cycler;
    struct value v = c->items->items[c->position];
    c->position = (c->position + 1) % c->items->count;
    return v;
}

METHOD(cycler_reset) {
    UNUSED, (void)r;
    self.as.cycler->position = 0;
    return tpl_none();
}

static const struct native cycler_methods[] = {{"next", cycler_next, "", 0},
                                               {"reset", cycler_reset, "", 0}};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

const struct native *tpl_find_method(uint8_t kind, const struct str *name) {
    switch (kind) {
    case V_STRING: return tpl_find_string_method(name);
    case V_DICT: return tpl_find(dict_methods, COUNT(dict_methods), name);
    case V_LIST: return tpl_find(list_methods, COUNT(list_methods), name);
    case V_TUPLE: return tpl_find(list_methods, N_TUPLE_METHODS, name);
    case V_LOOP: return tpl_find_loop_method(name);
    case V_CYCLER: return tpl_find(cycler_methods, COUNT(cycler_methods), name);
    default: return NULL;
    }
}

/* ---- global functions ---- */

METHOD(make_namespace) {
    (void)self, (void)a;
    struct dict *dict = tpl_dict_new(r);
    if (!dict || !merge_into(r, dict, args)) return tpl_none();
    return (struct value){.kind = V_NAMESPACE, .as.dict = dict};
}

METHOD(make_dict) {
    (void)self, (void)a;
    struct dict *dict = tpl_dict_new(r);
    return dict && merge_into(r, dict, args) ? tpl_dict_of(dict) : tpl_none();
}

METHOD(make_range) {
    (void)self, (void)args;
    bool one = a[1].kind == V_ABSENT;
    int64_t start = one ? 0 : tpl_arg_int(r, a[0], 0, "range start");
    int64_t stop = tpl_arg_int(r, one ? a[0] : a[1], 0, "range end");
    int64_t step = tpl_arg_int(r, a[2], 1, "range step"), span;
    if (r->failed) return tpl_none();
    if (step == 0) return tpl_fail(r, "range() arg 3 must not be zero");
    int64_t count = 0;
    if (step > 0 ? stop > start : stop < start) {
        if (__builtin_sub_overflow(stop, start, &span) || step == INT64_MIN)
            return tpl_fail(r, "range too big");
        count = (span - (step > 0 ? 1 : -1)) / step + 1;
    }
    if (count > RANGE_MAX)
        return tpl_fail_limit(r, "range too big: the sandbox blocks ranges larger than %d",
                              RANGE_MAX);
    struct range *range = tpl_alloc(r, 1, sizeof *range);
    if (!range) return tpl_none();
    *range = (struct range){start, step, count, stop};
    return (struct value){.kind = V_RANGE, .as.range = range};
}

METHOD(make_cycler) {
    (void)self, (void)a;
    if (args->n_positional == 0) return tpl_fail(r, "at least one item has to be provided");
    struct cycler *cycler = tpl_alloc(r, 1, sizeof *cycler);
    struct list *items = tpl_list_new(r, args->n_positional);
    for (size_t i = 0; i < args->n_positional; i++)
        tpl_list_append(r, items, args->positional[i]);
    if (r->failed) return tpl_none();
    cycler->items = items;
    return (struct value){.kind = V_CYCLER, .as.cycler = cycler};
}

METHOD(make_joiner) {
    (void)self, (void)args;
    struct joiner *joiner = tpl_alloc(r, 1, sizeof *joiner);
    if (!joiner) return tpl_none();
    joiner->separator = a[0].kind == V_ABSENT ? tpl_view(r, ", ", 2) : a[0];
    return (struct value){.kind = V_JOINER, .as.joiner = joiner};
}

METHOD(raise_exception) {
    (void)self, (void)args;
    return tpl_refuse(r, a[0]);
}

static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                   "Thursday", "Friday", "Saturday"};
static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};

static int hour12(const struct tm *t) {
    return t->tm_hour % 12 ? t->tm_hour % 12 : 12;
}

/* ISO 8601 week: the one that holds the year's first Thursday is week 1. */
static int iso_week(const struct tm *t, int *year) {
    int weekday = (t->tm_wday + 6) % 7, thursday = t->tm_yday - weekday + 3;
    *year = t->tm_year + 1900;
    int before = *year - 1;
    int leap_before = (before % 4 == 0 && before % 100 != 0) || before % 400 == 0;
    int leap = (*year % 4 == 0 && *year % 100 != 0) || *year % 400 == 0;
    if (thursday < 0) {
        --*year;
        return (thursday + 365 + leap_before) / 7 + 1;
    }
    if (thursday >= 365 + leap) {
        ++*year;
        return 1;
    }
    return thursday / 7 + 1;
}

static bool put_date_number(struct render *r, const char *format, int n) {
    char text[32];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof text, format, n);
#pragma GCC diagnostic pop
    return tpl_put_text(r, text);
}

static bool put_date(struct render *r, const char *format, const struct tm *t);

static bool put_date_name(struct render *r, char c, const struct tm *t) {
    const char *day = days[t->tm_wday], *month = months[t->tm_mon];
    switch (c) {
    case 'A': return tpl_put_text(r, day);
    case 'a': return tpl_put(r, day, 3);
    case 'B': return tpl_put_text(r, month);
    case 'b':
    case 'h': return tpl_put(r, month, 3);
    case 'p': return tpl_put_text(r, t->tm_hour < 12 ? "AM" : "PM");
    case 'P': return tpl_put_text(r, t->tm_hour < 12 ? "am" : "pm");
    case 'D':
    case 'x': return put_date(r, "%m/%d/%y", t);
    case 'F': return put_date(r, "%Y-%m-%d", t);
    case 'T':
    case 'X': return put_date(r, "%H:%M:%S", t);
    case 'R': return put_date(r, "%H:%M", t);
    case 'r': return put_date(r, "%I:%M:%S %p", t);
    case 'c': return put_date(r, "%a %b %e %H:%M:%S %Y", t);
    case 'n': return tpl_put_char(r, '\n');
    case 't': return tpl_put_char(r, '\t');
    case 'f': return tpl_put_text(r, "000000");
    case 'z':
    case 'Z': return !r->failed; /* a time without zone, as datetime.now() */
    case '%': return tpl_put_char(r, '%');
    default: return tpl_put_char(r, '%') && tpl_put_char(r, c);
    }
}

/* The format's letters as in the C locale; `-` after the percent sign drops padding. */
static bool put_date_item(struct render *r, char c, bool plain, const struct tm *t) {
    int iso_year, week = iso_week(t, &iso_year);
    const char *two = plain ? "%d" : "%02d", *blank = plain ? "%d" : "%2d";
    switch (c) {
    case 'Y': return put_date_number(r, "%d", t->tm_year + 1900);
    case 'C': return put_date_number(r, two, (t->tm_year + 1900) / 100);
    case 'y': return put_date_number(r, two, t->tm_year % 100);
    case 'm': return put_date_number(r, two, t->tm_mon + 1);
    case 'd': return put_date_number(r, two, t->tm_mday);
    case 'e': return put_date_number(r, blank, t->tm_mday);
    case 'H': return put_date_number(r, two, t->tm_hour);
    case 'k': return put_date_number(r, blank, t->tm_hour);
    case 'I': return put_date_number(r, two, hour12(t));
    case 'l': return put_date_number(r, blank, hour12(t));
    case 'M': return put_date_number(r, two, t->tm_min);
    case 'S': return put_date_number(r, two, t->tm_sec);
    case 'j': return put_date_number(r, plain ? "%d" : "%03d", t->tm_yday + 1);
    case 'u': return put_date_number(r, "%d", t->tm_wday ? t->tm_wday : 7);
    case 'w': return put_date_number(r, "%d", t->tm_wday);
    case 'U': return put_date_number(r, two, (t->tm_yday + 7 - t->tm_wday) / 7);
    case 'W': return put_date_number(r, two, (t->tm_yday + 7 - (t->tm_wday + 6) % 7) / 7);
    case 'V': return put_date_number(r, two, week);
    case 'G': return put_date_number(r, "%d", iso_year);
    case 'g': return put_date_number(r, two, iso_year % 100);
    default: return put_date_name(r, c, t);
    }
}

static bool put_date(struct render *r, const char *format, const struct tm *t) {
    for (const char *p = format; *p && !r->failed; p++) {
        if (*p != '%' || !p[1]) {
            tpl_put_char(r, *p);
            continue;
        }
        bool plain = p[1] == '-' && p[2];
        p += plain ? 2 : 1;
        put_date_item(r, *p, plain, t);
    }
    return !r->failed;
}

METHOD(strftime_now) {
    (void)self, (void)args;
    struct tm t;
    const struct str *s = tpl_arg_text(r, a[0], NULL, "time format");
    if (r->failed || !gmtime_r(&r->now, &t)) return tpl_none();
    char *format = tpl_alloc(r, s->length + 1, 1);
    if (!format) return tpl_none();
    memcpy(format, s->data, s->length);
    size_t mark = tpl_capture(r);
    put_date(r, format, &t);
    return tpl_captured(r, mark);
}

static const struct native globals[] = {
    {"namespace", make_namespace, NULL, 0},
    {"range", make_range, "start,stop,step", 1},
    {"dict", make_dict, NULL, 0},
    {"cycler", make_cycler, NULL, 0},
    {"joiner", make_joiner, "sep", 0},
    {"raise_exception", raise_exception, "message", 1},
    {"strftime_now", strftime_now, "format", 1},
};

const struct native *tpl_find_global(const struct str *name) {
    return tpl_find(globals, COUNT(globals), name);
}
