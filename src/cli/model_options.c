#include "cli/model_options.h"

#include <math.h>
#include <string.h>

#include "base/units.h"

size_t model_specs(struct model_options *o, struct option_spec *specs) {
    const struct option_spec own[MODEL_SPECS] = {
        {.type = OPTION_HEADING, .help = "Several models"},
        {.name = "no-models-autoload",
         .aliases = "no-on-demand",
         .help = "only the models named here answer; others are not loaded when requests name them",
         .type = OPTION_FLAG,
         .flag = &o->only_named},
        {.name = "max-memory",
         .argument = "SIZE",
         .help = "models take no more than this together (default: what is available)",
         .environment = "HEARTH_MAX_MEMORY",
         .type = OPTION_BYTES,
         .least = 1 << 20,
         .most = 9e18,
         .bytes = &o->max_bytes},
        {.name = "max-models",
         .aliases = "models-max",
         .argument = "N",
         .help = "models in memory at a time (default: as many as fit)",
         .environment = "HEARTH_MAX_MODELS",
         .type = OPTION_INT,
         .least = 0,
         .most = 4096,
         .integer = &o->max_models},
        {.name = "keep-alive",
         .argument = "DURATION",
         .help = "models not named here stay in memory so long unused, such as 5m (the default) "
                 "or 1h30m; below 0: for ever",
         .environment = "HEARTH_KEEP_ALIVE",
         .type = OPTION_STRING,
         .string = &o->keep_alive},
        {.name = "max-wait",
         .argument = "DURATION",
         .help = "a request waits so long for memory that models in use take (default: 5m)",
         .environment = "HEARTH_MAX_WAIT",
         .type = OPTION_STRING,
         .string = &o->max_wait},
    };
    memcpy(specs, own, sizeof own);
    return MODEL_SPECS;
}

static hearth_status read_duration(const char *name, const char *text, double *seconds,
                                   hearth_error *err) {
    if (!text || units_parse_duration(text, seconds)) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_ARGUMENT, "--%s '%s' is no duration such as 5m or 1h30m",
                     name, text);
}

hearth_status model_options_apply(const struct model_options *o,
                                  const struct option_arguments *arguments,
                                  struct local_backend_settings *settings, hearth_error *err) {
    double alive = MODEL_POOL_KEEP_ALIVE_S, wait = MODEL_POOL_MAX_WAIT_S;
    RETURN_IF_ERROR(read_duration("keep-alive", o->keep_alive, &alive, err));
    RETURN_IF_ERROR(read_duration("max-wait", o->max_wait, &wait, err));
    settings->keep_alive_s = alive < 0 ? INFINITY : alive;
    settings->max_wait_s = wait < 0 ? INFINITY : wait;
    settings->max_bytes = o->max_bytes;
    settings->max_models = (uint32_t)o->max_models;
    settings->on_demand = !o->only_named;
    if (!settings->engine.model) settings->engine.model = "ember";
    settings->models = (const char *const *)arguments->items;
    settings->n_models = arguments->count;
    return HEARTH_OK;
}
