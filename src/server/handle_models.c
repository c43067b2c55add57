/* Which models there are, as each interface says it. */
#include <string.h>
#include <time.h>

#include "base/units.h"
#include "server/handlers.h"
#include "server/http_errors.h"
#include "server/http_parts.h"
#include "server/model_question.h"

/* The backend's list; NULL: the exchange has a reply. */
static json_t *models_of(struct http_exchange *x) {
    hearth_error err = {0};
    json_t *models = json_array();
    hearth_status status =
        models ? backend_list_models(x->server->settings.backend, models, &err)
               : error_set(&err, HEARTH_ERROR_NO_MEMORY, "no memory for the list of models");
    if (status == HEARTH_OK) return models;
    json_decref(models);
    http_reply_failure(x, status, &err);
    return NULL;
}

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static json_int_t number_of(const json_t *object, const char *key) {
    return json_integer_value(json_object_get(object, key));
}

/* Whether its file can be used; what is wrong with others only Hearth's own interface tells. */
static bool is_usable(const json_t *model) {
    return json_object_get(model, "problem") == NULL;
}

/* An adapter can be asked for in place of its model, and so is listed as one. */
static void list_adapters(json_t *models) {
    size_t n = json_array_size(models), k;
    json_t *name;
    for (size_t i = 0; i < n; i++) {
        json_t *model = json_array_get(models, i);
        json_array_foreach(json_object_get(model, "adapters"), k, name) {
            json_t *adapted = json_copy(model);
            json_object_set(adapted, "parent", json_object_get(model, "name"));
            json_object_set(adapted, "name", name);
            json_object_del(adapted, "adapters");
            json_array_append_new(models, adapted);
        }
    }
}

/* A list that each usable model adds its own object to, as {name: [...]}. */
static void reply_list(struct http_exchange *x, json_t *wrapper, const char *name,
                       json_t *(*describe)(const json_t *model, struct http_exchange *x)) {
    size_t i;
    const json_t *model;
    json_t *models = models_of(x), *list = json_object_get(wrapper, name);
    if (!models) {
        json_decref(wrapper);
        return;
    }
    list_adapters(models);
    json_array_foreach(models, i, model) {
        json_t *described = is_usable(model) ? describe(model, x) : NULL;
        if (described) json_array_append_new(list, described);
    }
    json_decref(models);
    http_reply_json(x, MHD_HTTP_OK, wrapper);
}

/* ---- OpenAI's, with what llama.cpp's server adds -------------------------------------- */

/* When the file was written; of models without one it is now. */
static time_t time_of(const json_t *model) {
    json_int_t seconds = number_of(model, "modified_s");
    return seconds > 0 ? (time_t)seconds : time(NULL);
}

static const char *format_time(time_t when, char out[32]) {
    struct tm utc;
    out[0] = '\0';
    if (gmtime_r(&when, &utc)) strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return out;
}

static bool is_loaded(const json_t *model) {
    return json_is_true(json_object_get(model, "loaded"));
}

static json_t *openai_model(const json_t *model, struct http_exchange *x) {
    (void)x;
    return json_pack(
        "{s:s, s:s, s:I, s:s, s:O*, s:{s:s}, s:{s:I, s:I, s:I, s:I, s:s, s:s}}", "id",
        text_of(model, "name"), "object", "model", "created", (json_int_t)time_of(model),
        "owned_by", "hearth", "parent", json_object_get(model, "parent"), "status", "value",
        is_loaded(model) ? "loaded" : "unloaded", "meta", "n_ctx", number_of(model, "n_ctx"),
        "n_ctx_train", number_of(model, "n_ctx_train"), "n_params",
        number_of(model, "n_parameters"), "size", number_of(model, "size_bytes"), "type",
        text_of(model, "type"), "family", text_of(model, "family"));
}

/* ---- Anthropic's: at the same places, for clients that name a version of its interface ---- */

static bool wants_anthropic(const struct http_exchange *x) {
    return http_exchange_header(x, "anthropic-version") != NULL;
}

