/* tune_facts.h - what a run's folder says about it, as JSON, and that as text. */
#ifndef HEARTH_CLI_TUNE_FACTS_H
#define HEARTH_CLI_TUNE_FACTS_H

#include <jansson.h>
#include <stddef.h>

#include "base/status.h"

/* What is known of a run by its folder, name or id (run_history_find), given (json_decref), with
 * "checkpoints", the steps of those that were kept, as long as its folder is there. */
hearth_status tune_facts_read(const char *run, json_t **facts, hearth_error *err);
void tune_facts_dump(const json_t *facts); /* to stdout */

/* Facts that are not there, or of another kind, are "-". */
const char *tune_fact_text(const json_t *facts, const char *key);
const char *tune_fact_number(const json_t *facts, const char *key, int digits, char *out,
                             size_t size);

#endif
