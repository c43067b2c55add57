/* model_catalogue.h - which models are on this machine, and what their files say about them: what
 * 'hearth list' shows, with what a list of models needs to know.
 *
 * Only metadata is read, and kept as long as the file's time and size stay; a file that cannot be
 * used is looked at again each time. Any thread. */
#ifndef HEARTH_ROUTE_MODEL_CATALOGUE_H
#define HEARTH_ROUTE_MODEL_CATALOGUE_H

#include "infer/context.h"

struct model_catalogue;

hearth_status model_catalogue_open(struct model_catalogue **out, hearth_error *err);
void model_catalogue_close(struct model_catalogue *catalogue); /* NULL is fine */

/* A model in the list. */
struct listed_model {
    char *name;
    char *path;     /* to open */
    char *identity; /* the same for every name and path of a file */
    bool is_alias;  /* a further name of a model */
    uint64_t size_bytes;
    int64_t modified_s; /* since 1970 */
};
hearth_status listed_model_copy(struct listed_model *out, const struct listed_model *model,
                                hearth_error *err);
void listed_model_release(struct listed_model *model); /* a zeroed one is fine */

/* What a client's name means: a name of the list, whatever its case, with or without ":latest", or
 * what 'hearth run' would take for one of them ("llama3.2:1b"); never another file. `out->name` is
 * the model's own, no alias. Given: listed_model_release. HEARTH_ERROR_NOT_FOUND. */
hearth_status model_catalogue_find(struct model_catalogue *catalogue, const char *name,
                                   struct listed_model *out, hearth_error *err);
/* All of them, aliases too; given: listed_models_free. */
hearth_status model_catalogue_list(struct model_catalogue *catalogue, struct listed_model **out,
                                   size_t *count, hearth_error *err);
void listed_models_free(struct listed_model *models, size_t count);
/* A model by a name or path that need not be in the list: the owner's, not a client's. */
hearth_status model_catalogue_resolve(const char *name, struct listed_model *out,
                                      hearth_error *err);

/* What a file says. */
struct model_facts {
    uint64_t size_bytes, n_parameters;
    const char *type;
    char family[48];
    uint32_t n_ctx_train;
    bool embeds;
    uint64_t page_bytes, slot_bytes; /* of the cache in F16, as cache.h says */
    uint64_t work_bytes;             /* roughly: what computing needs besides */
    hearth_error problem;            /* why the file cannot be used; HEARTH_OK: it can */
};
/* Sizes alone where there is a problem. */
void model_catalogue_facts(struct model_catalogue *catalogue, const struct listed_model *model,
                           struct model_facts *out);
/* What it takes at least to answer with it: its weights, and the cache of one sequence of n_ctx
 * tokens; 0: of so many as a conversation has. */
uint64_t model_facts_need(const struct model_facts *facts, uint32_t n_ctx);

#endif
