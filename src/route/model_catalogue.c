#include "route/model_catalogue.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "hub/hub.h"
#include "model/cache.h"
#include "model/model.h"

enum {
    MAX_NAME_BYTES = 512,
    FRESH_MS = 1000,      /* a list is looked into again for so long */
    MOST_FACTS = 4096,    /* more are forgotten and read again */
    USUAL_CONTEXT = 4096, /* tokens of a conversation */
    WORK_ROWS = 512,      /* computed at once */
    WORK_WIDTHS = 16,     /* values of a row in work, in widths of the model */
    LOGITS_ROWS = 64
};

struct known_facts {
    char *identity;
    uint64_t size_bytes;
    int64_t modified_s;
    struct model_facts facts;
};

struct model_catalogue {
    pthread_mutex_t mutex; /* of everything; held while folders are read, not files */
    struct listed_model *models;
    size_t n_models;
    uint64_t listed_ns; /* 0: not yet */
    struct known_facts *known;
    size_t n_known, known_capacity;
};

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the list of models");
}

void listed_model_release(struct listed_model *model) {
    mem_free(model->name);
    mem_free(model->path);
    mem_free(model->identity);
    *model = (struct listed_model){0};
}

hearth_status listed_model_copy(struct listed_model *out, const struct listed_model *model,
                                hearth_error *err) {
    *out = *model;
    out->name = mem_strdup(model->name);
    out->path = mem_strdup(model->path);
    out->identity = mem_strdup(model->identity);
    if (out->name && out->path && out->identity) return HEARTH_OK;
    listed_model_release(out);
    return no_memory(err);
}

void listed_models_free(struct listed_model *models, size_t count) {
    for (size_t i = 0; i < count; i++)
        listed_model_release(&models[i]);
    mem_free(models);
}

hearth_status model_catalogue_open(struct model_catalogue **out, hearth_error *err) {
    *out = mem_calloc(1, sizeof **out);
    if (!*out) return no_memory(err);
    pthread_mutex_init(&(*out)->mutex, NULL);
    return HEARTH_OK;
}

static void forget_facts(struct model_catalogue *c) {
    for (size_t i = 0; i < c->n_known; i++)
        mem_free(c->known[i].identity);
    c->n_known = 0;
}

void model_catalogue_close(struct model_catalogue *c) {
    if (!c) return;
    forget_facts(c);
    mem_free(c->known);
    listed_models_free(c->models, c->n_models);
    pthread_mutex_destroy(&c->mutex);
    mem_free(c);
}

/* ---- the list ------------------------------------------------------------------------- */

/* A file that goes away meanwhile is its own identity. */
static hearth_status take_listed(struct listed_model *out, const struct hub_model *model,
                                 hearth_error *err) {
    char *real = path_real(model->path);
    const struct listed_model listed = {.name = model->name,
                                        .path = model->path,
                                        .identity = real ? real : model->path,
                                        .is_alias = model->source == HUB_ALIAS,
                                        .size_bytes = model->size_bytes,
                                        .modified_s = model->modified};
    hearth_status status = listed_model_copy(out, &listed, err);
    mem_free(real);
    return status;
}

static hearth_status copy_list(const struct hub_model *models, size_t count,
                               struct listed_model **out, hearth_error *err) {
    hearth_status status = HEARTH_OK;
    struct listed_model *list = mem_calloc(count + 1, sizeof *list);
    if (!list) return no_memory(err);
    for (size_t i = 0; i < count && status == HEARTH_OK; i++)
        status = take_listed(&list[i], &models[i], err);
    if (status == HEARTH_OK)
        *out = list;
    else
        listed_models_free(list, count);
    return status;
}

static hearth_status read_list(struct model_catalogue *c, hearth_error *err) {
    struct hub *hub;
    struct hub_model *models = NULL;
    struct listed_model *list = NULL;
    size_t count = 0;
    RETURN_IF_ERROR(hub_open(&hub, err));
    hearth_status status = hub_list(hub, &models, &count, err);
    if (status == HEARTH_OK) status = copy_list(models, count, &list, err);
    hub_models_free(models, count);
    hub_close(hub);
    if (status != HEARTH_OK) return status;
    listed_models_free(c->models, c->n_models);
    c->models = list;
    c->n_models = count;
    c->listed_ns = clock_now_ns();
    return HEARTH_OK;
}

