#include "server/api_session.h"

#include <string.h>

#include "server/api_fields.h"

static const char *role_of(const struct key_holder *holder) {
    return holder->admin ? "admin" : "user";
}

static void get(const struct api_request *request, struct api_answer *answer) {
    const struct asker *asker = request->asker;
    bool known = asker->kind == ASKER_KEY || asker->kind == ASKER_SESSION;
    api_give(answer, 200,
             json_pack("{s:b, s:b, s:s?, s:s*, s:s*}", "needed", asker->kind != ASKER_LOCAL,
                       "signed_in", asker->kind == ASKER_SESSION, "csrf",
                       asker->kind == ASKER_SESSION ? asker->csrf : NULL, "name",
                       known ? asker->holder.name : NULL, "role",
                       known ? role_of(&asker->holder) : NULL));
}

static void begin(struct store *store, const struct api_request *request, const char *key,
                  struct api_answer *answer) {
    struct key_holder holder;
    char csrf[STORE_TOKEN_BYTES];
    hearth_error err = {0};
    int64_t expires = request->now + SESSION_LENGTH_MS;
    hearth_status status = stored_keys_check(store, key, request->now, &holder, &err);
    if (status == HEARTH_ERROR_NOT_FOUND) {
        api_fail(answer, 401, "key", "%s", err.message);
        return;
    }
    if (status == HEARTH_OK)
        status = stored_sessions_add(store, &holder, request->now, expires, answer->token, &err);
    if (status != HEARTH_OK) {
        api_fail_store(answer, status, &err);
        return;
    }
    stored_sessions_csrf(store, answer->token, csrf);
    answer->cookie = COOKIE_SET;
    answer->cookie_expires = holder.expires && holder.expires < expires ? holder.expires : expires;
    api_give(
        answer, 200,
        json_pack("{s:s, s:s, s:s}", "csrf", csrf, "name", holder.name, "role", role_of(&holder)));
}

static void post(struct store *store, const struct api_request *request,
                 struct api_answer *answer) {
    struct api_field key = {
        .name = "key", .type = FIELD_TEXT, .flags = FIELD_NEEDED, .most = TOKEN_MAX_BYTES};
    if (api_fields_take(request->body, "", &key, 1, answer))
        begin(store, request, key.text, answer);
    api_fields_release(&key, 1);
}

static void end(struct store *store, const struct api_request *request, struct api_answer *answer) {
    hearth_error err = {0};
    hearth_status status =
        request->cookie ? stored_sessions_remove(store, request->cookie, &err) : HEARTH_OK;
    if (status != HEARTH_OK) {
        api_fail_store(answer, status, &err);
        return;
    }
    answer->cookie = COOKIE_REMOVED;
    api_give(answer, 200, json_pack("{s:b}", "signed_in", false));
}

void api_session(struct store *store, const struct api_request *request,
                 struct api_answer *answer) {
    if (request->n_parts > 1)
        api_fail_place(answer);
    else if (api_method_is(request, "GET"))
        get(request, answer);
    else if (api_method_is(request, "POST"))
        post(store, request, answer);
    else if (api_method_is(request, "DELETE"))
        end(store, request, answer);
    else
        api_fail_method(answer, "GET, POST and DELETE");
}
