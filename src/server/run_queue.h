/* run_queue.h - tuning runs one after the other, each a process of its own: 'hearth tune resume
 * FOLDER' of the same program, so that whatever happens to a run does not happen to the server.
 *
 * One thread starts runs, hears of their ends and ticks. What is wanted of a run is in its folder
 * (served_run.h), so nothing is lost when the server ends, however it does: a run that was under
 * way is told to save where it is (SIGTERM when the server crashed) and goes on, bit for bit, when
 * a server is there again. Of several servers of one user only one starts runs. */
#ifndef HEARTH_SERVER_RUN_QUEUE_H
#define HEARTH_SERVER_RUN_QUEUE_H

#include "server/run_shelf.h"

struct run_queue;

struct run_queue_settings {
    const char *program;         /* the path of hearth; borrowed */
    struct store_pool *store;    /* borrowed; NULL: none */
    void (*tick)(void *context); /* several times a second while a run computes, now and then
                                    otherwise, and when something has changed; without a lock */
    void *context;
};

hearth_status run_queue_open(struct run_queue **out, const struct run_queue_settings *settings,
                             hearth_error *err);
/* From now on runs are started. */
hearth_status run_queue_begin(struct run_queue *queue, hearth_error *err);
/* The run that computes is told to save and end; nothing more is started. */
void run_queue_end(struct run_queue *queue);
/* Waits for that, so many seconds at most; NULL is fine. */
void run_queue_close(struct run_queue *queue);

const struct run_shelf *run_queue_shelf(const struct run_queue *queue);
/* Whether a process of this server works on the run. */
bool run_queue_computes(struct run_queue *queue, const char *id);

/* A run that is asked for; everything is borrowed. */
struct wanted_run {
    const char *name, *model; /* as people say them */
    const char *recipe;       /* of 'hearth tune', with "model" and without "data" */
    const char *data;         /* the file, which is copied, and what it is called */
    const char *data_name;
    const char *hosts; /* further ones, as --hosts takes them; NULL: this machine alone */
};
/* Queues it. HEARTH_ERROR_LIMIT: there are too many. */
hearth_status run_queue_add(struct run_queue *queue, const struct wanted_run *wanted,
                            char id[SERVED_RUN_ID_BYTES], hearth_error *err);

enum run_wish { WISH_RUN, WISH_PAUSE, WISH_STOP };
/* HEARTH_ERROR_NOT_FOUND; HEARTH_ERROR_UNSUPPORTED: not as things are, and why. */
hearth_status run_queue_wish(struct run_queue *queue, const char *id, enum run_wish wish,
                             hearth_error *err);
/* Removes a run that does not compute. Likewise. */
hearth_status run_queue_remove(struct run_queue *queue, const char *id, hearth_error *err);

#endif
