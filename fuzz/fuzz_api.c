/* Requests to Hearth's own interface: a first line "METHOD path?query", and JSON behind it. In the
 * path, C and M stand for a conversation and a message that are there. Nothing is kept. */
#include "fuzz_target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/api_conversations.h"
#include "server/api_keys.h"
#include "server/api_session.h"
#include "server/api_settings.h"
#include "server/api_usage.h"
#include "store/database.h"
#include "store/stored_messages.h"

enum { PARTS = 8, LINE_BYTES = 4096 };

static struct store *store;
static char folder[64], conversation[STORE_ID_BYTES], message[STORE_ID_BYTES];

static const char *file_in_folder(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void clean_up(void) {
    static const char *const names[] = {"f.db", "f.db-wal", "f.db-shm", "f.db.secret"};
    store_close(store);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(file_in_folder(names[i]));
    rmdir(folder);
}

static void set_up(void) {
    const struct stored_conversation empty = {.title = "a title", .settings = "{}"};
    const struct stored_message first = {.role = "user", .content = "some words"};
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.32s/hearth-fuzz-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(folder) || store_open(&store, file_in_folder("f.db"), NULL) != HEARTH_OK ||
        stored_conversations_add(store, "", &empty, conversation, NULL) != HEARTH_OK ||
        stored_messages_add(store, "", conversation, &first, message, NULL) != HEARTH_OK)
        abort();
    atexit(clean_up);
}

static api_handler handler_of(const char *word) {
    switch (*word) {
    case 'k': return api_keys;
    case 's': return strcmp(word, "session") == 0 ? api_session : api_settings;
    case 'u': return api_usage;
    default: return api_conversations;
    }
}

/* Takes the line apart, in place. */
static void take_line(char *line, struct api_request *request, const char **parts,
                      struct api_parameter *query) {
    char *rest, *question = strchr(line, '?');
    if (question) *question++ = '\0';
    request->method = strtok_r(line, " ", &rest);
    for (char *at; request->n_parts < PARTS && (at = strtok_r(NULL, "/", &rest));)
        parts[request->n_parts++] = strcmp(at, "C") == 0   ? conversation
                                    : strcmp(at, "M") == 0 ? message
                                                           : at;
    rest = question;
    for (char *at; question && request->n_query < PARTS && (at = strtok_r(question, "&", &rest));) {
        char *value = strchr(at, '=');
        if (value) *value++ = '\0';
        query[request->n_query++] = (struct api_parameter){at, value ? value : ""};
        question = rest;
    }
}

static void answer_line(char *line, const json_t *body) {
    const struct asker asker = {.kind = ASKER_LOCAL};
    const char *parts[PARTS];
    struct api_parameter query[PARTS];
    struct api_request request = {
        .parts = parts, .query = query, .body = body, .asker = &asker, .now = 1000000};
    struct api_answer answer = {0};
    take_line(line, &request, parts, query);
    if (!request.method || request.n_parts == 0) return;
    if (store_begin(store, NULL) != HEARTH_OK) abort();
    handler_of(parts[0])(store, &request, &answer);
    store_end(store, HEARTH_ERROR_CANCELLED, NULL);
    if (!answer.body || answer.status < 200 || answer.status == 500) abort();
    api_answer_release(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char line[LINE_BYTES];
    const char *end = memchr(data, '\n', size);
    size_t length = end ? (size_t)(end - (const char *)data) : size;
    if (length >= sizeof line) return 0;
    if (!store) set_up();
    memcpy(line, data, length);
    line[length] = '\0';
    json_t *body = end ? json_loadb(end + 1, size - length - 1, 0, NULL) : NULL;
    answer_line(line, body);
    json_decref(body);
    return 0;
}
