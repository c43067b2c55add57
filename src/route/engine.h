/* engine.h - what everyone who computes needs: a model by name, its tokenizer, its adapters
 * and a context, opened from the same settings everywhere. */
#ifndef HEARTH_ROUTE_ENGINE_H
#define HEARTH_ROUTE_ENGINE_H

#include "base/option_list.h"
#include "infer/context.h"
#include "token/tokenizer.h"

enum { ENGINE_CACHE_UNSET = -1 };
enum engine_activations { ENGINE_ACTIVATIONS_AUTO, ENGINE_ACTIVATIONS_F32 };
enum engine_numa { ENGINE_NUMA_AUTO, ENGINE_NUMA_DISTRIBUTE, ENGINE_NUMA_OFF };

struct engine_settings {
    const char *model; /* name, file or folder; borrowed */
    int64_t n_ctx, n_threads, max_batch;
    int k_type, v_type; /* of the cache: f16, f32, q8_0, q4_0 from 0, or ENGINE_CACHE_UNSET */
    int activations;    /* enum engine_activations */
    int numa;           /* enum engine_numa */
    struct option_list adapters; /* FILE[:SCALE]; with a scale of 0 it is off unless asked for */
    uint64_t max_bytes;          /* of cache and work space; 0: what is free */
    bool lock, copy;             /* keep the weights in RAM, or in memory of their own */
};

/* Everything as it is without options, and no model named. */
void engine_settings_init(struct engine_settings *settings);

/* An adapter that is loaded, and can be asked for by name. */
struct engine_adapter {
    struct adapter adapter;
    char *name;  /* of its file, without the ending, or its folder's if that is "adapter"; of a
                    second one of that name "NAME-2" */
    float scale; /* as it was asked for; without another, 1 */
    bool is_on;  /* where nothing else is asked for */
};

struct engine {
    struct model model;
    struct tokenizer *tokenizer; /* NULL: the file carries none */
    struct context *context;
    struct topology_nodes nodes; /* that the weights and threads are spread over, if more than 1 */
    struct engine_adapter *adapters[ADAPTER_LOADED_MAX]; /* [n_adapters], as they were loaded */
    size_t n_adapters;
};

/* The model only: metadata, tensors, tokenizer. */
hearth_status engine_open_model(struct engine *engine, const struct engine_settings *settings,
                                hearth_error *err);
/* Only the tokenizer, which must be there: of a file of any family, or of none. */
hearth_status engine_open_vocabulary(struct engine *engine, const struct engine_settings *settings,
                                     hearth_error *err);
/* Then the context and the adapters; engine_close ends it in every case. */
hearth_status engine_open_context(struct engine *engine, const struct engine_settings *settings,
                                  struct context_options options, hearth_error *err);
/* Model and context. `base` gives what the settings leave open (sequences, cache types
 * when the command wants others than F16). */
hearth_status engine_open(struct engine *engine, const struct engine_settings *settings,
                          struct context_options base, hearth_error *err);
void engine_close(struct engine *engine);
/* Opens a further adapter, FILE[:SCALE], to be called `name` (NULL: as its file); whoever runs the
 * context loads it into that and appends it to `adapters`. Given: engine_adapter_close. */
hearth_status engine_open_adapter(const struct engine *engine, const char *item, const char *name,
                                  struct engine_adapter **out, hearth_error *err);
void engine_adapter_close(struct engine_adapter *adapter); /* NULL is fine */
/* The number of an adapter; n_adapters: there is none of that name. */
size_t engine_find_adapter(const struct engine *engine, const char *name);
/* HEARTH_OK, or an error that says what a file without a vocabulary cannot do. */
hearth_status engine_need_tokenizer(const struct engine *engine, hearth_error *err);

#endif
