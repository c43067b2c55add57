/* dialect_bytes.h - a body of any bytes through the endpoints of a dialect: it becomes a request or
 * a problem, and an answer to the request is JSON to its end, whole and as a stream. */
#ifndef HEARTH_FUZZ_DIALECT_BYTES_H
#define HEARTH_FUZZ_DIALECT_BYTES_H

#include "fuzz_target.h"

#include <string.h>

#include "chat/dialect.h"

static inline void expect_json(const char *text, size_t n) {
    json_t *value;
    if (n == 6 && memcmp(text, "[DONE]", 6) == 0) return;
    value = json_loadb(text, n, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
    if (!value) __builtin_trap();
    json_decref(value);
}

/* What is sent is whole: lines of JSON, or server-sent events whose data is JSON. */
static inline void expect_stream(const struct buf *out, bool lines) {
    const char *at = buf_text(out), *end;
    for (; (end = strchr(at, '\n')); at = end + 1) {
        if (end == at && !lines) continue;
        if (lines)
            expect_json(at, (size_t)(end - at));
        else if (strncmp(at, "data: ", 6) == 0)
            expect_json(at + 6, (size_t)(end - at) - 6);
        else if (strncmp(at, "event: ", 7) != 0)
            __builtin_trap();
    }
    if (*at) __builtin_trap();
}

/* An answer that says some of the bytes of the body. */
static inline size_t make_events(const uint8_t *data, size_t size, const struct request *request,
                                 struct event *events) {
    static const float values[] = {0.5f, -1};
    const char *bytes = (const char *)data;
    struct event_token token = {.id = 1, .bytes = bytes, .n_bytes = size > 3 ? 3 : size};
    static struct event_logprob logprob;
    size_t n = 0, some = size > 16 ? 16 : size;
    logprob = (struct event_logprob){.token = token};
    events[n++] = (struct event){.kind = EVENT_STARTED, .model = "m"};
    if (request->kind == REQUEST_EMBED) {
        events[n++] =
            (struct event){.kind = EVENT_EMBEDDING, .embedding = {.values = values, .n = 2}};
    } else if (request->kind != REQUEST_COUNT) {
        events[n++] = (struct event){.kind = EVENT_REASONING, .text = {bytes, some, NULL, 0}};
        events[n++] = (struct event){.kind = EVENT_TEXT, .text = {bytes, some, &logprob, 1}};
        events[n++] =
            (struct event){.kind = EVENT_TOOL_CALL, .tool_call = {0, "c", "f", bytes, some}};
        events[n++] = (struct event){.kind = EVENT_FINISHED, .finished = {FINISH_STOP_TEXT, "x"}};
    }
    events[n++] = (struct event){.kind = EVENT_DONE, .usage = {.n_prompt = 3, .n_answer = 2}};
    return n;
}

static inline void use_request(const uint8_t *data, size_t size, enum endpoint endpoint,
                               const struct request *request) {
    static const struct answer_identity identity = {.id = "1", .created_s = 1, .model = "m"};
    struct answer_writer *writer;
    struct event events[8];
    struct buf out;
    size_t n = make_events(data, size, request, events);
    buf_init(&out, 64 << 20);
    if (answer_writer_open(&writer, endpoint, request, &identity, NULL) == HEARTH_OK) {
        for (size_t i = 0; i < n; i++)
            if (answer_writer_put(writer, &events[i], &out, NULL) != HEARTH_OK) __builtin_trap();
        const char *type = answer_writer_content_type(writer);
        if (answer_writer_problem(writer))
            ; /* more dimensions than there are */
        else if (strcmp(type, "application/json") == 0)
            expect_json(buf_text(&out), out.length);
        else
            expect_stream(&out, strcmp(type, "application/x-ndjson") == 0);
        answer_writer_close(writer);
    }
    buf_release(&out);
}

static inline void use_body(const uint8_t *data, size_t size, enum endpoint endpoint) {
    struct request request;
    struct dialect_problem problem;
    struct buf out;
    json_t *body = json_loadb((const char *)data, size, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
    request_init(&request);
    buf_init(&out, 1 << 20);
    if (dialect_parse(endpoint, body, &request, &problem)) {
        use_request(data, size, endpoint, &request);
        request.stream = !request.stream;
        use_request(data, size, endpoint, &request);
    } else {
        dialect_put_problem(endpoint, &problem, &out);
        expect_json(buf_text(&out), out.length);
    }
    buf_release(&out);
    request_release(&request);
    json_decref(body);
}

#endif
