/* hearth tune on several processes: mpirun's ranks end where one process does, go on in other
 * numbers, and end together; --hosts says which host is not as it should be. */
#include "testdata.h"

#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/rng.h"
#include "format/directory.h"
#include "format/safetensors.h"
#include "train/checkpoint.h"
#include "train/ranks_start.h"

enum { OUTPUT_BYTES = 1 << 20, LIMIT_SECONDS = 400, MOST_WORDS = 64 };

static char folder[256];
static char *output; /* of the last run */

static const char *in_folder(const char *name) {
    static char paths[8][512];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

/* 40 sequences of words, the same every time. */
static void write_data(void) {
    static const char *const words[] = {"once", "upon", "a",   "time", "the", "cat", "dog",
                                        "sun",  "saw",  "ran", "big",  "red", "and", "little"};
    struct buf text;
    struct rng rng;
    buf_init(&text, 1 << 20);
    rng_seed(&rng, 11);
    for (int i = 0; i < 40; i++) {
        buf_append_text(&text, "{\"text\": \"");
        for (int k = 0; k < 30; k++) {
            unsigned word = (unsigned)(rng_uniform(&rng) * 14);
            buf_append_format(&text, "%s ", words[word % 14]);
        }
        buf_append_text(&text, "\"}\n");
    }
    assert_int_equal(file_write(in_folder("data.jsonl"), buf_text(&text), text.length, NULL),
                     HEARTH_OK);
    buf_release(&text);
}

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/hearth-tune-ranks-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    setenv("HEARTH_HOME", folder, 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    setenv("OMPI_MCA_rmaps_base_oversubscribe", "1", 1);
    setenv("OMPI_MCA_hwloc_base_binding_policy", "none", 1);
    unsetenv("HEARTH_CPU");
    write_data();
    return 0;
}

static int tear_down(void **state) {
    const char *const argv[] = {"rm", "-rf", folder, NULL};
    int code;
    (void)state;
    mem_free(output);
    output = NULL;
    return process_run(argv, &code, NULL) == HEARTH_OK && code == 0 ? 0 : -1;
}

static const char *program(void) {
    const char *path = getenv("HEARTH_PROGRAM");
    if (!path) fail_msg("HEARTH_PROGRAM does not name the program");
    return path;
}

static void need_mpirun(void) {
    const char *const argv[] = {"mpirun", "--version", NULL};
    int code;
    mem_free(output);
    output = NULL;
    if (ranks_supported() &&
        process_capture(argv, OUTPUT_BYTES, LIMIT_SECONDS, &output, &code, NULL) == HEARTH_OK)
        return;
    print_message("[  SKIPPED ] mpirun is not installed, or was not at build\n");
    skip();
}

/* The command line of a run on `n` ranks (0: without mpirun) into `words`, then `more`. */
static void command_line(const char *words[MOST_WORDS], const char *n, const char *output_dir,
                         const char *const *more) {
    const char *const start[] = {"mpirun", "-np", n};
    const char *const common[] = {program(),
                                  "tune",
                                  testdata("models/stories260K/stories260K.gguf"),
                                  "--data",
                                  in_folder("data.jsonl"),
                                  "--method",
                                  "full",
                                  "--learning-rate",
                                  "1e-3",
                                  "--sequence-length",
                                  "48",
                                  "--batch-tokens",
                                  "96",
                                  "--accumulation",
                                  "4",
                                  "--max-steps",
                                  "6",
                                  "--threads",
                                  "1",
                                  "--exact",
                                  "--eval-split",
                                  "8",
                                  "--output-dir",
                                  output_dir};
    size_t k = 0;
    for (size_t i = 0; n && i < sizeof start / sizeof *start; i++)
        words[k++] = start[i];
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        words[k++] = common[i];
    for (; more && *more; more++)
        words[k++] = *more;
    words[k] = NULL;
}

#define MORE(...) ((const char *const[]){__VA_ARGS__, NULL})

static int tune(const char *n, const char *output_dir, const char *const *more) {
    const char *words[MOST_WORDS];
    int code = -1;
    hearth_error err = {0};
    command_line(words, n, output_dir, more);
    mem_free(output);
    output = NULL;
    if (process_capture(words, OUTPUT_BYTES, LIMIT_SECONDS, &output, &code, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    return code;
}

static void tune_ok(const char *n, const char *output_dir, const char *const *more) {
    int code = tune(n, output_dir, more);
    if (code != 0) fail_msg("exit code %d:\n%s", code, output);
}

static void contains(const char *part) {
    if (!strstr(output, part)) fail_msg("no '%s' in\n%s", part, output);
}

static const char *result_of(const char *output_dir) {
    static char paths[2][600];
    static unsigned turn;
    char *path = paths[turn++ % 2];
    snprintf(path, sizeof paths[0], "%s/model.gguf", output_dir);
    return path;
}

/* ||a - b|| / ||a|| over all weights of two results. */
static double distance(const char *a, const char *b) {
    struct directory x = {0}, y = {0};
    double difference = 0, size = 0;
    assert_int_equal(gguf_open(&x, result_of(a), NULL), HEARTH_OK);
    assert_int_equal(gguf_open(&y, result_of(b), NULL), HEARTH_OK);
    assert_int_equal(x.n_tensors, y.n_tensors);
    for (size_t i = 0; i < x.n_tensors; i++) {
        const float *v = (const float *)x.tensors[i].data, *w = (const float *)y.tensors[i].data;
        assert_int_equal(x.tensors[i].size_bytes, y.tensors[i].size_bytes);
        for (size_t k = 0; k < x.tensors[i].size_bytes / sizeof *v; k++) {
            difference += pow((double)v[k] - (double)w[k], 2);
            size += pow((double)v[k], 2);
        }
    }
    directory_close(&x);
    directory_close(&y);
    return sqrt(difference / size);
}

static void ranks_end_where_one_process_does(void **state) {
    (void)state;
    need_mpirun();
    tune_ok(NULL, in_folder("one"), NULL);
    tune_ok("2", in_folder("two"), NULL);
    contains("ranks     2; each keeps ");
    tune_ok("4", in_folder("four"), NULL);
    tune_ok("4", in_folder("again"), NULL);
    assert_true(distance(in_folder("one"), in_folder("two")) <= 1e-5);
    assert_true(distance(in_folder("one"), in_folder("four")) <= 1e-5);
    assert_true(distance(in_folder("four"), in_folder("again")) <= 0);
}

/* Four batches of a step are one for each of four ranks: then the sums are the same, whatever
 * is divided. Three ranks leave two without a batch in the second round. */
static void divided_runs_end_where_one_process_does(void **state) {
    static const char *const stages[] = {"0", "1", "2", "3"};
    static const char *const said[] = {"", "each with a part of the moments;",
                                       "each with a part of the moments and gradients;",
                                       "each with a part of the moments, gradients and weights;"};
    (void)state;
    need_mpirun();
    tune_ok(NULL, in_folder("one"), NULL);
    tune_ok("4", in_folder("stage0"), MORE("--zero-stage", "0"));
    for (int stage = 1; stage < 4; stage++) {
        char three[16], four[16];
        snprintf(three, sizeof three, "three%d", stage);
        snprintf(four, sizeof four, "stage%d", stage);
        tune_ok("3", in_folder(three), MORE("--zero-stage", stages[stage]));
        contains(said[stage]);
        assert_true(distance(in_folder("one"), in_folder(three)) <= 1e-5);
        tune_ok("4", in_folder(four), MORE("--zero-stage", stages[stage]));
        assert_true(distance(in_folder("stage0"), in_folder(four)) <= 0);
    }
}

static void narrow_gradients_end_nearby(void **state) {
    (void)state;
    need_mpirun();
    tune_ok(NULL, in_folder("one"), NULL);
    tune_ok("2", in_folder("narrow"), MORE("--reduce-type", "bf16"));
    double far = distance(in_folder("one"), in_folder("narrow"));
    assert_true(far > 0 && far <= 1e-2);
}

static void idle_ranks_are_named(void **state) {
    (void)state;
    need_mpirun();
    tune_ok("2", in_folder("idle"), MORE("--accumulation", "3", "--dry-run"));
    contains("a step has 3 batches: --accumulation 4 keeps all ranks busy");
}

/* What one rank alone meets, rank 0 says once. */
static void a_failure_is_said_once(void **state) {
    (void)state;
    need_mpirun();
    assert_int_equal(file_write(in_folder("file"), "", 0, NULL), HEARTH_OK);
    assert_int_equal(tune("2", in_folder("file"), NULL), 1);
    const char *first = strstr(output, "hearth: ");
    assert_non_null(first);
    assert_null(strstr(first + 1, "hearth: "));
}

/* The path of the latest checkpoint, given; NULL without any. */
static char *latest(const char *output_dir) {
    char *path, *checkpoints = path_join(output_dir, "checkpoints");
    assert_int_equal(checkpoint_latest(checkpoints, &path, NULL), HEARTH_OK);
    mem_free(checkpoints);
    return path;
}

/* The process of rank 1 among those of mpirun, by its environment. */
static pid_t find_rank_1(const char *output_dir) {
    char **names;
    size_t count;
    pid_t found = 0;
    assert_int_equal(file_list("/proc", &names, &count, NULL), HEARTH_OK);
    for (size_t i = 0; i < count && !found; i++) {
        char path[300], text[1 << 16];
        long number = strtol(names[i], NULL, 10);
        if (number <= 0) continue;
        snprintf(path, sizeof path, "/proc/%ld/environ", number);
        FILE *f = fopen(path, "re");
        if (!f) continue;
        size_t n = fread(text, 1, sizeof text, f);
        fclose(f);
        bool is_rank = memmem(text, n, "OMPI_COMM_WORLD_RANK=1", 23) != NULL;
        bool is_ours = memmem(text, n, output_dir, strlen(output_dir)) != NULL;
        if (is_rank && is_ours) found = (pid_t)number;
    }
    file_names_free(names, count);
    return found;
}

static void a_dead_rank_ends_the_run(void **state) {
    const char *words[MOST_WORDS];
    int how;
    (void)state;
    need_mpirun();
    const char *output_dir = in_folder("killed");
    command_line(words, "2", output_dir,
                 MORE("--max-steps", "1000000", "--save-steps", "1", "--zero", "1"));
    setenv("HEARTH_TEST_RUN", output_dir, 1); /* by which its processes are found */
    pid_t child = fork();
    if (child == 0) {
        execvp(words[0], (char *const *)(uintptr_t)words);
        _exit(99);
    }
    unsetenv("HEARTH_TEST_RUN");
    char *checkpoint = NULL;
    for (int i = 0; i < 4000 && !checkpoint; i++) {
        usleep(50000);
        checkpoint = latest(output_dir);
    }
    assert_non_null(checkpoint);
    mem_free(checkpoint);
    pid_t victim = find_rank_1(output_dir);
    assert_true(victim > 0);
    assert_int_equal(kill(victim, SIGKILL), 0);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) != 0 && WEXITSTATUS(how) != 99);
    assert_int_equal(find_rank_1(output_dir), 0);
    checkpoint = latest(output_dir);
    struct directory dir = {0};
    assert_int_equal(safetensors_open(&dir, checkpoint, NULL), HEARTH_OK);
    directory_close(&dir);
    mem_free(checkpoint);
}

/* From a checkpoint of four ranks with divided moments, two with whole ones. */
static void others_go_on(void **state) {
    char path[700];
    (void)state;
    need_mpirun();
    tune_ok(NULL, in_folder("one"), NULL);
    tune_ok("4", in_folder("part"),
            MORE("--zero", "1", "--save-steps", "2", "--save-total-limit", "9"));
    snprintf(path, sizeof path, "%s/checkpoints/checkpoint-00000006.safetensors",
             in_folder("part"));
    assert_int_equal(unlink(path), 0); /* as if it had ended before */
    tune_ok("2", in_folder("part"), MORE("--resume"));
    contains("going on after step ");
    assert_true(distance(in_folder("one"), in_folder("part")) <= 1e-5);
}

/* ---- hosts ---------------------------------------------------------------------------- */

/* Stands for ssh: runs commands here, except on hosts that are not well. */
static void use_false_ssh(void) {
    static const char script[] =
        "#!/bin/sh\n"
        "while :; do case $1 in -o) shift 2 ;; -*) shift ;; *) break ;; esac; done\n"
        "host=$1; shift\n"
        "case $host in\n"
        "gone) echo 'ssh: Could not resolve hostname gone'; exit 255 ;;\n"
        "old) echo 'hearth 0.0.1'; exit 0 ;;\n"
        "bare) echo 'sh: not found'; exit 127 ;;\n"
        "esac\n"
        "exec sh -c \"$*\"\n";
    const char *path = in_folder("false-ssh");
    assert_int_equal(file_write(path, script, strlen(script), NULL), HEARTH_OK);
    assert_int_equal(chmod(path, 0700), 0);
    setenv("OMPI_MCA_plm_rsh_agent", path, 1);
}

static void hosts_are_checked(void **state) {
    (void)state;
    use_false_ssh();
    assert_int_equal(tune(NULL, in_folder("h"), MORE("--hosts", "localhost,gone")), 1);
    contains("host 'gone' cannot be reached: ssh: Could not resolve hostname gone");
    assert_int_equal(tune(NULL, in_folder("h"), MORE("--hosts", "old:2,gone")), 1);
    contains("host 'old' has hearth 0.0.1, this is hearth ");
    assert_int_equal(tune(NULL, in_folder("h"), MORE("--hosts", "bare")), 1);
    contains("host 'bare' has no '/");
    assert_int_equal(tune(NULL, in_folder("h"), MORE("--hosts", "a,-oProxyCommand=x")), 2);
    contains("'-oProxyCommand=x' is not the name of a host");
    assert_int_equal(tune(NULL, in_folder("h"), MORE("--hosts", "a,,b")), 2);
    assert_int_equal(tune(NULL, in_folder("h"), MORE("--hosts", "a:0")), 2);
    contains("how many processes, 1 to 256");
    assert_false(file_exists(in_folder("h")));
    unsetenv("OMPI_MCA_plm_rsh_agent");
}

static void mpirun_may_be_missing(void **state) {
    (void)state;
    if (!ranks_supported()) skip();
    char *path = mem_strdup(getenv("PATH"));
    setenv("PATH", folder, 1);
    assert_int_equal(tune(NULL, in_folder("h"), MORE("--hosts", "localhost:2")), 1);
    contains("mpirun is not there");
    setenv("PATH", path, 1);
    mem_free(path);
}

static void a_run_starts_on_hosts(void **state) {
    (void)state;
    need_mpirun();
    tune_ok(NULL, in_folder("hosts"), MORE("--hosts", "localhost:2"));
    contains("ranks     2; each keeps ");
    assert_true(file_exists(result_of(in_folder("hosts"))));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ranks_end_where_one_process_does, set_up, tear_down),
        cmocka_unit_test_setup_teardown(divided_runs_end_where_one_process_does, set_up, tear_down),
        cmocka_unit_test_setup_teardown(narrow_gradients_end_nearby, set_up, tear_down),
        cmocka_unit_test_setup_teardown(idle_ranks_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failure_is_said_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_dead_rank_ends_the_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(others_go_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hosts_are_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mpirun_may_be_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_run_starts_on_hosts, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
