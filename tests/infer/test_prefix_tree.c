/* The tree of kept pages, and the table that counts them, against a plain list of the paths that
 * were added: found again, used again, and given up oldest first. */
#include "testdata.h"

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "infer/prefix_tree.h"

enum { N_PAGES = 40, MOST_PATH = 6, N_STATES = 3 };

static void fill_keys(uint32_t *keys, uint32_t what) {
    for (uint32_t i = 0; i < CACHE_PAGE_TOKENS; i++)
        keys[i] = i < CACHE_PAGE_TOKENS - 1 ? 7 : what; /* alike up to the last */
}

/* A path of pages in use; its last ones may be new. */
struct path {
    uint32_t pages[MOST_PATH], names[MOST_PATH], n;
};

static void open_both(struct page_table *table, struct prefix_tree **tree) {
    hearth_error err = {0};
    assert_int_equal(page_table_open(table, N_PAGES, &err), HEARTH_OK);
    assert_int_equal(prefix_tree_open(tree, table, N_STATES, &err), HEARTH_OK);
}

/* Finds what is there of a path and adds the rest; false: no page was left. */
static bool walk(struct page_table *table, struct prefix_tree *tree, struct path *path) {
    uint32_t keys[CACHE_PAGE_TOKENS], parent = PREFIX_ROOT;
    for (uint32_t i = 0; i < path->n; i++) {
        fill_keys(keys, path->names[i]);
        uint32_t page = prefix_tree_find(tree, parent, keys);
        if (page != PREFIX_ROOT) {
            page_table_use(table, page);
        } else {
            if (table->n_free == 0 && !prefix_tree_evict(tree)) {
                path->n = i;
                return false;
            }
            page = page_table_take(table);
            assert_int_equal(prefix_tree_add(tree, parent, keys, page), page);
        }
        assert_int_equal(prefix_tree_find(tree, parent, keys), page);
        path->pages[i] = parent = page;
    }
    return true;
}

static void leave(struct page_table *table, struct prefix_tree *tree, const struct path *path) {
    for (uint32_t i = path->n; i > 0; i--) {
        prefix_tree_touch(tree, path->pages[i - 1]);
        page_table_drop(table, path->pages[i - 1]);
    }
}

static void check_counts(const struct page_table *table, const struct path *paths, size_t n_paths) {
    uint32_t uses[N_PAGES] = {0}, n_idle = 0, n_free = 0;
    for (size_t p = 0; p < n_paths; p++)
        for (uint32_t i = 0; i < paths[p].n; i++)
            uses[paths[p].pages[i]]++;
    for (uint32_t i = 0; i < N_PAGES; i++) {
        assert_int_equal(table->uses[i], uses[i]);
        n_idle += table->kept[i] && uses[i] == 0;
        n_free += !table->kept[i] && uses[i] == 0;
    }
    assert_int_equal(table->n_idle, n_idle);
    assert_int_equal(table->n_free, n_free);
}

/* Paths come and go at random; whatever is in use is found where it was put. */
static void paths_in_use_stay(void **state) {
    enum { N_PATHS = 5 };
    struct page_table table;
    struct prefix_tree *tree;
    struct path paths[N_PATHS] = {0};
    struct rng rng;
    unsigned full = 0;
    (void)state;
    rng_seed(&rng, 7);
    open_both(&table, &tree);
    for (int step = 0; step < 4000; step++) {
        struct path *path = &paths[rng_u64(&rng) % N_PATHS];
        leave(&table, tree, path);
        path->n = (uint32_t)(rng_u64(&rng) % (MOST_PATH + 1));
        for (uint32_t i = 0; i < path->n; i++)
            path->names[i] = (uint32_t)(rng_u64(&rng) % 4);
        full += !walk(&table, tree, path);
        check_counts(&table, paths, N_PATHS);
        for (int p = 0; p < N_PATHS; p++)
            for (uint32_t i = 0, parent = PREFIX_ROOT; i < paths[p].n; i++) {
                uint32_t keys[CACHE_PAGE_TOKENS];
                fill_keys(keys, paths[p].names[i]);
                assert_int_equal(prefix_tree_find(tree, parent, keys), paths[p].pages[i]);
                parent = paths[p].pages[i];
            }
    }
    assert_int_equal(full, 0); /* there always is an unused one: 5 paths need 30 of 40 */
    for (int p = 0; p < N_PATHS; p++)
        leave(&table, tree, &paths[p]);
    prefix_tree_close(tree);
    assert_int_equal(table.n_free, N_PAGES);
    page_table_release(&table);
}

static bool is_there(const struct prefix_tree *tree, const struct path *path, uint32_t n) {
    uint32_t keys[CACHE_PAGE_TOKENS], parent = PREFIX_ROOT;
    for (uint32_t i = 0; i < n; i++) {
        fill_keys(keys, path->names[i]);
        parent = prefix_tree_find(tree, parent, keys);
        if (parent == PREFIX_ROOT) return false;
    }
    return true;
}

/* The path that was not used for longest goes first, from its end; its beginning, which others
 * used since, with theirs. */
