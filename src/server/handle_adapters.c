/* Which adapters are on, as llama.cpp's server has it: /lora-adapters. */
#include "server/handlers.h"
#include "server/http_errors.h"
#include "server/http_parts.h"

/* After switching to `scales`, unless NULL; NULL: the exchange has a reply. */
static json_t *adapters_of(struct http_exchange *x, const json_t *scales) {
    hearth_error err = {0};
    json_t *list = json_array();
    hearth_status status =
        list ? backend_adapters(x->server->settings.backend, NULL, scales, list, &err)
             : error_set(&err, HEARTH_ERROR_NO_MEMORY, "no memory for the list of adapters");
    if (status == HEARTH_OK) return list;
    json_decref(list);
    http_reply_failure(x, status, &err);
    return NULL;
}

void handle_adapters(struct http_exchange *x) {
    json_t *list = adapters_of(x, NULL);
    if (list) http_reply_json(x, MHD_HTTP_OK, list);
}

void handle_switch_adapters(struct http_exchange *x) {
    if (!asker_is_admin(&x->asker)) {
        http_reply_error(x, MHD_HTTP_FORBIDDEN, "", "this key may not look after the server");
        return;
    }
    json_t *list = adapters_of(x, x->json);
    if (!list) return;
    json_decref(list);
    http_reply_json(x, MHD_HTTP_OK, json_pack("{s:b}", "success", 1));
}
