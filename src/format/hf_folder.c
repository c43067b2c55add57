#include "format/hf_folder.h"

#include <string.h>

#include "base/mem.h"
#include "format/json_text.h"
#include "format/safetensors.h"

enum { HF_MAX_PATH_BYTES = 4096 };
#define HF_MAX_JSON_BYTES ((size_t)64 << 20)
#define HF_MAX_TEMPLATE_BYTES ((size_t)4 << 20)
#define HF_MAX_ARENA_BYTES ((size_t)64 << 20)

static bool ends_with(const char *text, const char *suffix) {
    size_t n = strlen(text), m = strlen(suffix);
    return n >= m && strcmp(text + n - m, suffix) == 0;
}

static hearth_status no_memory(const char *path, hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to open '%s'", path);
}

static bool has_file(const char *folder, const char *name) {
    char path[HF_MAX_PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    return n > 0 && (size_t)n < sizeof path && file_exists(path);
}

/* Reads a text file of the folder; an absent one leaves *data NULL. */
static hearth_status read_text(const char *folder, const char *name, size_t max_bytes, char **data,
                               size_t *size, hearth_error *err) {
    char *path = path_join(folder, name);
    *data = NULL;
    *size = 0;
    if (!path) return no_memory(folder, err);
    hearth_status status = file_read(path, max_bytes, data, size, err);
    mem_free(path);
    return status == HEARTH_ERROR_NOT_FOUND ? HEARTH_OK : status;
}

/* Reads a JSON object; an absent file leaves *json NULL. */
static hearth_status read_json(const char *folder, const char *name, json_t **json,
                               hearth_error *err) {
    char *data, what[HEARTH_ERROR_MESSAGE_BYTES / 2];
    size_t size;
    *json = NULL;
    RETURN_IF_ERROR(read_text(folder, name, HF_MAX_JSON_BYTES, &data, &size, err));
    if (!data) return HEARTH_OK;
    snprintf(what, sizeof what, "cannot read '%s' of '%s'", name, folder);
    hearth_status status = json_text_object(json, data, size, JSON_TEXT_PYTHON, what, err);
    mem_free(data);
    return status;
}

/* ---- chat templates -------------------------------------------------------- */

static hearth_status add_template(struct hf_folder *f, const char *name, size_t name_length,
                                  const char *source, size_t length, hearth_error *err) {
    if (f->n_templates == HF_MAX_TEMPLATES)
        return error_set(err, HEARTH_ERROR_LIMIT, "'%s' has more than %d chat templates", f->path,
                         HF_MAX_TEMPLATES);
    struct hf_template added = {.name = {arena_strndup(&f->arena, name, name_length), name_length},
                                .source = {arena_strndup(&f->arena, source, length), length}};
    if (!added.name.data || !added.source.data) return no_memory(f->path, err);
    size_t at = f->n_templates++; /* the first "default" goes to the front */
    if (at > 0 && text_equal(added.name, "default") &&
        !text_equal(f->templates[0].name, "default")) {
        f->templates[at] = f->templates[0];
        at = 0;
    }
    f->templates[at] = added;
    return HEARTH_OK;
}

static hearth_status add_template_file(struct hf_folder *f, const char *folder, const char *file,
                                       const char *name, size_t name_length, hearth_error *err) {
    char *source;
    size_t length;
    RETURN_IF_ERROR(read_text(folder, file, HF_MAX_TEMPLATE_BYTES, &source, &length, err));
    if (!source) return HEARTH_OK;
    hearth_status status = add_template(f, name, name_length, source, length, err);
    mem_free(source);
    return status;
}

static hearth_status add_additional(struct hf_folder *f, hearth_error *err) {
    static const char suffix[] = ".jinja";
    char **names, *folder = path_join(f->path, "additional_chat_templates");
    size_t n;
    if (!folder) return no_memory(f->path, err);
    if (!file_is_folder(folder)) {
        mem_free(folder);
        return HEARTH_OK;
    }
    hearth_status status = file_list(folder, &names, &n, err);
    if (status == HEARTH_OK) {
        for (size_t i = 0; i < n && status == HEARTH_OK; i++)
            if (ends_with(names[i], suffix))
                status = add_template_file(f, folder, names[i], names[i],
                                           strlen(names[i]) - (sizeof suffix - 1), err);
        file_names_free(names, n);
    }
    mem_free(folder);
    return status;
}

/* The value of a chat_template key: a text, or a list of {name, template}. */
static hearth_status add_from_json(struct hf_folder *f, const json_t *value, const char *file,
                                   hearth_error *err) {
    size_t i;
    const json_t *entry;
    if (json_is_string(value))
        return add_template(f, "default", 7, json_string_value(value), json_string_length(value),
                            err);
    if (!value || json_is_null(value)) return HEARTH_OK;
    json_array_foreach(value, i, entry) {
        const json_t *name = json_object_get(entry, "name");
        const json_t *source = json_object_get(entry, "template");
        if (!json_is_string(name) || !json_is_string(source)) break;
        RETURN_IF_ERROR(add_template(f, json_string_value(name), json_string_length(name),
                                     json_string_value(source), json_string_length(source), err));
    }
    if (json_is_array(value) && i == json_array_size(value)) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_FORMAT,
                     "cannot read '%s' of '%s': chat_template is neither a text nor a list of "
                     "{name, template}",
                     file, f->path);
}

