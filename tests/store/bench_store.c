/* Messages a second through a pool, and what the other frequent questions cost.
 * Usage: bench_store [THREADS [SECONDS]] */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "store/store_pool.h"
#include "store/stored_keys.h"
#include "store/stored_messages.h"

enum { MOST_THREADS = 64, MESSAGE_BYTES = 600 };

static struct store_pool *pool;
static char conversation[STORE_ID_BYTES], key[KEY_TEXT_BYTES];
static double seconds = 3;
static _Atomic uint64_t done;
static _Atomic uint32_t turn;

static hearth_status set_up(struct store *store, void *context, hearth_error *err) {
    const struct stored_conversation empty = {.title = "t", .settings = "{}"};
    const struct stored_key wanted = {.name = "k"};
    char id[STORE_ID_BYTES];
    (void)context;
    RETURN_IF_ERROR(stored_keys_add(store, &wanted, id, key, err));
    return stored_conversations_add(store, "", &empty, conversation, err);
}

/* A new conversation every thousand messages, and words as frequent as words are. */
static hearth_status add(struct store *store, void *context, hearth_error *err) {
    static char current[STORE_ID_BYTES]; /* jobs that write go one after the other */
    char text[MESSAGE_BYTES], id[STORE_ID_BYTES];
    const struct stored_message message = {.role = "user", .content = text};
    struct rng *rng = context;
    size_t used = 0;
    if (turn++ % 1000 == 0) {
        const struct stored_conversation empty = {.title = "t", .settings = "{}"};
        RETURN_IF_ERROR(stored_conversations_add(store, "", &empty, current, err));
    }
    while (used + 10 < sizeof text)
        used += (size_t)snprintf(text + used, sizeof text - used, "w%d ",
                                 (int)(1 / (rng_uniform(rng) + 1e-4)));
    return stored_messages_add(store, "", current, &message, id, err);
}

static hearth_status check(struct store *store, void *context, hearth_error *err) {
    struct key_holder holder;
    (void)context;
    return stored_keys_check(store, key, 1, &holder, err);
}

static hearth_status ignore(void *context, const struct stored_conversation *c, hearth_error *err) {
    (void)context;
    (void)c;
    (void)err;
    return HEARTH_OK;
}

static hearth_status search(struct store *store, void *context, hearth_error *err) {
    char words[32];
    const struct conversation_query query = {.words = words, .limit = 50};
    snprintf(words, sizeof words, "w%d", (int)(1 / (rng_uniform(context) + 1e-4)));
    return stored_conversations_each(store, "", &query, ignore, NULL, err);
}

struct task {
    const char *name;
    hearth_status (*go)(struct store_pool *, store_job, void *, hearth_error *);
    store_job job;
};

static void *repeat(void *context) {
    const struct task *task = context;
    struct rng rng;
    hearth_error err = {0};
    rng_seed(&rng, rng_entropy());
    for (uint64_t start = clock_now_ns(); clock_seconds_since(start) < seconds; done++)
        if (task->go(pool, task->job, &rng, &err) != HEARTH_OK) {
            fprintf(stderr, "%s: %s\n", task->name, err.message);
            exit(1);
        }
    return NULL;
}

static void measure(struct task task, int n_threads) {
    pthread_t threads[MOST_THREADS];
    done = 0;
    for (int i = 0; i < n_threads; i++)
        if (pthread_create(&threads[i], NULL, repeat, &task) != 0) exit(1);
    for (int i = 0; i < n_threads; i++)
        pthread_join(threads[i], NULL);
    printf("%-10s %2d threads: %8.0f a second\n", task.name, n_threads, (double)done / seconds);
}

static void remove_files(const char *folder) {
    static const char *const ends[] = {"", "-wal", "-shm", ".secret"};
    char path[256];
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(path, sizeof path, "%s/bench.db%s", folder, ends[i]);
        unlink(path);
    }
    rmdir(folder);
}

int main(int argc, char **argv) {
    char folder[] = "./bench-store-XXXXXX", path[256];
    long n_threads = argc > 1 ? strtol(argv[1], NULL, 10) : 8;
    hearth_error err = {0};
    if (argc > 2) seconds = strtod(argv[2], NULL);
    if (n_threads < 1 || n_threads > MOST_THREADS || !mkdtemp(folder)) return 2;
    snprintf(path, sizeof path, "%s/bench.db", folder);
    if (store_pool_open(&pool, path, &err) != HEARTH_OK ||
        store_pool_write(pool, set_up, NULL, &err) != HEARTH_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    measure((struct task){"messages", store_pool_write, add}, 1);
    measure((struct task){"messages", store_pool_write, add}, (int)n_threads);
    measure((struct task){"key checks", store_pool_read, check}, 1);
    measure((struct task){"searches", store_pool_read, search}, 1);
    printf("%u messages\n", (unsigned)turn);
    store_pool_close(pool);
    remove_files(folder);
    return 0;
}