static bool is_fresh(const struct model_catalogue *c) {
    return c->listed_ns && clock_now_ns() - c->listed_ns < FRESH_MS * UINT64_C(1000000);
}

hearth_status model_catalogue_list(struct model_catalogue *c, struct listed_model **out,
                                   size_t *count, hearth_error *err) {
    pthread_mutex_lock(&c->mutex);
    hearth_status status = read_list(c, err);
    struct listed_model *list =
        status == HEARTH_OK ? mem_calloc(c->n_models + 1, sizeof *list) : NULL;
    if (status == HEARTH_OK && !list) status = no_memory(err);
    for (size_t i = 0; list && i < c->n_models && status == HEARTH_OK; i++)
        status = listed_model_copy(&list[i], &c->models[i], err);
    *count = c->n_models;
    pthread_mutex_unlock(&c->mutex);
    if (status != HEARTH_OK && list) listed_models_free(list, *count);
    *out = status == HEARTH_OK ? list : NULL;
    return status;
}

/* ---- names ------------------------------------------------------------------------------ */

static bool is_named(const struct listed_model *model, const char *name) {
    static const char latest[] = ":latest";
    size_t n = strlen(model->name);
    if (strncasecmp(model->name, name, n) != 0) return false;
    return !name[n] || strcasecmp(name + n, latest) == 0;
}

static const struct listed_model *by_name(const struct model_catalogue *c, const char *name) {
    for (size_t i = 0; i < c->n_models; i++)
        if (is_named(&c->models[i], name)) return &c->models[i];
    return NULL;
}

/* The model itself rather than an alias, where both are listed. */
static const struct listed_model *by_identity(const struct model_catalogue *c,
                                              const char *identity) {
    const struct listed_model *found = NULL;
    for (size_t i = 0; i < c->n_models; i++) {
        const struct listed_model *model = &c->models[i];
        if (strcmp(model->identity, identity) != 0) continue;
        if (!found || (found->is_alias && !model->is_alias)) found = model;
    }
    return found;
}

/* The path that a name means for the program itself, given; NULL: none. */
static char *resolve(const char *name, hearth_error *err) {
    struct hub *hub;
    char *path = NULL;
    if (hub_open(&hub, err) != HEARTH_OK) return NULL;
    hub_resolve(hub, name, &path, err);
    hub_close(hub);
    return path;
}

/* Short names and repositories without their quantisation: what they resolve to must be in the
 * list, so that no name opens any other file. Paths are not even looked at. */
static const struct listed_model *by_meaning(const struct model_catalogue *c, const char *name) {
    if (file_exists(name)) return NULL;
    char *path = resolve(name, NULL), *real = path ? path_real(path) : NULL;
    const struct listed_model *found = real ? by_identity(c, real) : NULL;
    mem_free(path);
    mem_free(real);
    return found;
}

static hearth_status find(struct model_catalogue *c, const char *name, struct listed_model *out,
                          hearth_error *err) {
    bool can_be = strlen(name) <= MAX_NAME_BYTES;
    const struct listed_model *found = can_be && is_fresh(c) ? by_name(c, name) : NULL;
    if (can_be && (!found || !file_exists(found->path))) {
        RETURN_IF_ERROR(read_list(c, err));
        found = by_name(c, name);
    }
    if (can_be && !found) found = by_meaning(c, name);
    if (found) return listed_model_copy(out, by_identity(c, found->identity), err);
    return error_set(err, HEARTH_ERROR_NOT_FOUND,
                     "no model '%.200s' here; 'hearth list' shows which there are, 'hearth pull' "
                     "fetches others",
                     name);
}

hearth_status model_catalogue_find(struct model_catalogue *c, const char *name,
                                   struct listed_model *out, hearth_error *err) {
    *out = (struct listed_model){0};
    pthread_mutex_lock(&c->mutex);
    hearth_status status = find(c, name, out, err);
    pthread_mutex_unlock(&c->mutex);
    return status;
}