static hearth_status read_templates(struct hf_folder *f, hearth_error *err) {
    json_t *processor;
    f->templates = arena_calloc(&f->arena, HF_MAX_TEMPLATES, sizeof *f->templates);
    if (!f->templates) return no_memory(f->path, err);
    RETURN_IF_ERROR(add_template_file(f, f->path, "chat_template.jinja", "default", 7, err));
    RETURN_IF_ERROR(add_additional(f, err));
    if (f->n_templates) return HEARTH_OK;
    RETURN_IF_ERROR(add_from_json(f, json_object_get(f->tokenizer_config, "chat_template"),
                                  "tokenizer_config.json", err));
    if (f->n_templates) return HEARTH_OK;
    RETURN_IF_ERROR(read_json(f->path, "chat_template.json", &processor, err));
    hearth_status status =
        add_from_json(f, json_object_get(processor, "chat_template"), "chat_template.json", err);
    json_decref(processor);
    return status;
}

/* ---- tensors ---------------------------------------------------------------- */

/* Why there are no tensors to open, from what the folder holds instead. */
static hearth_status explain_no_tensors(const char *folder, char **names, size_t n,
                                        hearth_error *err) {
    for (size_t i = 0; i < n; i++)
        if (ends_with(names[i], ".safetensors"))
            return error_set(err, HEARTH_ERROR_NOT_FOUND,
                             "cannot open model folder '%s': model.safetensors.index.json is "
                             "missing, which says where the tensors are; 'hearth pull' fetches it",
                             folder);
    for (size_t i = 0; i < n; i++) {
        if (ends_with(names[i], ".gguf"))
            return error_set(err, HEARTH_ERROR_NOT_FOUND,
                             "cannot open model folder '%s': it has no safetensors, but '%s': open "
                             "that file instead",
                             folder, names[i]);
        if (ends_with(names[i], ".bin") || ends_with(names[i], ".pth"))
            return error_set(
                err, HEARTH_ERROR_UNSUPPORTED,
                "cannot open model folder '%s': its weights are PyTorch pickles ('%s'), "
                "which Hearth does not read: save the model as safetensors",
                folder, names[i]);
    }
    return error_set(err, HEARTH_ERROR_NOT_FOUND,
                     "cannot open model folder '%s': model.safetensors is missing; 'hearth pull' "
                     "fetches it",
                     folder);
}

/* The folder's only safetensors file that is no part of several and no adapter. */
static hearth_status find_only_file(const char *folder, char **name, hearth_error *err) {
    char **names;
    const char *found = NULL;
    size_t n, count = 0;
    *name = NULL;
    RETURN_IF_ERROR(file_list(folder, &names, &n, err));
    for (size_t i = 0; i < n; i++)
        if (ends_with(names[i], ".safetensors") && strncmp(names[i], "adapter_", 8) != 0) {
            found = names[i];
            count++;
        }
    bool is_whole = count == 1 && !strstr(found, "-of-");
    hearth_status status = HEARTH_OK;
    if (!is_whole)
        status = explain_no_tensors(folder, names, n, err);
    else if (!(*name = mem_strdup(found)))
        status = no_memory(folder, err);
    file_names_free(names, n);
    return status;
}

static hearth_status open_tensors(struct directory *dir, const char *folder, const char *name,
                                  hearth_error *err) {
    char *path = path_join(folder, name);
    if (!path) return no_memory(folder, err);
    hearth_status status = safetensors_open(dir, path, err);
    mem_free(path);
    return status;
}

static hearth_status open_model_tensors(struct hf_folder *f, hearth_error *err) {
    static const char *const usual[] = {"model.safetensors", "model.safetensors.index.json"};
    char *name;
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        if (has_file(f->path, usual[i])) return open_tensors(&f->tensors, f->path, usual[i], err);
    RETURN_IF_ERROR(find_only_file(f->path, &name, err));
    hearth_status status = open_tensors(&f->tensors, f->path, name, err);
    mem_free(name);
    return status;
}

/* ---- the folder --------------------------------------------------------------- */

static hearth_status check_folder(const char *path, hearth_error *err) {
    if (!file_exists(path))
        return error_set(err, HEARTH_ERROR_NOT_FOUND, "there is no folder '%s'", path);
    if (!file_is_folder(path))
        return error_set(err, HEARTH_ERROR_ARGUMENT, "'%s' is a file; a folder was expected", path);
    return HEARTH_OK;
}

