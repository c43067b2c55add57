/* drafting_options.h - the options of the command line about speculation. */
#ifndef HEARTH_CLI_DRAFTING_OPTIONS_H
#define HEARTH_CLI_DRAFTING_OPTIONS_H

#include "cli/options.h"
#include "route/drafting.h"

enum { DRAFTING_SPECS = 6 };

/* Puts the defaults into `settings` and fills the option entries; returns how many. */
size_t drafting_specs(struct drafting_settings *settings, struct option_spec specs[DRAFTING_SPECS]);

#endif
