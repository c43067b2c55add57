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
    };
    memcpy(specs, own, sizeof own);
    return MODEL_SPECS;
}

hearth_status model_options_apply(const struct model_options *o,
                                  const struct option_arguments *arguments,
                                  struct local_backend_settings *settings, hearth_error *err) {
    double seconds = MODEL_POOL_KEEP_ALIVE_S;
    if (o->keep_alive && !units_parse_duration(o->keep_alive, &seconds))
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "--keep-alive '%s' is no duration such as 5m or 1h30m", o->keep_alive);
    settings->keep_alive_s = seconds < 0 ? INFINITY : seconds;
    settings->max_bytes = o->max_bytes;
    settings->max_models = (uint32_t)o->max_models;
    settings->on_demand = !o->only_named;
    if (!settings->engine.model) settings->engine.model = "ember";
    settings->models = (const char *const *)arguments->items;
    settings->n_models = arguments->count;
    return HEARTH_OK;
}
