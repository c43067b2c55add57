#include "server/api_keys.h"

#include <string.h>

#include "server/api_fields.h"

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the keys");
}

/* ---- store -> JSON -------------------------------------------------------------------------- */

static bool set_limit(json_t *limits, const char *name, int64_t limit) {
    return limit == 0 || json_object_set_new(limits, name, json_integer(limit)) == 0;
}

static json_t *limits_json(const struct stored_limits *limits) {
    json_t *out = json_object();
    if (out && set_limit(out, "requests_per_minute", limits->requests_per_minute) &&
        set_limit(out, "tokens_per_minute", limits->tokens_per_minute) &&
        set_limit(out, "concurrent", limits->concurrent))
        return out;
    json_decref(out);
    return NULL;
}

static json_t *key_json(const struct stored_key *key) {
    json_t *revoked = key->revoked ? api_date(key->revoked) : NULL;
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o*, s:o}", "id", key->id, "name",
                     key->name, "prefix", key->shown, "role", key->admin ? "admin" : "user",
                     "created", api_date(key->created), "expires", api_date(key->expires),
                     "last_used", api_date(key->last_used), "revoked", revoked, "limits",
                     limits_json(&key->limits));
}

static hearth_status append(void *context, const struct stored_key *key, hearth_error *err) {
    json_t *row = key_json(key);
    return row && json_array_append_new(context, row) == 0 ? HEARTH_OK : no_memory(err);
}

static void list(struct store *store, const struct api_request *request,
                 struct api_answer *answer) {
    const char *revoked = api_parameter(request, "revoked");
    hearth_error err = {0};
    json_t *rows = json_array();
    bool with_revoked = revoked && strcmp(revoked, "1") == 0;
    hearth_status status =
        rows ? stored_keys_each(store, with_revoked, append, rows, &err) : no_memory(&err);
    if (status == HEARTH_OK) {
        api_give(answer, 200, json_pack("{s:o}", "keys", rows));
        return;
    }
    json_decref(rows);
    api_fail_store(answer, status, &err);
}

/* ---- making --------------------------------------------------------------------------------- */

enum { NAME, ROLE, LIMITS, EXPIRES, FIELDS };
enum { LIMIT_MOST = 1000000000 };

static bool take_limits(const json_t *object, struct stored_limits *limits,
                        struct api_answer *answer) {
    struct api_field fields[] = {
        {.name = "requests_per_minute",
         .type = FIELD_COUNT,
         .flags = FIELD_NULLABLE,
         .most = LIMIT_MOST},
        {.name = "tokens_per_minute",
         .type = FIELD_COUNT,
         .flags = FIELD_NULLABLE,
         .most = LIMIT_MOST},
        {.name = "concurrent", .type = FIELD_COUNT, .flags = FIELD_NULLABLE, .most = LIMIT_MOST},
    };
    if (!object) return true;
    bool right = api_fields_take(object, "limits.", fields, sizeof fields / sizeof *fields, answer);
    *limits = (struct stored_limits){fields[0].number, fields[1].number, fields[2].number};
    return right;
}

/* The first key is an admin's: with it, keys become necessary, and somebody must make more. */
static bool take_role(struct store *store, const char *role, int64_t now, bool *admin,
                      struct api_answer *answer) {
    struct key_counts counts;
    hearth_error err = {0};
    hearth_status status = stored_keys_count(store, now, &counts, &err);
    *admin = role ? strcmp(role, "admin") == 0 : counts.admins == 0;
    if (status != HEARTH_OK)
        api_fail_store(answer, status, &err);
    else if (role && !*admin && strcmp(role, "user") != 0)
        api_fail(answer, 400, "role", "'role' must be admin or user");
    else if (!*admin && counts.admins == 0)
        api_fail(answer, 409, "role", "there must be a key of the role admin first");
    else
        return true;
    return false;
}

static bool take_key(struct store *store, const struct api_request *request,
                     struct api_field *fields, struct stored_key *key, struct api_answer *answer) {
    if (!api_fields_take(request->body, "", fields, FIELDS, answer)) return false;
    *key = (struct stored_key){
        .name = fields[NAME].text, .created = request->now, .expires = fields[EXPIRES].number};
    if (*key->name == '\0') {
        api_fail(answer, 400, "name", "'name' must not be empty");
        return false;
    }
    if (fields[EXPIRES].json && key->expires <= request->now) {
        api_fail(answer, 400, "expires", "'expires' must be a time to come");
        return false;
    }
    return take_limits(fields[LIMITS].json, &key->limits, answer) &&
           take_role(store, fields[ROLE].text, request->now, &key->admin, answer);
}

static void give_key(const struct stored_key *key, const char *id, const char *text,
                     struct api_answer *answer) {
    struct stored_key made = *key;
    char shown[KEY_SHOWN_BYTES] = {0};
    memcpy(shown, text, sizeof shown - 1);
    made.id = id;
    made.shown = shown;
    json_t *body = key_json(&made);
    if (body && json_object_set_new(body, "key", json_string(text)) != 0) {
        json_decref(body);
        body = NULL;
    }
    api_give(answer, 201, body);
}

static void add(struct store *store, const struct api_request *request, struct api_answer *answer) {
    struct api_field fields[FIELDS] = {
        [NAME] = API_FIELD("name", FIELD_TEXT, FIELD_NEEDED, KEY_NAME_MAX_BYTES),
        [ROLE] = API_FIELD("role", FIELD_TEXT, 0, KEY_NAME_MAX_BYTES),
        [LIMITS] = API_FIELD("limits", FIELD_OBJECT, FIELD_NULLABLE, 0),
        [EXPIRES] = API_FIELD("expires", FIELD_TIME, FIELD_NULLABLE, 0),
    };
    struct stored_key key;
    char id[STORE_ID_BYTES], text[KEY_TEXT_BYTES];
    hearth_error err = {0};
    if (take_key(store, request, fields, &key, answer)) {
        hearth_status status = stored_keys_add(store, &key, id, text, &err);
        if (status == HEARTH_OK)
            give_key(&key, id, text, answer);
        else
            api_fail_store(answer, status, &err);
    }
    api_fields_release(fields, FIELDS);
}

/* ---- revoking ------------------------------------------------------------------------------- */

/* Keys without one that may make and revoke keys would be for good; no keys at all are fine. */
static void drop(struct store *store, const struct api_request *request,
                 struct api_answer *answer) {
    struct key_counts left;
    hearth_error err = {0};
    hearth_status status = stored_keys_revoke(store, request->parts[1], request->now, &err);
    if (status == HEARTH_OK) status = stored_keys_count(store, request->now, &left, &err);
    if (status != HEARTH_OK)
        api_fail_store(answer, status, &err);
    else if (left.all > 0 && left.admins == 0)
        api_fail(answer, 409, NULL,
                 "this is the last key of the role admin: revoke the others "
                 "first, or make another one");
    else
        api_give(answer, 200, json_pack("{s:s}", "deleted", request->parts[1]));
}

void api_keys(struct store *store, const struct api_request *request, struct api_answer *answer) {
    if (!api_need_admin(request, answer)) return;
    if (request->n_parts > 2)
        api_fail_place(answer);
    else if (request->n_parts == 2 && api_method_is(request, "DELETE"))
        drop(store, request, answer);
    else if (request->n_parts == 2)
        api_fail_method(answer, "DELETE");
    else if (api_method_is(request, "GET"))
        list(store, request, answer);
    else if (api_method_is(request, "POST"))
        add(store, request, answer);
    else
        api_fail_method(answer, "GET and POST");
}
