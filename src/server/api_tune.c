#include "server/api_tune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "hub/hub.h"
#include "server/run_result.h"
#include "server/tune_inspect.h"
#include "server/tune_recipe.h"
#include "server/tune_uploads.h"

static void give_failure(struct api_answer *answer, hearth_status status, const char *field,
                         const hearth_error *err) {
    switch (status) {
    case HEARTH_ERROR_NOT_FOUND: api_fail(answer, 404, field, "%s", err->message); break;
    case HEARTH_ERROR_UNSUPPORTED: api_fail(answer, 409, field, "%s", err->message); break;
    case HEARTH_ERROR_LIMIT: api_fail(answer, 413, field, "%s", err->message); break;
    case HEARTH_ERROR_ARGUMENT:
    case HEARTH_ERROR_FORMAT: api_fail(answer, 400, field, "%s", err->message); break;
    case HEARTH_ERROR_NO_MEMORY:
    case HEARTH_ERROR_CANCELLED: api_fail(answer, 503, field, "%s", err->message); break;
    default: api_fail(answer, 500, field, "%s", err->message);
    }
}

/* ---- models -------------------------------------------------------------------------------------
 */

static char *path_of(const json_t *model, const char *name) {
    const char *path = json_string_value(json_object_get(model, "path"));
    struct hub *hub = NULL;
    char *found = path ? mem_strdup(path) : NULL;
    if (!found && hub_open(&hub, NULL) == HEARTH_OK) hub_resolve(hub, name, &found, NULL);
    hub_close(hub);
    return found;
}

/* Only models that can be asked here can be tuned here: a client names no files. The first where
 * `name` is NULL. */
static hearth_status find_model(const struct tune_api *api, const char *name, char **path,
                                hearth_error *err) {
    json_t *models = json_array(), *model;
    size_t i;
    *path = NULL;
    hearth_status status = models ? backend_list_models(api->backend, models, err)
                                  : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for models");
    json_array_foreach(models, i, model) {
        const char *own = json_string_value(json_object_get(model, "name"));
        if (*path || !own || (name && strcmp(own, name) != 0)) continue;
        *path = path_of(model, own);
    }
    json_decref(models);
    if (status != HEARTH_OK || *path) return status;
    return error_set(err, HEARTH_ERROR_NOT_FOUND, "no model '%.200s' here", name ? name : "");
}

/* ---- files
 * ---------------------------------------------------------------------------------------- */

static hearth_status inspect(const struct tune_api *api, const struct tune_upload *upload,
                             json_t **found, hearth_error *err) {
    char id[UPLOAD_ID_BYTES], *path = NULL, *model = NULL;
    hearth_status status = find_model(api, upload->model, &model, err);
    if (status == HEARTH_ERROR_NOT_FOUND && !upload->model) status = HEARTH_OK; /* ChatML */
    if (status == HEARTH_OK)
        status = tune_uploads_keep(upload->name, upload->data, upload->size, id, err);
    if (status == HEARTH_OK) status = tune_uploads_find(id, &path, err);
    if (status == HEARTH_OK) status = tune_inspect(path, model, found, err);
    if (status == HEARTH_OK) json_object_set_new(*found, "file", json_string(id));
    mem_free(path);
    mem_free(model);
    return status;
}

/* What the file is called here means nothing to the client. */
static void leave_out_path(hearth_error *err) {
    const char *behind = strstr(err->message, "': ");
    if (err->message[0] == '\'' && behind)
        memmove(err->message, behind + 3, strlen(behind + 3) + 1);
}

void api_tune_inspect(const struct tune_api *api, const struct tune_upload *upload,
                      struct api_answer *answer) {
    hearth_error err = {0};
    json_t *found = NULL;
    if (upload->size == 0) {
        api_fail(answer, 400, "file", "there is nothing in this file");
        return;
    }
    hearth_status status = inspect(api, upload, &found, &err);
    if (status == HEARTH_OK) {
        api_give(answer, 200, found);
        return;
    }
    if (status != HEARTH_ERROR_NOT_FOUND) leave_out_path(&err);
    give_failure(answer, status, status == HEARTH_ERROR_NOT_FOUND ? "model" : "file", &err);
}

