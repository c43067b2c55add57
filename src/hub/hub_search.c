#include "hub/hub_search.h"

#include <string.h>

#include "hub/hub_name.h"
#include "hub/hub_settings.h"
#include "hub/short_names.h"
#include "net/http.h"

enum {
    MAX_ANSWER_BYTES = 4 << 20,
    URL_BYTES = 8192,
    TIMEOUT_MS = 15000,
    RETRIES = 1, /* somebody waits */
    DATE_BYTES = 40
};

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for models found");
}

hearth_status hub_search_short_names(const char *text, json_t *out, hearth_error *err) {
    for (size_t i = 0; i < n_short_names; i++) {
        const struct short_name *name = &short_names[i];
        if (!strcasestr(name->name, text)) continue;
        if (json_array_append_new(
                out, json_pack("{s:s, s:s}", "name", name->name, "repo", name->repo)) != 0)
            return no_memory(err);
    }
    return HEARTH_OK;
}

/* "org/repo", of characters that such names have: it is shown, and pulled under this name. */
static bool is_repo(const char *text) {
    size_t n = strlen(text), org = strcspn(text, "/");
    bool whole = n < HUB_REPO_BYTES && org > 0 && org + 1 < n && !strchr(text + org + 1, '/');
    return whole && text[0] != '.' && hub_safe_file(text) && hub_safe_revision(text);
}

static hearth_status add_found(json_t *out, const json_t *item, hearth_error *err) {
    const char *id = json_string_value(json_object_get(item, "id"));
    const char *updated = json_string_value(json_object_get(item, "lastModified"));
    json_int_t downloads = json_integer_value(json_object_get(item, "downloads"));
    if (!id || !is_repo(id)) return HEARTH_OK;
    json_t *found = json_pack("{s:s, s:I}", "name", id, "downloads", downloads > 0 ? downloads : 0);
    if (updated && strlen(updated) < DATE_BYTES)
        json_object_set_new(found, "updated", json_string(updated));
    return json_array_append_new(out, found) == 0 ? HEARTH_OK : no_memory(err);
}

static hearth_status read_answer(const struct hub *hub, const struct buf *body, json_t *out,
                                 hearth_error *err) {
    json_t *list = json_loadb(buf_text(body), body->length, 0, NULL), *item;
    hearth_status status = HEARTH_OK;
    size_t i;
    if (!json_is_array(list))
        status =
            error_set(err, HEARTH_ERROR_FORMAT,
                      "the answer of %s is not a list of models; check HF_ENDPOINT", hub->endpoint);
    json_array_foreach(list, i, item) {
        if (i < HUB_SEARCH_MAX && status == HEARTH_OK) status = add_found(out, item, err);
    }
    json_decref(list);
    return status;
}

static hearth_status fetch(const struct hub *hub, struct http_client *client, const char *url,
                           json_t *out, hearth_error *err) {
    struct http_response response = {0};
    const struct http_request request = {.url = url,
                                         .authorization = hub->authorization,
                                         .max_body_bytes = MAX_ANSWER_BYTES,
                                         .max_retries = RETRIES,
                                         .total_timeout_ms = TIMEOUT_MS};
    hearth_status status = http_perform(client, &request, &response, err);
    if (status == HEARTH_OK) status = http_check(&response, err);
    if (status == HEARTH_OK) status = read_answer(hub, &response.body, out, err);
    http_response_release(&response);
    return status;
}

hearth_status hub_search(struct hub *hub, const char *text, const atomic_bool *cancel, json_t *out,
                         hearth_error *err) {
    struct buf url;
    struct http_client *client;
    const struct http_options options = {.connect_timeout_ms = TIMEOUT_MS, .cancel = cancel};
    if (hub->offline)
        return error_set(err, HEARTH_ERROR_IO,
                         "the hub is not asked: HF_HUB_OFFLINE is set; unset it to search there");
    buf_init(&url, URL_BYTES);
    buf_append_format(&url,
                      "%s/api/models?filter=gguf&sort=downloads&direction=-1&limit=%d&search=",
                      hub->endpoint, HUB_SEARCH_MAX);
    http_escape(&url, text, "");
    hearth_status status =
        url.failed ? error_set(err, HEARTH_ERROR_ARGUMENT, "what is searched for is too long")
                   : http_client_open(&client, &options, err);
    if (status == HEARTH_OK) {
        status = fetch(hub, client, url.data, out, err);
        http_client_close(client);
    }
    buf_release(&url);
    return error_prefix(err, status, "cannot search the hub");
}
