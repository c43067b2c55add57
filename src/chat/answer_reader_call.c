#include <stdlib.h>
#include <string.h>

#include "chat/answer_reader_parts.h"

/* ---- what is certain, and what is not ---- */

void call_put_argument(struct answer_reader *r, const char *text, size_t n) {
    if (!r->call.certain) {
        if (!buf_append(&r->call.arguments, text, n)) r->failed = true;
        return;
    }
    answer_put_arguments(r, text, n);
    buf_clear(&r->call.held);
}

bool call_keep(struct answer_reader *r, struct buf *buf, char c) {
    if (buf->length == buf->max_bytes) return false;
    if (!buf_append_char(buf, c)) r->failed = true;
    return true;
}

/* A byte of JSON; a control character in a string becomes what JSON wants. */
static void put_json_byte(struct answer_reader *r, char c, bool in_string) {
    char escaped[ESCAPED_MAX] = {c};
    bool control = in_string && (unsigned char)c < 0x20;
    call_put_argument(r, escaped, control ? escape_byte(escaped, c) : 1);
}

static void make_certain(struct answer_reader *r) {
    struct call_reading *k = &r->call;
    if (k->certain) return;
    answer_put_call(r, k->name, buf_text(&k->arguments), k->arguments.length);
    k->certain = k->any = true;
    buf_clear(&k->held);
    buf_clear(&k->arguments);
}

void call_give_out_if_long(struct answer_reader *r) {
    struct call_reading *k = &r->call;
    if (!k->certain && k->named && k->held.length > ANSWER_CERTAIN_BYTES) make_certain(r);
}

static void forget_call(struct call_reading *k) {
    k->certain = k->named = false;
    k->n_name = k->n_frame = k->n_keys = 0;
    k->scan = (struct json_scan){0};
    buf_clear(&k->arguments);
    buf_clear(&k->raw);
    k->step = STEP_BETWEEN;
}

void call_leave(struct answer_reader *r) {
    forget_call(&r->call);
    buf_clear(&r->call.held);
    r->mode = READ_TEXT;
    r->after_tag = true;
}

void call_finish(struct answer_reader *r) {
    make_certain(r);
    forget_call(&r->call);
    if (r->form->call->style == CALLS_CHANNEL) call_leave(r);
}

void call_refuse(struct answer_reader *r) {
    struct call_reading *k = &r->call;
    char tag[ANSWER_TAG_MAX];
    size_t n_tag = r->n_tag, n_held = k->held.length > n_tag ? k->held.length - n_tag : 0;
    memcpy(tag, r->tag, n_tag);
    r->n_tag = 0;
    r->mode = READ_TEXT;
    if (k->any) r->after_tag = true;
    answer_put(r, buf_text(&k->held), n_held);
    buf_clear(&k->held);
    forget_call(k);
    for (size_t i = 0; i < n_tag; i++)
        answer_feed(r, tag[i]);
}

void call_drop(struct answer_reader *r) {
    r->n_tag = 0;
    r->mode = READ_TEXT;
    buf_clear(&r->call.held);
    forget_call(&r->call);
}

/* Takes back the byte that is being looked at, which is fed again. */
static void unhold_byte(struct call_reading *k) {
    if (k->held.length > 0) k->held.data[--k->held.length] = '\0';
}

/* Refuses the call for a byte that is looked at again, as text. */
static void refuse_at(struct answer_reader *r, char c) {
    unhold_byte(&r->call);
    call_refuse(r);
    answer_feed(r, c);
}

/* ---- between calls ---- */

static void begin_call(struct answer_reader *r) {
    const struct call_form *form = r->form->call;
    struct call_reading *k = &r->call;
    forget_call(k);
    switch (form->style) {
    case CALLS_ARGUMENTS:
    case CALLS_PARAMETERS: k->step = form->name_open ? STEP_NAME_OPEN : STEP_NAME; break;
    case CALLS_PYTHON:
    case CALLS_BRACES:
    case CALLS_TREE: k->step = STEP_WHOLE; break;
    default: break;
    }
}

