/* hub_cache.h - the Hugging Face cache on disk: paths, locks, links, references. */
#ifndef HEARTH_HUB_HUB_CACHE_H
#define HEARTH_HUB_HUB_CACHE_H

#include <stdatomic.h>

#include "hub/hub_name.h"
#include "hub/hub_settings.h"

/* "<cache>/models--org--repo", given. */
char *cache_repo_folder(const struct hub *hub, const char *repo);
/* "models--org--repo" → "org/repo"; false for other folders. */
bool cache_repo_of(const char *folder, char repo[HUB_REPO_BYTES]);
/* "<repo folder>/<kind>/<name>", given. */
char *cache_path(const char *repo_folder, const char *kind, const char *name);

/* Takes the lock that every tool takes before it writes this blob; waits while
 * another one pulls it. Ends with cache_unlock. */
hearth_status cache_lock(const struct hub *hub, const char *repo, const char *etag,
                         const atomic_bool *cancel, int *lock, hearth_error *err);
/* Takes it only if it is free. */
bool cache_try_lock(const struct hub *hub, const char *repo, const char *etag, int *lock);
void cache_unlock(int lock);

/* Makes snapshots/<commit>/<file> stand for blobs/<etag>: a relative link, or, where
 * links cannot be made, the blob itself moved there. An entry that is right stays. */
hearth_status cache_link(const struct hub *hub, const char *repo_folder, const char *commit,
                         const char *file, const char *etag, hearth_error *err);

hearth_status cache_write_ref(const char *repo_folder, const char *revision, const char *commit,
                              hearth_error *err);
/* The commit a revision stands for: itself, or what refs/ says. */
bool cache_read_ref(const char *repo_folder, const char *revision, char commit[HUB_COMMIT_BYTES]);

#endif