static hearth_status map_text(const char *folder, const char *name, struct file_map *map,
                              struct text *text, hearth_error *err) {
    char *path = path_join(folder, name);
    if (!path) return no_memory(folder, err);
    hearth_status status = file_map_open(map, path, err);
    mem_free(path);
    if (status == HEARTH_ERROR_NOT_FOUND) return HEARTH_OK;
    if (status == HEARTH_OK) *text = (struct text){(const char *)map->data, map->size};
    return status;
}

static hearth_status read_config(struct hf_folder *f, hearth_error *err) {
    RETURN_IF_ERROR(read_json(f->path, "config.json", &f->config, err));
    if (f->config) return HEARTH_OK;
    if (has_file(f->path, "adapter_config.json"))
        return error_set(err, HEARTH_ERROR_NOT_FOUND,
                         "cannot open model folder '%s': it is an adapter; open the model it was "
                         "made for and add this folder as an adapter",
                         f->path);
    return error_set(err, HEARTH_ERROR_NOT_FOUND,
                     "cannot open model folder '%s': config.json is missing; 'hearth pull' fetches "
                     "the whole folder",
                     f->path);
}

static hearth_status open_parts(struct hf_folder *f, bool with_tensors, hearth_error *err) {
    RETURN_IF_ERROR(read_config(f, err));
    RETURN_IF_ERROR(read_json(f->path, "generation_config.json", &f->generation_config, err));
    RETURN_IF_ERROR(read_json(f->path, "tokenizer_config.json", &f->tokenizer_config, err));
    RETURN_IF_ERROR(read_json(f->path, "special_tokens_map.json", &f->special_tokens, err));
    RETURN_IF_ERROR(map_text(f->path, "tokenizer.json", &f->maps[0], &f->tokenizer_json, err));
    RETURN_IF_ERROR(map_text(f->path, "tokenizer.model", &f->maps[1], &f->tokenizer_model, err));
    RETURN_IF_ERROR(read_templates(f, err));
    return with_tensors ? open_model_tensors(f, err) : HEARTH_OK;
}

enum hf_kind hf_folder_kind(const char *path) {
    if (has_file(path, "config.json")) return HF_MODEL;
    return has_file(path, "adapter_config.json") ? HF_ADAPTER : HF_NOTHING;
}

hearth_status hf_folder_open(struct hf_folder *folder, const char *path, bool with_tensors,
                             hearth_error *err) {
    *folder = (struct hf_folder){0};
    RETURN_IF_ERROR(check_folder(path, err));
    arena_init(&folder->arena, HF_MAX_ARENA_BYTES);
    folder->path = mem_strdup(path);
    hearth_status status =
        folder->path ? open_parts(folder, with_tensors, err) : no_memory(path, err);
    if (status != HEARTH_OK) hf_folder_close(folder);
    return status;
}

void hf_folder_close(struct hf_folder *folder) {
    json_decref(folder->config);
    json_decref(folder->generation_config);
    json_decref(folder->tokenizer_config);
    json_decref(folder->special_tokens);
    directory_close(&folder->tensors);
    file_map_close(&folder->maps[0]);
    file_map_close(&folder->maps[1]);
    arena_release(&folder->arena);
    mem_free(folder->path);
    *folder = (struct hf_folder){0};
}

/* ---- adapters ------------------------------------------------------------------ */

static hearth_status open_adapter_parts(struct hf_adapter *a, hearth_error *err) {
    static const char tensors[] = "adapter_model.safetensors";
    RETURN_IF_ERROR(read_json(a->path, "adapter_config.json", &a->config, err));
    if (!a->config)
        return error_set(err, HEARTH_ERROR_NOT_FOUND,
                         "cannot open adapter '%s': adapter_config.json is missing; %s", a->path,
                         has_file(a->path, "config.json")
                             ? "this is the folder of a model"
                             : "fetch the whole folder of the adapter");
    if (has_file(a->path, tensors)) return open_tensors(&a->tensors, a->path, tensors, err);
    if (has_file(a->path, "adapter_model.bin"))
        return error_set(
            err, HEARTH_ERROR_UNSUPPORTED,
            "cannot open adapter '%s': its weights are a PyTorch pickle "
            "('adapter_model.bin'), which Hearth does not read: save it as safetensors",
            a->path);
    return error_set(err, HEARTH_ERROR_NOT_FOUND,
                     "cannot open adapter '%s': %s is missing; fetch the whole folder of the "
                     "adapter",
                     a->path, tensors);
}

hearth_status hf_adapter_open(struct hf_adapter *adapter, const char *path, hearth_error *err) {
    *adapter = (struct hf_adapter){0};
    RETURN_IF_ERROR(check_folder(path, err));
    adapter->path = mem_strdup(path);
    hearth_status status = adapter->path ? open_adapter_parts(adapter, err) : no_memory(path, err);
    if (status != HEARTH_OK) hf_adapter_close(adapter);
    return status;
}

void hf_adapter_close(struct hf_adapter *adapter) {
    json_decref(adapter->config);
    directory_close(&adapter->tensors);
    mem_free(adapter->path);
    *adapter = (struct hf_adapter){0};
}