void call_open(struct answer_reader *r, const char *tag) {
    struct call_reading *k = &r->call;
    forget_call(k);
    r->mode = READ_CALL;
    buf_clear(&k->held);
    bool kept = buf_append(&k->held, r->blanks, r->n_blanks);
    if (!kept || !buf_append_text(&k->held, tag ? tag : "")) r->failed = true;
    r->n_blanks = 0;
    k->any = false;
    k->in_list = tag && tag[strlen(tag) - 1] == '[';
    if (tag) answer_mark_call(r, tag);
    if (tag && tag == r->form->call->open) begin_call(r);
}

void call_open_named(struct answer_reader *r, const char *name, size_t n) {
    struct call_reading *k = &r->call;
    call_open(r, NULL);
    memcpy(k->name, name, n);
    k->name[n] = '\0';
    k->named = true;
    k->step = STEP_FRAME;
    k->n_frame = ANSWER_HEADER_MAX;
}

static void begin_object(struct answer_reader *r, char c) {
    struct call_reading *k = &r->call;
    forget_call(k);
    call_object_init(&k->object, r->form->call->style == CALLS_KEYED, r->form->call->bare);
    call_object_push(&k->object, c);
    k->step = STEP_OBJECT;
}

/* White space, and the punctuation of lists where one may be. */
static bool is_filler(struct call_reading *k, const struct call_form *form, char c) {
    bool objects = form->style == CALLS_OBJECT || form->style == CALLS_KEYED;
    if (json_is_blank(c)) return true;
    if (c == '`') return form->style == CALLS_ARGUMENTS && k->any;
    if (!objects) return false;
    if (c == ';') return form->bare && k->any;
    if (c == ',') return k->in_list && k->any;
    if (c != (k->in_list ? ']' : '[') || (c == '[' && k->any)) return false;
    k->in_list = c == '[';
    return true;
}

static void take_frame_tag(struct answer_reader *r, size_t which, bool in_section) {
    enum { SECTION_OPEN, OPEN, SECTION_CLOSE, CLOSE };
    const struct call_form *form = r->form->call;
    r->n_tag = 0;
    if (which == SECTION_OPEN) answer_mark_call(r, form->section_open);
    if (which == OPEN) answer_mark_call(r, form->open);
    if (which == OPEN) begin_call(r);
    if (which == SECTION_OPEN || which == OPEN) return;
    if (!r->call.any)
        call_refuse(r);
    else if (which == SECTION_CLOSE || !in_section)
        call_leave(r);
    else
        buf_clear(&r->call.held);
}

static void feed_between(struct answer_reader *r, char c) {
    const struct call_form *form = r->form->call;
    const char *const tags[] = {form->section_open, form->open, form->section_close, form->close};
    bool objects = form->style == CALLS_OBJECT || form->style == CALLS_KEYED;
    size_t which = 0;
    if (r->n_tag == 0 && is_filler(&r->call, form, c)) {
        if (r->call.any) buf_clear(&r->call.held); /* of the frame of a call that is out */
        return;
    }
    if (r->n_tag == 0 && objects && c == '{') {
        begin_object(r, c);
        return;
    }
    r->tag[r->n_tag++] = c;
    enum tag_match match = tag_match(tags, 4, r->tag, r->n_tag, &which);
    if (match == TAG_WHOLE) take_frame_tag(r, which, form->section_close != NULL);
    if (match == TAG_NONE) call_refuse(r);
}

/* ---- the name ---- */

static bool is_of_a_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("_-.:/", c)) || (c & 0x80);
}

