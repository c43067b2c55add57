/* Copies of /sys from machines of several kinds, as far as counting cores reads them. */
#include "testdata.h"

#include <string.h>

#include "base/cpu.h"
#include "base/cpu_topology.h"
#include "base/mem.h"

static char root[256];

static int begin(void **state) {
    const char *base = getenv("TMPDIR");
    (void)state;
    snprintf(root, sizeof root, "%s/hearth-sys-XXXXXX", base && *base ? base : "/tmp");
    return mkdtemp(root) ? 0 : -1;
}

static void remove_tree(const char *folder) {
    char **names;
    size_t n;
    if (file_list(folder, &names, &n, NULL) != HEARTH_OK) return;
    for (size_t i = 0; i < n; i++) {
        char *path = path_join(folder, names[i]);
        if (file_is_folder(path))
            remove_tree(path);
        else
            remove(path);
        mem_free(path);
    }
    file_names_free(names, n);
    remove(folder);
}

static int end(void **state) {
    (void)state;
    remove_tree(root);
    return 0;
}

static void tell(const char *name, const char *text) {
    char *path = path_join(root, name), *folder = path_folder(path);
    FILE *file = NULL;
    assert_int_equal(file_make_folders(folder, NULL), HEARTH_OK);
    assert_non_null(file = fopen(path, "w"));
    fputs(text, file);
    fclose(file);
    mem_free(folder);
    mem_free(path);
}

static void tell_of(unsigned cpu, const char *name, const char *text) {
    char path[128];
    snprintf(path, sizeof path, "devices/system/cpu/cpu%u/%s", cpu, name);
    tell(path, text);
}

static unsigned cores(unsigned from, unsigned to) {
    bool allowed[TOPOLOGY_CPUS] = {0};
    for (unsigned i = from; i <= to; i++)
        allowed[i] = true;
    return topology_cores(root, allowed);
}

static void siblings_share_a_core(void **state) {
    (void)state;
    assert_int_equal(cores(0, 7), 8); /* nothing told: each for itself */
    for (unsigned i = 0; i < 8; i++) {
        char list[32];
        snprintf(list, sizeof list, "%u,%u\n", i % 4, i % 4 + 4);
        tell_of(i, "topology/thread_siblings_list", list);
    }
    assert_int_equal(cores(0, 7), 4);
    assert_int_equal(cores(4, 7), 4); /* their first siblings are others' */
    assert_int_equal(cores(3, 4), 2);
    assert_int_equal(cores(1, 5), 4); /* 1 and 5 are one */
    for (unsigned i = 0; i < 8; i++) {
        char list[32];
        snprintf(list, sizeof list, "%u-%u\n", i / 2 * 2, i / 2 * 2 + 1);
        tell_of(i, "topology/thread_siblings_list", list);
    }
    assert_int_equal(cores(0, 7), 4);
}

/* Two fast cores of two threads each, four slow cores. */
static void slow_cores_do_not_count(void **state) {
    static const char *const siblings[] = {"0-1", "0-1", "2-3", "2-3", "4", "5", "6", "7"};
    (void)state;
    for (unsigned i = 0; i < 8; i++)
        tell_of(i, "topology/thread_siblings_list", siblings[i]);
    assert_int_equal(cores(0, 7), 6);
    tell("devices/cpu_core/cpus", "0-3\n");
    tell("devices/cpu_atom/cpus", "4-7\n");
    assert_int_equal(cores(0, 7), 2);
    assert_int_equal(cores(2, 7), 1);
    assert_int_equal(cores(4, 7), 4); /* where there are no others */
    tell("devices/cpu_core/cpus", "0,2-3,99999999\n");
    assert_int_equal(cores(1, 7), 1);
    assert_int_equal(cores(0, 1), 1);
    tell("devices/cpu_core/cpus", "what\n");
    assert_int_equal(cores(0, 7), 6);
}

static void capacity_tells_fast_from_slow(void **state) {
    static const char *const capacities[] = {"250", "250", "250", "250",
                                             "790", "790", "790", "1024"};
    (void)state;
    for (unsigned i = 0; i < 8; i++)
        tell_of(i, "cpu_capacity", capacities[i]);
    assert_int_equal(cores(0, 7), 4);
    assert_int_equal(cores(0, 4), 1);
    assert_int_equal(cores(0, 3), 4);
    for (unsigned i = 0; i < 8; i++)
        tell_of(i, "cpu_capacity", "1024");
    assert_int_equal(cores(0, 7), 8);
}

static void this_machine_has_some(void **state) {
    (void)state;
    assert_in_range(cpu_default_threads(), 1, cpu_logical_threads());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(siblings_share_a_core, begin, end),
        cmocka_unit_test_setup_teardown(slow_cores_do_not_count, begin, end),
        cmocka_unit_test_setup_teardown(capacity_tells_fast_from_slow, begin, end),
        cmocka_unit_test(this_machine_has_some),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
