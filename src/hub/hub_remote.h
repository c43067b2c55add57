/* hub_remote.h - what the hub says about a repository: its commit, its files, and
 * the identity of each (docs: the hub's API reference, "models/{repo}/revision/{rev}",
 * and "{repo}/resolve/{rev}/{file}"). */
#ifndef HEARTH_HUB_HUB_REMOTE_H
#define HEARTH_HUB_HUB_REMOTE_H

#include "hub/hub_files.h"
#include "hub/hub_settings.h"
#include "net/http.h"

struct hub_remote {
    struct http_client *client;
    const struct hub *hub;
    const char *repo, *revision;   /* borrowed */
    char commit[HUB_COMMIT_BYTES]; /* after hub_remote_list */
};

/* Lists the files at the revision, sorted; names that could leave a folder are an
 * error. Sizes may be missing. */
hearth_status hub_remote_list(struct hub_remote *remote, struct hub_files *files,
                              hearth_error *err);
/* Asks for size and etag of the chosen files, several at a time. */
hearth_status hub_remote_identify(struct hub_remote *remote, struct hub_file **chosen, size_t count,
                                  hearth_error *err);
/* "<endpoint>/<repo>/resolve/<commit>/<file>", given. */
char *hub_remote_url(const struct hub_remote *remote, const char *file);
/* Says why the hub refused, and what to do. `context` is a struct hub_remote. */
hearth_status hub_remote_refuse(void *context, const struct http_response *response,
                                hearth_error *err);

#endif
