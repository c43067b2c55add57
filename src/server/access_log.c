#include "server/access_log.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"

enum { MAX_LINE_BYTES = 1 << 16, MAX_BODY_BYTES = 1 << 15 };

static void now_as_text(char *out, size_t out_size) {
    struct timespec now;
    struct tm utc;
    char seconds[32] = "";
    timespec_get(&now, TIME_UTC);
    if (gmtime_r(&now.tv_sec, &utc)) strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out, out_size, "%s.%03ldZ", seconds, now.tv_nsec / 1000000);
}

/* Bytes that are not text come from clients too; they must not lose the line. */
static json_t *text_of(const char *bytes, size_t n) {
    json_t *text = json_stringn(bytes, n);
    return text ? text : json_sprintf("(%zu bytes that are not UTF-8)", n);
}

/* The beginning of a body, up to the end of a character. */
static size_t beginning(const char *bytes, size_t n) {
    if (n <= MAX_BODY_BYTES) return n;
    n = MAX_BODY_BYTES;
    while (n > 0 && ((unsigned char)bytes[n] & 0xC0) == 0x80)
        n--;
    return n;
}

static json_t *milliseconds(double seconds) {
    return json_real((double)(int64_t)(seconds * 1e6) / 1e3);
}

static json_t *entry_as_json(const struct access_log *log, const struct access_entry *e) {
    char time[64];
    now_as_text(time, sizeof time);
    json_t *line = json_pack(
        "{s:s, s:s*, s:s*, s:s*, s:s*, s:o, s:s*, s:i, s:I, s:o}", "time", time, "id", e->id,
        "request_id", e->client_id, "remote", e->remote, "method", e->method, "path",
        text_of(e->path ? e->path : "", e->path ? strlen(e->path) : 0), "key", e->key, "status",
        e->status, "bytes", (json_int_t)e->sent_bytes, "ms", milliseconds(e->seconds));
    if (!line) return NULL;
    if (e->first_seconds >= 0)
        json_object_set_new(line, "first_ms", milliseconds(e->first_seconds));
    if (e->n_prompt || e->n_answer) {
        json_object_set_new(line, "prompt_tokens", json_integer((json_int_t)e->n_prompt));
        json_object_set_new(line, "answer_tokens", json_integer((json_int_t)e->n_answer));
    }
    if (e->gone) json_object_set_new(line, "gone", json_true());
    if (log->bodies && e->body_bytes)
        json_object_set_new(line, "body", text_of(e->body, beginning(e->body, e->body_bytes)));
    return line;
}

static int append(const char *text, size_t n, void *context) {
    return buf_append(context, text, n) ? 0 : -1;
}

void access_log_put(const struct access_log *log, const struct access_entry *entry) {
    struct buf text;
    if (!log->write) return;
    json_t *line = entry_as_json(log, entry);
    buf_init(&text, MAX_LINE_BYTES * 4);
    if (line &&
        json_dump_callback(line, append, &text, JSON_COMPACT | JSON_REAL_PRECISION(9)) == 0 &&
        buf_append_char(&text, '\n'))
        log->write(log->context, text.data, text.length);
    buf_release(&text);
    json_decref(line);
}
