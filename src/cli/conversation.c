#include "cli/conversation.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

hearth_status conversation_init(struct conversation *c, hearth_error *err) {
    c->messages = json_array();
    if (c->messages) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a conversation");
}

void conversation_release(struct conversation *c) {
    json_decref(c->messages);
    c->messages = NULL;
}

size_t conversation_count(const struct conversation *c) {
    return json_array_size(c->messages);
}

static const char *field(const struct conversation *c, size_t i, const char *name) {
    const char *text = json_string_value(json_object_get(json_array_get(c->messages, i), name));
    return text ? text : "";
}

const char *conversation_role(const struct conversation *c, size_t i) {
    return field(c, i, "role");
}

const char *conversation_content(const struct conversation *c, size_t i) {
    return field(c, i, "content");
}

static json_t *new_message(const char *role, const char *content, hearth_error *err) {
    json_t *message = json_pack("{s:s, s:s}", "role", role, "content", content);
    if (!message)
        error_set(err, HEARTH_ERROR_FORMAT,
                  "cannot add a message of role '%.20s': its text is not valid UTF-8, or memory "
                  "ran out",
                  role);
    return message;
}

hearth_status conversation_add(struct conversation *c, const char *role, const char *content,
                               hearth_error *err) {
    if (conversation_count(c) >= CONVERSATION_MAX_MESSAGES)
        return error_set(err, HEARTH_ERROR_LIMIT, "the conversation has %d messages already",
                         CONVERSATION_MAX_MESSAGES);
    json_t *message = new_message(role, content, err);
    if (!message) return HEARTH_ERROR_FORMAT;
    if (json_array_append_new(c->messages, message) == 0) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a message");
}

void conversation_truncate(struct conversation *c, size_t count) {
    while (conversation_count(c) > count)
        json_array_remove(c->messages, conversation_count(c) - 1);
}

static bool begins_with_system(const struct conversation *c) {
    const char *role = conversation_role(c, 0);
    return strcmp(role, "system") == 0 || strcmp(role, "developer") == 0;
}

const char *conversation_system(const struct conversation *c) {
    return begins_with_system(c) ? conversation_content(c, 0) : "";
}

hearth_status conversation_set_system(struct conversation *c, const char *text, hearth_error *err) {
    if (!*text) {
        if (begins_with_system(c)) json_array_remove(c->messages, 0);
        return HEARTH_OK;
    }
    json_t *message = new_message("system", text, err);
    if (!message) return HEARTH_ERROR_FORMAT;
    int failed = begins_with_system(c) ? json_array_set_new(c->messages, 0, message)
                                       : json_array_insert_new(c->messages, 0, message);
    if (!failed) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a message");
}

hearth_status conversation_save(const struct conversation *c, const char *path, hearth_error *err) {
    json_t *root = json_pack("{s:O}", "messages", c->messages);
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    struct file_writer writer;
    hearth_status status;
    if (!text) {
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to save to '%s'", path);
    } else if ((status = file_writer_open(&writer, path, err)) == HEARTH_OK) {
        status = file_writer_put(&writer, text, strlen(text), err);
        if (status == HEARTH_OK) status = file_writer_put(&writer, "\n", 1, err);
        if (status == HEARTH_OK)
            status = file_writer_commit(&writer, err);
        else
            file_writer_discard(&writer);
    }
    free(text); /* jansson's own allocation */
    json_decref(root);
    return status;
}

/* ---- loading: everything in the file is hostile --------------------------- */

static bool known_role(const char *role) {
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool"};
    for (size_t i = 0; role && i < sizeof roles / sizeof roles[0]; i++)
        if (strcmp(role, roles[i]) == 0) return true;
    return false;
}

/* Content given as a list of text parts becomes one string. */
static hearth_status join_parts(json_t *message, json_t *parts, size_t number, hearth_error *err) {
    struct buf text;
    size_t i;
    json_t *part;
    hearth_status status = HEARTH_OK;
    buf_init(&text, CONVERSATION_MAX_BYTES);
    json_array_foreach(parts, i, part) {
        const char *piece = json_string_value(json_object_get(part, "text"));
        const char *type = json_string_value(json_object_get(part, "type"));
        if (!piece || !type || strcmp(type, "text") != 0) {
            status = error_set(err, HEARTH_ERROR_UNSUPPORTED,
                               "message %zu has a part of type '%.40s'; only text can be read",
                               number, type ? type : "(none)");
            goto done;
        }
        buf_append_text(&text, piece);
    }
    if (text.failed || json_object_set_new(message, "content", json_string(buf_text(&text))) != 0)
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for message %zu", number);
done:
    buf_release(&text);
    return status;
}

static hearth_status check_message(json_t *message, size_t number, hearth_error *err) {
    json_t *content = json_object_get(message, "content");
    const char *role = json_string_value(json_object_get(message, "role"));
    if (!json_is_object(message))
        return error_set(err, HEARTH_ERROR_FORMAT, "message %zu is not an object", number);
    if (!known_role(role))
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "message %zu has role '%.40s'; expected system, developer, user, "
                         "assistant or tool",
                         number, role ? role : "(none)");
    if (json_is_array(content)) return join_parts(message, content, number, err);
    bool may_be_empty = strcmp(role, "assistant") == 0 && json_object_get(message, "tool_calls");
    if (json_is_string(content) || (may_be_empty && (!content || json_is_null(content))))
        return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_FORMAT, "message %zu has no text in 'content'", number);
}

static hearth_status check_messages(json_t *messages, hearth_error *err) {
    size_t i;
    json_t *message;
    if (!json_is_array(messages))
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "expected an object with a list 'messages', or a list of messages");
    if (json_array_size(messages) > CONVERSATION_MAX_MESSAGES)
        return error_set(err, HEARTH_ERROR_LIMIT, "%zu messages; at most %d",
                         json_array_size(messages), CONVERSATION_MAX_MESSAGES);
    json_array_foreach(messages, i, message) {
        RETURN_IF_ERROR(check_message(message, i + 1, err));
    }
    return HEARTH_OK;
}

hearth_status conversation_load(struct conversation *c, const char *path, hearth_error *err) {
    char *data;
    size_t size;
    json_error_t problem;
    RETURN_IF_ERROR(file_read(path, CONVERSATION_MAX_BYTES, &data, &size, err));
    json_t *root = json_loadb(data, size, JSON_REJECT_DUPLICATES, &problem);
    mem_free(data);
    if (!root)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "cannot load '%s': not JSON (line %d, column %d): %s", path, problem.line,
                         problem.column, problem.text);
    json_t *messages = json_is_array(root) ? root : json_object_get(root, "messages");
    hearth_status status = check_messages(messages, err);
    if (status == HEARTH_OK) {
        json_incref(messages);
        conversation_release(c);
        c->messages = messages;
    } else {
        error_prefix(err, status, "cannot load '%s'", path);
    }
    json_decref(root);
    return status;
}
