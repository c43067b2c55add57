#include "hub/hub_expand.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "hub/alias_file.h"
#include "hub/hub_local.h"
#include "hub/short_names.h"

enum { MAX_ALIASES_DEEP = 8 };

bool hub_is_local_model(const char *path) {
    if (!file_exists(path)) return false;
    if (!file_is_folder(path)) return true;
    char *config = path_join(path, "config.json"),
         *adapter = path_join(path, "adapter_config.json");
    bool found = (config && file_exists(config)) || (adapter && file_exists(adapter));
    mem_free(config);
    mem_free(adapter);
    return found;
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
    char *target = NULL;
    *path = NULL;
    *name = (struct hub_name){0};
    if (!*text) return error_set(err, HEARTH_ERROR_ARGUMENT, "an empty model name");
    if (!hub_is_local_model(text)) RETURN_IF_ERROR(follow_aliases(hub, text, &target, err));
    const char *found = target ? target : text;
    hearth_status status = HEARTH_OK;
    char quant[HUB_QUANT_BYTES];
    const struct short_name *known = short_name_find(found, quant, sizeof quant);
    if (hub_is_local_model(found)) {
        *path = mem_strdup(found);
        if (!*path) status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    } else if (local_folder_model(hub, found, path)) {
        status = HEARTH_OK;
    } else if (known) {
        status = hub_name_parse(known->repo, NULL, name, err);
        memcpy(name->quant, quant, sizeof quant);
    } else if (found[0] == '/' || found[0] == '.' || found[0] == '~' || !strchr(found, '/')) {
        status = error_set(err, HEARTH_ERROR_NOT_FOUND, "no model '%.200s'", found);
    } else {
        status = hub_name_parse(found, hub->endpoint, name, err);
    }
    mem_free(target);
    return status;
}
