/* page_table.h - which pages of a cache are free, and how many need each of the others.
 *
 * A page is used by sequences, each of which counts once, and may be kept besides for sequences
 * to come (prefix_tree.h).
 *
 * Invariants: (1) a page is free exactly when no sequence uses it and it is not kept; (2) n_free
 * pages are free, n_idle are kept and not used; (3) nothing is allocated after opening. */
#ifndef HEARTH_INFER_PAGE_TABLE_H
#define HEARTH_INFER_PAGE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct page_table {
    uint32_t n_pages, n_free, n_idle;
    uint32_t *free; /* [n_pages], the first n_free in force; the last is taken next */
    uint32_t *uses; /* [n_pages] */
    bool *kept;     /* [n_pages] */
};

hearth_status page_table_open(struct page_table *table, uint32_t n_pages, hearth_error *err);
void page_table_release(struct page_table *table); /* a zeroed one is fine */

/* A free page, used once; n_free is not 0. */
uint32_t page_table_take(struct page_table *table);
void page_table_use(struct page_table *table, uint32_t page); /* once more */
void page_table_drop(struct page_table *table, uint32_t page);
void page_table_keep(struct page_table *table, uint32_t page);
void page_table_forget(struct page_table *table, uint32_t page); /* keeps it no longer */

/* Whether others than one sequence need what a used page holds, so that it must not change. */
static inline bool page_table_is_shared(const struct page_table *table, uint32_t page) {
    return table->uses[page] > 1 || table->kept[page];
}

#endif
