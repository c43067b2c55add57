/* Room in memory: whether a model can be opened now, later or never, and who makes way for it. */
#include "base/cpu.h"
#include "base/units.h"
#include "route/model_pool_parts.h"

/* ---- what the others are doing --------------------------------------------------------------- */

enum { STAYS, IN_USE, GOING, IDLE, N_USES }; /* GOING: as soon as those end who use it */

static bool is_here(const struct pooled_model *p) {
    return p->state == POOLED_OPEN || p->state == POOLED_CLOSING;
}

static int use_of(const struct pooled_model *p) {
    if (p->state == POOLED_CLOSING) return GOING;
    if (p->named && !p->leaves) return STAYS;
    if (p->n_users > 0 || p->n_due > 0) return p->yields || p->leaves ? GOING : IN_USE;
    return p->n_waits > 0 && !p->yields && !p->leaves ? IN_USE : IDLE;
}

struct use {
    size_t n;
    uint64_t bytes;
};

static void count_uses(const struct model_pool *pool, struct use uses[N_USES]) {
    for (int i = 0; i < N_USES; i++)
        uses[i] = (struct use){0};
    for (const struct pooled_model *p = pool->models; p; p = p->next)
        if (is_here(p)) {
            uses[use_of(p)].n++;
            uses[use_of(p)].bytes += p->bytes;
        }
}

/* Where no one has set a limit, other programs' memory counts, too. */
uint64_t pool_limit_now(const struct model_pool *pool) {
    uint64_t most = pool->settings.max_bytes, available = cpu_memory_available();
    uint64_t reachable = pool_used_bytes(pool) + available;
    return pool->has_limit || !available || reachable > most ? most : reachable;
}

/* ---- room ---------------------------------------------------------------------------------- */

/* Beside so many others of so many bytes. Nobody knows beforehand what else the machine will be
 * used for: what its owner named is opened where no one has set a limit. */
static bool has_number(const struct model_pool *pool, size_t n) {
    return !pool->settings.max_models || n < pool->settings.max_models;
}

static bool has_bytes(const struct model_pool *pool, const struct pooled_model *p, uint64_t bytes) {
    return (p->named && !pool->has_limit) || bytes + p->need <= pool_limit_now(pool);
}

enum pool_room pool_room_for(const struct model_pool *pool, const struct pooled_model *p) {
    struct use uses[N_USES];
    count_uses(pool, uses);
    const struct use *stay = &uses[STAYS], *used = &uses[IN_USE], *going = &uses[GOING];
    size_t n_others = used->n + going->n;
    if (!has_number(pool, stay->n) || !has_bytes(pool, p, stay->bytes)) return ROOM_NEVER;
    bool fits = has_number(pool, stay->n + n_others) &&
                has_bytes(pool, p, stay->bytes + used->bytes + going->bytes) &&
                !(p->alone && n_others > 0);
    return fits ? ROOM_NOW : ROOM_LATER;
}

bool pool_fits(const struct model_pool *pool, const struct pooled_model *p) {
    struct use uses[N_USES];
    size_t n = 0;
    count_uses(pool, uses);
    for (int i = 0; i < N_USES; i++)
        n += uses[i].n;
    return has_number(pool, n) && pool_used_bytes(pool) + p->need <= pool_limit_now(pool) &&
           !(p->alone && n > uses[STAYS].n);
}

hearth_status pool_say_room(const struct model_pool *pool, const struct pooled_model *p,
                            hearth_error *err) {
    char needed[32], left[32], all[32];
    struct use uses[N_USES];
    uint64_t used = pool_used_bytes(pool), max = pool_limit_now(pool);
    count_uses(pool, uses);
    if (!has_number(pool, uses[STAYS].n + uses[IN_USE].n + uses[GOING].n))
        return error_set(err, HEARTH_ERROR_NO_MEMORY,
                         "%u models are open, all of them in use or to stay, which is as many as "
                         "may be (--max-models); try again later",
                         pool->settings.max_models);
    return error_set(
        err, HEARTH_ERROR_NO_MEMORY,
        "the model '%.200s' needs about %s, and %s of %s are left%s; a shorter context "
        "(--ctx-size) or a smaller quantisation needs less, --max-memory allows more",
        p->listed.name, units_format_bytes(p->need, needed, sizeof needed),
        units_format_bytes(max > used ? max - used : 0, left, sizeof left),
        units_format_bytes(max, all, sizeof all),
        used ? " beside models that are in use or stay" : "");
}

/* ---- making way ----------------------------------------------------------------------------- */

/* Others that are wanted come first, then. */
static void move_to_end(struct model_pool *pool, struct pooled_model *p) {
    struct pooled_model **at = &pool->models;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    while (*at)
        at = &(*at)->next;
    *at = p;
    p->next = NULL;
}

void pool_close_model(struct model_pool *pool, struct pooled_model *p) {
    p->state = POOLED_CLOSING;
    pthread_mutex_unlock(&pool->mutex);
    local_model_close(&p->model);
    pthread_mutex_lock(&pool->mutex);
    p->bytes = 0;
    p->n_due = 0;
    p->leaves = p->yields = false;
    p->state = POOLED_WANTED;
    if (p->n_waits == 0)
        pool_remove(pool, p);
    else
        move_to_end(pool, p);
}

bool pool_make_way(struct model_pool *pool) {
    struct pooled_model *found = NULL;
    for (struct pooled_model *p = pool->models; p; p = p->next)
        if (is_here(p) && use_of(p) == IDLE && (!found || p->used_ns < found->used_ns)) found = p;
    if (found) pool_close_model(pool, found);
    return found != NULL;
}

/* Whether those that yield suffice. */
static bool is_enough(const struct model_pool *pool, const struct pooled_model *p) {
    struct use uses[N_USES];
    count_uses(pool, uses);
    const struct use *stay = &uses[STAYS], *used = &uses[IN_USE];
    return has_number(pool, stay->n + used->n) && has_bytes(pool, p, stay->bytes + used->bytes) &&
           !(p->alone && used->n > 0);
}

/* Idle ones first, then in the order in which they came; nobody is let in between. */
bool pool_yield_to(struct model_pool *pool, const struct pooled_model *wanted) {
    bool any_less = false;
    for (struct pooled_model *p = pool->models; p; p = p->next) {
        bool yielded = p->yields;
        p->yields = false;
        p->yields =
            wanted && is_here(p) && (use_of(p) == IDLE || (yielded && p->n_users + p->n_due == 0));
        any_less |= yielded && !p->yields;
    }
    for (struct pooled_model *p = pool->models; wanted && p && !is_enough(pool, wanted);
         p = p->next)
        if (is_here(p) && use_of(p) == IN_USE) p->yields = true;
    return any_less;
}
