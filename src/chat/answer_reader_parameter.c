/* Arguments between tags, each turned into JSON as its tool's schema wants it. Texts come out as
 * they come in, other values at their end. */
#include <string.h>

#include "chat/answer_reader_parts.h"

static bool skip_into_key(struct answer_reader *r, char c) {
    return (unsigned char)c >= 0x20 && call_keep(r, &r->call.key, c);
}

static bool skip_into_attributes(struct answer_reader *r, char c) {
    struct call_reading *k = &r->call;
    if (k->n_attributes == sizeof k->attributes - 1) return false;
    k->attributes[k->n_attributes++] = c;
    k->attributes[k->n_attributes] = '\0';
    return true;
}

static void feed_key_open(struct answer_reader *r, char c) {
    const struct call_form *form = r->form->call;
    const char *const tags[] = {form->key_open, form->close, form->section_close};
    size_t which = 0;
    if (r->n_tag == 0 && json_is_blank(c)) return;
    r->tag[r->n_tag++] = c;
    enum tag_match match = tag_match(tags, 3, r->tag, r->n_tag, &which);
    if (match == TAG_NONE) call_refuse(r);
    if (match != TAG_WHOLE) return;
    r->n_tag = 0;
    if (which == 0) {
        r->call.step = STEP_KEY;
        r->call.n_attributes = 0;
        r->call.attributes[0] = '\0';
        buf_clear(&r->call.key);
        return;
    }
    call_put_argument(r, "}", 1);
    call_finish(r);
    if (which == 2 || !form->section_close) call_leave(r);
}

/* What the schema says of the argument, unless the tag itself says more. */
static const json_t *value_schema(const struct answer_reader *r) {
    if (strstr(r->call.attributes, "string=\"false\"")) return NULL;
    return argument_schema(r->tools, r->call.name, buf_text(&r->call.key));
}

static bool must_be_json(const struct answer_reader *r) {
    unsigned types = schema_types(value_schema(r));
    return strstr(r->call.attributes, "string=\"false\"") || (types && !(types & TYPE_TEXT));
}

static void begin_value(struct answer_reader *r) {
    struct call_reading *k = &r->call;
    struct buf text;
    k->scan = (struct json_scan){0};
    k->is_json = must_be_json(r);
    k->step = STEP_VALUE;
    k->newline = false;
    k->n_value = 0;
    buf_clear(&k->raw);
    k->streams = strstr(k->attributes, "string=\"true\"") ||
                 (!r->form->call->quoted && schema_is_text(value_schema(r)));
    buf_init(&text, 8 * ANSWER_HEADER_MAX);
    buf_append_text(&text, k->n_keys++ ? ", \"" : "\"");
    append_escaped(&text, buf_text(&k->key), k->key.length);
    buf_append_text(&text, k->streams ? "\": \"" : "\": ");
    if (text.failed) r->failed = true;
    call_put_argument(r, buf_text(&text), text.length);
    buf_release(&text);
}

static void put_text_byte(struct answer_reader *r, char c) {
    char escaped[ESCAPED_MAX];
    call_put_argument(r, escaped, escape_byte(escaped, c));
}

/* A byte of a value. Where values stand on lines of their own, the first and the last line feed
 * are none of them. */
static bool skip_into_value(struct answer_reader *r, char c) {
    struct call_reading *k = &r->call;
    bool lined = r->form->call->lined;
    if (k->is_json) k->is_json = json_scan_push(&k->scan, c) != JSON_BAD;
    if (k->n_value++ == 0 && lined && c == '\n') return true;
    if (k->newline && k->streams) put_text_byte(r, '\n');
    if (k->newline && !k->streams && !call_keep(r, &k->raw, '\n')) return false;
    k->newline = lined && c == '\n';
    if (k->newline) return true;
    if (!k->streams) return call_keep(r, &k->raw, c);
    put_text_byte(r, c);
    return true;
}

/* Takes a value out of <![CDATA[…]]>; false: its end is still to come. */
static bool unquote(const char **text, size_t *n) {
    static const char open[] = "<![CDATA[", close[] = "]]>";
    size_t n_open = sizeof open - 1, n_close = sizeof close - 1;
    if (*n < n_open || memcmp(*text, open, n_open) != 0) return true;
    if (*n < n_open + n_close || memcmp(*text + *n - n_close, close, n_close) != 0) return false;
    *text += n_open;
    *n -= n_open + n_close;
    return true;
}

static void finish_value(struct answer_reader *r) {
    struct call_reading *k = &r->call;
    const char *text = buf_text(&k->raw);
    size_t n = k->raw.length;
    k->step = STEP_KEY_OPEN;
    if (k->streams) {
        call_put_argument(r, "\"", 1);
        return;
    }
    if (r->form->call->quoted && !unquote(&text, &n)) {
        k->step = STEP_VALUE;
        if (!buf_append_text(&k->raw, r->form->call->value_close)) r->failed = true;
        return;
    }
    struct buf value;
    buf_init(&value, 8 * ANSWER_CALL_MAX);
    append_value(&value, text, n, value_schema(r));
    if (value.failed) r->failed = true;
    call_put_argument(r, buf_text(&value), value.length);
    buf_release(&value);
}

/* In a text of JSON, a tag is a part of it. */
static bool value_reached_end(struct answer_reader *r, char c) {
    if (!r->call.is_json || !json_scan_in_string(&r->call.scan))
        return call_reached(r, c, r->form->call->value_close, skip_into_value);
    if (!skip_into_value(r, c)) call_refuse(r);
    return false;
}

void parameter_feed(struct answer_reader *r, char c) {
    const struct call_form *form = r->form->call;
    switch (r->call.step) {
    case STEP_KEY_OPEN: feed_key_open(r, c); break;
    case STEP_KEY:
        if (!call_reached(r, c, form->key_end, skip_into_key)) return;
        if (form->value_open)
            r->call.step = STEP_VALUE_OPEN;
        else
            begin_value(r);
        break;
    case STEP_VALUE_OPEN:
        if (call_reached(r, c, form->value_open, skip_into_attributes)) begin_value(r);
        break;
    default:
        if (value_reached_end(r, c)) finish_value(r);
        if (r->mode == READ_CALL) call_give_out_if_long(r);
    }
}
