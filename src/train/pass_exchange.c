#include "train/pass_exchange.h"

#include <stdatomic.h>

#include "base/mem.h"
#include "base/worker.h"

/* What the thread is asked for; at most once at a time. */
struct task {
    struct exchange *exchange;
    struct parameter_list list;
    uint64_t number; /* the worker's, of the last time */
};

struct exchange {
    struct exchange_options options;
    struct device *device;
    struct shards *shards;
    struct worker *worker;
    size_t n_tensors, n_parts; /* without parts there is one, of all tensors */
    struct task *sums;         /* [n_parts] of what a part completes */
    struct task *gathers;      /* [n_parts] of what a part reads and is not here */
    uint32_t *gathered;        /* memory of the gathers' lists */
    bool *here;             /* [n_tensors] values are whole, or will be when the last gather ends */
    bool *summed;           /* [n_parts] since exchange_finish */
    bool summing, backward; /* during this pass; in its backward part */
    uint64_t last_sum;
    _Atomic int status; /* of the first task that failed; written after `error` */
    hearth_error error;
};

/* ---- tasks, on the other thread ----------------------------------------------------- */

static void note_failure(struct exchange *e, hearth_status status) {
    if (status != HEARTH_OK) atomic_store_explicit(&e->status, (int)status, memory_order_release);
}

static bool has_failed(const struct exchange *e) {
    return atomic_load_explicit(&e->status, memory_order_acquire) != HEARTH_OK;
}

static void sum(void *context) {
    const struct task *task = context;
    struct exchange *e = task->exchange;
    const struct exchange_options *o = &e->options;
    if (has_failed(e)) return;
    hearth_status status =
        shards_sum_gradients(e->shards, task->list, o->stage == ZERO_NOTHING, o->wire, &e->error);
    if (status == HEARTH_OK && o->stage >= ZERO_GRADIENTS)
        status = shards_drop_gradients(e->shards, task->list, &e->error);
    note_failure(e, status);
}

static void gather(void *context) {
    const struct task *task = context;
    struct exchange *e = task->exchange;
    if (has_failed(e)) return;
    note_failure(e, shards_gather_values(e->shards, task->list, &e->error));
}

static hearth_status outcome(const struct exchange *e, hearth_error *err) {
    if (!has_failed(e)) return HEARTH_OK;
    if (err) *err = e->error;
    return (hearth_status)atomic_load_explicit(&e->status, memory_order_relaxed);
}

/* ---- opening -------------------------------------------------------------------------- */

static hearth_status alloc_tasks(struct exchange *e, hearth_error *err) {
    const struct pass_parts *parts = e->options.parts;
    size_t n_reads = 0;
    e->n_parts = parts ? parts->n + 1 : 1;
    for (size_t i = 0; parts && i < e->n_parts; i++)
        n_reads += parts->items[i].reads.n;
    e->sums = mem_calloc(e->n_parts, sizeof *e->sums);
    e->gathers = mem_calloc(e->n_parts, sizeof *e->gathers);
    e->summed = mem_calloc(e->n_parts, sizeof *e->summed);
    e->here = mem_calloc(e->n_tensors + 1, sizeof *e->here);
    e->gathered = mem_calloc(n_reads + 1, sizeof *e->gathered);
    if (e->sums && e->gathers && e->summed && e->here && e->gathered) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the exchange of %zu tensors",
                     e->n_tensors);
}

static void fill_tasks(struct exchange *e) {
    const struct pass_parts *parts = e->options.parts;
    uint32_t *room = e->gathered;
    for (size_t i = 0; i < e->n_parts; i++) {
        e->sums[i] = (struct task){.exchange = e, .list = shards_all(e->shards)};
        e->gathers[i] = (struct task){.exchange = e, .list = {room, 0}};
        if (!parts) continue;
        e->sums[i].list = parts->items[i].completes;
        room += parts->items[i].reads.n;
    }
}

static hearth_status open_all(struct exchange *e, struct ranks *ranks,
                              const struct trained_tensor *tensors, hearth_error *err) {
    RETURN_IF_ERROR(shards_open(&e->shards, ranks, e->device, tensors, e->n_tensors, err));
    RETURN_IF_ERROR(alloc_tasks(e, err));
    fill_tasks(e);
    RETURN_IF_ERROR(worker_open(&e->worker, err));
    if (e->options.stage < ZERO_VALUES) return HEARTH_OK;
    return shards_drop_values(e->shards, shards_all(e->shards), err);
}

