/* prefix_tree.h - finds pages of the cache by what they hold, so that no prefix is computed twice.
 *
 * A radix tree over token ids whose edges are whole pages (Zheng et al., SGLang, arXiv
 * 2312.07104): a node is a page of CACHE_PAGE_TOKENS positions, its path from the root is all
 * that was said up to their end. As there is a node for a page at most, nodes have their pages'
 * numbers. A key is a token and whatever else decides what its position holds.
 *
 * Invariants: (1) every page in the tree is kept in the page table; (2) whoever uses a page of
 * the tree uses all pages on its path, and lets go of them by prefix_tree_touch, the last one
 * first; (3) so an unused page is older than those on its path, and the oldest unused one has
 * nothing below it; (4) nothing is allocated after opening. */
#ifndef HEARTH_INFER_PREFIX_TREE_H
#define HEARTH_INFER_PREFIX_TREE_H

#include "infer/page_table.h"
#include "model/cache.h"

#define PREFIX_ROOT UINT32_MAX

struct prefix_tree;

/* Borrows the table. Up to n_states pages have a number of their own besides, for the state of a
 * recurrent model at their end. */
hearth_status prefix_tree_open(struct prefix_tree **out, struct page_table *table,
                               uint32_t n_states, hearth_error *err);
void prefix_tree_close(struct prefix_tree *tree); /* keeps no page any longer; NULL is fine */

/* The page with these keys [CACHE_PAGE_TOKENS] after page `parent`; PREFIX_ROOT: there is none.
 * The first page of a path has PREFIX_ROOT for its parent, or another number that no page has:
 * what begins under one number is never found under another. */
uint32_t prefix_tree_find(const struct prefix_tree *tree, uint32_t parent, const uint32_t *keys);
/* Keeps a page that is used. Returns the page that already was in its place, which then is to be
 * used instead, or `page`. */
uint32_t prefix_tree_add(struct prefix_tree *tree, uint32_t parent, const uint32_t *keys,
                         uint32_t page);
/* The page is the one used last. */
void prefix_tree_touch(struct prefix_tree *tree, uint32_t page);
/* Frees the page that has been unused longest; false: all are in use. */
bool prefix_tree_evict(struct prefix_tree *tree);

/* The state at a page's end; PREFIX_ROOT: there is none. */
uint32_t prefix_tree_state(const struct prefix_tree *tree, uint32_t page);
/* Gives a page without a state one that is free, or that of the page used longest ago; n_states
 * is not 0. */
uint32_t prefix_tree_take_state(struct prefix_tree *tree, uint32_t page);
void prefix_tree_drop_state(struct prefix_tree *tree, uint32_t page); /* if it has one */

#endif
