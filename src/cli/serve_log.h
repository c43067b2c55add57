/* serve_log.h - where the lines of the server's log go: to standard error, or to a file, which may
 * be moved away and opened again while the server runs. Lines come from any thread. */
#ifndef HEARTH_CLI_SERVE_LOG_H
#define HEARTH_CLI_SERVE_LOG_H

#include <pthread.h>
#include <stdio.h>

#include "base/status.h"

struct serve_log {
    const char *path; /* borrowed; NULL: standard error */
    pthread_mutex_t mutex;
    FILE *file; /* NULL: not open */
};

/* Appends to the file; closed in every case. */
hearth_status serve_log_open(struct serve_log *log, const char *path, hearth_error *err);
void serve_log_close(struct serve_log *log);
/* Goes on in a file of the same name. One that cannot be opened changes nothing. */
hearth_status serve_log_reopen(struct serve_log *log, hearth_error *err);
/* As struct access_log wants it; the context is the log. */
void serve_log_write(void *context, const char *line, size_t n);

#endif
