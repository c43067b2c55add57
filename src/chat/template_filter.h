/* template_filter.h - the filters, by file. */
#ifndef HEARTH_CHAT_TEMPLATE_FILTER_H
#define HEARTH_CHAT_TEMPLATE_FILTER_H

#include "chat/template_value.h"

#define FILTER(name)                                                                               \
    static struct value name(struct render *r, struct value v, const struct value *a,              \
                             const struct args *args)

const struct native *tpl_find_text_filter(const struct str *name);     /* template_filter_text.c */
const struct native *tpl_find_sequence_filter(const struct str *name); /* template_filter_seq… */

/* Sorts like the sort, min, max, unique and groupby filters: `attribute` is one path or,
 * with `several`, paths separated by commas; strings are folded unless case_sensitive. */
struct value tpl_sort_key(struct render *r, struct value v, const struct list *path,
                          struct value fallback, bool case_sensitive);

#endif
