/* run_shelf.h - which tuning runs there are: those asked for over HTTP, a folder each below one
 * folder in Hearth's data folder, and those begun on the command line, which the database knows.
 * The former go by the names of their folders, the latter by their numbers there. Any thread. */
#ifndef HEARTH_SERVER_RUN_SHELF_H
#define HEARTH_SERVER_RUN_SHELF_H

#include "server/served_run.h"
#include "store/store_pool.h"

enum { RUN_SHELF_MOST = 1000 }; /* runs asked for over HTTP */

struct run_shelf {
    char *folder;
    struct store_pool *store; /* borrowed; NULL: none */
};

/* The folder is made. run_shelf_close follows in every case. */
hearth_status run_shelf_open(struct run_shelf *shelf, struct store_pool *store, hearth_error *err);
void run_shelf_close(struct run_shelf *shelf);

struct served_run_list {
    struct served_run *runs; /* the newest first */
    size_t count, capacity;
};
/* What cannot be read is left out. run_list_release follows in every case. */
hearth_status run_shelf_list(const struct run_shelf *shelf, struct served_run_list *list,
                             hearth_error *err);
void run_list_release(struct served_run_list *list);

/* HEARTH_ERROR_NOT_FOUND: there is none. served_run_close follows in every case. */
hearth_status run_shelf_find(const struct run_shelf *shelf, const char *id, struct served_run *run,
                             hearth_error *err);
/* Makes a folder for a new run, whose id is like `name`; given. HEARTH_ERROR_LIMIT: there are too
 * many. One thread at a time. */
hearth_status run_shelf_add(const struct run_shelf *shelf, const char *name,
                            char id[SERVED_RUN_ID_BYTES], char **folder, hearth_error *err);
/* Removes the folder, if it is one of this shelf's, and what the database has of it. */
hearth_status run_shelf_remove(const struct run_shelf *shelf, const struct served_run *run,
                               hearth_error *err);

#endif
