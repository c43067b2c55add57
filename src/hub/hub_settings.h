/* hub_settings.h - what a hub knows from the environment; private to the room. */
#ifndef HEARTH_HUB_HUB_SETTINGS_H
#define HEARTH_HUB_HUB_SETTINGS_H

#include "hub/hub.h"

struct hub {
    char *endpoint;      /* "https://huggingface.co", without a slash at the end */
    char *authorization; /* "Bearer hf_..." or NULL */
    char *cache;
    char *alias_file;
    char *own;      /* the folder of models that Hearth made */
    char **folders; /* of HEARTH_MODELS, and `own` at the end */
    size_t n_folders;
    bool offline, no_symlinks;
    bool no_paths; /* hub_refuse_paths */
};

#endif