/* ---- runs
 * ------------------------------------------------------------------------------------------ */

static json_t *describe(const struct tune_api *api, const struct served_run *run) {
    return served_run_describe(run, run_queue_computes(api->queue, run->id));
}

static void list(const struct tune_api *api, struct api_answer *answer) {
    struct served_run_list runs;
    hearth_error err = {0};
    json_t *described = json_array();
    hearth_status status = run_shelf_list(run_queue_shelf(api->queue), &runs, &err);
    for (size_t i = 0; i < runs.count && status == HEARTH_OK; i++) {
        json_t *run = describe(api, &runs.runs[i]);
        json_object_del(run, "samples");
        json_array_append_new(described, run);
    }
    run_list_release(&runs);
    if (status == HEARTH_OK)
        api_give(answer, 200, json_pack("{s:O}", "runs", described));
    else
        give_failure(answer, status, NULL, &err);
    json_decref(described);
}

static void show(const struct tune_api *api, const char *id, int status,
                 struct api_answer *answer) {
    struct served_run run;
    hearth_error err = {0};
    hearth_status found = run_shelf_find(run_queue_shelf(api->queue), id, &run, &err);
    if (found == HEARTH_OK)
        api_give(answer, status, describe(api, &run));
    else
        give_failure(answer, found, NULL, &err);
    served_run_close(&run);
}

/* ---- a new run */

enum { NAME_MOST_BYTES = 120 };

/* A text of one line, at most so long; "" where the key is missing. NULL: it is none. */
static const char *take_line(const json_t *body, const char *key, size_t most) {
    const json_t *value = json_object_get(body, key);
    const char *text = value ? json_string_value(value) : "";
    if (!text || strlen(text) > most || strlen(text) != json_string_length(value)) return NULL;
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F) return NULL;
    return text;
}

struct order {
    struct wanted_run wanted;
    char *model_path, *data, *recipe;
};

static void release(struct order *order) {
    mem_free(order->model_path);
    mem_free(order->data);
    free(order->recipe);
}

/* False: the answer says what is wrong. */
static bool take_texts(const json_t *body, struct order *order, struct api_answer *answer) {
    static const struct {
        const char *key;
        size_t most;
    } texts[] = {{"model", 400}, {"file", 64}, {"name", NAME_MOST_BYTES}, {"hosts", 900}};
    const char *found[4];
    for (size_t i = 0; i < 4; i++) {
        found[i] = take_line(body, texts[i].key, texts[i].most);
        if (found[i] && (*found[i] || i >= 2)) continue;
        api_fail(answer, 400, texts[i].key, "'%s' must be a line of text, at most %zu bytes",
                 texts[i].key, texts[i].most);
        return false;
    }
    order->wanted.model = found[0];
    order->wanted.name = *found[2] ? found[2] : found[0];
    order->wanted.hosts = *found[3] ? found[3] : NULL;
    return true;
}

static bool take_order(const struct tune_api *api, const json_t *body, struct order *order,
                       struct api_answer *answer) {
    hearth_error err = {0};
    const char *field = "model", *file = json_string_value(json_object_get(body, "file"));
    if (!take_texts(body, order, answer)) return false;
    hearth_status status = find_model(api, order->wanted.model, &order->model_path, &err);
    if (status == HEARTH_OK) {
        field = "file";
        status = tune_uploads_find(file, &order->data, &err);
    }
    if (status == HEARTH_OK)
        status = tune_recipe_make(body, order->model_path, &order->recipe, &field, &err);
    if (status == HEARTH_OK) {
        field = NULL;
        status = api->settings->check(order->recipe, order->wanted.hosts, &err);
    }
    order->wanted.recipe = order->recipe;
    order->wanted.data = order->data;
    if (order->data) order->wanted.data_name = tune_uploads_name(order->data);
    if (status == HEARTH_OK) return true;
    give_failure(answer, status == HEARTH_ERROR_UNSUPPORTED ? HEARTH_ERROR_ARGUMENT : status, field,
                 &err);
    return false;
}

