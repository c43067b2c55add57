/* The files of tests/http/: each is one case from end to end, as JSON.
 *
 *   {"what": one sentence,
 *    "server": {"keys": [text], "origins": [text], "hosts": [text], "max_body_bytes": number,
 *               "adapter": text},                name of the only one
 *    "answer": [text],                        pieces of every answer; ["Hello", " there"]
 *    "steps": [{
 *      "raw": text                            bytes as they are sent, or
 *      "method", "path", "headers": {}, "body": JSON, or "text": bytes of a body,
 *                                             Host and Content-Length are added where missing;
 *      "filler_bytes": number                 so many "x" take the place of "(filler)";
 *      "status": number                       0: the connection is closed without a response;
 *      "reply_headers": {name: value or null},
 *      "reply": JSON                          whatever it has must be in the body,
 *      "has": [text], "has_not": [text],      of the body
 *      "closes": boolean}]}                   the connection ends after the response
 *
 * The steps of a case share a connection as long as it is open. */
#include <string.h>
#include <unistd.h>

#include "serving.h"

enum { MOST_CASES = 256 };

static struct CMUnitTest tests[MOST_CASES];
static char paths[MOST_CASES][512];

/* ---- the server of a case ----------------------------------------------------------- */

static void fill_list(struct option_list *list, const json_t *texts) {
    size_t i;
    const json_t *text;
    json_array_foreach(texts, i, text) {
        list->items[list->count++] = json_string_value(text);
    }
}

struct cast {
    struct serving serving;
    struct key_list keys;
    struct key_check check;
};

static void begin(struct cast *cast, const json_t *file) {
    const json_t *server = json_object_get(file, "server"), *piece, *key;
    const json_t *pieces = json_object_get(file, "answer");
    struct http_server_settings settings = {0};
    struct script script = {.pieces = {"Hello", " there"}, .n_pieces = 2, .rounds = 1};
    size_t i;
    fill_list(&settings.origins, json_object_get(server, "origins"));
    fill_list(&settings.hosts, json_object_get(server, "hosts"));
    settings.max_body_bytes = (size_t)json_integer_value(json_object_get(server, "max_body_bytes"));
    json_array_foreach(json_object_get(server, "keys"), i, key) {
        key_list_add(&cast->keys, json_string_value(key), json_string_length(key), NULL);
    }
    script.adapter = json_string_value(json_object_get(server, "adapter"));
    cast->check = key_list_check(&cast->keys);
    settings.keys = &cast->check;
    if (pieces) script.n_pieces = 0;
    json_array_foreach(pieces, i, piece) {
        script.pieces[script.n_pieces++] = json_string_value(piece);
    }
    serving_begin(&cast->serving, scripted_open(&script), &settings);
}

/* ---- requests -------------------------------------------------------------------------- */

static void put_filled(struct buf *out, const char *text, size_t n, size_t filler_bytes) {
    static const char mark[] = "(filler)";
    const char *at = memmem(text, n, mark, sizeof mark - 1);
    if (!at) {
        buf_append(out, text, n);
        return;
    }
    buf_append(out, text, (size_t)(at - text));
    for (size_t i = 0; i < filler_bytes; i++)
        buf_append_char(out, 'x');
    at += sizeof mark - 1;
    buf_append(out, at, n - (size_t)(at - text));
}

static void put_body(struct buf *out, const json_t *step) {
    const json_t *body = json_object_get(step, "body"), *text = json_object_get(step, "text");
    size_t filler = (size_t)json_integer_value(json_object_get(step, "filler_bytes"));
    char *dumped = body ? json_dumps(body, JSON_ENCODE_ANY) : NULL;
    if (dumped) put_filled(out, dumped, strlen(dumped), filler);
    if (text) put_filled(out, json_string_value(text), json_string_length(text), filler);
    free(dumped);
}

static void put_head(struct buf *out, const json_t *step, size_t body_bytes, unsigned port) {
    json_t *headers = json_object_get(step, "headers"), *value;
    const char *method = json_string_value(json_object_get(step, "method")), *name;
    buf_append_format(out, "%s %s HTTP/1.1\r\n", method ? method : (body_bytes ? "POST" : "GET"),
                      json_string_value(json_object_get(step, "path")));
    if (!json_object_get(headers, "Host")) buf_append_format(out, "Host: 127.0.0.1:%u\r\n", port);
    json_object_foreach(headers, name, value) {
        buf_append_format(out, "%s: %s\r\n", name, json_string_value(value));
    }
    if (!json_object_get(headers, "Content-Length") &&
        !json_object_get(headers, "Transfer-Encoding") && body_bytes)
        buf_append_format(out, "Content-Length: %zu\r\n", body_bytes);
    buf_append_text(out, "\r\n");
}

