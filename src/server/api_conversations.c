#include "server/api_conversations.h"

#include <stdlib.h>
#include <string.h>

#include "base/date.h"
#include "server/api_messages.h"
#include "server/api_transfer.h"

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a conversation");
}

/* ---- lists ---------------------------------------------------------------------------------- */

static hearth_status append(void *context, const struct stored_conversation *conversation,
                            hearth_error *err) {
    json_t *row =
        json_pack("{s:s, s:s, s:o, s:o, s:s*}", "id", conversation->id, "title",
                  conversation->title, "created", api_date(conversation->created), "updated",
                  api_date(conversation->updated), "snippet", conversation->snippet);
    return row && json_array_append_new(context, row) == 0 ? HEARTH_OK : no_memory(err);
}

static bool take_limit(const char *text, int *limit) {
    char *end;
    *limit = LIST_DEFAULT;
    if (!text || !*text) return true;
    long number = *text >= '0' && *text <= '9' ? strtol(text, &end, 10) : 0;
    if (number < 1 || number > LIST_MAX || *end) return false;
    *limit = (int)number;
    return true;
}

static bool take_query(const struct api_request *request, struct conversation_query *query,
                       struct api_answer *answer) {
    const char *before = api_parameter(request, "before");
    *query = (struct conversation_query){.words = api_parameter(request, "q")};
    if (before && *before && !date_parse(before, &query->before)) query->before_id = before;
    if (!take_limit(api_parameter(request, "limit"), &query->limit))
        api_fail(answer, 400, "limit", "'limit' must be a number from 1 to %d", LIST_MAX);
    else if (query->words && strlen(query->words) > QUERY_MAX_BYTES)
        api_fail(answer, 413, "q", "'q' is too long");
    else
        return true;
    return false;
}

static void list(struct store *store, const struct api_request *request,
                 struct api_answer *answer) {
    struct conversation_query query;
    hearth_error err = {0};
    if (!take_query(request, &query, answer)) return;
    json_t *rows = json_array();
    hearth_status status = rows ? stored_conversations_each(store, asker_owner(request->asker),
                                                            &query, append, rows, &err)
                                : no_memory(&err);
    if (status == HEARTH_OK) {
        api_give(answer, 200, json_pack("{s:o}", "conversations", rows));
        return;
    }
    json_decref(rows);
    api_fail_store(answer, status, &err);
}

/* ---- one conversation ----------------------------------------------------------------------- */

/* A stored_conversation_visit: `context` points to a JSON object to be made. */
static hearth_status build(void *context, const struct stored_conversation *conversation,
                           hearth_error *err) {
    hearth_status status = HEARTH_OK;
    json_t **out = context, *settings = api_stored_json(conversation->settings, &status, err);
    if (!settings) return status;
    *out = json_pack("{s:s, s:s, s:o, s:o, s:o, s:[]}", "id", conversation->id, "title",
                     conversation->title, "created", api_date(conversation->created), "updated",
                     api_date(conversation->updated), "settings", settings, "messages");
    return *out ? HEARTH_OK : no_memory(err);
}

static hearth_status read_whole(struct store *store, const struct api_request *request,
                                const char *id, json_t **out, hearth_error *err) {
    const char *owner = asker_owner(request->asker);
    RETURN_IF_ERROR(stored_conversations_read(store, owner, id, build, out, err));
    return stored_messages_each(store, owner, id, api_message_append,
                                json_object_get(*out, "messages"), err);
}

static void give_whole(struct store *store, const struct api_request *request, const char *id,
                       int http_status, bool as_file, struct api_answer *answer) {
    hearth_error err = {0};
    json_t *whole = NULL;
    hearth_status status = read_whole(store, request, id, &whole, &err);
    if (status == HEARTH_OK && as_file && !api_export_mark(whole)) status = no_memory(&err);
    if (status == HEARTH_OK) {
        api_give(answer, http_status, whole);
        return;
    }
    json_decref(whole);
    api_fail_store(answer, status, &err);
}