hearth_status exchange_open(struct exchange **out, struct ranks *ranks, struct device *device,
                            const struct trained_tensor *tensors, size_t n_tensors,
                            const struct exchange_options *options, hearth_error *err) {
    struct exchange *e = mem_calloc(1, sizeof *e);
    if (!e) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the exchange");
    e->options = *options;
    e->device = device;
    e->n_tensors = n_tensors;
    hearth_status status = open_all(e, ranks, tensors, err);
    if (status != HEARTH_OK) {
        exchange_close(e);
        return status;
    }
    *out = e;
    return HEARTH_OK;
}

void exchange_close(struct exchange *e) {
    if (!e) return;
    worker_close(e->worker);
    shards_close(e->shards);
    mem_free(e->sums);
    mem_free(e->gathers);
    mem_free(e->gathered);
    mem_free(e->summed);
    mem_free(e->here);
    mem_free(e);
}

/* ---- passes --------------------------------------------------------------------------- */

static void post_sum(struct exchange *e, size_t part) {
    e->summed[part] = true;
    if (e->sums[part].list.n == 0) return;
    e->sums[part].number = worker_post(e->worker, sum, &e->sums[part]);
    e->last_sum = e->sums[part].number;
}

/* The list of a task is that of the last time until that is done: it was waited for. */
static void post_gather(struct exchange *e, size_t part) {
    struct task *task = &e->gathers[part];
    const struct parameter_list *reads = &e->options.parts->items[part].reads;
    uint32_t *numbers = (uint32_t *)(uintptr_t)task->list.numbers;
    size_t n = 0;
    for (size_t i = 0; i < reads->n; i++)
        if (!e->here[reads->numbers[i]]) {
            numbers[n++] = reads->numbers[i];
            e->here[reads->numbers[i]] = true;
        }
    if (n == 0) return;
    task->list.n = n;
    task->number = worker_post(e->worker, gather, task);
}

static hearth_status enter(void *context, size_t part, size_t next, hearth_error *err) {
    struct exchange *e = context;
    bool backward = e->options.parts->items[part].backward;
    /* Sums of the pass before read, and clear, what this one adds to. */
    if (backward && !e->backward) worker_wait(e->worker, e->last_sum);
    e->backward = backward;
    if (e->options.stage < ZERO_VALUES) return outcome(e, err);
    post_gather(e, part);
    if (next != NO_PART) post_gather(e, next);
    worker_wait(e->worker, e->gathers[part].number);
    return outcome(e, err);
}

static bool reads(const struct exchange *e, size_t part, uint32_t number) {
    const struct parameter_list *list = &e->options.parts->items[part].reads;
    for (size_t i = 0; i < list->n; i++)
        if (list->numbers[i] == number) return true;
    return false;
}

static hearth_status drop_values(struct exchange *e, size_t part, size_t next, hearth_error *err) {
    const struct parameter_list *list = &e->options.parts->items[part].reads;
    for (size_t i = 0; i < list->n; i++) {
        if (next != NO_PART && reads(e, next, list->numbers[i])) continue;
        e->here[list->numbers[i]] = false;
        RETURN_IF_ERROR(
            shards_drop_values(e->shards, (struct parameter_list){&list->numbers[i], 1}, err));
    }
    return HEARTH_OK;
}

static hearth_status leave(void *context, size_t part, size_t next, hearth_error *err) {
    struct exchange *e = context;
    if (e->options.stage == ZERO_VALUES) RETURN_IF_ERROR(drop_values(e, part, next, err));
    if (e->backward && (e->summing || e->options.stage >= ZERO_GRADIENTS)) post_sum(e, part);
    return HEARTH_OK;
}

struct pass_observer exchange_observer(struct exchange *e) {
    return (struct pass_observer){.context = e, .enter = enter, .leave = leave};
}

void exchange_expect_last(struct exchange *e) {
    e->summing = true;
}

hearth_status exchange_finish(struct exchange *e, hearth_error *err) {
    for (size_t i = 0; i < e->n_parts; i++) {
        if (!e->summed[i]) post_sum(e, i);
        e->summed[i] = false;
    }
    e->summing = false;
    worker_drain(e->worker);
    return outcome(e, err);
}

hearth_status exchange_values(struct exchange *e, hearth_error *err) {
    if (e->options.stage == ZERO_NOTHING || e->options.stage == ZERO_VALUES) return HEARTH_OK;
    return shards_gather_values(e->shards, shards_all(e->shards), err);
}

hearth_status exchange_drop_gradients(struct exchange *e, hearth_error *err) {
    if (e->options.stage < ZERO_GRADIENTS) return HEARTH_OK;
    return shards_drop_gradients(e->shards, shards_all(e->shards), err);
}
