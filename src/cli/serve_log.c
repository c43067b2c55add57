#include "cli/serve_log.h"

hearth_status serve_log_open(struct serve_log *log, const char *path, hearth_error *err) {
    log->path = path;
    pthread_mutex_init(&log->mutex, NULL);
    log->file = path ? NULL : stderr;
    return serve_log_reopen(log, err);
}

void serve_log_close(struct serve_log *log) {
    if (log->path && log->file) fclose(log->file);
    pthread_mutex_destroy(&log->mutex);
}

hearth_status serve_log_reopen(struct serve_log *log, hearth_error *err) {
    if (!log->path) return HEARTH_OK;
    FILE *file = fopen(log->path, "ae");
    if (!file) return error_set_errno(err, "cannot write '%s'", log->path);
    pthread_mutex_lock(&log->mutex);
    FILE *former = log->file;
    log->file = file;
    pthread_mutex_unlock(&log->mutex);
    if (former) fclose(former);
    return HEARTH_OK;
}

void serve_log_write(void *context, const char *line, size_t n) {
    struct serve_log *log = context;
    pthread_mutex_lock(&log->mutex);
    fwrite(line, 1, n, log->file);
    fflush(log->file);
    pthread_mutex_unlock(&log->mutex);
}
