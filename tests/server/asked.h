/* asked.h - requests to the parts of Hearth's own interface, as a test writes them down: "POST",
 * "conversations/import?limit=3", JSON in single quotes. */
#ifndef HEARTH_TESTS_ASKED_H
#define HEARTH_TESTS_ASKED_H

#include "store/opened.h"

#include <jansson.h>

#include "server/api.h"

enum { ASKED_PARTS = 8 };

static struct store_pool *asked_pool;
static struct asker asked_by;
static const char *asked_cookie;
static int64_t asked_now;

static inline void asked_open(void) {
    hearth_error err = {0};
    assert_ok(store_pool_open(&asked_pool, scratch("api.db"), &err), &err);
    asked_by = (struct asker){.kind = ASKER_LOCAL};
    asked_cookie = NULL;
    asked_now = INT64_C(1767225600000); /* 2026-01-01 */
}

static inline void asked_close(void) {
    store_pool_close(asked_pool);
    scratch_clear();
}

static inline struct api_answer ask_json(api_handler handler, const char *method,
                                         const char *target, const json_t *body) {
    char path[4096];
    const char *parts[ASKED_PARTS];
    struct api_parameter query[ASKED_PARTS];
    struct api_request request = {.method = method,
                                  .parts = parts,
                                  .query = query,
                                  .body = body,
                                  .asker = &asked_by,
                                  .cookie = asked_cookie,
                                  .now = ++asked_now};
    struct api_answer answer;
    char *rest, *question;
    snprintf(path, sizeof path, "%s", target);
    if ((question = strchr(path, '?'))) *question++ = '\0';
    for (char *at = strtok_r(path, "/", &rest); at; at = strtok_r(NULL, "/", &rest))
        parts[request.n_parts++] = at;
    for (char *at = question ? strtok_r(question, "&", &rest) : NULL; at;
         at = strtok_r(NULL, "&", &rest)) {
        char *value = strchr(at, '=');
        if (value) *value++ = '\0';
        query[request.n_query++] = (struct api_parameter){at, value ? value : ""};
    }
    api_call(asked_pool, handler, &request, &answer);
    return answer;
}

/* `json` may have ' for "; NULL: no body. */
static inline struct api_answer ask(api_handler handler, const char *method, const char *target,
                                    const char *json) {
    char *text = json ? mem_strdup(json) : NULL;
    for (char *at = text; at && *at; at++)
        if (*at == '\'') *at = '"';
    json_t *body = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    if (text) assert_non_null(body);
    struct api_answer answer = ask_json(handler, method, target, body);
    json_decref(body);
    mem_free(text);
    return answer;
}

/* The answer's body, given. */
static inline json_t *asked(api_handler handler, int status, const char *method, const char *target,
                            const char *json) {
    struct api_answer answer = ask(handler, method, target, json);
    if (answer.status != status) {
        char *text = json_dumps(answer.body, 0);
        fail_msg("%s %s: status %d instead of %d: %s", method, target, answer.status, status, text);
    }
    assert_non_null(answer.body);
    return answer.body;
}

/* An error is answered that has a message, and names the field (NULL: none). */
static inline void refused(api_handler handler, int status, const char *field, const char *method,
                           const char *target, const char *json) {
    json_t *body = asked(handler, status, method, target, json);
    const json_t *error = json_object_get(body, "error");
    const char *named = json_string_value(json_object_get(error, "field"));
    assert_non_null(json_string_value(json_object_get(error, "message")));
    if (field) {
        assert_non_null(named);
        assert_string_equal(named, field);
    } else {
        assert_null(named);
    }
    json_decref(body);
}

static inline const char *text_in(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    if (!text) fail_msg("there is no text '%s'", name);
    return text;
}

#endif
