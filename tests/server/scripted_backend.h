/* scripted_backend.h - a backend that says what a test scripts, each answer on a thread of its
 * own, and counts what becomes of them. A text to embed becomes its length and 1. */
#ifndef HEARTH_TESTS_SERVER_SCRIPTED_BACKEND_H
#define HEARTH_TESTS_SERVER_SCRIPTED_BACKEND_H

#include "testdata.h"

#include "route/backend.h"

enum { SCRIPT_MOST_PIECES = 16, SCRIPTED_PROMPT = 7 /* tokens of every prompt */ };

struct script {
    const char *pieces[SCRIPT_MOST_PIECES]; /* of text */
    size_t n_pieces;
    unsigned pause_ms;   /* before each piece */
    size_t rounds;       /* how often the pieces come; 0: until the answer is cancelled */
    hearth_status fails; /* instead of an answer, before or (late) after its pieces */
    bool late;
    const char *message;
    size_t most_jobs;    /* at a time; more are refused; 0: any number */
    const char *adapter; /* the name of one that its model has; NULL: it has none */
};

struct scripted_counts {
    size_t started, running, cancelled, refused;
    int32_t priority;    /* of the last request that was started */
    double keep_alive_s; /* likewise */
    char slot_path[512]; /* of the last action on a slot */
};

struct backend *scripted_open(const struct script *script);
struct scripted_counts scripted_counts(struct backend *backend);
/* Until so many answers run, were cancelled; fails the test after ten seconds. */
void scripted_await_running(struct backend *backend, size_t n);
void scripted_await_cancelled(struct backend *backend, size_t n);

#endif
