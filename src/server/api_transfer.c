#include "server/api_transfer.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "server/api_conversations.h"
#include "server/api_messages.h"

static const char format_name[] = "hearth-conversation";
enum { FORMAT_VERSION = 1 };

bool api_export_mark(json_t *conversation) {
    return json_object_set_new(conversation, "format", json_string(format_name)) == 0 &&
           json_object_set_new(conversation, "version", json_integer(FORMAT_VERSION)) == 0;
}

/* The messages of a file, and the fields that they borrow from. */
struct tree {
    size_t count, taken;
    struct stored_message *messages;
    size_t *parents;
    struct api_field (*fields)[MESSAGE_FIELDS];
    json_t *places; /* id in the file -> number of the message */
};

static void release(struct tree *tree) {
    for (size_t i = 0; i < tree->taken; i++)
        api_fields_release(tree->fields[i], MESSAGE_FIELDS);
    json_decref(tree->places);
    mem_free(tree->messages);
    mem_free(tree->parents);
    mem_free(tree->fields);
}

static bool reserve(struct tree *tree, size_t count) {
    tree->count = count;
    tree->messages = mem_alloc_array(count, sizeof *tree->messages);
    tree->parents = mem_alloc_array(count, sizeof *tree->parents);
    tree->fields = mem_alloc_array(count, sizeof *tree->fields);
    tree->places = json_object();
    return tree->messages && tree->parents && tree->fields && tree->places;
}

static bool find_parent(struct tree *tree, size_t i, const char *where, struct api_answer *answer) {
    const char *parent = tree->messages[i].parent;
    tree->parents[i] = SIZE_MAX;
    if (!parent) return true;
    const json_t *place = json_object_get(tree->places, parent);
    if (!place) {
        api_fail(answer, 400, "messages", "%sparent: no message before it has this id", where);
        return false;
    }
    tree->parents[i] = (size_t)json_integer_value(place);
    return true;
}

static bool take_message(struct tree *tree, size_t i, const json_t *object, int64_t now,
                         struct api_answer *answer) {
    char where[40];
    snprintf(where, sizeof where, "messages[%zu].", i);
    tree->taken = i + 1;
    if (!api_message_take(object, where, true, now, tree->fields[i], &tree->messages[i], answer) ||
        !find_parent(tree, i, where, answer))
        return false;
    const char *id = tree->fields[i][MESSAGE_ID].text;
    if (json_object_get(tree->places, id)) {
        api_fail(answer, 400, "messages", "%sid: another message has it", where);
        return false;
    }
    if (json_object_set_new(tree->places, id, json_integer((json_int_t)i)) == 0) return true;
    api_fail(answer, 503, NULL, "no memory for the messages");
    return false;
}

static bool take_messages(struct tree *tree, const json_t *messages, int64_t now,
                          struct api_answer *answer) {
    size_t count = json_array_size(messages);
    if (count > STORED_MESSAGES_MAX) {
        api_fail(answer, 413, "messages", "a conversation has at most %d messages",
                 STORED_MESSAGES_MAX);
        return false;
    }
    if (!reserve(tree, count)) {
        api_fail(answer, 503, NULL, "no memory for the messages");
        return false;
    }
    for (size_t i = 0; i < count; i++)
        if (!take_message(tree, i, json_array_get(messages, i), now, answer)) return false;
    return true;
}

enum { FORMAT, VERSION, TITLE, SETTINGS, CREATED, UPDATED, MESSAGES, ID, FIELDS };

static bool check_format(const struct api_field *fields, struct api_answer *answer) {
    if (strcmp(fields[FORMAT].text, format_name) == 0 && fields[VERSION].number == FORMAT_VERSION)
        return true;
    api_fail(answer, 400, "format", "the file must have the format '%s', version %d", format_name,
             FORMAT_VERSION);
    return false;
}

/* It was changed now: the list shows it first. */
static void import_tree(struct store *store, const struct api_request *request,
                        const struct api_field *fields, const struct tree *tree,
                        struct api_answer *answer) {
    const struct stored_conversation conversation = {
        .title = fields[TITLE].text ? fields[TITLE].text : "",
        .settings = fields[SETTINGS].text ? fields[SETTINGS].text : "{}",
        .created = fields[CREATED].number ? fields[CREATED].number : request->now,
        .updated = request->now};
    char id[STORE_ID_BYTES];
    hearth_error err = {0};
    hearth_status status =
        stored_messages_import(store, asker_owner(request->asker), &conversation, tree->messages,
                               tree->parents, tree->count, id, &err);
    if (status == HEARTH_OK)
        api_give(answer, 201,
                 json_pack("{s:s, s:s, s:o, s:o}", "id", id, "title", conversation.title, "created",
                           api_date(conversation.created), "updated",
                           api_date(conversation.updated)));
    else
        api_fail_store(answer, status, &err);
}

void api_import(struct store *store, const struct api_request *request, struct api_answer *answer) {
    struct api_field fields[FIELDS] = {
        [FORMAT] = API_FIELD("format", FIELD_TEXT, FIELD_NEEDED, TITLE_MAX_BYTES),
        [VERSION] = API_FIELD("version", FIELD_COUNT, FIELD_NEEDED, INT32_MAX),
        [TITLE] = API_FIELD("title", FIELD_TEXT, 0, TITLE_MAX_BYTES),
        [SETTINGS] = API_FIELD("settings", FIELD_OBJECT, 0, CONVERSATION_SETTINGS_MAX_BYTES),
        [CREATED] = API_FIELD("created", FIELD_TIME, 0, 0),
        [UPDATED] = API_FIELD("updated", FIELD_TIME, 0, 0),
        [MESSAGES] = API_FIELD("messages", FIELD_ARRAY, FIELD_NEEDED, 0),
        [ID] = API_FIELD("id", FIELD_TEXT, 0, TITLE_MAX_BYTES),
    };
    struct tree tree = {0};
    if (!api_method_is(request, "POST"))
        api_fail_method(answer, "POST");
    else if (api_fields_take(request->body, "", fields, FIELDS, answer) &&
             check_format(fields, answer) &&
             take_messages(&tree, fields[MESSAGES].json, request->now, answer))
        import_tree(store, request, fields, &tree, answer);
    release(&tree);
    api_fields_release(fields, FIELDS);
}