hearth_status model_catalogue_resolve(const char *name, struct listed_model *out,
                                      hearth_error *err) {
    hearth_error problem = {0};
    *out = (struct listed_model){0};
    out->path = resolve(name, &problem);
    if (!out->path) return error_set(err, problem.code, "%s", problem.message);
    out->identity = path_real(out->path);
    out->name = mem_strdup(name);
    out->modified_s = file_modified(out->path);
    file_size(out->path, &out->size_bytes, NULL);
    if (out->identity && out->name) return HEARTH_OK;
    listed_model_release(out);
    return no_memory(err);
}

/* ---- what files say --------------------------------------------------------------------- */

static void take_facts(struct model_facts *facts, const struct model *model) {
    const struct config *config = &model->config;
    const struct cache_options cache = {.k_type = ELEM_F16, .v_type = ELEM_F16};
    facts->size_bytes = directory_bytes(&model->directory);
    facts->n_parameters = model_parameters(model);
    facts->type = elem_name(directory_main_type(&model->directory));
    snprintf(facts->family, sizeof facts->family, "%s", config->family);
    facts->n_ctx_train = config->n_ctx_train;
    facts->embeds = config->embeds;
    facts->page_bytes = cache_page_bytes(config, &cache);
    facts->slot_bytes = cache_slot_bytes(config);
    facts->work_bytes = sizeof(float) * ((uint64_t)WORK_ROWS * WORK_WIDTHS * config->n_embd +
                                         (uint64_t)LOGITS_ROWS * config->n_vocab);
}

static void read_facts(struct model_facts *facts, const struct listed_model *listed) {
    struct model model;
    *facts = (struct model_facts){.size_bytes = listed->size_bytes, .type = ""};
    if (model_open(&model, listed->path, &facts->problem) != HEARTH_OK) return;
    take_facts(facts, &model);
    model_close(&model);
}

static struct known_facts *known(struct model_catalogue *c, const char *identity) {
    for (size_t i = 0; i < c->n_known; i++)
        if (strcmp(c->known[i].identity, identity) == 0) return &c->known[i];
    return NULL;
}

/* A place for facts; NULL: no memory, they are not kept. */
static struct known_facts *add_known(struct model_catalogue *c, const char *identity) {
    if (c->n_known == MOST_FACTS) forget_facts(c);
    if (c->n_known == c->known_capacity) {
        size_t capacity = c->known_capacity ? c->known_capacity * 2 : 16;
        struct known_facts *grown = mem_realloc_array(c->known, capacity, sizeof *grown);
        if (!grown) return NULL;
        c->known = grown;
        c->known_capacity = capacity;
    }
    struct known_facts *k = &c->known[c->n_known];
    *k = (struct known_facts){.identity = mem_strdup(identity)};
    if (!k->identity) return NULL;
    c->n_known++;
    return k;
}

static bool look_up_facts(struct model_catalogue *c, const struct listed_model *listed,
                          struct model_facts *out) {
    pthread_mutex_lock(&c->mutex);
    const struct known_facts *k = known(c, listed->identity);
    bool same = k && k->size_bytes == listed->size_bytes && k->modified_s == listed->modified_s;
    if (same) *out = k->facts;
    pthread_mutex_unlock(&c->mutex);
    return same;
}

static void keep_facts(struct model_catalogue *c, const struct listed_model *listed,
                       const struct model_facts *facts) {
    pthread_mutex_lock(&c->mutex);
    struct known_facts *k = known(c, listed->identity);
    if (!k) k = add_known(c, listed->identity);
    if (k) {
        k->size_bytes = listed->size_bytes;
        k->modified_s = listed->modified_s;
        k->facts = *facts;
    }
    pthread_mutex_unlock(&c->mutex);
}

void model_catalogue_facts(struct model_catalogue *c, const struct listed_model *listed,
                           struct model_facts *out) {
    if (look_up_facts(c, listed, out)) return;
    read_facts(out, listed);
    if (out->problem.code == HEARTH_OK) keep_facts(c, listed, out);
}

uint64_t model_facts_need(const struct model_facts *facts, uint32_t n_ctx) {
    uint64_t n = n_ctx ? n_ctx : USUAL_CONTEXT;
    if (!n_ctx && facts->n_ctx_train && n > facts->n_ctx_train) n = facts->n_ctx_train;
    uint64_t n_pages = (n + CACHE_PAGE_TOKENS - 1) / CACHE_PAGE_TOKENS;
    return facts->size_bytes + n_pages * facts->page_bytes + facts->slot_bytes + facts->work_bytes;
}
