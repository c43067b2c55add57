#include "server/model_work.h"

#include <string.h>

#include "base/cpu.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/units.h"
#include "hub/hub.h"
#include "hub/hub_search.h"
#include "model/model.h"
#include "model/quantization.h"
#include "route/model_catalogue.h"
#include "server/http_parts.h"
#include "server/model_holding.h"

static const char *text_of(const json_t *input, const char *key) {
    return json_string_value(json_object_get(input, key));
}

/* Clients know names: what is a path here is nothing to them. */
static hearth_status open_hub(struct hub **hub, hearth_error *err) {
    RETURN_IF_ERROR(hub_open(hub, err));
    hub_refuse_paths(*hub);
    return HEARTH_OK;
}

/* ---- fetching ----------------------------------------------------------------------- */

static void say_progress(struct http_task *task, const char *status, uint64_t done,
                         uint64_t total) {
    http_task_say(task, json_pack("{s:s, s:I, s:I}", "status", status, "completed_bytes",
                                  (json_int_t)done, "total_bytes", (json_int_t)total));
}

static void say_status(struct http_task *task, const char *status) {
    http_task_say(task, json_pack("{s:s}", "status", status));
}

static void follow_pull(void *context, const struct hub_progress *p) {
    struct http_task *task = context;
    if (http_task_is_due(task)) say_progress(task, p->file, p->total_done, p->total_bytes);
}

/* A file's last piece is told, so that its bar is full. */
static void follow_pull_ollama(void *context, const struct hub_progress *p) {
    struct http_task *task = context;
    bool whole = p->file_done == p->file_total;
    if (!http_task_is_due(task) && !whole) return;
    http_task_say(task, json_pack("{s:s+, s:s+, s:I, s:I}", "status", "pulling ", p->file, "digest",
                                  "sha256:", p->etag, "total", (json_int_t)p->file_total,
                                  "completed", (json_int_t)p->file_done));
}

static hearth_status pull(struct http_task *task, const char *name,
                          void (*follow)(void *context, const struct hub_progress *progress),
                          hearth_error *err) {
    struct hub *hub;
    const struct hub_pull_options options = {
        .cancel = http_task_cancelled(task), .on_progress = follow, .context = task};
    RETURN_IF_ERROR(open_hub(&hub, err));
    hearth_status status = hub_pull(hub, name, &options, NULL, err);
    hub_close(hub);
    if (status == HEARTH_OK) say_status(task, "success");
    return status;
}

hearth_status model_work_pull(struct http_task *task, const json_t *input, hearth_error *err) {
    return pull(task, text_of(input, "name"), follow_pull, err);
}

/* Of the server's own models, under a name that no repository has. */
static hearth_status is_here(struct http_task *task, const char *name, bool *here,
                             hearth_error *err) {
    size_t i;
    json_t *models = json_array(), *model;
    hearth_status status =
        models ? backend_list_models(http_task_server(task)->settings.backend, models, err)
               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the list of models");
    *here = false;
    json_array_foreach(models, i, model) {
        *here = *here || (!strchr(name, '/') && strcmp(text_of(model, "name"), name) == 0);
    }
    json_decref(models);
    return status;
}

/* Clients of Ollama's pull before they ask, whatever is there. */
hearth_status model_work_pull_ollama(struct http_task *task, const json_t *input,
                                     hearth_error *err) {
    const char *name = text_of(input, "name");
    bool here;
    RETURN_IF_ERROR(is_here(task, name, &here, err));
    say_status(task, "pulling manifest");
    if (!here) return pull(task, name, follow_pull_ollama, err);
    say_status(task, "success");
    return HEARTH_OK;
}

/* What the hub finds comes after the short names, which are known without it. */
static hearth_status search_hub(struct http_task *task, const char *words, json_t *reply) {
    struct hub *hub;
    hearth_error problem = {0};
    hearth_status status = open_hub(&hub, &problem);
    if (status == HEARTH_OK) {
        status = hub_search(hub, words, http_task_cancelled(task), json_object_get(reply, "models"),
                            &problem);
        hub_close(hub);
    }
    if (status != HEARTH_OK) json_object_set_new(reply, "problem", json_string(problem.message));
    return status == HEARTH_ERROR_CANCELLED ? status : HEARTH_OK;
}

hearth_status model_work_search(struct http_task *task, const json_t *input, hearth_error *err) {
    const char *words = text_of(input, "words");
    json_t *reply = json_pack("{s:[]}", "models");
    if (!reply) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a search");
    hearth_status status = hub_search_short_names(words, json_object_get(reply, "models"), err);
    if (status == HEARTH_OK && *words) status = search_hub(task, words, reply);
    if (status == HEARTH_OK)
        http_task_say(task, reply);
    else
        json_decref(reply);
    return status;
}

/* ---- making another model of one ------------------------------------------------------ */

