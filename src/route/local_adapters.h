/* local_adapters.h - which adapters of a model a request is answered with.
 *
 * A request names them, by name or by number; or it asks for one in place of the model, by
 * "MODEL:ADAPTER" or by the adapter's own name, as vLLM's server has it; or it has those that are
 * on. Any thread may ask. */
#ifndef HEARTH_ROUTE_LOCAL_ADAPTERS_H
#define HEARTH_ROUTE_LOCAL_ADAPTERS_H

#include "chat/request.h"
#include "route/local_model.h"

/* The set of a request. HEARTH_ERROR_NOT_FOUND: there is none of that name, but these;
 * HEARTH_ERROR_ARGUMENT: one is named twice, or they are more than ADAPTER_SET_MAX;
 * HEARTH_ERROR_UNSUPPORTED: they do not go together (adapter_set_check). */
hearth_status local_adapters_choose(struct local_model *model, const struct request *request,
                                    struct adapter_set *set, hearth_error *err);
/* Whether a client that asks for this model asks for one with an adapter. */
bool local_adapters_names(struct local_model *model, const char *name);

/* Opens one more, FILE[:SCALE], while answers run; it is off unless asked for. `found` is given its
 * name: `name` (NULL: its file's), or one like it where that is taken. Where one of the same
 * content is loaded already, it is that one. HEARTH_ERROR_LIMIT: ADAPTER_LOADED_MAX are loaded. */
hearth_status local_adapters_add(struct local_model *model, const char *item, const char *name,
                                 char **found, hearth_error *err);

/* The names of all, an array; NULL: no memory. */
json_t *local_adapters_list(struct local_model *model);
/* As llama.cpp's server lists them, [{"id", "name", "path", "scale"}], with a scale of 0 for those
 * that are off. */
json_t *local_adapters_describe(struct local_model *model);
/* Those that are on from the next request on, whose scales are not 0: `scales` is [{"id",
 * "scale"}], checked here; others are off. HEARTH_ERROR_ARGUMENT, HEARTH_ERROR_NOT_FOUND. */
hearth_status local_adapters_switch(struct local_model *model, const json_t *scales,
                                    hearth_error *err);

#endif
