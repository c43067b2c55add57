/* local_model.h - a model of this machine that is open and ready to answer: weights, vocabulary,
 * template, the form of its answers, and the scheduler that computes many of them at once. What it
 * says of itself may be asked from any thread. */
#ifndef HEARTH_ROUTE_LOCAL_MODEL_H
#define HEARTH_ROUTE_LOCAL_MODEL_H

#include <jansson.h>
#include <pthread.h>

#include "chat/answer_reader.h"
#include "chat/template.h"
#include "infer/scheduler.h"
#include "route/constraint_cache.h"
#include "route/drafting.h"
#include "route/engine.h"

enum {
    LOCAL_MODEL_PARALLEL = 16,       /* answers at once, unless told */
    LOCAL_MODEL_MAX_PARALLEL = 1024, /* at most */
    LOCAL_MODEL_DRAFTING = 2,        /* answers of recurrent models that are drafted for at once */
    LOCAL_MODEL_SHARE_TOKENS = 4096, /* of the cache for each of them, beyond one full context, */
    LOCAL_MODEL_CACHE_SHARE = 4 /* where that is no more of the free memory than one in so many */
};

struct local_model_settings {
    const struct engine_settings *engine; /* borrowed until local_model_open returns, as all */
    const struct drafting_settings *drafting;
    const char *name; /* as clients call it; NULL: as it was asked for, or its file's name */
    const char *template_file; /* in the place of the model's own chat template, or NULL */
    bool no_template;          /* the model's own is not read, either */
    uint32_t n_parallel;       /* answers at once; 0: LOCAL_MODEL_PARALLEL */
    uint32_t max_waiting;      /* answers that may wait for their turn */
    bool keeps_slots;          /* it is remembered what they computed (local_slots.h) */
};

struct local_model {
    bool is_open;
    char *name; /* as clients call it */
    struct engine engine;
    struct chat_template *template;
    bool has_template; /* not ChatML for want of one */
    struct answer_form *form;
    struct answer_form *told_form; /* for requests with tools, where the template knows none */
    struct constraint_cache *constraints;
    struct drafting drafting;
    struct scheduler *scheduler;       /* NULL: an encoder, that only embeds, */
    struct local_slots *slots;         /* of its answers; NULL: they are not remembered */
    pthread_mutex_t embedding;         /* one text at a time */
    pthread_mutex_t adding;            /* one adapter at a time */
    pthread_mutex_t adapters;          /* guards those of the engine, and */
    struct adapter_set adapters_on;    /* those of requests that name none */
    struct sampler_params sampling;    /* as the model's file recommends */
    bool template_weighs_effort;       /* the template reads reasoning_effort */
    uint64_t *shown;                   /* bits: control tokens that are tags of the form */
    uint64_t *not_ends;                /* bits: tokens that do not end answers */
    size_t n_words;                    /* of each of these sets */
    int32_t thinking_tag, call_tag;    /* tokens that are the whole tag, or TOKEN_NONE */
    struct token_list end_of_thinking; /* what is said to end it */
};

/* A model without a chat template gets ChatML. Closed in every case; must not be moved. */
hearth_status local_model_open(struct local_model *model,
                               const struct local_model_settings *settings, hearth_error *err);
void local_model_close(struct local_model *model); /* a zeroed one is fine */

/* An object as backend_list_models says; NULL: no memory. */
json_t *local_model_describe(struct local_model *model);

/* The embedding of a text with these adapters, [n_embd]; waits until it is computed. */
hearth_status local_model_embed(struct local_model *model, const struct token_list *text,
                                const struct adapter_set *adapters, float *out, hearth_error *err);

static inline bool token_set_has(const uint64_t *set, int32_t token) {
    return set[token / 64] >> (token % 64) & 1;
}
static inline void token_set_add(uint64_t *set, int32_t token) {
    set[token / 64] |= UINT64_C(1) << (token % 64);
}

#endif