static void begin(const struct tune_api *api, const json_t *body, struct api_answer *answer) {
    struct order order = {.model_path = NULL};
    char id[SERVED_RUN_ID_BYTES];
    hearth_error err = {0};
    if (!json_is_object(body)) {
        api_fail(answer, 400, NULL, "the body must be a JSON object");
        return;
    }
    if (take_order(api, body, &order, answer)) {
        hearth_status status = run_queue_add(api->queue, &order.wanted, id, &err);
        if (status == HEARTH_OK)
            show(api, id, 201, answer);
        else
            give_failure(answer, status, NULL, &err);
    }
    release(&order);
}

/* ---- a run that there is */

static void drop(const struct tune_api *api, const char *id, struct api_answer *answer) {
    hearth_error err = {0};
    hearth_status status = run_queue_remove(api->queue, id, &err);
    if (status == HEARTH_OK)
        api_give(answer, 200, json_pack("{s:s}", "deleted", id));
    else
        give_failure(answer, status, NULL, &err);
}

static bool take_format(const json_t *body, enum run_export *what, struct api_answer *answer) {
    const json_t *format = json_object_get(body, "format");
    const char *text = format ? json_string_value(format) : "merged";
    *what = text && strcmp(text, "adapter") == 0 ? EXPORT_ADAPTER : EXPORT_MERGED;
    if (text && (*what == EXPORT_ADAPTER || strcmp(text, "merged") == 0)) return true;
    api_fail(answer, 400, "format", "'format' must be \"merged\" or \"adapter\"");
    return false;
}

static hearth_status export_found(const struct tune_api *api, struct served_run *run,
                                  enum run_export what, char **path, hearth_error *err) {
    const char *state = served_run_state(run, run_queue_computes(api->queue, run->id));
    if (strcmp(state, "running") == 0 || strcmp(state, "waiting") == 0)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "this run is %s; pause or stop it, or wait for its end, to export it",
                         state);
    return run_result_export(run, api->settings->program, what, api->stop, api->context, path, err);
}

static void export_run(const struct tune_api *api, const char *id, const json_t *body,
                       struct api_answer *answer) {
    struct served_run run = {.folder = NULL};
    enum run_export what;
    hearth_error err = {0};
    char *path = NULL;
    if (!take_format(body, &what, answer)) return;
    hearth_status status = run_shelf_find(run_queue_shelf(api->queue), id, &run, &err);
    if (status == HEARTH_OK) status = export_found(api, &run, what, &path, &err);
    if (status == HEARTH_OK) {
        const char *result = served_run_text(&run, "result");
        api_give(
            answer, 200,
            json_pack("{s:s, s:s}", "name", what == EXPORT_MERGED ? result : run.id, "path", path));
    } else {
        give_failure(answer, status, NULL, &err);
    }
    mem_free(path);
    served_run_close(&run);
}

/* The file of what was trained, given. */
static hearth_status find_adapter(const struct tune_api *api, struct served_run *run, char **path,
                                  hearth_error *err) {
    const char *state = served_run_state(run, run_queue_computes(api->queue, run->id));
    char *template = served_run_file(run, "chat_template.jinja"); /* another than the model's */
    hearth_error problem = {0};
    bool has_template = template != NULL;
    mem_free(template);
    *path = NULL;
    if (has_template)
        error_set(&problem, HEARTH_ERROR_UNSUPPORTED, "it has a chat template of its own");
    else if (strcmp(state, "finished") == 0)
        *path = served_run_file(run, "adapter.gguf");
    else if (strcmp(state, "stopped") == 0) /* any file there may be of an earlier stop */
        run_result_export(run, api->settings->program, EXPORT_ADAPTER, api->stop, api->context,
                          path, &problem);
    else
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "this run is %s; stop it, or wait for its end, to load its adapter",
                         state);
    if (*path) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                     "this run has no adapter that can be loaded; export it as a model%s%s",
                     *problem.message ? ": " : "", problem.message);
}

