/* hearth tune --hosts on two machines, one of which vanishes from the network in the middle: the
 * run ends, says which, and goes on elsewhere. The machines are network namespaces with names
 * of their own and a cable between them; a script stands for ssh. */
#include "testdata.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/process.h"
#include "program.h"
#include "train/checkpoint.h"
#include "train/ranks_start.h"

enum { OUTPUT_BYTES = 1 << 20, COMMAND_SECONDS = 30, PROMISED_SECONDS = 30 };

struct machine {
    const char *name;
    pid_t keeper; /* a process that does nothing but live there */
};
static struct machine machines[] = {{"hosta", 0}, {"hostb", 0}};
enum { N_MACHINES = 2 };

/* ---- machines --------------------------------------------------------------------------- */

/* Whether a command of the shell succeeds. */
static bool shell(const char *command) {
    const char *const argv[] = {"sh", "-c", command, NULL};
    char *output = NULL;
    int code = -1;
    hearth_status status =
        process_capture(argv, OUTPUT_BYTES, COMMAND_SECONDS, &output, &code, NULL);
    mem_free(output);
    return status == HEARTH_OK && code == 0;
}

static bool start_machine(struct machine *m) {
    int ready[2];
    char byte = 0;
    if (pipe(ready) != 0) return false;
    m->keeper = fork();
    if (m->keeper == 0) {
        bool made =
            unshare(CLONE_NEWNET | CLONE_NEWUTS) == 0 && sethostname(m->name, strlen(m->name)) == 0;
        if (write(ready[1], made ? "y" : "n", 1) != 1) _exit(1);
        for (;;)
            pause();
    }
    close(ready[1]);
    bool made = m->keeper > 0 && read(ready[0], &byte, 1) == 1 && byte == 'y';
    close(ready[0]);
    return made;
}

static void stop_machines(void) {
    for (int i = 0; i < N_MACHINES; i++) {
        if (machines[i].keeper <= 0) continue;
        kill(machines[i].keeper, SIGKILL);
        waitpid(machines[i].keeper, NULL, 0);
        machines[i].keeper = 0;
    }
}

static bool connect_machines(void) {
    char command[1024];
    int a = (int)machines[0].keeper, b = (int)machines[1].keeper;
    snprintf(command, sizeof command,
             "ip link add cable netns %d type veth peer name cable netns %d && "
             "for m in '%d 1' '%d 2'; do set -- $m; in=\"nsenter -t $1 -n\"; "
             "$in ip link set lo up && $in ip addr add 10.77.0.$2/24 dev cable && "
             "$in ip link set cable up || exit 1; done",
             a, b, a, b);
    return shell(command);
}

/* Runs commands on a machine as long as the cable is plugged in. */
static bool write_agent(void) {
    char script[1024];
    const char *path = program_path("agent");
    int n = snprintf(script, sizeof script,
                     "#!/bin/sh\n"
                     "while :; do case $1 in -o) shift 2 ;; -*) shift ;; *) break ;; esac; done\n"
                     "host=$1; shift\n"
                     "case $host in hosta) at=%d ;; *) at=%d ;; esac\n"
                     "nsenter -t %d -n ip link show cable up | grep -q cable || [ $host = hosta ] "
                     "|| { echo \"ssh: connect to host $host: No route to host\"; exit 255; }\n"
                     "exec nsenter -t $at -n -u sh -c \"$*\"\n",
                     (int)machines[0].keeper, (int)machines[1].keeper, (int)machines[0].keeper);
    if (file_write(path, script, (size_t)n, NULL) != HEARTH_OK || chmod(path, 0700) != 0)
        return false;
    return setenv("OMPI_MCA_plm_rsh_agent", path, 1) == 0;
}

static int set_up(void **state) {
    if (program_set_up(state) != 0) return -1;
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    return 0;
}

static int tear_down(void **state) {
    stop_machines();
    return program_tear_down(state);
}

static void need_machines(void) {
    const char *missing = NULL;
    if (!ranks_supported() || !shell("mpirun --version"))
        missing = "mpirun is not installed, or was not at build";
    else if (!shell("ip -V && nsenter --version"))
        missing = "ip and nsenter (iproute2, util-linux) are not installed";
    else if (!start_machine(&machines[0]) || !start_machine(&machines[1]) || !connect_machines())
        missing = "network namespaces cannot be made here";
    if (!missing) {
        assert_true(write_agent());
        return;
    }
    print_message("[  SKIPPED ] %s\n", missing);
    skip();
}

static const char *program(void) {
    const char *path = getenv("HEARTH_PROGRAM");
    if (!path) fail_msg("HEARTH_PROGRAM does not name the program");
    return path ? path : "";
}

/* ---- runs --------------------------------------------------------------------------------- */

static void enter_machine(const struct machine *m) {
    static const char *const kinds[] = {"net", "uts"};
    for (int i = 0; i < 2; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)m->keeper, kinds[i]);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || setns(fd, 0) != 0) _exit(99);
        close(fd);
    }
}

static pid_t start_run(const struct machine *at, const char *const *argv) {
    const char *path = program_path("said");
    pid_t child = fork();
    if (child != 0) return child;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0) _exit(99);
    if (at) enter_machine(at);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(99);
}