/* functions.NAME:0 is NAME. */
static void strip_number(struct call_reading *k) {
    static const char prefix[] = "functions.";
    size_t n = k->n_name, skip = sizeof prefix - 1;
    while (n > 0 && k->name[n - 1] >= '0' && k->name[n - 1] <= '9')
        n--;
    if (n > 1 && n < k->n_name && k->name[n - 1] == ':') k->n_name = n - 1;
    k->name[k->n_name] = '\0';
    if (k->n_name <= skip || memcmp(k->name, prefix, skip) != 0) return;
    memmove(k->name, k->name + skip, k->n_name - skip + 1);
    k->n_name -= skip;
}

static void take_name(struct answer_reader *r) {
    struct call_reading *k = &r->call;
    if (r->form->call->numbered) strip_number(k);
    k->named = true;
    k->step = STEP_FRAME;
    if (r->form->call->style != CALLS_PARAMETERS) return;
    k->step = STEP_KEY_OPEN;
    call_put_argument(r, "{", 1);
}

static void feed_name(struct answer_reader *r, char c) {
    struct call_reading *k = &r->call;
    if (k->n_name == 0 && json_is_blank(c)) return;
    if (is_of_a_name(c) && k->n_name < CALL_NAME_MAX) {
        k->name[k->n_name++] = c;
        k->name[k->n_name] = '\0';
        return;
    }
    if (k->n_name == 0 || is_of_a_name(c)) {
        refuse_at(r, c);
        return;
    }
    k->step = STEP_NAME_END;
    if (!r->form->call->name_end) take_name(r);
    unhold_byte(k);
    call_feed(r, c);
}

/* ---- tags inside a call ---- */

bool call_reached(struct answer_reader *r, char c, const char *tag,
                  bool (*skipped)(struct answer_reader *r, char c)) {
    size_t which;
    r->tag[r->n_tag++] = c;
    while (r->n_tag > 0) {
        enum tag_match match = tag_match(&tag, 1, r->tag, r->n_tag, &which);
        if (match == TAG_BEGUN) return false;
        if (match == TAG_WHOLE) {
            r->n_tag = 0;
            return true;
        }
        if (!skipped(r, r->tag[0])) {
            call_refuse(r);
            return false;
        }
        memmove(r->tag, r->tag + 1, --r->n_tag);
    }
    return false;
}

static bool skip_blank(struct answer_reader *r, char c) {
    (void)r;
    return json_is_blank(c);
}

static bool skip_frame(struct answer_reader *r, char c) {
    (void)c;
    return ++r->call.n_frame <= ANSWER_HEADER_MAX;
}

static bool skip_into_whole(struct answer_reader *r, char c) {
    return call_keep(r, &r->call.raw, c);
}

/* ---- arguments as JSON ---- */

/* Arguments that come as a JSON string of JSON. */
static bool take_text_arguments(struct answer_reader *r) {
    struct call_reading *k = &r->call;
    json_t *text = json_loadb(buf_text(&k->raw), k->raw.length, JSON_DECODE_ANY, NULL);
    json_t *object = json_loadb(json_string_value(text) ? json_string_value(text) : "",
                                json_string_length(text), 0, NULL);
    bool ok = json_is_object(object);
    if (ok) call_put_argument(r, json_string_value(text), json_string_length(text));
    json_decref(object);
    json_decref(text);
    return ok;
}

static void feed_arguments(struct answer_reader *r, char c) {
    struct call_reading *k = &r->call;
    bool in_string = json_scan_in_string(&k->scan), ok = true;
    enum json_step step = json_scan_push(&k->scan, c);
    if (step == JSON_BAD) {
        refuse_at(r, c);
        return;
    }
    if (k->as_text)
        call_keep(r, &k->raw, c);
    else
        put_json_byte(r, c, in_string);
    if (step == JSON_LAST && k->as_text) ok = take_text_arguments(r);
    if (step == JSON_LAST && ok) call_finish(r);
    if (!ok) refuse_at(r, c);
    if (step == JSON_MORE && !k->as_text) call_give_out_if_long(r);
}

