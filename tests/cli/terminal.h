/* terminal.h - a program on a terminal of its own: what it writes there, and typing at it. */
#ifndef HEARTH_TESTS_CLI_TERMINAL_H
#define HEARTH_TESTS_CLI_TERMINAL_H

#include "testdata.h"

#include <poll.h>
#include <pty.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TERMINAL_PATIENCE_MS = 60000 };

struct terminal {
    int master;
    pid_t child;
    char seen[65536];
    size_t n_seen, looked_at;
};

/* True in the child, which has the terminal of this kind and must not return. */
static inline bool terminal_start(struct terminal *t, const char *kind) {
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    *t = (struct terminal){0};
    t->child = forkpty(&t->master, NULL, NULL, &size);
    assert_true(t->child >= 0);
    if (t->child > 0) return false;
    setenv("TERM", kind, 1);
    setenv("NO_COLOR", "1", 1);
    setenv("HOME", "/nonexistent", 1);
    return true;
}

/* Waits until `text` appears after what was looked at before. */
static inline void terminal_expect(struct terminal *t, const char *text) {
    for (;;) {
        char *found = strstr(t->seen + t->looked_at, text);
        if (found) {
            t->looked_at = (size_t)(found - t->seen) + strlen(text);
            return;
        }
        struct pollfd wait = {.fd = t->master, .events = POLLIN};
        ssize_t got = 0;
        if (poll(&wait, 1, TERMINAL_PATIENCE_MS) == 1)
            got = read(t->master, t->seen + t->n_seen, sizeof t->seen - 1 - t->n_seen);
        if (got <= 0) fail_msg("'%s' did not appear; the terminal has '%s'", text, t->seen);
        t->n_seen += (size_t)got;
        t->seen[t->n_seen] = '\0';
    }
}

static inline void terminal_send(struct terminal *t, const char *text) {
    assert_int_equal(write(t->master, text, strlen(text)), (ssize_t)strlen(text));
}

/* After the last of what is expected: the program ends well. */
static inline void terminal_finish(struct terminal *t) {
    int status;
    assert_int_equal(waitpid(t->child, &status, 0), t->child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(t->master);
}

#endif
