/* hub.h - models by name: where they are on this machine, and how they get here.
 *
 * A name is a path, an alias of the user's, "ember" (the model that comes with Hearth),
 * a short name ("llama3.2:1b"), or a repository of the hub: "org/repo",
 * "org/repo:Q4_K_M", "org/repo@revision", "org/repo/file.gguf", "hf.co/org/repo", a whole
 * https address.
 *
 * Models are shared with other tools: they live in the Hugging Face cache,
 *
 *   <cache>/models--org--repo/blobs/<etag>            the bytes, once
 *                             refs/<revision>         the commit it stands for
 *                             snapshots/<commit>/...  links ../../blobs/<etag>
 *   <cache>/.locks/models--org--repo/<etag>.lock      held while a blob is written
 *
 * and plain folders named in HEARTH_MODELS are read, never written. Models that Hearth made of
 * others are files of its own folder, which is searched like those.
 *
 * Invariants: (1) a link or reference appears only after its blob is complete,
 * checked against its publisher's SHA-256 and on disk; (2) nothing outside the
 * cache, Hearth's own folder of models and its alias file is written or removed; (3) names, paths,
 * sizes and hashes that a server sends are checked before they are used.
 *
 * Environment: HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME, HF_TOKEN, HF_TOKEN_PATH,
 * HF_ENDPOINT, HF_HUB_OFFLINE, HF_HUB_DISABLE_SYMLINKS, HEARTH_MODELS, HEARTH_HOME. */
#ifndef HEARTH_HUB_HUB_H
#define HEARTH_HUB_HUB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct hub;

/* Reads the environment. A hub belongs to one thread at a time; several hubs, also
 * in several processes, may work on one cache. */
hearth_status hub_open(struct hub **hub, hearth_error *err);
void hub_close(struct hub *hub); /* NULL is fine */

const char *hub_folder(const struct hub *hub); /* the cache, where pulled models go */
/* From now on the path of a file or folder is no name: for names that come from elsewhere. */
void hub_refuse_paths(struct hub *hub);

/* ---- what is here ------------------------------------------------------ */

enum hub_source { HUB_CACHE, HUB_FOLDER, HUB_ALIAS, HUB_BUILT_IN };

struct hub_model {
    char *name;     /* what hub_resolve accepts */
    char *path;     /* a GGUF file (the first part of a split one) or a folder */
    char quant[48]; /* "Q4_K_M"; "" when the file name does not say */
    enum hub_source source;
    uint64_t size_bytes; /* of all its files */
    int64_t modified;    /* seconds since 1970 */
};

/* The local path of a model, given (mem_free). HEARTH_ERROR_NOT_FOUND names the
 * nearest known names and how to pull. Never uses the network. */
hearth_status hub_resolve(struct hub *hub, const char *name, char **path, hearth_error *err);

/* All local models, by name; given: hub_models_free. */
hearth_status hub_list(struct hub *hub, struct hub_model **models, size_t *count,
                       hearth_error *err);
void hub_models_free(struct hub_model *models, size_t count);

/* Removes an alias, a model that Hearth made, or a model of the cache with the blobs no one
 * else links to. "org/repo" with several models in it needs `all` or a quant. Files in plain
 * folders are not touched. `freed_bytes` may be NULL. */
hearth_status hub_remove(struct hub *hub, const char *name, bool all, uint64_t *freed_bytes,
                         hearth_error *err);

/* Makes `alias` stand for `target`, which must be resolvable or a name that can be
 * pulled. */
hearth_status hub_alias(struct hub *hub, const char *alias, const char *target, hearth_error *err);

/* Where a model that is about to be made has its file, in a folder that is there: a path, given.
 * HEARTH_ERROR_ARGUMENT: it cannot have this name, or there is one already. */
hearth_status hub_own_path(struct hub *hub, const char *name, char **path, hearth_error *err);

/* ---- pulling ----------------------------------------------------------- */

struct hub_progress {
    const char *file;                 /* within the repository */
    const char *etag;                 /* of the file: its SHA-256 where the hub knows that */
    uint64_t file_done, file_total;   /* bytes, resumed ones included */
    uint64_t total_done, total_bytes; /* of all files of this pull */
};

/* Zero means the default in parentheses. */
struct hub_pull_options {
    const char *revision;      /* ("main", or what the name says) */
    const atomic_bool *cancel; /* may be set at any time; what was fetched is kept */
    void (*on_progress)(void *context, const struct hub_progress *progress);
    void *context;
    unsigned connections;      /* (4) */
    uint64_t chunk_bytes;      /* (16 to 64 MiB, by size) that one connection takes at a time */
    unsigned backoff_ms;       /* (500) as in http_options */
    unsigned stall_timeout_ms; /* (30 s) */
};

/* Fetches what is missing of a model and gives its local path (`path` may be NULL).
 * An interrupted pull goes on where it stopped. */
hearth_status hub_pull(struct hub *hub, const char *name, const struct hub_pull_options *options,
                       char **path, hearth_error *err);

#endif
