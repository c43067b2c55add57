/* running.h - which models are in use by which processes, for 'hearth ps'.
 *
 * A process that holds a model open keeps a small JSON file named after its process
 * id in path_home(PATH_STATE)/running. Files of processes that are gone are removed
 * by whoever lists them. Nothing depends on these files: failures to write are
 * silent. */
#ifndef HEARTH_CLI_RUNNING_H
#define HEARTH_CLI_RUNNING_H

#include <jansson.h>

struct running_model {
    char *path; /* NULL: not announced */
};

/* `model`: as backend_list_models describes it; `device`: that computes. */
void running_announce(struct running_model *running, const json_t *model, const char *device);
void running_retract(struct running_model *running);

#endif