static json_t *anthropic_model(const json_t *model, struct http_exchange *x) {
    char created[32];
    (void)x;
    return json_pack("{s:s, s:s, s:s, s:s}", "type", "model", "id", text_of(model, "name"),
                     "display_name", text_of(model, "name"), "created_at",
                     format_time(time_of(model), created));
}

void handle_models(struct http_exchange *x) {
    if (wants_anthropic(x))
        reply_list(x,
                   json_pack("{s:[], s:b, s:n, s:n}", "data", "has_more", 0, "first_id", "last_id"),
                   "data", anthropic_model);
    else
        reply_list(x, json_pack("{s:s, s:[]}", "object", "list", "data"), "data", openai_model);
}

static bool has_name(const json_t *model, const char *name) {
    const char *own = text_of(model, "name");
    size_t n = strlen(own);
    return strncmp(own, name, n) == 0 && (!name[n] || strcmp(name + n, ":latest") == 0);
}

static json_t *find_named(const json_t *models, const char *name) {
    json_t *model;
    size_t i;
    json_array_foreach(models, i, model) {
        if (has_name(model, name)) return model;
    }
    return NULL;
}

/* The model of the list, a new reference; NULL: the exchange has a reply. */
static json_t *find_model(struct http_exchange *x, const char *name) {
    json_t *models = models_of(x);
    if (!models) return NULL;
    list_adapters(models);
    json_t *found = json_incref(find_named(models, name));
    json_decref(models);
    if (!found) http_reply_error(x, MHD_HTTP_NOT_FOUND, "model", "no model '%.200s' here", name);
    return found;
}

void handle_model(struct http_exchange *x) {
    json_t *model = find_model(x, x->rest);
    if (!model) return;
    http_reply_json(x, MHD_HTTP_OK,
                    wants_anthropic(x) ? anthropic_model(model, x) : openai_model(model, x));
    json_decref(model);
}

/* ---- llama.cpp's: what its own clients ask first --------------------------------------- */

static json_t *props_json(const json_t *model, json_int_t n_slots) {
    return json_pack("{s:{s:I}, s:I, s:s, s:s, s:s}", "default_generation_settings", "n_ctx",
                     number_of(model, "n_ctx"), "total_slots", n_slots, "model_path",
                     text_of(model, "path"), "model_alias", text_of(model, "name"), "build_info",
                     "hearth " HEARTH_VERSION);
}

/* Answers that the model gives at a time; an adapter's are its model's. */
static hearth_status count_slots(struct backend *backend, const json_t *model, json_int_t *n,
                                 hearth_error *err) {
    const json_t *parent = json_object_get(model, "parent");
    const char *name = parent ? json_string_value(parent) : text_of(model, "name");
    json_t *says = json_object();
    hearth_status status = says
                               ? backend_status(backend, says, err)
                               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the status");
    if (status == HEARTH_OK)
        *n = number_of(find_named(json_object_get(says, "models"), name), "slots");
    json_decref(says);
    return status;
}

static json_t *describe_props(struct backend *backend, const char *name, const json_t *body,
                              struct dialect_problem *problem) {
    hearth_error err = {0};
    json_t *models = json_array(), *reply = NULL;
    const json_t *model = NULL;
    json_int_t n_slots = 0;
    (void)body;
    hearth_status status =
        models ? backend_list_models(backend, models, &err)
               : error_set(&err, HEARTH_ERROR_NO_MEMORY, "no memory for the list of models");
    if (status == HEARTH_OK) list_adapters(models);
    if (status == HEARTH_OK) model = find_named(models, name);
    if (status == HEARTH_OK && (!model || !is_loaded(model)))
        status = error_set(&err, HEARTH_ERROR_NOT_FOUND, "the model '%.200s' is not loaded", name);
    if (status == HEARTH_OK) status = count_slots(backend, model, &n_slots, &err);
    if (status == HEARTH_OK)
        reply = props_json(model, n_slots);
    else
        model_question_fail(problem, status, &err);
    json_decref(models);
    return reply;
}