static void feed_frame(struct answer_reader *r, char c) {
    if (c == '{' || c == '"') {
        r->call.step = STEP_ARGUMENTS;
        r->call.as_text = c == '"';
        feed_arguments(r, c);
    } else if (!json_is_blank(c) && !skip_frame(r, c)) {
        refuse_at(r, c);
    }
}

static bool finish_object(struct answer_reader *r) {
    struct call_reading *k = &r->call;
    if (r->form->call->bare && !k->object.has_arguments) return false;
    if (k->raw.length > 0 && !take_text_arguments(r)) return false;
    if (!k->certain && k->arguments.length == 0) call_put_argument(r, "{}", 2);
    call_finish(r);
    return true;
}

static void feed_object(struct answer_reader *r, char c) {
    struct call_reading *k = &r->call;
    bool in_string = json_scan_in_string(&k->object.value), ok = true;
    enum call_part part = call_object_push(&k->object, c);
    if (r->form->call->bare && c == ':' && call_object_awaits_name(&k->object))
        answer_mark_call(r, bare_mark);
    switch (part) {
    case CALL_PART_NAME:
        memcpy(k->name, k->object.name, k->object.n_name + 1);
        k->named = true;
        ok = !r->form->call->bare || offered_tool(r->tools, k->name) != NULL;
        break;
    case CALL_PART_ARGUMENT:
        put_json_byte(r, c, in_string);
        call_give_out_if_long(r);
        break;
    case CALL_PART_TEXT: call_keep(r, &k->raw, c); break;
    case CALL_PART_DONE: ok = finish_object(r); break;
    case CALL_PART_BAD: ok = false; break;
    default: break;
    }
    if (!ok) refuse_at(r, c);
}

/* ---- whole calls ---- */

static json_t *calls_of_whole(const struct answer_reader *r) {
    const char *text = buf_text(&r->call.raw);
    size_t n = r->call.raw.length;
    switch (r->form->call->style) {
    case CALLS_PYTHON: return calls_of_python(text, n);
    case CALLS_BRACES: return calls_of_braces(text, n);
    default: return calls_of_tree(text, n, r->tools);
    }
}

static void feed_whole(struct answer_reader *r, char c) {
    if (!call_reached(r, c, r->form->call->close, skip_into_whole)) return;
    json_t *calls = calls_of_whole(r), *call;
    size_t i;
    if (!calls) {
        call_refuse(r);
        return;
    }
    json_array_foreach(calls, i, call) {
        char *arguments = json_dumps(json_object_get(call, "arguments"), ANSWER_JSON_STYLE);
        const char *name = json_string_value(json_object_get(call, "name"));
        if (arguments) answer_put_call(r, name, arguments, strlen(arguments));
        r->failed |= !arguments;
        free(arguments);
    }
    json_decref(calls);
    call_leave(r);
}

void call_feed(struct answer_reader *r, char c) {
    struct call_reading *k = &r->call;
    if (!buf_append_char(&k->held, c)) {
        r->failed = true;
        return;
    }
    switch (k->step) {
    case STEP_BETWEEN: feed_between(r, c); break;
    case STEP_NAME_OPEN:
        if (call_reached(r, c, r->form->call->name_open, skip_frame)) k->step = STEP_NAME;
        break;
    case STEP_NAME: feed_name(r, c); break;
    case STEP_NAME_END:
        if (call_reached(r, c, r->form->call->name_end, skip_blank)) take_name(r);
        break;
    case STEP_FRAME: feed_frame(r, c); break;
    case STEP_ARGUMENTS: feed_arguments(r, c); break;
    case STEP_OBJECT: feed_object(r, c); break;
    case STEP_WHOLE: feed_whole(r, c); break;
    default: parameter_feed(r, c);
    }
    if (r->mode == READ_CALL && k->held.length >= ANSWER_CALL_MAX) call_refuse(r);
}
