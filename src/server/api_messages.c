#include "server/api_messages.h"

#include <string.h>

#include "server/api_conversations.h"

/* ---- JSON -> store -------------------------------------------------------------------------- */

static const struct api_field message_fields[MESSAGE_FIELDS] = {
    [MESSAGE_PARENT] =
        API_FIELD("parent", FIELD_TEXT, FIELD_NEEDED | FIELD_NULLABLE, TITLE_MAX_BYTES),
    [MESSAGE_ROLE] = API_FIELD("role", FIELD_TEXT, FIELD_NEEDED, TITLE_MAX_BYTES),
    [MESSAGE_CONTENT] = API_FIELD("content", FIELD_TEXT, FIELD_NEEDED, MESSAGE_MAX_BYTES),
    [MESSAGE_REASONING] = API_FIELD("reasoning", FIELD_TEXT, FIELD_NULLABLE, MESSAGE_MAX_BYTES),
    [MESSAGE_ATTACHMENTS] =
        API_FIELD("attachments", FIELD_ARRAY, FIELD_NULLABLE, MESSAGE_MAX_BYTES),
    [MESSAGE_META] = API_FIELD("meta", FIELD_OBJECT, FIELD_NULLABLE, MESSAGE_META_MAX_BYTES),
    [MESSAGE_ID] = API_FIELD("id", FIELD_TEXT, FIELD_NEEDED, TITLE_MAX_BYTES),
    [MESSAGE_CREATED] = API_FIELD("created", FIELD_TIME, FIELD_NULLABLE, 0),
};

static bool is_role(const char *text) {
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool"};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strcmp(text, roles[i]) == 0) return true;
    return false;
}

bool api_message_take(const json_t *object, const char *where, bool of_file, int64_t now,
                      struct api_field fields[MESSAGE_FIELDS], struct stored_message *message,
                      struct api_answer *answer) {
    memcpy(fields, message_fields, sizeof message_fields);
    if (!api_fields_take(object, where, fields, of_file ? MESSAGE_FIELDS : MESSAGE_ID, answer))
        return false;
    if (!is_role(fields[MESSAGE_ROLE].text)) {
        api_fail(answer, 400, "role", "%s'role' must be system, developer, user, assistant or tool",
                 where);
        return false;
    }
    *message = (struct stored_message){.parent = fields[MESSAGE_PARENT].text,
                                       .role = fields[MESSAGE_ROLE].text,
                                       .content = fields[MESSAGE_CONTENT].text,
                                       .reasoning = fields[MESSAGE_REASONING].text,
                                       .attachments = fields[MESSAGE_ATTACHMENTS].text,
                                       .meta = fields[MESSAGE_META].text,
                                       .created = fields[MESSAGE_CREATED].number};
    if (message->created == 0) message->created = now;
    return true;
}

/* ---- store -> JSON -------------------------------------------------------------------------- */

json_t *api_stored_json(const char *text, hearth_status *status, hearth_error *err) {
    json_error_t found = {0};
    if (!text) return json_null();
    json_t *json = json_loads(text, 0, &found);
    if (json) return json;
    /* jansson leaves the text empty when what failed was an allocation. */
    *status = found.text[0] == '\0'
                  ? error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for stored JSON")
                  : error_set(err, HEARTH_ERROR_FORMAT, "stored JSON is damaged: %s", found.text);
    return NULL;
}

static bool set_text(json_t *object, const char *name, const char *text) {
    return json_object_set_new(object, name, text ? json_string(text) : json_null()) == 0;
}

static hearth_status set_json(json_t *object, const char *name, const char *text,
                              hearth_error *err) {
    hearth_status status = HEARTH_OK;
    if (!text) return HEARTH_OK;
    json_t *json = api_stored_json(text, &status, err);
    if (!json) return status;
    return json_object_set_new(object, name, json) == 0
               ? HEARTH_OK
               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a message");
}

static hearth_status fill(json_t *object, const struct stored_message *message, hearth_error *err) {
    bool whole =
        set_text(object, "id", message->id) && set_text(object, "parent", message->parent) &&
        set_text(object, "role", message->role) && set_text(object, "content", message->content) &&
        (!message->reasoning || set_text(object, "reasoning", message->reasoning)) &&
        json_object_set_new(object, "created", api_date(message->created)) == 0;
    if (!whole) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a message");
    RETURN_IF_ERROR(set_json(object, "attachments", message->attachments, err));
    return set_json(object, "meta", message->meta, err);
}

