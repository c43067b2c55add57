/* The threads of the pool: what opens and closes models, and what tells those who wait. */
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "route/model_pool_parts.h"

static void wait_until(struct model_pool *pool, pthread_cond_t *what, uint64_t time_ns) {
    const struct timespec until = {.tv_sec = (time_t)(time_ns / 1000000000),
                                   .tv_nsec = (long)(time_ns % 1000000000)};
    if (time_ns == UINT64_MAX)
        pthread_cond_wait(what, &pool->mutex);
    else
        pthread_cond_timedwait(what, &pool->mutex, &until);
}

/* ---- opening ------------------------------------------------------------------------------ */

/* Adapters and a draft model are made for the first model. */
static void set_up(const struct model_pool *pool, const struct pooled_model *p, bool is_first,
                   struct engine_settings *engine, struct drafting_settings *drafting) {
    *engine = pool->settings.engine;
    *drafting = pool->settings.drafting;
    engine->model = p->listed.path;
    if (is_first) return;
    engine->adapters.count = 0;
    drafting->model = NULL;
    if (drafting->type == DRAFTING_MODEL || drafting->type == DRAFTING_MTP)
        drafting->type = DRAFTING_AUTO;
}

/* What it may take beside its weights. */
static uint64_t room_beside(const struct model_pool *pool, const struct model_facts *facts) {
    uint64_t used = pool_used_bytes(pool) + facts->size_bytes, max = pool_limit_now(pool);
    return max > used ? max - used : 0;
}

static uint64_t bytes_of(const struct engine *engine) {
    if (!engine->context) return 0;
    return directory_bytes(&engine->model.directory) + context_allocated_bytes(engine->context);
}

static hearth_status open_once(struct model_pool *pool, struct pooled_model *p,
                               const struct model_facts *facts, hearth_error *err) {
    struct engine_settings engine;
    struct drafting_settings drafting;
    bool is_first = pool_named_index(pool, p->listed.identity) == 0;
    const struct local_model_settings settings = {
        .engine = &engine,
        .drafting = &drafting,
        .name = p->listed.name,
        .template_file = is_first ? pool->settings.template_file : NULL,
        .no_template = is_first && pool->settings.no_template,
        .n_parallel = pool->settings.n_parallel,
        .max_waiting = pool->settings.max_waiting,
        .keeps_slots = pool->settings.keeps_slots};
    set_up(pool, p, is_first, &engine, &drafting);
    engine.max_bytes = room_beside(pool, facts);
    pthread_mutex_unlock(&pool->mutex);
    hearth_status status = local_model_open(&p->model, &settings, err);
    if (status != HEARTH_OK) local_model_close(&p->model);
    pthread_mutex_lock(&pool->mutex);
    if (status != HEARTH_OK) return status;
    p->bytes = bytes_of(&p->model.engine) + bytes_of(&p->model.drafting.engine);
    p->used_ns = clock_now_ns();
    p->keep_alive_s = pool->settings.keep_alive_s;
    p->expires_ns = p->named ? UINT64_MAX : pool_time_after(p->keep_alive_s);
    p->n_requests = 0;
    return HEARTH_OK;
}

/* It waits until others are in use no more. */
static void block(const struct model_pool *pool, struct pooled_model *p) {
    pool_say_room(pool, p, &p->problem);
    if (!p->blocked_ns) p->blocked_ns = clock_now_ns();
    p->state = POOLED_WANTED;
}

/* Those that nobody uses make way, but not for one that is behind the one that presses. */
static enum pool_room take_room(struct model_pool *pool, const struct pooled_model *p) {
    for (;;) {
        enum pool_room room = pool_room_for(pool, p);
        if (room != ROOM_NOW) return room;
        if (pool->pressing && pool->pressing != p) return ROOM_LATER;
        if (pool_fits(pool, p) || !pool_make_way(pool)) return ROOM_NOW;
    }
}

/* What it takes is only known when it is open: others make way for further attempts, at last all
 * that do not stay. */
static bool may_try_again(struct model_pool *pool, struct pooled_model *p) {
    if (pool_make_way(pool)) return true;
    if (p->alone) return false;
    p->alone = true;
    return pool_room_for(pool, p) != ROOM_NOW;
}

