/* Copies of /sys from machines of several kinds, as far as counting cores and nodes reads them. */
#include "testdata.h"

#include <string.h>

#include "base/cpu.h"
#include "base/cpu_topology.h"
#include "base/mem.h"
#include "base/numa.h"
#include "base/rng.h"

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

static void expect_cores(const char *allowed_cpus, const char *of_cpu) {
    static struct topology_nodes nodes;
    bool allowed[TOPOLOGY_CPUS] = {0};
    unsigned count = 0;
    for (unsigned i = 0; allowed_cpus[i]; i++)
        allowed[i] = allowed_cpus[i] == '1';
    topology_read_cores(root, allowed, &nodes);
    for (unsigned i = 0; of_cpu[i]; i++)
        if (of_cpu[i] != '-' && (unsigned)(of_cpu[i] - '0') >= count)
            count = (unsigned)(of_cpu[i] - '0') + 1;
    assert_int_equal(nodes.count, count);
    for (unsigned i = 0; of_cpu[i]; i++)
        assert_int_equal(nodes.of_cpu[i], of_cpu[i] == '-' ? count : (unsigned)(of_cpu[i] - '0'));
}

static void processors_know_their_core(void **state) {
    (void)state;
    expect_cores("1111", "0123");
    for (unsigned i = 0; i < 8; i++) {
        char list[32];
        snprintf(list, sizeof list, "%u,%u\n", i % 4, i % 4 + 4);
        tell_of(i, "topology/thread_siblings_list", list);
    }
    expect_cores("11111111", "01230123");
    expect_cores("01100110", "-01--01-");
    expect_cores("00011111", "---01230");
    tell("devices/cpu_core/cpus", "0-1,4-5\n");
    expect_cores("11111111", "01--01--");
    expect_cores("00110011", "--01--01"); /* where there are no others */
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

static struct topology_nodes nodes_of(unsigned from, unsigned to, unsigned memory_bits) {
    bool allowed[TOPOLOGY_CPUS] = {0}, memory[TOPOLOGY_NODES];
    struct topology_nodes nodes;
    for (unsigned i = from; i <= to; i++)
        allowed[i] = true;
    for (unsigned i = 0; i < TOPOLOGY_NODES; i++)
        memory[i] = i < 32 && memory_bits >> i & 1;
    topology_read_nodes(root, allowed, memory, &nodes);
    return nodes;
}

static void processors_have_nodes(void **state) {
    (void)state;
    assert_int_equal(nodes_of(0, 7, ~0u).count, 1); /* nothing told */
    tell("devices/system/node/has_memory", "0,2-4\n");
    tell("devices/system/node/node0/cpulist", "0-2,8-9\n");
    tell("devices/system/node/node2/cpulist", "3-7\n");
    tell("devices/system/node/node3/cpulist", "\n"); /* memory alone */
    struct topology_nodes nodes = nodes_of(0, 7, ~0u);
    assert_int_equal(nodes.count, 2);
    assert_int_equal(nodes.cores[0], 3);
    assert_int_equal(nodes.cores[1], 5);
    for (unsigned i = 0; i < TOPOLOGY_CPUS; i++)
        assert_int_equal(nodes.of_cpu[i], i < 3 ? 0 : i < 8 ? 1 : 2);
    nodes = nodes_of(3, 6, ~0u); /* confined to one */
    assert_int_equal(nodes.count, 1);
    assert_int_equal(nodes.cores[0], 4);
    tell_of(3, "topology/thread_siblings_list", "3-4\n");
    tell_of(4, "topology/thread_siblings_list", "3-4\n");
    assert_int_equal(nodes_of(0, 7, ~0u).cores[1], 4);
}

/* Rows cannot be near a processor that has no memory near it. */
static void without_memory_everywhere_there_is_one_node(void **state) {
    (void)state;
    tell("devices/system/node/has_memory", "0-1\n");
    tell("devices/system/node/node0/cpulist", "0-3\n");
    tell("devices/system/node/node1/cpulist", "4-7\n");
    tell("devices/system/node/node2/cpulist", "8-9\n");
    assert_int_equal(nodes_of(0, 7, ~0u).count, 2);
    assert_int_equal(nodes_of(0, 7, 1).count, 1); /* not ours */
    assert_int_equal(nodes_of(0, 8, ~0u).count, 1);
    assert_int_equal(nodes_of(0, 8, ~0u).cores[0], 1);
    tell("devices/system/node/has_memory", "0-99999\n");
    assert_int_equal(nodes_of(0, 9, ~0u).count, 3);
    tell("devices/system/node/has_memory", "what\n");
    assert_int_equal(nodes_of(0, 7, ~0u).count, 1);
}

/* Every thread has one node; a node has its part of them, less or more than one. */
static void threads_are_spread_by_cores(void **state) {
    struct rng rng;
    (void)state;
    rng_seed(&rng, 1);
    for (int round = 0; round < 1000; round++) {
        struct topology_nodes nodes = {.count = 1 + (unsigned)(rng_u64(&rng) % TOPOLOGY_NODES)};
        unsigned n_threads = 1 + (unsigned)(rng_u64(&rng) % 512), all = 0;
        for (unsigned i = 0; i < nodes.count; i++)
            all += nodes.cores[i] = 1 + (unsigned)(rng_u64(&rng) % 64);
        assert_int_equal(topology_first_thread(&nodes, 0, n_threads), 0);
        assert_int_equal(topology_first_thread(&nodes, nodes.count, n_threads), n_threads);
        for (unsigned i = 0; i < nodes.count; i++) {
            unsigned first = topology_first_thread(&nodes, i, n_threads);
            unsigned next = topology_first_thread(&nodes, i + 1, n_threads);
            double part = (double)n_threads * nodes.cores[i] / all;
            assert_true(next >= first);
            assert_true(next - first < part + 1 && next - first > part - 1);
        }
    }
}

static void this_machine_has_some(void **state) {
    struct topology_nodes nodes;
    (void)state;
    assert_in_range(cpu_default_threads(), 1, cpu_logical_threads());
    numa_read_nodes(&nodes);
    assert_in_range(nodes.count, 1, TOPOLOGY_NODES);
    assert_in_range(nodes.cores[0], 1, cpu_logical_threads());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(siblings_share_a_core, begin, end),
        cmocka_unit_test_setup_teardown(processors_know_their_core, begin, end),
        cmocka_unit_test_setup_teardown(slow_cores_do_not_count, begin, end),
        cmocka_unit_test_setup_teardown(capacity_tells_fast_from_slow, begin, end),
        cmocka_unit_test_setup_teardown(processors_have_nodes, begin, end),
        cmocka_unit_test_setup_teardown(without_memory_everywhere_there_is_one_node, begin, end),
        cmocka_unit_test(threads_are_spread_by_cores),
        cmocka_unit_test(this_machine_has_some),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
