#include "train/example_spans.h"

#include <string.h>

#include "base/mem.h"

enum {
    MAX_CLOSING_BYTES = 512,  /* what may close a turn */
    MAX_PREAMBLE_BYTES = 256, /* what may stand between a generation prompt and the content */
    MARK_BYTES = 4
};

struct rendering {
    const struct chat_template *template;
    struct dialogue dialogue;
    const json_t *messages;
    struct rendered_conversation *out;
    const char *whole; /* W */
    size_t n_whole;
    char mark[MARK_BYTES]; /* a character that W does not have */
};

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the conversation");
}

/* ---- renderings ---- */

static json_t *first_messages(const json_t *messages, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++)
        if (json_array_append(list, json_array_get(messages, i)) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

/* `messages` is taken. */
static hearth_status render(const struct rendering *r, json_t *messages, bool prompt,
                            struct buf *text, hearth_error *err) {
    struct dialogue dialogue = r->dialogue;
    dialogue.messages = messages;
    dialogue.add_generation_prompt = prompt;
    buf_clear(text);
    hearth_status status =
        messages ? dialogue_render(r->template, &dialogue, NULL, text, err) : no_memory(err);
    json_decref(messages);
    /* no text of a record is as large as the buffer may grow */
    return status == HEARTH_ERROR_LIMIT && text->failed ? no_memory(err) : status;
}

static hearth_status render_first(const struct rendering *r, size_t n, bool prompt,
                                  struct buf *text, hearth_error *err) {
    return render(r, first_messages(r->messages, n), prompt, text, err);
}

static bool begins_whole(const struct rendering *r, const struct buf *text) {
    return text->length <= r->n_whole && memcmp(buf_text(text), r->whole, text->length) == 0;
}

/* ---- a turn found by what changes with it ---- */

static void choose_mark(struct rendering *r) {
    static const char candidates[][MARK_BYTES] = {"\xee\x80\x80", "\xee\xa4\x85", "\xef\xa3\xbf",
                                                  "\xee\xbf\xa3"};
    size_t i = 0;
    while (i + 1 < sizeof candidates / sizeof candidates[0] &&
           memmem(r->whole, r->n_whole, candidates[i], MARK_BYTES - 1))
        i++;
    memcpy(r->mark, candidates[i], MARK_BYTES);
}

static bool has_text(const json_t *value) {
    return json_string_length(value) > 0 || json_array_size(value) > 0;
}

/* The arguments with every value replaced; the names stay, because templates look them up. */
static json_t *marked_arguments(const json_t *arguments, const char *mark) {
    const char *name;
    json_t *value, *object = json_is_string(arguments)
                                 ? json_loadb(json_string_value(arguments),
                                              json_string_length(arguments), 0, NULL)
                                 : json_deep_copy(arguments);
    if (!json_is_object(object)) {
        json_decref(object);
        return json_string(mark);
    }
    json_object_foreach(object, name, value) {
        if (json_object_set_new(object, name, json_string(mark)) != 0) break;
    }
    return object;
}

static json_t *marked_message(const json_t *message, const char *mark) {
    static const char *const thoughts[] = {"reasoning_content", "reasoning", "thinking"};
    json_t *copy = json_deep_copy(message), *call;
    json_t *calls = json_object_get(copy, "tool_calls");
    size_t i;
    bool ok = copy != NULL;
    if (has_text(json_object_get(copy, "content")) || json_array_size(calls) == 0)
        ok = ok && json_object_set_new(copy, "content", json_string(mark)) == 0;
    for (i = 0; ok && i < sizeof thoughts / sizeof thoughts[0]; i++)
        if (has_text(json_object_get(copy, thoughts[i])))
            ok = json_object_set_new(copy, thoughts[i], json_string(mark)) == 0;
    json_array_foreach(calls, i, call) {
        json_t *holder = json_object_get(call, "function");
        if (!holder) holder = call;
        const json_t *arguments = json_object_get(holder, "arguments");
        if (arguments)
            ok = ok &&
                 json_object_set_new(holder, "arguments", marked_arguments(arguments, mark)) == 0;
    }
    if (ok) return copy;
    json_decref(copy);
    return NULL;
}

static bool inside_character(const struct rendering *r, size_t at) {
    return at < r->n_whole && ((unsigned char)r->whole[at] & 0xC0) == 0x80;
}

/* The bytes of W that are not in `other`, up to whole characters. */
static struct text_span differing(const struct rendering *r, const struct buf *other) {
    const char *x = r->whole, *y = buf_text(other);
    size_t n = r->n_whole, m = other->length, front = 0, back = 0;
    size_t shorter = n < m ? n : m;
    while (front < shorter && x[front] == y[front])
        front++;
    while (front > 0 && inside_character(r, front))
        front--;
    while (back < shorter - front && x[n - 1 - back] == y[m - 1 - back])
        back++;
    struct text_span span = {front, n - back, false};
    while (inside_character(r, span.end))
        span.end++;
    return span;
}

static hearth_status find_content(const struct rendering *r, size_t i, struct buf *text,
                                  struct text_span *content, hearth_error *err) {
    json_t *messages = first_messages(r->messages, json_array_size(r->messages));
    json_t *marked = marked_message(json_array_get(r->messages, i), r->mark);
    if (!messages || !marked || json_array_set_new(messages, i, marked) != 0) {
        json_decref(messages);
        return no_memory(err);
    }
    RETURN_IF_ERROR(render(r, messages, false, text, err));
    *content = differing(r, text);
    return HEARTH_OK;
}

/* Where a generation prompt may be left: after a line, a control token, a label. */
static bool ends_part(const char *prompt, size_t n) {
    return strchr("\n>]:", prompt[n - 1]) && prompt[n - 1] != '\0';
}

/* Back to the end of the generation prompt that stands before the content, or of as much
 * of it as does. */
static void step_back(const struct rendering *r, const char *prompt, size_t n_prompt, size_t low,
                      struct text_span *span) {
    for (size_t n = n_prompt; n > n_prompt / 4; n--) {
        size_t reach = n + MAX_PREAMBLE_BYTES, least = low + n;
        if (n < n_prompt && !ends_part(prompt, n)) continue;
        if (span->begin > low + reach) least = span->begin - MAX_PREAMBLE_BYTES;
        for (size_t at = span->begin; at >= least; at--)
            if (memcmp(r->whole + at - n, prompt, n) == 0) {
                span->begin = at;
                return;
            }
    }
}

static hearth_status find_begin(const struct rendering *r, size_t i, size_t previous_end,
                                struct buf *text, struct text_span *span, hearth_error *err) {
    struct buf before;
    buf_init(&before, EXAMPLE_MAX_TEXT_BYTES);
    hearth_status status = render_first(r, i, false, &before, err);
    if (status == HEARTH_OK) status = render_first(r, i, true, text, err);
    if (status == HEARTH_OK && text->length > before.length)
        step_back(r, buf_text(text) + before.length, text->length - before.length, previous_end,
                  span);
    if (status == HEARTH_OK && begins_whole(r, &before))
        r->out->n_unprompted++;
    else if (status == HEARTH_OK)
        r->out->n_rewritten++;
    buf_release(&before);
    return status;
}

/* On by the longest end of E that follows the content in W. */
static hearth_status find_end(const struct rendering *r, size_t i, struct buf *text,
                              struct text_span *span, hearth_error *err) {
    RETURN_IF_ERROR(render_first(r, i + 1, false, text, err));
    size_t n = r->n_whole - span->end;
    if (n > text->length) n = text->length;
    if (n > MAX_CLOSING_BYTES) n = MAX_CLOSING_BYTES;
    while (n > 0 && memcmp(buf_text(text) + text->length - n, r->whole + span->end, n) != 0)
        n--;
    span->end += n;
    return HEARTH_OK;
}

/* A turn that is not simply what stands between two other renderings. `given`: its begin
 * is known. */
static hearth_status find_by_content(const struct rendering *r, size_t i, size_t previous_end,
                                     bool given, struct buf *text, struct text_span *span,
                                     hearth_error *err) {
    bool last = i + 1 == json_array_size(r->messages);
    size_t begin = span->begin;
    RETURN_IF_ERROR(find_content(r, i, text, span, err));
    if (span->begin < previous_end) span->begin = previous_end;
    if (span->begin >= span->end) { /* not shown */
        span->end = span->begin;
        return HEARTH_OK;
    }
    if (given && begin < span->end)
        span->begin = begin;
    else
        RETURN_IF_ERROR(find_begin(r, i, previous_end, text, span, err));
    if (!last) return find_end(r, i, text, span, err);
    span->end = r->n_whole;
    return HEARTH_OK;
}

/* Some templates write what a tool answered into the turn that called it. */
static hearth_status cut_at_answers(const struct rendering *r, size_t i, struct buf *text,
                                    struct text_span *span, hearth_error *err) {
    for (size_t k = i + 1; k < json_array_size(r->messages); k++) {
        const json_t *message = json_array_get(r->messages, k);
        const json_t *content = json_object_get(message, "content");
        struct text_span answer;
        if (strcmp(json_string_value(json_object_get(message, "role")), "assistant") == 0) break;
        if (json_is_string(content) &&
            !memmem(r->whole + span->begin, span->end - span->begin, json_string_value(content),
                    json_string_length(content)))
            continue;
        RETURN_IF_ERROR(find_content(r, k, text, &answer, err));
        if (answer.begin >= answer.end || answer.begin >= span->end || answer.end <= span->begin)
            continue;
        span->end = answer.begin > span->begin ? answer.begin : span->begin;
        span->cut = true;
    }
    return HEARTH_OK;
}

/* ---- turns ---- */

static hearth_status find_turn(const struct rendering *r, size_t i, size_t previous_end,
                               struct buf *text, struct text_span *span, hearth_error *err) {
    bool last = i + 1 == json_array_size(r->messages);
    RETURN_IF_ERROR(render_first(r, i, true, text, err));
    bool given = begins_whole(r, text) && text->length >= previous_end;
    *span = (struct text_span){text->length, r->n_whole, false};
    if (given && last) return HEARTH_OK;
    if (given) {
        RETURN_IF_ERROR(render_first(r, i + 1, false, text, err));
        span->end = text->length;
        if (begins_whole(r, text) && span->end >= span->begin) return HEARTH_OK;
    }
    RETURN_IF_ERROR(find_by_content(r, i, previous_end, given, text, span, err));
    return span->end > span->begin && !last ? cut_at_answers(r, i, text, span, err) : HEARTH_OK;
}

static bool is_trained(const json_t *message) {
    const char *role = json_string_value(json_object_get(message, "role"));
    const json_t *weight = json_object_get(message, "weight");
    if (!role || strcmp(role, "assistant") != 0) return false;
    if (json_is_number(weight) && !(json_number_value(weight) > 0)) return false;
    return !json_is_false(json_object_get(message, "train"));
}

static hearth_status find_turns(const struct rendering *r, size_t first, hearth_error *err) {
    struct rendered_conversation *out = r->out;
    size_t n = json_array_size(r->messages), previous_end = 0;
    struct buf text;
    hearth_status status = HEARTH_OK;
    out->spans = mem_alloc_array(n, sizeof *out->spans);
    if (!out->spans) return no_memory(err);
    buf_init(&text, EXAMPLE_MAX_TEXT_BYTES);
    for (size_t i = first; i < n && status == HEARTH_OK; i++) {
        struct text_span span;
        if (!is_trained(json_array_get(r->messages, i))) continue;
        status = find_turn(r, i, previous_end, &text, &span, err);
        if (status != HEARTH_OK) break;
        out->n_turns++;
        out->n_hidden += span.end <= span.begin;
        if (span.end <= span.begin) continue;
        previous_end = span.end;
        out->spans[out->n_spans++] = span;
    }
    buf_release(&text);
    return status;
}

hearth_status spans_render(struct rendered_conversation *out, const struct chat_template *t,
                           const struct dialogue *conversation, size_t first, bool only_last,
                           hearth_error *err) {
    size_t last = json_array_size(conversation->messages);
    *out = (struct rendered_conversation){0};
    buf_init(&out->text, EXAMPLE_MAX_TEXT_BYTES);
    while (last > first && !is_trained(json_array_get(conversation->messages, last - 1)))
        last--;
    if (last == first)
        return error_set(err, HEARTH_ERROR_FORMAT, "no message of the assistant is to be trained");
    struct rendering r = {.template = t,
                          .dialogue = *conversation,
                          .messages = first_messages(conversation->messages, last),
                          .out = out};
    hearth_status status =
        r.messages ? render_first(&r, last, false, &out->text, err) : no_memory(err);
    r.whole = buf_text(&out->text);
    r.n_whole = out->text.length;
    choose_mark(&r);
    if (status == HEARTH_OK) status = find_turns(&r, only_last ? last - 1 : first, err);
    json_decref((json_t *)(uintptr_t)r.messages);
    if (status != HEARTH_OK) spans_release(out);
    return status;
}

void spans_release(struct rendered_conversation *r) {
    buf_release(&r->text);
    mem_free(r->spans);
    *r = (struct rendered_conversation){0};
}
