/* local_model.h - a model of this machine that is open and ready to answer: weights, vocabulary,
 * template, and one timeline with its speculation. One thread at a time, but for what its
 * vocabulary and template say, which many may ask at once. */
#ifndef HEARTH_ROUTE_LOCAL_MODEL_H
#define HEARTH_ROUTE_LOCAL_MODEL_H

#include <jansson.h>

#include "chat/template.h"
#include "infer/sampler.h"
#include "infer/session.h"
#include "route/drafting.h"
#include "route/engine.h"

struct local_model {
    char *name; /* as clients call it */
    struct engine engine;
    struct chat_template *template;
    struct drafting drafting;
    struct session *session;             /* NULL: an encoder, that only embeds */
    struct sampler_workspace *workspace; /* likewise */
    struct sampler_params sampling;      /* as the model's file recommends */
};

/* `name` NULL: what the model was asked for by, or its file's name. A model without a chat
 * template gets ChatML. Closed in every case. */
hearth_status local_model_open(struct local_model *model, const char *name,
                               const struct engine_settings *engine,
                               const struct drafting_settings *drafting, hearth_error *err);
void local_model_close(struct local_model *model); /* a zeroed one is fine */

/* Whether a client that says this means the model; NULL and "" do, and a tag ":latest" may follow
 * the name. */
bool local_model_is(const struct local_model *model, const char *name);
/* An object as backend_list_models says; NULL: no memory. */
json_t *local_model_describe(const struct local_model *model);

#endif
