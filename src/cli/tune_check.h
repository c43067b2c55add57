/* tune_check.h - whether 'hearth tune' would take settings that come from elsewhere. */
#ifndef HEARTH_CLI_TUNE_CHECK_H
#define HEARTH_CLI_TUNE_CHECK_H

#include "base/status.h"

/* `recipe`: YAML or JSON as recipes are, perhaps without data; `hosts`: of --hosts, or NULL.
 * HEARTH_ERROR_ARGUMENT and the like say what is wrong. Any thread. */
hearth_status tune_check(const char *recipe, const char *hosts, hearth_error *err);

#endif
