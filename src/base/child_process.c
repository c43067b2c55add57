#include "base/child_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NICENESS = 10, SIGNALS = 65 };

/* ---- in the child, where only what is safe in a signal handler may be called ---------------- */

static void reset_signals(void) {
    struct sigaction ordinary = {.sa_handler = SIG_DFL};
    sigset_t none;
    sigemptyset(&ordinary.sa_mask);
    for (int number = 1; number < SIGNALS; number++)
        sigaction(number, &ordinary, NULL); /* refused for a few, which cannot be changed */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool set_streams(const char *output) {
    int in = open("/dev/null", O_RDONLY);
    int out = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    return in >= 0 && out >= 0 && dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
           dup2(out, STDERR_FILENO) >= 0;
}

/* `report` closes by itself when the program begins; until then it tells what went wrong. */
static _Noreturn void become(const char *const *argv, const char *output, pid_t parent,
                             int report) {
    int moved;
    setpgid(0, 0);
    setpriority(PRIO_PROCESS, 0, NICENESS);
    reset_signals();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == parent && set_streams(output) &&
        (moved = fcntl(report, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)) >= 0) {
        dup2(moved, STDERR_FILENO + 1);
        report = STDERR_FILENO + 1;
        fcntl(report, F_SETFD, FD_CLOEXEC);
        closefrom(report + 1);
        execv(argv[0], (char *const *)(uintptr_t)argv);
    }
    int code = errno;
    ssize_t ignored = write(report, &code, sizeof code);
    (void)ignored;
    _exit(127);
}

/* ---- in this process ---------------------------------------------------------------------- */

static hearth_status await_start(const char *name, pid_t id, int report, hearth_error *err) {
    int code = 0;
    ssize_t n;
    while ((n = read(report, &code, sizeof code)) < 0 && errno == EINTR)
        continue;
    if (n <= 0) return HEARTH_OK;
    waitpid(id, NULL, 0);
    return error_set(err, code == ENOENT ? HEARTH_ERROR_NOT_FOUND : HEARTH_ERROR_IO,
                     "cannot start '%s': %s", name, strerror(code));
}

hearth_status child_process_start(struct child_process *child, const char *const *argv,
                                  const char *output, hearth_error *err) {
    int ends[2];
    pid_t self = getpid();
    *child = (struct child_process){0};
    if (pipe2(ends, O_CLOEXEC) != 0) return error_set_errno(err, "cannot start '%s'", argv[0]);
    pid_t id = fork();
    if (id == 0) become(argv, output, self, ends[1]);
    hearth_status status = id < 0 ? error_set_errno(err, "cannot start '%s'", argv[0]) : HEARTH_OK;
    close(ends[1]);
    if (status == HEARTH_OK) status = await_start(argv[0], id, ends[0], err);
    close(ends[0]);
    if (status == HEARTH_OK) child->id = id;
    return status;
}

void child_process_interrupt(const struct child_process *child) {
    if (child->id > 0) kill((pid_t)-child->id, SIGINT);
}

void child_process_kill(const struct child_process *child) {
    if (child->id > 0) kill((pid_t)-child->id, SIGKILL);
}

bool child_process_ended(struct child_process *child, int *exit_code) {
    int how;
    if (child->id <= 0 || waitpid((pid_t)child->id, &how, WNOHANG) != child->id) return false;
    *exit_code = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
    child->id = 0;
    return true;
}
