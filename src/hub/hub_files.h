/* hub_files.h - the files of a repository, there or here, and which of them make a
 * model.
 *
 * One rule serves both sides: what `pull` would choose from a listing is what
 * `resolve` chooses from a folder. */
#ifndef HEARTH_HUB_HUB_FILES_H
#define HEARTH_HUB_HUB_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "hub/hub_name.h"

enum { HUB_MAX_FILES = 1 << 17, HUB_MAX_DEPTH = 6 };

struct hub_file {
    char *name; /* relative, with '/' */
    uint64_t size_bytes;
    int64_t modified;          /* local files */
    char etag[HUB_ETAG_BYTES]; /* remote files, once known: the name of the blob */
};

struct hub_files {
    struct hub_file *items;
    size_t count, capacity;
};

/* Adds a file; the name is copied. */
hearth_status hub_files_add(struct hub_files *files, const char *name, uint64_t size_bytes,
                            int64_t modified, hearth_error *err);
void hub_files_sort(struct hub_files *files);
void hub_files_release(struct hub_files *files);
/* Adds all regular files below `root`, links followed, hidden ones not; sorts. */
hearth_status hub_files_walk(struct hub_files *files, const char *root, hearth_error *err);
const struct hub_file *hub_files_find(const struct hub_files *files, const char *name);

/* One model in GGUF: a file, or the parts of a split one, next to each other in a
 * sorted list. */
struct gguf_group {
    const char *name;            /* of the first file; borrowed from the list */
    char quant[HUB_QUANT_BYTES]; /* "Q4_K_M", "UD-Q4_K_XL"; "" unknown */
    size_t first, count;         /* in the list */
    uint64_t size_bytes;
    int64_t modified;
    bool is_complete; /* all parts are in the list */
};

/* The groups of a sorted list, projectors and importance matrices left out; given
 * (mem_free). */
hearth_status gguf_groups(const struct hub_files *files, struct gguf_group **groups, size_t *count,
                          hearth_error *err);

/* Chooses the complete group of that quant, any letter case; "" takes Q4_K_M or the
 * nearest to it. NOT_FOUND or, when several fit, ARGUMENT: the message lists what
 * there is in `where`. */
hearth_status gguf_choose(const struct gguf_group *groups, size_t count, const char *quant,
                          const char *where, const struct gguf_group **chosen, hearth_error *err);

/* Reads a quant out of a file name: "x-q4_k_m-00001-of-00002.gguf" → "Q4_K_M". */
void gguf_quant_of(const char *name, char quant[HUB_QUANT_BYTES]);

/* Whether a file belongs to a model in Hugging Face's own layout. */
bool hub_is_folder_file(const struct hub_files *files, const char *name);
/* Whether config.json and all safetensors parts are in the list. */
bool hub_is_model_folder(const struct hub_files *files);

#endif