/* A listed model, by a name that came from outside: given. */
static hearth_status find(const char *name, struct listed_model *out, hearth_error *err) {
    struct model_catalogue *catalogue;
    RETURN_IF_ERROR(model_catalogue_open(&catalogue, err));
    hearth_status status = model_catalogue_find(catalogue, name, out, err);
    model_catalogue_close(catalogue);
    return status;
}

static void follow_quantization(void *context, uint64_t done, uint64_t total) {
    struct http_task *task = context;
    if (http_task_is_due(task)) say_progress(task, "quantizing", done, total);
}

static hearth_status check_disk(const struct quantization *q, const char *path, hearth_error *err) {
    char need[32], have[32], *folder = path_folder(path);
    uint64_t left = folder ? file_disk_free(folder) : 0;
    mem_free(folder);
    if (!left || q->output_bytes <= left) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_IO,
                     "the model will have %s, but only %s are free on the disk",
                     units_format_bytes(q->output_bytes, need, sizeof need),
                     units_format_bytes(left, have, sizeof have));
}

/* Answers go on beside it: half of the processors are theirs. Eight bits are as good as the
 * original to make fewer of. */
static hearth_status quantize(struct http_task *task, const struct model *model,
                              const struct quant_recipe *recipe, const char *path,
                              hearth_error *err) {
    struct quantization q;
    const struct quantization_options options = {
        .choice = {.recipe = recipe, .output_type = ELEM_TYPES, .embedding_type = ELEM_TYPES},
        .allow_requantize = directory_main_type(&model->directory) == ELEM_Q8_0,
        .n_threads = (cpu_logical_threads() + 1) / 2,
        .progress = follow_quantization,
        .progress_context = task,
        .cancel = http_task_cancelled(task)};
    hearth_status status = quantization_open_model(&q, &model->directory, &options, err);
    if (status == HEARTH_OK) status = check_disk(&q, path, err);
    if (status == HEARTH_OK) status = quantization_write(&q, path, err);
    quantization_close(&q);
    return status;
}

static hearth_status quantize_as(struct http_task *task, const struct listed_model *listed,
                                 const struct quant_recipe *recipe, const char *as,
                                 hearth_error *err) {
    struct hub *hub;
    struct model model;
    char *path = NULL;
    RETURN_IF_ERROR(open_hub(&hub, err));
    hearth_status status = hub_own_path(hub, as, &path, err);
    if (status == HEARTH_OK) status = model_open_files(&model, listed->path, err);
    if (status == HEARTH_OK) {
        status = quantize(task, &model, recipe, path, err);
        model_close(&model);
    }
    mem_free(path);
    hub_close(hub);
    return status;
}

hearth_status model_work_quantize(struct http_task *task, const json_t *input, hearth_error *err) {
    const struct quant_recipe *recipe;
    struct listed_model listed;
    RETURN_IF_ERROR(quant_recipe_find(&recipe, text_of(input, "type"), err));
    RETURN_IF_ERROR(find(text_of(input, "name"), &listed, err));
    hearth_status status = quantize_as(task, &listed, recipe, text_of(input, "as"), err);
    listed_model_release(&listed);
    if (status == HEARTH_OK) say_status(task, "success");
    return status;
}

/* ---- names ---------------------------------------------------------------------------- */

hearth_status model_work_delete(struct http_task *task, const json_t *input, hearth_error *err) {
    struct hub *hub;
    const char *name = text_of(input, "name");
    bool in_use;
    hearth_status status = model_holding_unload(task, name, &in_use, err);
    if (status != HEARTH_OK && status != HEARTH_ERROR_NOT_FOUND) return status;
    if (in_use) {
        http_task_fail_as(task, MHD_HTTP_CONFLICT);
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "'%.200s' is answering; remove it when it no longer does", name);
    }
    RETURN_IF_ERROR(open_hub(&hub, err));
    status = hub_remove(hub, name, false, NULL, err);
    hub_close(hub);
    return status;
}

hearth_status model_work_copy(struct http_task *task, const json_t *input, hearth_error *err) {
    struct hub *hub;
    struct listed_model listed;
    (void)task;
    RETURN_IF_ERROR(find(text_of(input, "name"), &listed, err));
    hearth_status status = open_hub(&hub, err);
    if (status == HEARTH_OK) {
        status = hub_alias(hub, text_of(input, "as"), listed.name, err);
        hub_close(hub);
    }
    listed_model_release(&listed);
    return status;
}

/* ---- memory ---------------------------------------------------------------------------- */

hearth_status model_work_load(struct http_task *task, const json_t *input, hearth_error *err) {
    return model_holding_load(task, text_of(input, "name"), err);
}

hearth_status model_work_unload(struct http_task *task, const json_t *input, hearth_error *err) {
    bool in_use;
    return model_holding_unload(task, text_of(input, "name"), &in_use, err);
}
