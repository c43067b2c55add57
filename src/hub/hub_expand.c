#include "hub/hub_expand.h"

#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/mem.h"
#include "hub/alias_file.h"
#include "hub/built_in.h"
#include "hub/hub_files.h"
#include "hub/hub_local.h"
#include "hub/short_names.h"

enum { MAX_ALIASES_DEEP = 8 };

static bool looks_like_path(const char *text) {
    return text[0] == '/' || text[0] == '.' || text[0] == '~';
}

/* A folder in Hugging Face's layout is a model itself; otherwise the GGUF file in it
 * that `pull` would have chosen is. */
static hearth_status model_of_folder(const char *folder, char **path, hearth_error *err) {
    struct hub_files files = {0};
    struct gguf_group *groups = NULL;
    const struct gguf_group *group = NULL;
    size_t count = 0;
    hearth_status status = hub_files_walk(&files, folder, err);
    bool whole = status == HEARTH_OK && hub_is_model_folder(&files);
    if (status == HEARTH_OK && !whole) status = gguf_groups(&files, &groups, &count, err);
    if (status == HEARTH_OK && !whole && count > 0)
        status = gguf_choose(groups, count, "", folder, &group, err);
    else if (status == HEARTH_OK && !whole && looks_like_path(folder))
        status = error_set(err, HEARTH_ERROR_NOT_FOUND,
                           "the folder '%.200s' holds neither a GGUF file nor config.json with "
                           "safetensors",
                           folder);
    if (status == HEARTH_OK && (whole || group)) {
        *path = whole ? mem_strdup(folder) : path_join(folder, group->name);
        if (!*path) status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    }
    mem_free(groups);
    hub_files_release(&files);
    return status;
}

/* Leaves `*path` NULL when the text is not the path of a model. The built-in model's name
 * means a folder only as "./ember": Hearth's source has one. */
static hearth_status local_path(const char *text, char **path, hearth_error *err) {
    *path = NULL;
    if (!file_exists(text)) return HEARTH_OK;
    if (strcasecmp(text, built_in_name) == 0 && file_is_folder(text)) return HEARTH_OK;
    if (file_is_folder(text)) return model_of_folder(text, path, err);
    *path = mem_strdup(text);
    if (*path) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
}

/* One step through the alias file; `*text` is given when it changed. */
static hearth_status follow_alias(const struct hub *hub, const char *text, char **target,
                                  hearth_error *err) {
    struct alias *aliases;
    size_t count;
    *target = NULL;
    RETURN_IF_ERROR(aliases_read(hub->alias_file, &aliases, &count, err));
    const struct alias *alias = aliases_find(aliases, count, text);
    hearth_status status = HEARTH_OK;
    if (alias && !(*target = mem_strdup(alias->target)))
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an alias");
    aliases_free(aliases, count);
    return status;
}

static hearth_status follow_aliases(const struct hub *hub, const char *text, char **final,
                                    hearth_error *err) {
    char *now = mem_strdup(text), *next = NULL;
    *final = NULL;
    if (!now) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a name");
    for (int depth = 0;; depth++) {
        hearth_status status = follow_alias(hub, now, &next, err);
        if (status == HEARTH_OK && next && depth == MAX_ALIASES_DEEP)
            status =
                error_set(err, HEARTH_ERROR_LIMIT,
                          "the alias '%.200s' leads in circles; correct it with 'hearth cp'", text);
        if (status != HEARTH_OK) {
            mem_free(now);
            mem_free(next);
            return status;
        }
        if (!next) break;
        mem_free(now);
        now = next;
    }
    *final = now;
    return HEARTH_OK;
}

hearth_status hub_expand(const struct hub *hub, const char *text, struct hub_name *name,
                         char **path, hearth_error *err) {
    char *found = NULL;
    *path = NULL;
    *name = (struct hub_name){0};
    if (!*text) return error_set(err, HEARTH_ERROR_ARGUMENT, "an empty model name");
    if (!hub->no_paths) RETURN_IF_ERROR(local_path(text, path, err));
    if (*path) return HEARTH_OK;
    RETURN_IF_ERROR(follow_aliases(hub, text, &found, err));
    char quant[HUB_QUANT_BYTES];
    const struct short_name *known = short_name_find(found, quant, sizeof quant);
    bool may_be_path = !hub->no_paths || strcmp(found, text) != 0; /* as aliases are */
    hearth_status status = may_be_path ? local_path(found, path, err) : HEARTH_OK;
    if (status != HEARTH_OK || *path || local_folder_model(hub, found, path)) {
        mem_free(found);
        return status;
    }
    if (strcasecmp(found, built_in_name) == 0) {
        *path = built_in_find();
        if (!*path) status = built_in_missing(err);
    } else if (known) {
        status = hub_name_parse(known->repo, NULL, name, err);
        memcpy(name->quant, quant, sizeof quant);
    } else if (looks_like_path(found) || !strchr(found, '/')) {
        status = error_set(err, HEARTH_ERROR_NOT_FOUND, "no model '%.200s'", found);
    } else {
        status = hub_name_parse(found, hub->endpoint, name, err);
    }
    mem_free(found);
    return status;
}
