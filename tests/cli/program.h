/* program.h - runs the built program and keeps what it printed.
 *
 * The program is found through HEARTH_PROGRAM. Every run has a folder of its own test
 * as home, so that nothing of the machine is seen or changed. */
#ifndef HEARTH_TESTS_CLI_PROGRAM_H
#define HEARTH_TESTS_CLI_PROGRAM_H

#include <sys/types.h>

#include "testdata.h"

int program_set_up(void **state);
int program_tear_down(void **state);

/* A path in the test's folder, in one of eight static buffers. */
const char *program_path(const char *name);

/* Runs with the arguments up to NULL; `input` (nullable) goes to standard input. What
 * was printed is NUL-terminated and stands until the next run. Returns the exit code;
 * a death by signal fails the test. */
int program_run(const char *input, const char *const *args);
/* The same in two halves; what the program prints is there after program_wait, which returns
 * the exit code, or 128 + the signal that it died by. One at a time. */
pid_t program_start(const char *input, const char *const *args);
int program_wait(pid_t program);
/* Programs that are started from now on cannot write larger files, as on a full disk; 0: they
 * can. */
void program_limit_files(size_t bytes);
const char *program_out(size_t *size_bytes); /* size nullable */
const char *program_err(void);

#define RUN(...) program_run(NULL, (const char *const[]){__VA_ARGS__, NULL})
#define RUN_WITH(input, ...) program_run(input, (const char *const[]){__VA_ARGS__, NULL})

/* RUN that must succeed. */
#define RUN_OK(...)                                                                                \
    do {                                                                                           \
        if (RUN(__VA_ARGS__) != 0) fail_msg("%s", program_err());                                  \
    } while (0)

#endif