hearth_status api_message_append(void *context, const struct stored_message *message,
                                 hearth_error *err) {
    json_t *object = json_object();
    hearth_status status = object
                               ? fill(object, message, err)
                               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a message");
    if (status != HEARTH_OK)
        json_decref(object);
    else if (json_array_append_new(context, object) != 0)
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a message");
    return status;
}

/* ---- requests ------------------------------------------------------------------------------- */

static void add(struct store *store, const struct api_request *request, struct api_answer *answer) {
    struct api_field fields[MESSAGE_FIELDS];
    struct stored_message message;
    char id[STORE_ID_BYTES];
    hearth_error err = {0};
    if (api_message_take(request->body, "", false, request->now, fields, &message, answer)) {
        hearth_status status = stored_messages_add(store, asker_owner(request->asker),
                                                   request->parts[1], &message, id, &err);
        if (status == HEARTH_ERROR_ARGUMENT)
            api_fail(answer, 400, "parent", "%s", err.message);
        else if (status != HEARTH_OK)
            api_fail_store(answer, status, &err);
        else
            api_give(answer, 201,
                     json_pack("{s:s, s:s?, s:s, s:o}", "id", id, "parent", message.parent, "role",
                               message.role, "created", api_date(message.created)));
    }
    api_fields_release(fields, MESSAGE_FIELDS);
}

static void give_message(struct store *store, const struct api_request *request,
                         struct api_answer *answer) {
    hearth_error err = {0};
    json_t *list = json_array();
    hearth_status status =
        stored_messages_read(store, asker_owner(request->asker), request->parts[1],
                             request->parts[3], api_message_append, list, &err);
    if (status == HEARTH_OK)
        api_give(answer, 200, json_incref(json_array_get(list, 0)));
    else
        api_fail_store(answer, status, &err);
    json_decref(list);
}

static void change(struct store *store, const struct api_request *request,
                   struct api_answer *answer) {
    enum { CONTENT, REASONING, META, FIELDS };
    struct api_field fields[FIELDS] = {
        message_fields[MESSAGE_CONTENT],
        message_fields[MESSAGE_REASONING],
        message_fields[MESSAGE_META],
    };
    hearth_error err = {0};
    fields[CONTENT].flags = 0;
    if (api_fields_take(request->body, "", fields, FIELDS, answer)) {
        const struct message_change wanted = {.content = fields[CONTENT].text,
                                              .set_reasoning = fields[REASONING].given,
                                              .reasoning = fields[REASONING].text,
                                              .set_meta = fields[META].given,
                                              .meta = fields[META].text};
        hearth_status status =
            stored_messages_change(store, asker_owner(request->asker), request->parts[1],
                                   request->parts[3], &wanted, request->now, &err);
        if (status == HEARTH_OK)
            give_message(store, request, answer);
        else
            api_fail_store(answer, status, &err);
    }
    api_fields_release(fields, FIELDS);
}

static void drop(struct store *store, const struct api_request *request,
                 struct api_answer *answer) {
    hearth_error err = {0};
    hearth_status status =
        stored_messages_remove(store, asker_owner(request->asker), request->parts[1],
                               request->parts[3], request->now, &err);
    if (status == HEARTH_OK)
        api_give(answer, 200, json_pack("{s:s}", "deleted", request->parts[3]));
    else
        api_fail_store(answer, status, &err);
}

void api_messages(struct store *store, const struct api_request *request,
                  struct api_answer *answer) {
    if (request->n_parts == 3 && api_method_is(request, "POST"))
        add(store, request, answer);
    else if (request->n_parts == 3)
        api_fail_method(answer, "POST");
    else if (request->n_parts > 4)
        api_fail_place(answer);
    else if (api_method_is(request, "PATCH"))
        change(store, request, answer);
    else if (api_method_is(request, "DELETE"))
        drop(store, request, answer);
    else
        api_fail_method(answer, "PATCH and DELETE");
}
