#include "server/api_settings.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "server/api_messages.h"
#include "store/stored_settings.h"

static const char name[] = "app";

static void get(struct store *store, struct api_answer *answer) {
    char *text;
    hearth_error err = {0};
    json_t *settings = NULL;
    hearth_status status = stored_settings_get(store, name, &text, &err);
    if (status == HEARTH_OK) settings = api_stored_json(text ? text : "{}", &status, &err);
    if (status == HEARTH_OK)
        api_give(answer, 200, settings);
    else
        api_fail_store(answer, status, &err);
    mem_free(text);
}

static void put(struct store *store, const struct api_request *request, struct api_answer *answer) {
    hearth_error err = {0};
    if (!json_is_object(request->body)) {
        api_fail(answer, 400, NULL, "the body must be a JSON object");
        return;
    }
    char *text = json_dumps(request->body, JSON_COMPACT);
    hearth_status status = HEARTH_OK;
    if (!text)
        api_fail(answer, 503, NULL, "the server is short of memory");
    else if (strlen(text) > SETTINGS_MAX_BYTES)
        api_fail(answer, 413, NULL, "settings have at most %d bytes", SETTINGS_MAX_BYTES);
    else if ((status = stored_settings_put(store, name, text, &err)) != HEARTH_OK)
        api_fail_store(answer, status, &err);
    else
        get(store, answer);
    free(text);
}

void api_settings(struct store *store, const struct api_request *request,
                  struct api_answer *answer) {
    if (request->n_parts > 1)
        api_fail_place(answer);
    else if (api_method_is(request, "GET"))
        get(store, answer);
    else if (!api_method_is(request, "PUT"))
        api_fail_method(answer, "GET and PUT");
    else if (api_need_admin(request, answer))
        put(store, request, answer);
}
