#include "hub/hub_local.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "hub/alias_file.h"
#include "hub/built_in.h"
#include "hub/hub_cache.h"
#include "hub/hub_expand.h"

enum { NAME_BYTES = 1024 };

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the list of models");
}

/* ---- lists ------------------------------------------------------------- */

static bool has_name(const struct model_list *list, const char *name) {
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, name) == 0) return true;
    return false;
}

/* Takes `model->path`; copies the name. */
static hearth_status add_model(struct model_list *list, const char *name, struct hub_model model,
                               hearth_error *err) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 16;
        struct hub_model *grown = mem_realloc_array(list->items, capacity, sizeof *grown);
        if (!grown) {
            mem_free(model.path);
            return no_memory(err);
        }
        list->items = grown;
        list->capacity = capacity;
    }
    model.name = mem_strdup(name);
    if (!model.name || !model.path) {
        mem_free(model.name);
        mem_free(model.path);
        return no_memory(err);
    }
    list->items[list->count++] = model;
    return HEARTH_OK;
}

void model_list_release(struct model_list *list) {
    hub_models_free(list->items, list->count);
    *list = (struct model_list){0};
}

void hub_models_free(struct hub_model *models, size_t count) {
    for (size_t i = 0; i < count; i++) {
        mem_free(models[i].name);
        mem_free(models[i].path);
    }
    mem_free(models);
}

static struct hub_model model_of_group(const char *root, const struct gguf_group *group,
                                       enum hub_source source) {
    struct hub_model model = {.path = path_join(root, group->name),
                              .source = source,
                              .size_bytes = group->size_bytes,
                              .modified = group->modified};
    memcpy(model.quant, group->quant, sizeof model.quant);
    return model;
}

static struct hub_model model_of_folder(char *path, const struct hub_files *files,
                                        enum hub_source source) {
    struct hub_model model = {.path = path, .source = source};
    for (size_t i = 0; i < files->count; i++) {
        model.size_bytes += files->items[i].size_bytes;
        if (files->items[i].modified > model.modified) model.modified = files->items[i].modified;
    }
    return model;
}

static struct hub_model model_of_file(char *path, enum hub_source source) {
    struct stat info;
    struct hub_model model = {.path = path, .source = source};
    if (stat(path, &info) == 0) {
        model.size_bytes = (uint64_t)info.st_size;
        model.modified = info.st_mtime;
    }
    return model;
}

/* ---- the cache --------------------------------------------------------- */

struct snapshot {
    char *commit;
    int64_t rank; /* higher first */
};

static int by_rank(const void *a, const void *b) {
    int64_t x = ((const struct snapshot *)a)->rank, y = ((const struct snapshot *)b)->rank;
    return (x < y) - (x > y);
}

static void sort_snapshots(const char *repo_folder, char **commits, size_t count) {
    char current[HUB_COMMIT_BYTES];
    struct snapshot *list = mem_calloc(count + 1, sizeof *list);
    if (!list) return; /* any order will do */
    bool known = cache_read_ref(repo_folder, "main", current);
    for (size_t i = 0; i < count; i++) {
        struct stat info;
        char *path = cache_path(repo_folder, "snapshots", commits[i]);
        bool there = path && stat(path, &info) == 0;
        bool is_current = known && strcmp(commits[i], current) == 0;
        list[i] = (struct snapshot){commits[i], is_current ? INT64_MAX : there ? info.st_mtime : 0};
        mem_free(path);
    }
    qsort(list, count, sizeof *list, by_rank);
    for (size_t i = 0; i < count; i++)
        commits[i] = list[i].commit;
    mem_free(list);
}

hearth_status local_snapshots(const char *repo_folder, const char *revision, char ***commits,
                              size_t *count, hearth_error *err) {
    char commit[HUB_COMMIT_BYTES] = "";
    char *folder = path_join(repo_folder, "snapshots");
    *commits = NULL;
    *count = 0;
    if (!folder) return no_memory(err);
    hearth_status status = HEARTH_OK;
    if (file_is_folder(folder)) status = file_list(folder, commits, count, err);
    mem_free(folder);
    if (status != HEARTH_OK) return status;
    bool named = *revision && cache_read_ref(repo_folder, revision, commit);
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++) {
        char *one = (*commits)[i];
        bool keep = hub_safe_commit(one) && (!*revision || (named && strcmp(one, commit) == 0));
        if (keep)
            (*commits)[kept++] = one;
        else
            mem_free(one);
    }
    *count = kept;
    sort_snapshots(repo_folder, *commits, kept);
    return HEARTH_OK;
}