static void the_oldest_goes_first(void **state) {
    struct page_table table;
    struct prefix_tree *tree;
    struct path a = {.names = {1, 2, 3}, .n = 3}, b = {.names = {1, 5, 6}, .n = 3},
                c = {.names = {9}, .n = 1};
    (void)state;
    open_both(&table, &tree);
    assert_true(walk(&table, tree, &a));
    assert_true(walk(&table, tree, &b));
    assert_true(walk(&table, tree, &c));
    leave(&table, tree, &b);
    leave(&table, tree, &a);
    assert_int_equal(table.n_idle, 5); /* c is in use */
    const struct {
        const struct path *path;
        uint32_t n; /* that are left of it */
    } order[] = {{&b, 2}, {&b, 1}, {&a, 2}, {&a, 1}, {&a, 0}};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        assert_true(is_there(tree, order[i].path, order[i].n + 1));
        assert_true(prefix_tree_evict(tree));
        assert_true(is_there(tree, order[i].path, order[i].n));
        assert_false(is_there(tree, order[i].path, order[i].n + 1));
    }
    assert_false(prefix_tree_evict(tree));
    assert_true(is_there(tree, &c, 1));
    leave(&table, tree, &c);
    assert_true(prefix_tree_evict(tree));
    assert_int_equal(table.n_free, N_PAGES);
    prefix_tree_close(tree);
    page_table_release(&table);
}

/* Of two pages that hold the same one is enough. */
static void the_same_is_kept_once(void **state) {
    struct page_table table;
    struct prefix_tree *tree;
    uint32_t keys[CACHE_PAGE_TOKENS];
    (void)state;
    open_both(&table, &tree);
    uint32_t first = page_table_take(&table), second = page_table_take(&table);
    fill_keys(keys, 1);
    assert_int_equal(prefix_tree_add(tree, PREFIX_ROOT, keys, first), first);
    assert_int_equal(prefix_tree_add(tree, PREFIX_ROOT, keys, second), first);
    assert_int_equal(prefix_tree_add(tree, first, keys, second), second);
    assert_true(page_table_is_shared(&table, second));
    page_table_drop(&table, second);
    page_table_drop(&table, first);
    assert_int_equal(table.n_idle, 2);
    prefix_tree_close(tree);
    assert_int_equal(table.n_free, N_PAGES);
    page_table_release(&table);
}

/* Few states go round: a new one takes that of the page used longest ago. */
static void states_go_to_what_is_used(void **state) {
    struct page_table table;
    struct prefix_tree *tree;
    struct path a = {.names = {1, 2, 3, 4, 5}, .n = 5};
    uint32_t states[5];
    (void)state;
    open_both(&table, &tree);
    assert_true(walk(&table, tree, &a));
    for (int i = 0; i < 5; i++) {
        assert_int_equal(prefix_tree_state(tree, a.pages[i]), PREFIX_ROOT);
        states[i] = prefix_tree_take_state(tree, a.pages[i]);
        assert_true(states[i] < N_STATES);
        assert_int_equal(prefix_tree_state(tree, a.pages[i]), states[i]);
    }
    assert_int_equal(prefix_tree_state(tree, a.pages[0]), PREFIX_ROOT);
    assert_int_equal(prefix_tree_state(tree, a.pages[1]), PREFIX_ROOT);
    assert_true(states[2] != states[3] && states[3] != states[4] && states[4] != states[2]);
    prefix_tree_drop_state(tree, a.pages[3]);
    prefix_tree_drop_state(tree, a.pages[3]);
    assert_int_equal(prefix_tree_state(tree, a.pages[3]), PREFIX_ROOT);
    assert_int_equal(prefix_tree_take_state(tree, a.pages[0]), states[3]);
    leave(&table, tree, &a);
    assert_true(prefix_tree_evict(tree)); /* the last page, and its state */
    assert_int_equal(prefix_tree_take_state(tree, a.pages[1]), states[4]);
    assert_int_equal(prefix_tree_state(tree, a.pages[2]), states[2]);
    prefix_tree_close(tree);
    page_table_release(&table);
}

static void failing_allocations_are_errors(void **state) {
    struct page_table table;
    struct prefix_tree *tree;
    hearth_status status = HEARTH_ERROR_NO_MEMORY;
    (void)state;
    for (uint64_t n = 1; status != HEARTH_OK; n++) {
        mem_fail_after(n);
        status = page_table_open(&table, N_PAGES, NULL);
        if (status == HEARTH_OK) {
            status = prefix_tree_open(&tree, &table, N_STATES, NULL);
            if (status != HEARTH_OK) page_table_release(&table);
        }
        mem_fail_after(0);
        assert_true(status == HEARTH_OK || (status == HEARTH_ERROR_NO_MEMORY && n < 8));
    }
    prefix_tree_close(tree);
    page_table_release(&table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_in_use_stay),
        cmocka_unit_test(the_oldest_goes_first),
        cmocka_unit_test(the_same_is_kept_once),
        cmocka_unit_test(states_go_to_what_is_used),
        cmocka_unit_test(failing_allocations_are_errors),
    };
    return cmocka_run_group_tests_name("infer/prefix_tree", tests, NULL, NULL);
}
