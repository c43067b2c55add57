/* hub_local.h - looking through the cache and the plain folders; private to the room. */
#ifndef HEARTH_HUB_HUB_LOCAL_H
#define HEARTH_HUB_HUB_LOCAL_H

#include "hub/hub_files.h"
#include "hub/hub_settings.h"

struct model_list {
    struct hub_model *items;
    size_t count, capacity;
};

/* Adds the models of one cached repository, those of the newest snapshot first; a
 * name appears once. */
hearth_status local_scan_repo(const struct hub *hub, const char *repo, struct model_list *list,
                              hearth_error *err);
/* Adds the models of one plain folder. */
hearth_status local_scan_folder(const char *root, struct model_list *list, hearth_error *err);
void model_list_release(struct model_list *list);

/* The path, given, of a model in HEARTH_MODELS by its relative or file name. */
bool local_folder_model(const struct hub *hub, const char *name, char **path);

/* The snapshots of a repository (commits), what refs/main names first, then newest
 * first; only the one of `revision` when it is not "". Given (file_names_free). */
hearth_status local_snapshots(const char *repo_folder, const char *revision, char ***commits,
                              size_t *count, hearth_error *err);

/* Ends the message in `err` with the known names nearest to `name` and how to pull. */
hearth_status local_suggest(struct hub *hub, const char *name, hearth_error *err);

#endif