/* Of ?model=, or of the first one, loaded or not. */
void handle_props(struct http_exchange *x) {
    static const struct model_question question = {MODEL_QUESTION_PLAN, describe_props};
    const char *name = http_exchange_query(x, "model");
    if (name && *name) {
        model_question_answer(x, &question, name);
        return;
    }
    json_t *models = models_of(x), *slots = models ? status_slots(x) : NULL;
    if (slots)
        http_reply_json(x, MHD_HTTP_OK,
                        props_json(json_array_get(models, 0), (json_int_t)json_array_size(slots)));
    json_decref(slots);
    json_decref(models);
}

/* ---- Ollama's ---------------------------------------------------------------------------- */

static json_t *ollama_details(const json_t *model) {
    char parameters[32];
    units_format_count((uint64_t)number_of(model, "n_parameters"), parameters, sizeof parameters);
    return json_pack("{s:s, s:s, s:s, s:[s], s:s, s:s}", "parent_model", "", "format", "gguf",
                     "family", text_of(model, "family"), "families", text_of(model, "family"),
                     "parameter_size", parameters, "quantization_level", text_of(model, "type"));
}

static json_t *ollama_model(const json_t *model, struct http_exchange *x) {
    char modified[32];
    (void)x;
    return json_pack("{s:s, s:s, s:s, s:I, s:s, s:o}", "name", text_of(model, "name"), "model",
                     text_of(model, "name"), "modified_at", format_time(time_of(model), modified),
                     "size", number_of(model, "size_bytes"), "digest", "", "details",
                     ollama_details(model));
}

void handle_ollama_tags(struct http_exchange *x) {
    reply_list(x, json_pack("{s:[]}", "models"), "models", ollama_model);
}

/* Of one that stays, a time that nobody will see. */
static json_t *ollama_loaded(const json_t *model, struct http_exchange *x) {
    json_t *described = is_loaded(model) ? ollama_model(model, x) : NULL;
    const json_t *left = json_object_get(model, "seconds_left");
    char expires[32] = "9999-12-31T23:59:59Z";
    if (left) format_time(time(NULL) + (time_t)json_number_value(left), expires);
    if (described) {
        json_object_set_new(described, "size_vram", json_integer(0));
        json_object_set_new(described, "expires_at", json_string(expires));
        json_object_set_new(described, "context_length", json_integer(number_of(model, "n_ctx")));
    }
    return described;
}

void handle_ollama_ps(struct http_exchange *x) {
    reply_list(x, json_pack("{s:[]}", "models"), "models", ollama_loaded);
}

void handle_ollama_show(struct http_exchange *x) {
    const char *name = json_string_value(json_object_get(x->json, "model"));
    if (!name) name = json_string_value(json_object_get(x->json, "name"));
    if (!name) {
        http_reply_error(x, MHD_HTTP_BAD_REQUEST, "model", "'model' must be a text");
        return;
    }
    json_t *model = find_model(x, name);
    if (!model) return;
    bool embeds = json_is_true(json_object_get(model, "embeds"));
    http_reply_json(x, MHD_HTTP_OK,
                    json_pack("{s:s, s:s, s:s, s:o, s:{s:s, s:I, s:I}, s:[s]}", "license", "",
                              "modelfile", "", "parameters", "", "details", ollama_details(model),
                              "model_info", "general.architecture", text_of(model, "family"),
                              "general.parameter_count", number_of(model, "n_parameters"),
                              "general.context_length", number_of(model, "n_ctx_train"),
                              "capabilities", embeds ? "embedding" : "completion"));
    json_decref(model);
}

void handle_ollama_version(struct http_exchange *x) {
    http_reply_json(x, MHD_HTTP_OK, json_pack("{s:s}", "version", HEARTH_VERSION));
}

/* ---- Hearth's own -------------------------------------------------------------------------- */

void handle_own_models(struct http_exchange *x) {
    json_t *models = models_of(x);
    if (models) http_reply_json(x, MHD_HTTP_OK, json_pack("{s:o}", "models", models));
}
