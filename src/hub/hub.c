#include "hub/hub.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "hub/hub_settings.h"

enum { MAX_TOKEN_BYTES = 4096, MAX_FOLDERS = 64, MAX_PATH_BYTES = 4096 };

static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static bool is_true(const char *name) {
    static const char *const yes[] = {"1", "on", "yes", "true"};
    const char *value = variable(name);
    for (size_t i = 0; value && i < sizeof yes / sizeof *yes; i++)
        if (strcasecmp(value, yes[i]) == 0) return true;
    return false;
}

/* A copy with a leading "~/" replaced by the home folder. */
static char *expand_home(const char *path) {
    const char *home = variable("HOME");
    return path[0] == '~' && path[1] == '/' && home ? path_join(home, path + 2) : mem_strdup(path);
}

static char *join_and_free(char *folder, const char *name) {
    char *path = folder ? path_join(folder, name) : NULL;
    mem_free(folder);
    return path;
}

static char *huggingface_home(void) {
    const char *home = variable("HF_HOME"), *xdg = variable("XDG_CACHE_HOME");
    if (home) return expand_home(home);
    if (xdg) return path_join(xdg, "huggingface");
    return expand_home("~/.cache/huggingface");
}

static char *cache_folder(void) {
    const char *cache = variable("HF_HUB_CACHE");
    if (!cache) cache = variable("HUGGINGFACE_HUB_CACHE"); /* its earlier name */
    return cache ? expand_home(cache) : join_and_free(huggingface_home(), "hub");
}

static char *token_of_file(void) {
    const char *named = variable("HF_TOKEN_PATH");
    char *path = named ? expand_home(named) : join_and_free(huggingface_home(), "token");
    char *text = NULL;
    size_t size;
    if (path) file_read(path, MAX_TOKEN_BYTES, &text, &size, NULL);
    mem_free(path);
    return text;
}

static hearth_status read_token(struct hub *hub, hearth_error *err) {
    const char *named = variable("HF_TOKEN");
    if (!named) named = variable("HUGGING_FACE_HUB_TOKEN"); /* its earlier name */
    char *text = named ? mem_strdup(named) : token_of_file();
    if (!text) return HEARTH_OK;
    const char *token = text + strspn(text, " \t\r\n");
    size_t length = strcspn(token, " \t\r\n");
    bool clean = token[length + strspn(token + length, " \t\r\n")] == '\0';
    hearth_status status = HEARTH_OK;
    if (!clean) {
        status = error_set(err, HEARTH_ERROR_ARGUMENT,
                           "the hub token contains white space; check HF_TOKEN or the token file");
    } else if (length > 0) {
        struct buf line;
        buf_init(&line, MAX_TOKEN_BYTES + 16);
        buf_append_format(&line, "Bearer %.*s", (int)length, token);
        hub->authorization = buf_take(&line);
        if (!hub->authorization)
            status = error_set(err, HEARTH_ERROR_ARGUMENT, "the hub token is too long");
    }
    mem_free(text);
    return status;
}

static hearth_status read_folders(struct hub *hub, hearth_error *err) {
    const char *list = variable("HEARTH_MODELS");
    hub->folders = mem_calloc(MAX_FOLDERS + 1, sizeof *hub->folders);
    if (!hub->folders) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a hub");
    while (list && *list) {
        size_t length = strcspn(list, ":");
        if (length > 0 && hub->n_folders == MAX_FOLDERS)
            return error_set(err, HEARTH_ERROR_LIMIT, "HEARTH_MODELS names more than %d folders",
                             MAX_FOLDERS);
        char *one = length > 0 ? mem_strndup(list, length) : NULL;
        char *folder = one ? expand_home(one) : NULL;
        mem_free(one);
        if (folder) hub->folders[hub->n_folders++] = folder;
        list += length + (list[length] == ':');
    }
    char *own = hub->own ? mem_strdup(hub->own) : NULL;
    if (own) hub->folders[hub->n_folders++] = own;
    return HEARTH_OK;
}

static hearth_status read_endpoint(struct hub *hub, hearth_error *err) {
    const char *endpoint = variable("HF_ENDPOINT");
    if (!endpoint) endpoint = "https://huggingface.co";
    size_t length = strlen(endpoint);
    if (strncmp(endpoint, "https://", 8) != 0 && strncmp(endpoint, "http://", 7) != 0)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "HF_ENDPOINT is '%s'; it should begin with https:// or http://", endpoint);
    while (length > 0 && endpoint[length - 1] == '/')
        length--;
    hub->endpoint = mem_strndup(endpoint, length);
    return HEARTH_OK;
}

hearth_status hub_open(struct hub **hub, hearth_error *err) {
    struct hub *h = mem_calloc(1, sizeof *h);
    *hub = NULL;
    if (!h) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a hub");
    h->offline = is_true("HF_HUB_OFFLINE");
    h->no_symlinks = is_true("HF_HUB_DISABLE_SYMLINKS");
    h->cache = cache_folder();
    h->alias_file = join_and_free(path_home(PATH_DATA), "aliases.json");
    h->own = join_and_free(path_home(PATH_DATA), "models");
    hearth_status status = read_endpoint(h, err);
    if (status == HEARTH_OK) status = read_token(h, err);
    if (status == HEARTH_OK) status = read_folders(h, err);
    if (status == HEARTH_OK && (!h->endpoint || !h->cache || !h->alias_file || !h->own))
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a hub");
    if (status == HEARTH_OK && strlen(h->cache) > MAX_PATH_BYTES / 4)
        status = error_set(err, HEARTH_ERROR_LIMIT, "the path of the model cache is too long");
    if (status == HEARTH_OK)
        *hub = h;
    else
        hub_close(h);
    return status;
}

const char *hub_folder(const struct hub *hub) {
    return hub->cache;
}

void hub_refuse_paths(struct hub *hub) {
    hub->no_paths = true;
}

void hub_close(struct hub *hub) {
    if (!hub) return;
    mem_free(hub->endpoint);
    mem_free(hub->authorization);
    mem_free(hub->cache);
    mem_free(hub->own);
    mem_free(hub->alias_file);
    file_names_free(hub->folders, hub->n_folders);
    mem_free(hub);
}
