#include "program.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

enum { MAX_ARGS = 32, MAX_OUTPUT_BYTES = 1 << 28 };

static char folder[256];
static char *out, *err;
static size_t out_bytes, most_bytes;

int program_set_up(void **state) {
    const char *base = getenv("TMPDIR");
    (void)state;
    snprintf(folder, sizeof folder, "%s/hearth-cli-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(folder)) return -1;
    setenv("HEARTH_HOME", folder, 1);
    setenv("HOME", folder, 1);
    unsetenv("HEARTH_CPU");
    return 0;
}

static void remove_folder(const char *path) {
    char **names;
    size_t n;
    if (file_list(path, &names, &n, NULL) != HEARTH_OK) return;
    for (size_t i = 0; i < n; i++) {
        char *inside = path_join(path, names[i]);
        if (inside && file_is_folder(inside)) remove_folder(inside);
        if (inside) remove(inside);
        mem_free(inside);
    }
    file_names_free(names, n);
    rmdir(path);
}

int program_tear_down(void **state) {
    (void)state;
    mem_free(out);
    mem_free(err);
    out = err = NULL;
    remove_folder(folder);
    return 0;
}

const char *program_path(const char *name) {
    static char paths[8][1024];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void redirect(const char *name, int flags, int to) {
    int fd = open(name, flags, 0600);
    if (fd < 0 || dup2(fd, to) < 0) _exit(99);
}

static void become(const char *input, const char *const *args) {
    char *argv[MAX_ARGS + 2];
    const char *program = getenv("HEARTH_PROGRAM");
    int n = 0;
    argv[n++] = (char *)(uintptr_t) "hearth";
    for (; args[n - 1] && n <= MAX_ARGS; n++)
        argv[n] = (char *)(uintptr_t)args[n - 1];
    argv[n] = NULL;
    if (most_bytes) {
        struct rlimit limit = {most_bytes, most_bytes};
        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(99);
    }
    redirect(input ? program_path("stdin") : "/dev/null", O_RDONLY, 0);
    redirect(program_path("stdout"), O_WRONLY | O_CREAT | O_TRUNC, 1);
    redirect(program_path("stderr"), O_WRONLY | O_CREAT | O_TRUNC, 2);
    if (program) execv(program, argv);
    _exit(98);
}

pid_t program_start(const char *input, const char *const *args) {
    if (!getenv("HEARTH_PROGRAM")) fail_msg("HEARTH_PROGRAM does not name the program");
    if (input)
        assert_int_equal(file_write(program_path("stdin"), input, strlen(input), NULL), HEARTH_OK);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) become(input, args);
    return child;
}

int program_wait(pid_t child) {
    int how;
    size_t size;
    mem_free(out);
    mem_free(err);
    out = err = NULL;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(file_read(program_path("stdout"), MAX_OUTPUT_BYTES, &out, &out_bytes, NULL),
                     HEARTH_OK);
    assert_int_equal(file_read(program_path("stderr"), MAX_OUTPUT_BYTES, &err, &size, NULL),
                     HEARTH_OK);
    return WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
}

int program_run(const char *input, const char *const *args) {
    int code = program_wait(program_start(input, args));
    if (code >= 98) fail_msg("hearth %s ended with %d: %s", args[0] ? args[0] : "", code, err);
    return code;
}

void program_limit_files(size_t bytes) {
    most_bytes = bytes;
}

const char *program_out(size_t *size_bytes) {
    if (size_bytes) *size_bytes = out_bytes;
    return out;
}

const char *program_err(void) {
    return err;
}
