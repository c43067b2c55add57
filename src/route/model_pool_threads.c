/* The threads of the pool: what opens and closes models, and what tells those who wait. */
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "base/units.h"
#include "route/model_pool_parts.h"

/* ---- room ------------------------------------------------------------------------------- */

/* Takes the model from its owner's memory; it is forgotten, or opened again for those who have
 * asked meanwhile. The lock is given up meanwhile. */
static void close_model(struct model_pool *pool, struct pooled_model *p) {
    p->state = POOLED_CLOSING;
    pthread_mutex_unlock(&pool->mutex);
    local_model_close(&p->model);
    pthread_mutex_lock(&pool->mutex);
    p->bytes = 0;
    p->leaves = false;
    p->state = POOLED_WANTED;
    if (p->n_waits == 0) pool_remove(pool, p);
}

static struct pooled_model *longest_unused(const struct model_pool *pool) {
    struct pooled_model *found = NULL;
    for (struct pooled_model *p = pool->models; p; p = p->next)
        if (p->state == POOLED_OPEN && !p->named && p->n_users == 0 && p->n_waits == 0 &&
            (!found || p->used_ns < found->used_ns))
            found = p;
    return found;
}

static bool make_way(struct model_pool *pool) {
    struct pooled_model *idle = longest_unused(pool);
    if (idle) close_model(pool, idle);
    return idle != NULL;
}

static size_t n_open(const struct model_pool *pool) {
    size_t n = 0;
    for (const struct pooled_model *p = pool->models; p; p = p->next)
        n += p->state == POOLED_OPEN || p->state == POOLED_CLOSING;
    return n;
}

/* Where no one has set a limit, other programs' memory counts, too. */
static uint64_t limit_now(const struct model_pool *pool) {
    uint64_t most = pool->settings.max_bytes, available = cpu_memory_available();
    uint64_t reachable = pool_used_bytes(pool) + available;
    return pool->has_limit || !available || reachable > most ? most : reachable;
}

static hearth_status refuse_bytes(const struct model_pool *pool, const struct pooled_model *p,
                                  uint64_t need, hearth_error *err) {
    char needed[32], left[32], all[32];
    uint64_t used = pool_used_bytes(pool), max = limit_now(pool);
    return error_set(
        err, HEARTH_ERROR_NO_MEMORY,
        "the model '%.200s' needs about %s, and %s of %s are left%s; a shorter context "
        "(--ctx-size) or a smaller quantisation needs less, --max-memory allows more",
        p->listed.name, units_format_bytes(need, needed, sizeof needed),
        units_format_bytes(max > used ? max - used : 0, left, sizeof left),
        units_format_bytes(max, all, sizeof all),
        used ? " beside models that are in use or stay" : "");
}

/* Nobody knows beforehand what else the machine will be used for: what its owner named is opened
 * where no one has set a limit. */
static hearth_status make_room(struct model_pool *pool, const struct pooled_model *p, uint64_t need,
                               hearth_error *err) {
    const struct model_pool_settings *s = &pool->settings;
    while (s->max_models && n_open(pool) >= s->max_models)
        if (!make_way(pool))
            return error_set(err, HEARTH_ERROR_LIMIT,
                             "%u models are open, all of them in use or to stay, which is as many "
                             "as may be (--max-models); try again later",
                             s->max_models);
    while (pool_used_bytes(pool) + need > limit_now(pool))
        if (!make_way(pool)) {
            if (p->named && !pool->has_limit) return HEARTH_OK;
            return refuse_bytes(pool, p, need, err);
        }
    return HEARTH_OK;
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
    uint64_t used = pool_used_bytes(pool) + facts->size_bytes, max = limit_now(pool);
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
        .max_waiting = pool->settings.max_waiting};
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

/* What it takes is only known when it is open: others make way for a second attempt, too. */
hearth_status pool_open_model(struct model_pool *pool, struct pooled_model *p, hearth_error *err) {
    struct model_facts facts;
    hearth_status status;
    p->state = POOLED_OPENING;
    pthread_mutex_unlock(&pool->mutex);
    model_catalogue_facts(pool->catalogue, &p->listed, &facts);
    pthread_mutex_lock(&pool->mutex);
    if (facts.problem.code != HEARTH_OK)
        return error_set(err, facts.problem.code, "%s", facts.problem.message);
    uint64_t need = model_facts_need(&facts, (uint32_t)pool->settings.engine.n_ctx);
    RETURN_IF_ERROR(make_room(pool, p, need, err));
    do
        status = open_once(pool, p, &facts, err);
    while ((status == HEARTH_ERROR_NO_MEMORY || status == HEARTH_ERROR_LIMIT) && make_way(pool));
    return status;
}

/* ---- the thread that opens and closes ------------------------------------------------------ */

static struct pooled_model *first_in(const struct model_pool *pool, int state) {
    struct pooled_model *p = pool->models;
    while (p && (int)p->state != state)
        p = p->next;
    return p;
}

static void carry_out(struct model_pool *pool, struct pooled_model *p) {
    if (p->n_waits == 0) {
        pool_remove(pool, p);
        return;
    }
    hearth_status status = pool_open_model(pool, p, &p->problem);
    p->state = status == HEARTH_OK ? POOLED_OPEN : POOLED_FAILED;
    if (status != HEARTH_OK && p->n_waits == 0) pool_remove(pool, p);
    pthread_cond_signal(&pool->tidings);
}

void *pool_run_opener(void *context) {
    struct model_pool *pool = context;
    pthread_mutex_lock(&pool->mutex);
    while (!pool->stops) {
        struct pooled_model *closing = first_in(pool, POOLED_CLOSING);
        struct pooled_model *wanted = closing ? NULL : first_in(pool, POOLED_WANTED);
        if (closing)
            close_model(pool, closing);
        else if (wanted)
            carry_out(pool, wanted);
        else
            pthread_cond_wait(&pool->work, &pool->mutex);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

/* ---- the thread that tells ------------------------------------------------------------------ */

static void attach(struct model_pool *pool, struct model_wait *wait, struct pooled_model *p) {
    wait->pooled = p;
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

/* One wait goes on; false: none can. */
static bool serve_one(struct model_pool *pool) {
    for (struct model_wait *wait = pool->waits; wait; wait = wait->next) {
        struct pooled_model *p = wait->pooled;
        hearth_error problem = {0};
        if (wait->cancelled)
            error_set(&problem, HEARTH_ERROR_CANCELLED, "the request was cancelled");
        else if (p && p->state == POOLED_FAILED)
            problem = p->problem;
        else if (p && !pool_is_at_hand(p))
            continue;
        if (!p && !wait->cancelled)
            look_up(pool, wait);
        else
            tell(pool, wait, problem);
        return true;
    }
    return false;
}

/* Models whose time is over are to be closed; returns when the next one's is. */
static uint64_t end_times(struct model_pool *pool) {
    uint64_t now = clock_now_ns(), next = UINT64_MAX;
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

static void wait_until(struct model_pool *pool, uint64_t time_ns) {
    const struct timespec until = {.tv_sec = (time_t)(time_ns / 1000000000),
                                   .tv_nsec = (long)(time_ns % 1000000000)};
    if (time_ns == UINT64_MAX)
        pthread_cond_wait(&pool->tidings, &pool->mutex);
    else
        pthread_cond_timedwait(&pool->tidings, &pool->mutex, &until);
}

void *pool_run_teller(void *context) {
    struct model_pool *pool = context;
    pthread_mutex_lock(&pool->mutex);
    while (!pool->stops) {
        if (serve_one(pool)) continue;
        wait_until(pool, end_times(pool));
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}