static size_t n_of_quant(const struct gguf_group *groups, size_t count, const char *quant) {
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += strcmp(groups[i].quant, quant) == 0;
    return n;
}

static hearth_status scan_snapshot(const char *snapshot, const char *repo, struct model_list *list,
                                   hearth_error *err) {
    struct hub_files files = {0};
    struct gguf_group *groups = NULL;
    size_t count = 0;
    char name[NAME_BYTES];
    hearth_status status = hub_files_walk(&files, snapshot, err);
    if (status == HEARTH_OK) status = gguf_groups(&files, &groups, &count, err);
    for (size_t i = 0; status == HEARTH_OK && i < count; i++) {
        const struct gguf_group *g = &groups[i];
        bool by_quant = g->quant[0] && n_of_quant(groups, count, g->quant) == 1;
        snprintf(name, sizeof name, "%s%s%s", repo, by_quant ? ":" : "/",
                 by_quant ? g->quant : g->name);
        if (g->is_complete && !has_name(list, name))
            status = add_model(list, name, model_of_group(snapshot, g, HUB_CACHE), err);
    }
    if (status == HEARTH_OK && count == 0 && hub_is_model_folder(&files) && !has_name(list, repo))
        status =
            add_model(list, repo, model_of_folder(mem_strdup(snapshot), &files, HUB_CACHE), err);
    mem_free(groups);
    hub_files_release(&files);
    return status;
}

hearth_status local_scan_repo(const struct hub *hub, const char *repo, struct model_list *list,
                              hearth_error *err) {
    char **commits = NULL, *folder = cache_repo_folder(hub, repo);
    size_t count = 0;
    hearth_status status =
        folder ? local_snapshots(folder, "", &commits, &count, err) : no_memory(err);
    for (size_t i = 0; status == HEARTH_OK && i < count; i++) {
        char *snapshot = cache_path(folder, "snapshots", commits[i]);
        status = snapshot ? scan_snapshot(snapshot, repo, list, err) : no_memory(err);
        mem_free(snapshot);
    }
    file_names_free(commits, count);
    mem_free(folder);
    return status;
}

static hearth_status scan_cache(const struct hub *hub, struct model_list *list, hearth_error *err) {
    char **folders, repo[HUB_REPO_BYTES];
    size_t count;
    hearth_status status = HEARTH_OK;
    if (!file_is_folder(hub->cache)) return HEARTH_OK;
    RETURN_IF_ERROR(file_list(hub->cache, &folders, &count, err));
    for (size_t i = 0; status == HEARTH_OK && i < count; i++)
        if (cache_repo_of(folders[i], repo)) status = local_scan_repo(hub, repo, list, err);
    file_names_free(folders, count);
    return status;
}

/* ---- plain folders ----------------------------------------------------- */

/* "sub/model-q4_0.gguf" → "sub/model-q4_0". */
static void without_extension(const char *file, char *out, size_t out_size) {
    const char *dot = strrchr(file, '.');
    snprintf(out, out_size, "%.*s", dot ? (int)(dot - file) : (int)strlen(file), file);
}

/* A config.json with weights beside it. */
static hearth_status scan_config(const char *root, const char *config, struct model_list *list,
                                 hearth_error *err) {
    struct hub_files beside = {0};
    char *path = path_join(root, config), *folder = path ? path_folder(path) : NULL;
    char *name = path_folder(config);
    hearth_status status = folder && name ? hub_files_walk(&beside, folder, err) : no_memory(err);
    if (status == HEARTH_OK && hub_is_model_folder(&beside)) {
        const char *shown = strcmp(name, ".") == 0 ? path_base(root) : name;
        status =
            add_model(list, shown, model_of_folder(mem_strdup(folder), &beside, HUB_FOLDER), err);
    }
    hub_files_release(&beside);
    mem_free(path);
    mem_free(folder);
    mem_free(name);
    return status;
}

