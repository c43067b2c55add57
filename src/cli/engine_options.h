/* engine_options.h - the options of every command that opens a model. */
#ifndef HEARTH_CLI_ENGINE_OPTIONS_H
#define HEARTH_CLI_ENGINE_OPTIONS_H

#include "cli/options.h"
#include "route/engine.h"

enum { ENGINE_SPECS = 12 };

/* Fills the first entries of a command's option table; returns how many. */
size_t engine_specs(struct engine_settings *settings, struct option_spec specs[ENGINE_SPECS]);

#endif
