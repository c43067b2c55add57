/* access_log.h - one line of JSON for every request: when, who, what, how it ended, how long and
 * how many tokens. What was asked and answered is not in it, unless the owner wants that. */
#ifndef HEARTH_SERVER_ACCESS_LOG_H
#define HEARTH_SERVER_ACCESS_LOG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct access_log {
    /* Takes a line, with its line break; any thread. NULL: there is no log. */
    void (*write)(void *context, const char *line, size_t n);
    void *context;
    bool bodies; /* also the bodies of requests that models answer */
};

struct access_entry {
    const char *id, *remote, *method, *path, *key; /* NULL: not known */
    const char *client_id;                         /* what the client calls it, or NULL */
    const char *body;                              /* of a request; not said unless `bodies` */
    size_t body_bytes;
    int status;
    uint64_t sent_bytes;
    double seconds, first_seconds; /* until the end, and until the first piece; below 0: none */
    uint64_t n_prompt, n_answer;   /* tokens; both 0: not said */
    bool gone;                     /* the client left before the end */
};

void access_log_put(const struct access_log *log, const struct access_entry *entry);

#endif