enum { TITLE, SETTINGS, FIELDS };
static const struct api_field conversation_fields[FIELDS] = {
    [TITLE] = API_FIELD("title", FIELD_TEXT, 0, TITLE_MAX_BYTES),
    [SETTINGS] = API_FIELD("settings", FIELD_OBJECT, 0, CONVERSATION_SETTINGS_MAX_BYTES),
};

static void add(struct store *store, const struct api_request *request, struct api_answer *answer) {
    struct api_field fields[FIELDS];
    char id[STORE_ID_BYTES];
    hearth_error err = {0};
    memcpy(fields, conversation_fields, sizeof fields);
    if (api_fields_take(request->body, "", fields, FIELDS, answer)) {
        const struct stored_conversation conversation = {
            .title = fields[TITLE].text ? fields[TITLE].text : "",
            .settings = fields[SETTINGS].text ? fields[SETTINGS].text : "{}",
            .created = request->now,
            .updated = request->now};
        hearth_status status =
            stored_conversations_add(store, asker_owner(request->asker), &conversation, id, &err);
        if (status == HEARTH_OK)
            give_whole(store, request, id, 201, false, answer);
        else
            api_fail_store(answer, status, &err);
    }
    api_fields_release(fields, FIELDS);
}

static void change(struct store *store, const struct api_request *request,
                   struct api_answer *answer) {
    struct api_field fields[FIELDS];
    hearth_error err = {0};
    memcpy(fields, conversation_fields, sizeof fields);
    if (api_fields_take(request->body, "", fields, FIELDS, answer)) {
        json_t *row = NULL;
        const char *owner = asker_owner(request->asker), *id = request->parts[1];
        hearth_status status = stored_conversations_change(
            store, owner, id, fields[TITLE].text, fields[SETTINGS].text, request->now, &err);
        if (status == HEARTH_OK)
            status = stored_conversations_read(store, owner, id, build, &row, &err);
        if (status == HEARTH_OK) {
            json_object_del(row, "messages");
            api_give(answer, 200, row);
        } else {
            api_fail_store(answer, status, &err);
        }
    }
    api_fields_release(fields, FIELDS);
}

static void drop(struct store *store, const struct api_request *request,
                 struct api_answer *answer) {
    hearth_error err = {0};
    hearth_status status =
        stored_conversations_remove(store, asker_owner(request->asker), request->parts[1], &err);
    if (status == HEARTH_OK)
        api_give(answer, 200, json_pack("{s:s}", "deleted", request->parts[1]));
    else
        api_fail_store(answer, status, &err);
}

/* ---- paths ---------------------------------------------------------------------------------- */

static void all(struct store *store, const struct api_request *request, struct api_answer *answer) {
    if (api_method_is(request, "GET"))
        list(store, request, answer);
    else if (api_method_is(request, "POST"))
        add(store, request, answer);
    else
        api_fail_method(answer, "GET and POST");
}

static void one(struct store *store, const struct api_request *request, struct api_answer *answer) {
    if (api_method_is(request, "GET"))
        give_whole(store, request, request->parts[1], 200, false, answer);
    else if (api_method_is(request, "PATCH"))
        change(store, request, answer);
    else if (api_method_is(request, "DELETE"))
        drop(store, request, answer);
    else
        api_fail_method(answer, "GET, PATCH and DELETE");
}

void api_conversations(struct store *store, const struct api_request *request,
                       struct api_answer *answer) {
    const char *const *parts = request->parts;
    if (request->n_parts == 1)
        all(store, request, answer);
    else if (request->n_parts == 2 && strcmp(parts[1], "import") == 0)
        api_import(store, request, answer);
    else if (request->n_parts == 2)
        one(store, request, answer);
    else if (strcmp(parts[2], "messages") == 0)
        api_messages(store, request, answer);
    else if (request->n_parts == 3 && strcmp(parts[2], "export") == 0 &&
             api_method_is(request, "GET"))
        give_whole(store, request, parts[1], 200, true, answer);
    else if (request->n_parts == 3 && strcmp(parts[2], "export") == 0)
        api_fail_method(answer, "GET");
    else
        api_fail_place(answer);
}
