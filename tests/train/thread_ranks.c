#include "thread_ranks.h"

#include "testdata.h"

#include <pthread.h>
#include <string.h>

struct world {
    int count;
    pthread_barrier_t barrier;
    const void *sent[MOST_RANKS];
    void *data;
};

struct seat {
    struct world *world;
    int rank;
};

static void meet(struct world *w) {
    pthread_barrier_wait(&w->barrier);
}

static hearth_status world_broadcast(void *context, void *data, size_t size, hearth_error *err) {
    struct seat *seat = context;
    (void)err;
    if (seat->rank == 0) seat->world->data = data;
    meet(seat->world);
    if (seat->rank > 0) memcpy(data, seat->world->data, size);
    meet(seat->world);
    return HEARTH_OK;
}

static hearth_status world_exchange(void *context, const void *send, void *receive, size_t piece,
                                    hearth_error *err) {
    struct seat *seat = context;
    struct world *w = seat->world;
    (void)err;
    w->sent[seat->rank] = send;
    meet(w);
    for (int i = 0; i < w->count; i++)
        memcpy((char *)receive + (size_t)i * piece,
               (const char *)w->sent[i] + (size_t)seat->rank * piece, piece);
    meet(w);
    return HEARTH_OK;
}

static hearth_status world_gather(void *context, const void *send, void *receive, size_t piece,
                                  hearth_error *err) {
    struct seat *seat = context;
    struct world *w = seat->world;
    (void)err;
    w->sent[seat->rank] = send;
    meet(w);
    for (int i = 0; i < w->count; i++)
        memcpy((char *)receive + (size_t)i * piece, w->sent[i], piece);
    meet(w);
    return HEARTH_OK;
}

/* Waits for all, which is more than a fetch has to. */
static hearth_status world_fetch(void *context, int from, void *data, size_t size,
                                 hearth_error *err) {
    struct seat *seat = context;
    struct world *w = seat->world;
    (void)err;
    if (seat->rank == from) w->data = data;
    meet(w);
    if (seat->rank == 0) memcpy(data, w->data, size);
    meet(w);
    return HEARTH_OK;
}

static void world_close(void *context, bool alone) {
    (void)context;
    (void)alone;
}

struct member {
    struct seat seat;
    pthread_t thread;
    rank_function run;
    void *result;
};

static void *live(void *context) {
    struct member *m = context;
    struct ranks *ranks = NULL;
    struct ranks_transport transport = {.context = &m->seat,
                                        .rank = m->seat.rank,
                                        .count = m->seat.world->count,
                                        .n_local = m->seat.world->count,
                                        .host = "here",
                                        .broadcast = world_broadcast,
                                        .exchange = world_exchange,
                                        .gather = world_gather,
                                        .fetch = world_fetch,
                                        .close = world_close};
    assert_int_equal(ranks_open(&ranks, &transport, NULL), HEARTH_OK);
    m->run(ranks, m->result);
    ranks_close(ranks, false);
    return NULL;
}

void run_ranks(int count, rank_function run, void *results, size_t size) {
    struct world world = {.count = count};
    struct member members[MOST_RANKS];
    pthread_barrier_init(&world.barrier, NULL, (unsigned)count);
    for (int i = 0; i < count; i++) {
        members[i] = (struct member){
            .seat = {&world, i}, .run = run, .result = (char *)results + (size_t)i * size};
        assert_int_equal(pthread_create(&members[i].thread, NULL, live, &members[i]), 0);
    }
    for (int i = 0; i < count; i++)
        pthread_join(members[i].thread, NULL);
    pthread_barrier_destroy(&world.barrier);
}
