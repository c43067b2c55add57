#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

static hearth_status start(const char *const *argv, const posix_spawn_file_actions_t *actions,
                           pid_t *child, hearth_error *err) {
    posix_spawnattr_t attributes;
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGINT);
    if (posix_spawnattr_init(&attributes) != 0)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to start '%s'", argv[0]);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    int code =
        posix_spawnp(child, argv[0], actions, &attributes, (char *const *)(uintptr_t)argv, environ);
    posix_spawnattr_destroy(&attributes);
    if (code == 0) return HEARTH_OK;
    return error_set(err, code == ENOENT ? HEARTH_ERROR_NOT_FOUND : HEARTH_ERROR_IO,
                     "cannot start '%s': %s", argv[0], strerror(code));
}

static hearth_status await(pid_t child, const char *name, int *exit_code, hearth_error *err) {
    int how;
    while (waitpid(child, &how, 0) != child)
        if (errno != EINTR) return error_set_errno(err, "cannot wait for '%s'", name);
    *exit_code = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
    return HEARTH_OK;
}

hearth_status process_run(const char *const *argv, int *exit_code, hearth_error *err) {
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    pid_t child;
    sigemptyset(&ignore.sa_mask);
    sigaction(SIGINT, &ignore, &before);
    hearth_status status = start(argv, NULL, &child, err);
    if (status == HEARTH_OK) status = await(child, argv[0], exit_code, err);
    sigaction(SIGINT, &before, NULL);
    return status;
}

/* Reads until the other end is closed; false when that takes longer than `limit_s`. */
static bool read_all(int fd, unsigned limit_s, struct buf *out) {
    uint64_t start_ns = clock_now_ns();
    char piece[4096];
    for (;;) {
        double left_s = limit_s - clock_seconds_since(start_ns);
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (left_s <= 0) return false;
        int n_ready = poll(&ready, 1, (int)(left_s * 1000) + 1);
        if (n_ready <= 0) continue; /* the clock decides */
        ssize_t n = read(fd, piece, sizeof piece);
        if (n == 0 || (n < 0 && errno != EINTR)) return true;
        if (n > 0) buf_append(out, piece, (size_t)n);
    }
}

static hearth_status start_captured(const char *const *argv, const int ends[2], pid_t *child,
                                    hearth_error *err) {
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to start '%s'", argv[0]);
    hearth_status status = HEARTH_OK;
    if (posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) != 0 ||
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO) != 0 ||
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO) != 0)
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to start '%s'", argv[0]);
    if (status == HEARTH_OK) status = start(argv, &actions, child, err);
    posix_spawn_file_actions_destroy(&actions);
    return status;
}

static hearth_status capture(const char *const *argv, const int ends[2], unsigned limit_s,
                             struct buf *out, int *exit_code, hearth_error *err) {
    pid_t child;
    hearth_status status = start_captured(argv, ends, &child, err);
    close(ends[1]);
    if (status != HEARTH_OK) return status;
    bool ended = read_all(ends[0], limit_s, out);
    if (!ended) kill(child, SIGKILL);
    RETURN_IF_ERROR(await(child, argv[0], exit_code, err));
    if (ended) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_LIMIT, "'%s' has not ended after %u seconds", argv[0],
                     limit_s);
}

hearth_status process_capture(const char *const *argv, size_t max_bytes, unsigned limit_s,
                              char **output, int *exit_code, hearth_error *err) {
    struct buf out;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return error_set_errno(err, "cannot start '%s'", argv[0]);
    buf_init(&out, max_bytes);
    hearth_status status = capture(argv, ends, limit_s, &out, exit_code, err);
    close(ends[0]);
    if (status == HEARTH_OK) {
        *output = mem_strdup(buf_text(&out));
        if (!*output)
            status =
                error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for what '%s' prints", argv[0]);
    }
    buf_release(&out);
    return status;
}

char *process_program(void) {
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    return n > 0 ? mem_strndup(path, (size_t)n) : NULL;
}

void process_allow_files(uint64_t count) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= count) return;
    limit.rlim_cur = limit.rlim_max < count ? limit.rlim_max : count;
    setrlimit(RLIMIT_NOFILE, &limit);
}