static hearth_status open_in_room(struct model_pool *pool, struct pooled_model *p,
                                  const struct model_facts *facts, hearth_error *err) {
    hearth_status status;
    do {
        enum pool_room room = take_room(pool, p);
        if (room == ROOM_NEVER) return pool_say_room(pool, p, err);
        if (room == ROOM_LATER) {
            block(pool, p);
            return HEARTH_OK;
        }
        if (pool_yield_to(pool, NULL)) pthread_cond_signal(&pool->tidings);
        status = open_once(pool, p, facts, err);
        if (status != HEARTH_ERROR_NO_MEMORY && status != HEARTH_ERROR_LIMIT) break;
    } while (may_try_again(pool, p));
    if (status != HEARTH_OK) return status;
    p->state = POOLED_OPEN;
    p->n_due = p->n_waits;
    p->alone = false;
    return HEARTH_OK;
}

hearth_status pool_open_model(struct model_pool *pool, struct pooled_model *p, hearth_error *err) {
    struct model_facts facts;
    p->state = POOLED_OPENING;
    pthread_mutex_unlock(&pool->mutex);
    model_catalogue_facts(pool->catalogue, &p->listed, &facts);
    pthread_mutex_lock(&pool->mutex);
    hearth_status status = facts.problem.code;
    p->need = model_facts_need(&facts, (uint32_t)pool->settings.engine.n_ctx);
    if (status == HEARTH_OK)
        status = open_in_room(pool, p, &facts, err);
    else
        error_set(err, status, "%s", facts.problem.message);
    if (status != HEARTH_OK) p->state = POOLED_FAILED;
    if (p->state != POOLED_WANTED) p->blocked_ns = 0;
    return status;
}

/* ---- the thread that opens and closes ------------------------------------------------------ */

static struct pooled_model *first_closing(const struct model_pool *pool) {
    struct pooled_model *p = pool->models;
    while (p && p->state != POOLED_CLOSING)
        p = p->next;
    return p;
}

static uint64_t end_of_patience(const struct model_pool *pool, const struct pooled_model *p) {
    return pool_time_from(p->blocked_ns, pool->settings.patience_s);
}

/* The first that has waited long. */
static struct pooled_model *find_pressing(const struct model_pool *pool) {
    uint64_t now = clock_now_ns();
    struct pooled_model *p = pool->models;
    while (p && !(p->state == POOLED_WANTED && p->n_waits > 0 && p->blocked_ns &&
                  end_of_patience(pool, p) <= now))
        p = p->next;
    return p;
}

/* NULL: none can be opened before `*until`. Those of which nothing is known yet are looked at in
 * any case: some are refused. */
static struct pooled_model *next_to_open(struct model_pool *pool, uint64_t *until) {
    pool->pressing = find_pressing(pool);
    if (pool_yield_to(pool, pool->pressing)) pthread_cond_signal(&pool->tidings);
    *until = UINT64_MAX;
    for (struct pooled_model *p = pool->models; p; p = p->next) {
        if (p->state != POOLED_WANTED) continue;
        if (p->n_waits == 0 || !p->blocked_ns) return p;
        if (pool->pressing && pool->pressing != p) continue;
        if (pool_room_for(pool, p) != ROOM_LATER) return p;
        uint64_t end = end_of_patience(pool, p);
        if (!pool->pressing && end < *until) *until = end;
    }
    return NULL;
}

static void carry_out(struct model_pool *pool, struct pooled_model *p) {
    if (p->n_waits == 0) {
        pool_remove(pool, p);
        return;
    }
    hearth_status status = pool_open_model(pool, p, &p->problem);
    if (status != HEARTH_OK && p->n_waits == 0) pool_remove(pool, p);
    pthread_cond_signal(&pool->tidings);
}