static void send_step(int fd, const json_t *step, unsigned port) {
    const json_t *raw = json_object_get(step, "raw");
    struct buf head, body;
    buf_init(&head, (size_t)1 << 26);
    buf_init(&body, (size_t)1 << 26);
    if (raw) {
        put_filled(&head, json_string_value(raw), json_string_length(raw),
                   (size_t)json_integer_value(json_object_get(step, "filler_bytes")));
    } else {
        put_body(&body, step);
        put_head(&head, step, body.length, port);
    }
    wire_send(fd, buf_text(&head), head.length);
    wire_send(fd, buf_text(&body), body.length);
    buf_release(&head);
    buf_release(&body);
}

/* ---- replies --------------------------------------------------------------------------- */

static bool holds(const json_t *found, const json_t *expected) {
    const char *key;
    json_t *value;
    size_t i;
    if (json_is_array(expected)) {
        if (json_array_size(found) != json_array_size(expected)) return false;
        json_array_foreach(expected, i, value) {
            if (!holds(json_array_get(found, i), value)) return false;
        }
        return true;
    }
    if (!json_is_object(expected)) return json_equal(found, expected);
    json_object_foreach((json_t *)(uintptr_t)expected, key, value) {
        if (!holds(json_object_get(found, key), value)) return false;
    }
    return true;
}

static void check_body(const json_t *step, const struct wire_reply *reply) {
    const json_t *expected = json_object_get(step, "reply"), *text;
    size_t i;
    if (expected) {
        json_t *found = wire_json(reply);
        if (!holds(found, expected)) fail_msg("the reply is %s", buf_text(&reply->body));
        json_decref(found);
    }
    json_array_foreach(json_object_get(step, "has"), i, text) {
        if (!strstr(buf_text(&reply->body), json_string_value(text)))
            fail_msg("no '%s' in %s", json_string_value(text), buf_text(&reply->body));
    }
    json_array_foreach(json_object_get(step, "has_not"), i, text) {
        if (strstr(buf_text(&reply->body), json_string_value(text)))
            fail_msg("'%s' in %s", json_string_value(text), buf_text(&reply->body));
    }
}

static void check_headers(const json_t *step, const struct wire_reply *reply) {
    const char *name;
    json_t *expected;
    json_object_foreach(json_object_get(step, "reply_headers"), name, expected) {
        const char *found = wire_header(reply, name);
        if (json_is_null(expected) != (found == NULL) ||
            (found && strcmp(found, json_string_value(expected)) != 0))
            fail_msg("header %s is '%s'", name, found ? found : "(missing)");
    }
}

/* Returns whether the connection can be used for the next step. */
static bool run_step(int fd, const json_t *step, size_t number, unsigned port) {
    struct wire_reply reply;
    bool closes = json_is_true(json_object_get(step, "closes"));
    int status = (int)json_integer_value(json_object_get(step, "status"));
    const char *method = json_string_value(json_object_get(step, "method"));
    send_step(fd, step, port);
    if (method && strcmp(method, "HEAD") == 0)
        wire_read_head(fd, &reply);
    else
        wire_read(fd, &reply);
    if (reply.status != status)
        fail_msg("step %zu: status %d, not %d: %s", number, reply.status, status,
                 buf_text(&reply.body));
    check_headers(step, &reply);
    check_body(step, &reply);
    wire_release(&reply);
    if (closes && !wire_is_closed(fd)) fail_msg("the connection is still open");
    return !closes && status != 0;
}

static void test_case(void **state) {
    const char *path = *state;
    json_error_t error;
    json_t *file = json_load_file(path, 0, &error), *step;
    struct cast cast = {0};
    size_t i;
    int fd = -1;
    if (!file) fail_msg("%s: %s", path, error.text);
    begin(&cast, file);
    json_array_foreach(json_object_get(file, "steps"), i, step) {
        if (fd < 0) fd = wire_connect(cast.serving.port);
        if (!run_step(fd, step, i + 1, cast.serving.port)) {
            close(fd);
            fd = -1;
        }
    }
    if (fd >= 0) close(fd);
    serving_end(&cast.serving);
    json_decref(file);
}

int main(void) {
    const char *root = getenv("HEARTH_SOURCE_ROOT");
    char folder[256];
    char **names;
    size_t count, n = 0;
    snprintf(folder, sizeof folder, "%s/tests/http", root ? root : ".");
    if (file_list(folder, &names, &count, NULL) != HEARTH_OK || count > MOST_CASES) return 1;
    for (size_t i = 0; i < count; i++) {
        if (!strstr(names[i], ".json")) continue;
        snprintf(paths[n], sizeof paths[n], "%s/%s", folder, names[i]);
        tests[n] = (struct CMUnitTest){names[i], test_case, NULL, NULL, paths[n]};
        n++;
    }
    int failed = n ? _cmocka_run_group_tests("http", tests, n, NULL, NULL) : 1;
    file_names_free(names, count);
    return failed;
}
