/* constraint_form.c - forms met with each other. */
#include <string.h>

#include "chat/constraint_schema.h"

struct form *form_new(struct schema_compiler *c, unsigned types) {
    struct form *f = schema_alloc(c, 1, sizeof *f);
    const struct goal *any = goal_any(c);
    if (!f || !any) return NULL;
    f->types = types;
    f->string.most = f->array.most = f->object.most = SCHEMA_NO_MAXIMUM;
    f->array.rest = any;
    return f;
}

void form_language(struct schema_compiler *c, struct form *f, struct language language) {
    struct language *copy = f ? schema_alloc(c, 1, sizeof *copy) : NULL;
    if (!copy) return;
    *copy = language;
    copy->next = f->string.languages;
    f->string.languages = copy;
}

/* ---- numbers ---- */

int decimal_compare(const struct decimal *a, const struct decimal *b) {
    int sign = a->negative ? -1 : 1;
    if (a->negative != b->negative) return sign;
    if (a->n_whole != b->n_whole) return a->n_whole < b->n_whole ? -sign : sign;
    int order = memcmp(a->whole, b->whole, a->n_whole);
    if (order == 0) order = memcmp(a->fraction, b->fraction, DECIMAL_MAX); /* zero beyond the end */
    return order < 0 ? -sign : order > 0 ? sign : 0;
}

/* The stricter of two bounds; `sign` 1: the higher one. */
static struct bound stricter(const struct bound *a, const struct bound *b, int sign) {
    if (!a->set) return *b;
    if (!b->set) return *a;
    int order = decimal_compare(&a->value, &b->value) * sign;
    if (order != 0) return order > 0 ? *a : *b;
    return a->exclusive ? *a : *b;
}