static bool has_said(const char *part) {
    char *text = NULL;
    size_t size;
    if (file_read(program_path("said"), OUTPUT_BYTES, &text, &size, NULL) != HEARTH_OK)
        return false;
    bool found = memmem(text, size, part, strlen(part)) != NULL;
    mem_free(text);
    return found;
}

static void must_have_said(const char *part) {
    if (!has_said(part)) fail_msg("'%s' was not said in %s", part, program_path("said"));
}

/* The path of the latest checkpoint, given; NULL without any. */
static char *latest_checkpoint(void) {
    char *path, *checkpoints = path_join(program_path("run"), "checkpoints");
    hearth_status status = checkpoint_latest(checkpoints, &path, NULL);
    mem_free(checkpoints);
    return status == HEARTH_OK ? path : NULL;
}

/* Waits until a run has ended; false: not within `limit_s` seconds. */
static bool has_ended(pid_t child, int *how, double limit_s) {
    for (uint64_t start_ns = clock_now_ns(); clock_seconds_since(start_ns) < limit_s;) {
        if (waitpid(child, how, WNOHANG) == child) return true;
        usleep(50000);
    }
    return false;
}

/* Processes that live on a machine, its keeper aside. */
static int count_processes(const struct machine *m) {
    char own[64], other[64], path[300];
    char **names;
    size_t count;
    int n = 0;
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)m->keeper);
    ssize_t length = readlink(path, own, sizeof own);
    assert_true(length > 0);
    assert_int_equal(file_list("/proc", &names, &count, NULL), HEARTH_OK);
    for (size_t i = 0; i < count; i++) {
        long number = strtol(names[i], NULL, 10);
        if (number <= 0 || number == m->keeper) continue;
        snprintf(path, sizeof path, "/proc/%ld/ns/net", number);
        ssize_t other_length = readlink(path, other, sizeof other);
        n += other_length == length && memcmp(own, other, (size_t)length) == 0;
    }
    file_names_free(names, count);
    return n;
}

static void wait_for_checkpoint(pid_t run) {
    char *checkpoint = NULL;
    int how = 0;
    for (int i = 0; i < 1200 && !checkpoint; i++) {
        usleep(50000);
        checkpoint = latest_checkpoint();
        if (!checkpoint && waitpid(run, &how, WNOHANG) == run)
            fail_msg("the run has ended; see %s", program_path("said"));
    }
    assert_non_null(checkpoint);
    mem_free(checkpoint);
}

static void unplug(void) {
    char command[128];
    snprintf(command, sizeof command, "nsenter -t %d -n ip link set cable down",
             (int)machines[0].keeper);
    assert_true(shell(command));
}

static void goes_on_alone(void) {
    const char *const resume[] = {program(), "tune", "resume", program_path("run"), NULL};
    int how = 0;
    pid_t run = start_run(NULL, resume);
    for (int i = 0; i < 1200 && !has_said("going on after step"); i++)
        usleep(50000);
    must_have_said("going on after step");
    assert_int_equal(kill(run, SIGINT), 0);
    assert_true(has_ended(run, &how, COMMAND_SECONDS));
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
}

static void a_host_that_vanishes_ends_the_run(void **state) {
    static const char text[] = "Once upon a time there was a cat who saw the sun. The end.\n";
    int how = 0;
    (void)state;
    need_machines();
    assert_int_equal(file_write(program_path("data.txt"), text, strlen(text), NULL), HEARTH_OK);
    const char *const tune[] = {program(),
                                "tune",
                                testdata("models/stories260K/stories260K.gguf"),
                                "--data",
                                program_path("data.txt"),
                                "--hosts",
                                "hosta,hostb",
                                "--method",
                                "full",
                                "--accumulation",
                                "2",
                                "--threads",
                                "1",
                                "--max-steps",
                                "1000000",
                                "--save-steps",
                                "10",
                                "--zero-stage",
                                "3",
                                "--samples",
                                "0",
                                "--output-dir",
                                program_path("run"),
                                NULL};
    pid_t run = start_run(&machines[0], tune);
    wait_for_checkpoint(run);
    assert_true(count_processes(&machines[1]) > 0);
    unplug();
    uint64_t start_ns = clock_now_ns();
    bool ended = has_ended(run, &how, PROMISED_SECONDS);
    if (!ended) kill(run, SIGKILL);
    assert_true(ended);
    print_message("the run ended after %.1f seconds\n", clock_seconds_since(start_ns));
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 1);
    must_have_said("host 'hostb' cannot be reached: ssh: connect to host hostb: No route to host");
    must_have_said("go on with --resume");
    assert_int_equal(count_processes(&machines[0]), 0);
    goes_on_alone();
}

static void a_host_without_a_cable_is_named_first(void **state) {
    int how = 0;
    (void)state;
    need_machines();
    unplug();
    const char *const tune[] = {program(),
                                "tune",
                                testdata("models/stories260K/stories260K.gguf"),
                                "--data",
                                program_path("agent"),
                                "--hosts",
                                "hosta,hostb",
                                "--output-dir",
                                program_path("run"),
                                NULL};
    pid_t run = start_run(&machines[0], tune);
    assert_true(has_ended(run, &how, COMMAND_SECONDS));
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 1);
    must_have_said("host 'hostb' cannot be reached: ");
    assert_false(file_exists(program_path("run")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_host_that_vanishes_ends_the_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_host_without_a_cable_is_named_first, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