void *pool_run_opener(void *context) {
    struct model_pool *pool = context;
    uint64_t until;
    pthread_mutex_lock(&pool->mutex);
    while (!pool->stops) {
        struct pooled_model *closing = first_closing(pool);
        struct pooled_model *wanted = closing ? NULL : next_to_open(pool, &until);
        if (closing)
            pool_close_model(pool, closing);
        else if (wanted)
            carry_out(pool, wanted);
        else
            wait_until(pool, &pool->work, until);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

/* ---- the thread that tells ------------------------------------------------------------------ */

static void attach(struct model_pool *pool, struct model_wait *wait, struct pooled_model *p) {
    wait->pooled = p;
    if (p->n_waits == 0) p->blocked_ns = 0; /* what was in the way of others may be gone */
    p->n_waits++;
    pthread_cond_signal(&pool->work);
}

/* Takes the wait out and lets it hear. The lock is given up meanwhile. */
static void tell(struct model_pool *pool, struct model_wait *wait, hearth_error problem) {
    struct model_wait **at = &pool->waits;
    struct pooled_model *p = wait->pooled;
    struct local_model *model = NULL;
    while (*at != wait)
        at = &(*at)->next;
    *at = wait->next;
    if (p) p->n_waits--;
    if (p && p->n_due > 0) p->n_due--;                          /* waits hear in their order */
    if (p && p->n_waits == 0) pthread_cond_signal(&pool->work); /* it may be wanted no more */
    if (p && problem.code == HEARTH_OK) {
        pool_hold(p);
        model = &p->model;
    } else if (p && p->n_waits == 0 && p->state == POOLED_FAILED) {
        pool_remove(pool, p);
    }
    pthread_mutex_unlock(&pool->mutex);
    wait->ready(wait, model, &problem);
    pthread_mutex_lock(&pool->mutex);
}

/* Finds the model that is meant; where there is none the wait hears so. */
static void look_up(struct model_pool *pool, struct model_wait *wait) {
    struct listed_model listed;
    hearth_error problem = {0};
    pthread_mutex_unlock(&pool->mutex);
    hearth_status status = pool_find_name(pool, wait->name, &listed, &problem);
    pthread_mutex_lock(&pool->mutex);
    struct pooled_model *p = status == HEARTH_OK ? pool_by_identity(pool, listed.identity) : NULL;
    if (p)
        listed_model_release(&listed);
    else if (status == HEARTH_OK && !(p = pool_add(pool, &listed)))
        error_set(&problem, HEARTH_ERROR_NO_MEMORY, "no memory for a model");
    if (p)
        attach(pool, wait, p);
    else
        tell(pool, wait, problem);
}

/* Until when it waits for memory that others use. */
static uint64_t deadline_of(const struct model_pool *pool, const struct model_wait *wait) {
    const struct pooled_model *p = wait->pooled;
    if (!p || p->state != POOLED_WANTED || !p->blocked_ns) return UINT64_MAX;
    uint64_t since = wait->since_ns > p->blocked_ns ? wait->since_ns : p->blocked_ns;
    return pool_time_from(since, pool->settings.max_wait_s);
}

static bool is_due(const struct pooled_model *p) {
    return p->state == POOLED_OPEN && !p->leaves && p->n_due > 0;
}

/* One wait goes on; false: none can before `*until`. */
static bool serve_one(struct model_pool *pool, uint64_t *until) {
    uint64_t now = clock_now_ns();
    *until = UINT64_MAX;
    for (struct model_wait *wait = pool->waits; wait; wait = wait->next) {
        struct pooled_model *p = wait->pooled;
        hearth_error problem = {0};
        uint64_t deadline = deadline_of(pool, wait);
        if (wait->cancelled)
            error_set(&problem, HEARTH_ERROR_CANCELLED, "the request was cancelled");
        else if (p && (p->state == POOLED_FAILED || deadline <= now))
            problem = p->problem;
        else if (p && !pool_is_at_hand(p) && !is_due(p)) {
            if (deadline < *until) *until = deadline;
            continue;
        }
        if (!p && !wait->cancelled)
            look_up(pool, wait);
        else
            tell(pool, wait, problem);
        return true;
    }
    return false;
}

/* Models whose time is over are to be closed; returns when the next one's is, or `next`. */
static uint64_t end_times(struct model_pool *pool, uint64_t next) {
    uint64_t now = clock_now_ns();
    for (struct pooled_model *p = pool->models; p; p = p->next) {
        if (p->state != POOLED_OPEN || p->n_users > 0) continue;
        if (p->leaves || p->expires_ns <= now) {
            p->state = POOLED_CLOSING;
            pthread_cond_signal(&pool->work);
        } else if (p->expires_ns < next) {
            next = p->expires_ns;
        }
    }
    return next;
}

void *pool_run_teller(void *context) {
    struct model_pool *pool = context;
    uint64_t until;
    pthread_mutex_lock(&pool->mutex);
    while (!pool->stops)
        if (!serve_one(pool, &until)) wait_until(pool, &pool->tidings, end_times(pool, until));
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}