hearth_status local_scan_folder(const char *root, struct model_list *list, hearth_error *err) {
    struct hub_files files = {0};
    struct gguf_group *groups = NULL;
    size_t count = 0;
    char name[NAME_BYTES];
    hearth_status status = hub_files_walk(&files, root, err);
    if (status == HEARTH_OK) status = gguf_groups(&files, &groups, &count, err);
    for (size_t i = 0; status == HEARTH_OK && i < count; i++) {
        if (!groups[i].is_complete) continue;
        without_extension(groups[i].name, name, sizeof name);
        status = add_model(list, name, model_of_group(root, &groups[i], HUB_FOLDER), err);
    }
    for (size_t i = 0; status == HEARTH_OK && i < files.count; i++)
        if (strcmp(path_base(files.items[i].name), "config.json") == 0)
            status = scan_config(root, files.items[i].name, list, err);
    mem_free(groups);
    hub_files_release(&files);
    return status;
}

bool local_folder_model(const struct hub *hub, const char *name, char **path) {
    struct model_list list = {0};
    *path = NULL;
    for (size_t i = 0; i < hub->n_folders && !*path; i++)
        local_scan_folder(hub->folders[i], &list, NULL);
    for (size_t pass = 0; pass < 2 && !*path; pass++)
        for (size_t i = 0; i < list.count && !*path; i++) {
            const struct hub_model *m = &list.items[i];
            bool whole = strcasecmp(m->name, name) == 0;
            bool base = strcasecmp(path_base(m->name), name) == 0 ||
                        strcasecmp(path_base(m->path), name) == 0;
            if (pass == 0 ? whole : base) *path = mem_strdup(m->path);
        }
    model_list_release(&list);
    return *path != NULL;
}

/* ---- all --------------------------------------------------------------- */

static hearth_status scan_aliases(struct hub *hub, struct model_list *list, hearth_error *err) {
    struct alias *aliases;
    size_t count;
    RETURN_IF_ERROR(aliases_read(hub->alias_file, &aliases, &count, err));
    hearth_status status = HEARTH_OK;
    size_t n_models = list->count;
    for (size_t i = 0; status == HEARTH_OK && i < count; i++) {
        char *path = NULL;
        uint64_t size = 0;
        if (hub_resolve(hub, aliases[i].name, &path, NULL) != HEARTH_OK) continue;
        struct hub_model model = {.source = HUB_ALIAS};
        for (size_t k = 0; k < n_models; k++)
            if (strcmp(list->items[k].path, path) == 0) model = list->items[k];
        if (!model.size_bytes && file_size(path, &size, NULL) == HEARTH_OK) model.size_bytes = size;
        model.source = HUB_ALIAS;
        model.path = path;
        status = add_model(list, aliases[i].name, model, err);
    }
    aliases_free(aliases, count);
    return status;
}

static hearth_status add_built_in(struct model_list *list, hearth_error *err) {
    char *path = built_in_find();
    if (!path || has_name(list, built_in_name)) {
        mem_free(path);
        return HEARTH_OK;
    }
    return add_model(list, built_in_name, model_of_file(path, HUB_BUILT_IN), err);
}

static int by_name(const void *a, const void *b) {
    return strcasecmp(((const struct hub_model *)a)->name, ((const struct hub_model *)b)->name);
}

hearth_status hub_list(struct hub *hub, struct hub_model **models, size_t *count,
                       hearth_error *err) {
    struct model_list list = {0};
    hearth_status status = scan_cache(hub, &list, err);
    for (size_t i = 0; status == HEARTH_OK && i < hub->n_folders; i++)
        status = local_scan_folder(hub->folders[i], &list, err);
    if (status == HEARTH_OK) status = scan_aliases(hub, &list, err);
    if (status == HEARTH_OK) status = add_built_in(&list, err);
    *models = NULL;
    *count = 0;
    if (status != HEARTH_OK) {
        model_list_release(&list);
        return status;
    }
    if (list.count) qsort(list.items, list.count, sizeof *list.items, by_name);
    *models = list.items;
    *count = list.count;
    return HEARTH_OK;
}