struct loading {
    struct backend *backend;
    const char *id, *path;
    char *name; /* that the adapter got */
};

/* No model goes by the adapter's name: one that is exported is called like the run. */
static hearth_status add_adapter(void *context, const char *model, hearth_error *err) {
    struct loading *l = context;
    char wanted[SERVED_RUN_ID_BYTES + sizeof "-adapter"];
    snprintf(wanted, sizeof wanted, "%s-adapter", l->id);
    return backend_add_adapter(l->backend, model, l->path, wanted, &l->name, err);
}

static hearth_status load_adapter(const struct tune_api *api, const char *model,
                                  struct loading *loading, hearth_error *err) {
    char *found;
    RETURN_IF_ERROR(find_model(api, model, &found, err));
    mem_free(found);
    hearth_status status = api->hold(api->holder, model, add_adapter, loading, err);
    bool misfits = status == HEARTH_ERROR_LIMIT || status == HEARTH_ERROR_FORMAT ||
                   status == HEARTH_ERROR_ARGUMENT;
    return misfits ? HEARTH_ERROR_UNSUPPORTED : status;
}

static void load_run(const struct tune_api *api, const char *id, struct api_answer *answer) {
    struct served_run run = {.folder = NULL};
    hearth_error err = {0};
    char *path = NULL;
    struct loading loading = {.backend = api->backend};
    hearth_status status = run_shelf_find(run_queue_shelf(api->queue), id, &run, &err);
    const char *model = status == HEARTH_OK ? served_run_model(&run) : "";
    if (status == HEARTH_OK) status = find_adapter(api, &run, &path, &err);
    loading.id = run.id;
    loading.path = path;
    if (status == HEARTH_OK) status = load_adapter(api, model, &loading, &err);
    if (status == HEARTH_OK)
        api_give(answer, 200, json_pack("{s:s, s:s}", "model", model, "adapter", loading.name));
    else
        give_failure(answer, status, NULL, &err);
    mem_free(loading.name);
    mem_free(path);
    served_run_close(&run);
}

static void act(const struct tune_api *api, const struct api_request *request,
                struct api_answer *answer) {
    static const char *const words[] = {"resume", "pause", "stop"}; /* as enum run_wish */
    const char *id = request->parts[1], *word = request->parts[2];
    hearth_error err = {0};
    size_t wish = 0;
    while (wish < 3 && strcmp(word, words[wish]) != 0)
        wish++;
    bool exports = strcmp(word, "export") == 0, loads = strcmp(word, "load") == 0;
    if (!exports && !loads && wish == 3) {
        api_fail_place(answer);
    } else if (!api_method_is(request, "POST")) {
        api_fail_method(answer, "POST");
    } else if (exports) {
        export_run(api, id, request->body, answer);
    } else if (loads) {
        load_run(api, id, answer);
    } else {
        hearth_status status = run_queue_wish(api->queue, id, (enum run_wish)wish, &err);
        if (status == HEARTH_OK)
            show(api, id, 200, answer);
        else
            give_failure(answer, status, NULL, &err);
    }
}

void api_tune_runs(const struct tune_api *api, const struct api_request *request,
                   struct api_answer *answer) {
    bool gets = api_method_is(request, "GET");
    switch (request->n_parts) {
    case 1:
        if (gets)
            list(api, answer);
        else if (api_method_is(request, "POST"))
            begin(api, request->body, answer);
        else
            api_fail_method(answer, "GET and POST");
        return;
    case 2:
        if (gets)
            show(api, request->parts[1], 200, answer);
        else if (api_method_is(request, "DELETE"))
            drop(api, request->parts[1], answer);
        else
            api_fail_method(answer, "GET and DELETE");
        return;
    case 3: act(api, request, answer); return;
    default: api_fail_place(answer);
    }
}
