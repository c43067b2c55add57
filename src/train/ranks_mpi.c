/* Over MPI (Message Passing Interface, version 3.1), the only file that sees it. */
#include <mpi.h>
#include <stdio.h>

#include "base/clock.h"
#include "train/ranks_start.h"

static hearth_status check(int code, const char *what, hearth_error *err) {
    char text[MPI_MAX_ERROR_STRING] = "";
    int length;
    if (code == MPI_SUCCESS) return HEARTH_OK;
    MPI_Error_string(code, text, &length);
    return error_set(err, HEARTH_ERROR_IO, "cannot %s the other ranks: %s", what, text);
}

/* MPI would wait with all of a core, which whoever computes needs: this waits a moment like
 * that, then rests between looks. */
enum { EAGER_LOOKS = 200, REST_NS = 20000 };

/* Returns when MPI_Wait no longer waits. */
static void rest_until_done(MPI_Request request) {
    int done = 0;
    for (int looks = 0; !done; looks++) {
        if (MPI_Request_get_status(request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) return;
        if (!done) clock_rest(looks < EAGER_LOOKS ? 0 : REST_NS);
    }
}

/* Of what was begun and of waiting for it. */
static int first_failure(int begun, int waited) {
    return begun != MPI_SUCCESS ? begun : waited;
}

static hearth_status broadcast(void *context, void *data, size_t size_bytes, hearth_error *err) {
    MPI_Request request = MPI_REQUEST_NULL;
    (void)context;
    int begun = MPI_Ibcast(data, (int)size_bytes, MPI_BYTE, 0, MPI_COMM_WORLD, &request);
    rest_until_done(request);
    int waited = MPI_Wait(&request, MPI_STATUS_IGNORE);
    return check(first_failure(begun, waited), "tell", err);
}

static hearth_status exchange(void *context, const void *send, void *receive, size_t piece_bytes,
                              hearth_error *err) {
    MPI_Request request = MPI_REQUEST_NULL;
    (void)context;
    int n = (int)piece_bytes;
    int begun = MPI_Ialltoall(send, n, MPI_BYTE, receive, n, MPI_BYTE, MPI_COMM_WORLD, &request);
    rest_until_done(request);
    int waited = MPI_Wait(&request, MPI_STATUS_IGNORE);
    return check(first_failure(begun, waited), "exchange gradients with", err);
}

static hearth_status gather(void *context, const void *send, void *receive, size_t piece_bytes,
                            hearth_error *err) {
    MPI_Request request = MPI_REQUEST_NULL;
    (void)context;
    int n = (int)piece_bytes;
    int begun = MPI_Iallgather(send, n, MPI_BYTE, receive, n, MPI_BYTE, MPI_COMM_WORLD, &request);
    rest_until_done(request);
    int waited = MPI_Wait(&request, MPI_STATUS_IGNORE);
    return check(first_failure(begun, waited), "hear", err);
}

static hearth_status receive_from(int from, void *data, int size_bytes, hearth_error *err) {
    MPI_Request request = MPI_REQUEST_NULL;
    int begun = MPI_Irecv(data, size_bytes, MPI_BYTE, from, 0, MPI_COMM_WORLD, &request);
    rest_until_done(request);
    int waited = MPI_Wait(&request, MPI_STATUS_IGNORE);
    return check(first_failure(begun, waited), "receive from", err);
}

static hearth_status fetch(void *context, int from, void *data, size_t size_bytes,
                           hearth_error *err) {
    const struct ranks_transport *transport = context;
    int n = (int)size_bytes;
    if (transport->rank == 0) return receive_from(from, data, n, err);
    if (transport->rank == from)
        return check(MPI_Send(data, n, MPI_BYTE, 0, 0, MPI_COMM_WORLD), "send to", err);
    return HEARTH_OK;
}

static void end(void *context, bool alone) {
    (void)context;
    if (alone)
        MPI_Abort(MPI_COMM_WORLD, 1);
    else
        MPI_Finalize();
}

bool ranks_supported(void) {
    return true;
}

static hearth_status describe(struct ranks_transport *t, hearth_error *err) {
    MPI_Comm local;
    char host[MPI_MAX_PROCESSOR_NAME] = "";
    int length;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &t->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &t->count);
    MPI_Get_processor_name(host, &length);
    snprintf(t->host, sizeof t->host, "%.*s", (int)sizeof t->host - 1, host);
    RETURN_IF_ERROR(
        check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &local),
              "find", err));
    MPI_Comm_size(local, &t->n_local);
    MPI_Comm_free(&local);
    if (t->count > RANKS_MAX)
        return error_set(err, HEARTH_ERROR_LIMIT, "%d ranks; at most %d train together", t->count,
                         RANKS_MAX);
    return HEARTH_OK;
}

hearth_status ranks_join(struct ranks **out, hearth_error *err) {
    /* MPI has one world a process, and so has this file. */
    static struct ranks_transport transport;
    int provided;
    *out = NULL;
    if (!ranks_started()) return HEARTH_OK;
    RETURN_IF_ERROR(
        check(MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided), "join", err));
    transport = (struct ranks_transport){.context = &transport,
                                         .broadcast = broadcast,
                                         .exchange = exchange,
                                         .gather = gather,
                                         .fetch = fetch,
                                         .close = end};
    hearth_status status =
        provided >= MPI_THREAD_SERIALIZED
            ? describe(&transport, err)
            : error_set(err, HEARTH_ERROR_UNSUPPORTED,
                        "this Open MPI allows one thread only: one with threads is needed");
    if (status == HEARTH_OK) status = ranks_open(out, &transport, err);
    if (status != HEARTH_OK) end(NULL, true);
    return status;
}