static uint64_t common_divisor(uint64_t a, uint64_t b) {
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The least common multiple of two steps; false: too large. */
static bool steps_both(struct number_form *a, const struct number_form *b) {
    uint64_t x = a->step, y = b->step;
    uint32_t places = a->step_places > b->step_places ? a->step_places : b->step_places;
    if (!y) return true;
    for (uint32_t i = a->step_places; i < places; i++)
        if (__builtin_mul_overflow(x, 10u, &x)) return false;
    for (uint32_t i = b->step_places; i < places; i++)
        if (__builtin_mul_overflow(y, 10u, &y)) return false;
    a->step_places = places;
    a->step = y;
    return x == 0 || !__builtin_mul_overflow(x / common_divisor(x, y), y, &a->step);
}

static bool numbers_both(struct schema_compiler *c, struct number_form *a,
                         const struct number_form *b) {
    if (a->whole != WHOLE_ANY && b->whole != WHOLE_ANY && a->whole != b->whole) return false;
    if (a->whole == WHOLE_ANY) a->whole = b->whole;
    a->low = stricter(&a->low, &b->low, 1);
    a->high = stricter(&a->high, &b->high, -1);
    if (!steps_both(a, b)) {
        schema_fail(c, HEARTH_ERROR_UNSUPPORTED, "'multipleOf': too fine or too large together");
        return false;
    }
    if (!a->low.set || !a->high.set) return true;
    int order = decimal_compare(&a->low.value, &a->high.value);
    return order < 0 || (order == 0 && !a->low.exclusive && !a->high.exclusive);
}

/* ---- texts and arrays ---- */

/* Two lists of values without a text in common. */
static bool are_apart(const struct language *a, const struct language *b) {
    if (a->kind != LANGUAGE_VALUES || b->kind != LANGUAGE_VALUES || a->negated || b->negated)
        return false;
    for (size_t i = 0; i < a->n; i++)
        for (size_t k = 0; k < b->n; k++)
            if (json_equal(a->values[i], b->values[k])) return false;
    return true;
}

static bool strings_both(struct schema_compiler *c, struct form *f, const struct string_form *b) {
    if (b->least > f->string.least) f->string.least = b->least;
    if (b->most < f->string.most) f->string.most = b->most;
    for (const struct language *l = b->languages; l; l = l->next) {
        for (const struct language *other = f->string.languages; other; other = other->next)
            if (are_apart(l, other)) return false;
        form_language(c, f, *l);
    }
    return f->string.least <= f->string.most;
}

/* Room for the goals of the first `n` items, those beyond n_first as the rest. */
void form_first_items(struct schema_compiler *c, struct form *f, uint32_t n) {
    if (n <= f->array.n_first) return;
    const struct goal **first = schema_alloc(c, n, sizeof *first);
    if (!first) return;
    for (uint32_t i = 0; i < n; i++)
        first[i] = i < f->array.n_first ? f->array.first[i] : f->array.rest;
    f->array.first = first;
    f->array.n_first = n;
}

static bool arrays_both(struct schema_compiler *c, struct form *f, const struct array_form *b) {
    struct array_form *a = &f->array;
    uint32_t n = a->n_first > b->n_first ? a->n_first : b->n_first;
    const struct goal **first = n ? schema_alloc(c, n, sizeof *first) : NULL;
    for (uint32_t i = 0; first && i < n; i++)
        first[i] = goal_both(c, i < a->n_first ? a->first[i] : a->rest,
                             i < b->n_first ? b->first[i] : b->rest);
    a->first = first;
    a->n_first = first ? n : 0;
    a->rest = goal_both(c, a->rest, b->rest);
    if (b->least > a->least) a->least = b->least;
    if (b->most < a->most) a->most = b->most;
    if (a->contains && b->contains)
        schema_fail(c, HEARTH_ERROR_UNSUPPORTED, "'contains' twice for the same array");
    if (b->contains) a->contains = b->contains;
    return a->least <= a->most;
}

/* ---- objects ---- */

/* Meets the names of a list with those the form has; the order is that of first mention. */
void form_names(struct schema_compiler *c, struct form *f, const struct name *more, uint32_t n) {
    struct object_form *o = &f->object;
    struct name *names = schema_alloc(c, (size_t)o->n_names + n + 1, sizeof *names);
    uint32_t n_names = o->n_names;
    if (!names) return;
    if (n_names) memcpy(names, o->names, n_names * sizeof *names);
    for (uint32_t i = 0; i < n && schema_ok(c); i++) {
        uint32_t at = 0;
        while (at < n_names &&
               (names[at].n != more[i].n || memcmp(names[at].text, more[i].text, more[i].n) != 0))
            at++;
        if (at == n_names)
            names[n_names++] = more[i];
        else
            names[at].goal = goal_both(c, names[at].goal, more[i].goal);
        names[at].required |= more[i].required;
    }
    o->names = names;
    o->n_names = n_names;
}

static void patterns_both(struct schema_compiler *c, struct object_form *a,
                          const struct object_form *b) {
    for (const struct name_pattern *p = b->patterns; p; p = p->next) {
        struct name_pattern *copy = schema_alloc(c, 1, sizeof *copy);
        if (!copy) return;
        *copy = *p;
        copy->next = a->patterns;
        a->patterns = copy;
    }
    for (const struct other_names *o = b->others; o; o = o->next) {
        struct other_names *copy = schema_alloc(c, 1, sizeof *copy);
        if (!copy) return;
        *copy = *o;
        copy->next = a->others;
        a->others = copy;
    }
}

static bool objects_both(struct schema_compiler *c, struct form *f, const struct object_form *b) {
    struct object_form *a = &f->object;
    if (b->n_names) form_names(c, f, b->names, b->n_names);
    patterns_both(c, a, b);
    if (!a->name_goal)
        a->name_goal = b->name_goal;
    else if (b->name_goal)
        a->name_goal = goal_both(c, a->name_goal, b->name_goal);
    if (b->least > a->least) a->least = b->least;
    if (b->most < a->most) a->most = b->most;
    a->closed |= b->closed;
    return a->least <= a->most;
}

/* What either has seen. */
static void seen_both(struct schema_compiler *c, struct names_seen *a, const struct names_seen *b) {
    if (a->n_properties + b->n_properties > SCHEMA_MAX_SEEN ||
        a->n_patterns + b->n_patterns > SCHEMA_MAX_SEEN) {
        if (c->watched)
            schema_fail(c, HEARTH_ERROR_UNSUPPORTED,
                        "'unevaluatedProperties' over too many schemas");
        return;
    }
    for (uint32_t i = 0; i < b->n_properties; i++)
        a->properties[a->n_properties++] = b->properties[i];
    for (uint32_t i = 0; i < b->n_patterns; i++)
        a->patterns[a->n_patterns++] = b->patterns[i];
    a->all |= b->all;
    a->all_items |= b->all_items;
    a->unclear |= b->unclear;
    if (b->items > a->items) a->items = b->items;
}

/* ---- lists ---- */

/* NULL: no value has both forms (or a failure). */
static struct form *form_both(struct schema_compiler *c, const struct form *a,
                              const struct form *b) {
    if ((a->types & b->types) == 0) return NULL;
    struct form *f = schema_alloc(c, 1, sizeof *f);
    if (!f) return NULL;
    *f = *a;
    f->next = NULL;
    f->types &= b->types;
    seen_both(c, &f->seen, &b->seen);
    if ((f->types & VALUE_NUMBER) && !numbers_both(c, &f->number, &b->number))
        f->types &= ~(unsigned)VALUE_NUMBER;
    if ((f->types & VALUE_STRING) && !strings_both(c, f, &b->string))
        f->types &= ~(unsigned)VALUE_STRING;
    if ((f->types & VALUE_ARRAY) && !arrays_both(c, f, &b->array))
        f->types &= ~(unsigned)VALUE_ARRAY;
    if ((f->types & VALUE_OBJECT) && !objects_both(c, f, &b->object))
        f->types &= ~(unsigned)VALUE_OBJECT;
    return f->types && schema_ok(c) ? f : NULL;
}

struct form *forms_both(struct schema_compiler *c, const struct form *a, const struct form *b) {
    struct form *list = NULL, **end = &list;
    uint32_t n = 0;
    for (; a; a = a->next) {
        for (const struct form *other = b; other && schema_ok(c); other = other->next) {
            struct form *f = form_both(c, a, other);
            if (!f) continue;
            if (++n > SCHEMA_MAX_FORMS)
                return schema_fail(c, HEARTH_ERROR_LIMIT, "more than %d alternatives",
                                   SCHEMA_MAX_FORMS);
            *end = f;
            end = &f->next;
        }
    }
    return list;
}

struct form *forms_either(struct schema_compiler *c, struct form *a, struct form *b) {
    struct form **end = &a;
    uint32_t n = 0;
    for (; *end; end = &(*end)->next)
        n++;
    *end = b;
    for (; b; b = b->next)
        n++;
    if (n > SCHEMA_MAX_FORMS)
        return schema_fail(c, HEARTH_ERROR_LIMIT, "more than %d alternatives", SCHEMA_MAX_FORMS);
    return a;
}

/* No value has a form of both lists: told by types, bounds and single values, also those of a
 * member that must be there, as discriminators are. */
bool forms_apart(struct schema_compiler *c, const struct form *a, const struct form *b) {
    for (const struct form *f = forms_both(c, a, b); f; f = f->next) {
        const struct object_form *o = &f->object;
        bool apart = false;
        for (uint32_t i = 0; f->types == VALUE_OBJECT && i < o->n_names && !apart; i++)
            apart = o->names[i].required && !forms_of_goal(c, o->names[i].goal);
        if (!apart) return false;
    }
    return schema_ok(c);
}
