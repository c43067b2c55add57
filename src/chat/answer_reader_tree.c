#include <string.h>

#include "chat/answer_reader_parts.h"

enum { TREE_DEPTH_MAX = 32 };

/* The rest of a whole call. */
struct rest {
    const char *at, *end;
    unsigned depth;
};

static void skip_blanks(struct rest *p) {
    while (p->at < p->end && json_is_blank(*p->at))
        p->at++;
}

static bool take(struct rest *p, const char *text) {
    size_t n = strlen(text);
    if ((size_t)(p->end - p->at) < n || memcmp(p->at, text, n) != 0) return false;
    p->at += n;
    return true;
}

/* Where `text` stands next, or NULL. */
static const char *find(const struct rest *p, const char *text) {
    size_t n = strlen(text);
    for (const char *at = p->at; (size_t)(p->end - at) >= n; at++)
        if (memcmp(at, text, n) == 0) return at;
    return NULL;
}

/* The text up to `close`, which is taken too; NULL: it is missing. */
static json_t *text_up_to(struct rest *p, const char *close) {
    const char *found = find(p, close);
    json_t *text = found ? json_stringn(p->at, (size_t)(found - p->at)) : NULL;
    if (found) p->at = found + strlen(close);
    return text;
}

/* Takes both. */
static json_t *make_call(json_t *name, json_t *arguments) {
    json_t *call = json_object();
    bool ok = call && json_string_length(name) > 0 && arguments;
    ok = ok && json_object_set(call, "name", name) == 0;
    ok = ok && json_object_set(call, "arguments", arguments) == 0;
    json_decref(name);
    json_decref(arguments);
    if (ok) return call;
    json_decref(call);
    return NULL;
}

/* ---- call:name{argument:<|"|>text<|"|>,list:[1,2]} ---- */

static const char quote[] = "<|\"|>";

static json_t *braces_value(struct rest *p);

static json_t *braces_key(struct rest *p) {
    if (!take(p, quote)) return text_up_to(p, ":");
    json_t *key = text_up_to(p, quote);
    if (take(p, ":")) return key;
    json_decref(key);
    return NULL;
}

static json_t *braces_object(struct rest *p) {
    json_t *object = json_object();
    while (object && !take(p, "}")) {
        json_t *key = braces_key(p);
        json_t *value = key ? braces_value(p) : NULL;
        bool ok = value && json_object_set(object, json_string_value(key), value) == 0;
        json_decref(key);
        json_decref(value);
        if (ok && (take(p, ",") || (p->at < p->end && *p->at == '}'))) continue;
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *braces_list(struct rest *p) {
    json_t *list = json_array();
    while (list && !take(p, "]")) {
        bool ok = json_array_append_new(list, braces_value(p)) == 0;
        if (ok && (take(p, ",") || (p->at < p->end && *p->at == ']'))) continue;
        json_decref(list);
        return NULL;
    }
    return list;
}

/* A number or a word of JSON or Python. */
static json_t *braces_word(struct rest *p) {
    const char *word = p->at;
    while (p->at < p->end && *p->at != ',' && *p->at != '}' && *p->at != ']')
        p->at++;
    return python_value(word, (size_t)(p->at - word));
}

static json_t *braces_value(struct rest *p) {
    json_t *value;
    if (p->depth == TREE_DEPTH_MAX) return NULL;
    p->depth++;
    if (take(p, quote))
        value = text_up_to(p, quote);
    else if (take(p, "{"))
        value = braces_object(p);
    else if (take(p, "["))
        value = braces_list(p);
    else
        value = braces_word(p);
    p->depth--;
    return value;
}

json_t *calls_of_braces(const char *text, size_t n) {
    struct rest p = {text, text + n, 0};
    json_t *calls = json_array(), *name = NULL;
    skip_blanks(&p);
    if (take(&p, "call:")) name = text_up_to(&p, "{");
    json_t *call = make_call(name, name ? braces_object(&p) : NULL);
    skip_blanks(&p);
    if (calls && json_array_append_new(calls, call) == 0 && p.at == p.end) return calls;
    json_decref(calls);
    return NULL;
}

/* ---- trees of tags, each with a mark before it ---- */

static const char mark[] = "]<]minimax[>[";

/* The name of an opening tag that stands here, or NULL. */
static json_t *tag_at(struct rest *p) {
    struct rest next = *p;
    skip_blanks(&next);
    if (!take(&next, mark) || !take(&next, "<") || next.at == next.end || *next.at == '/')
        return NULL;
    json_t *name = text_up_to(&next, ">");
    if (name) *p = next;
    return name;
}

static bool close_tag(struct rest *p, const json_t *name) {
    return take(p, mark) && take(p, "</") && take(p, json_string_value(name)) && take(p, ">");
}

static json_t *leaf(struct rest *p, const json_t *schema) {
    const char *end = find(p, mark);
    if (!end) return NULL;
    struct buf json;
    buf_init(&json, 8 * ANSWER_CALL_MAX);
    append_value(&json, p->at, (size_t)(end - p->at), schema);
    json_t *value = json_loadb(buf_text(&json), json.length, JSON_DECODE_ANY, NULL);
    buf_release(&json);
    p->at = end;
    return value;
}

static json_t *tree_value(struct rest *p, const json_t *schema);

static bool add_child(json_t **children, const json_t *name, json_t *value) {
    const char *key = json_string_value(name);
    bool item = strcmp(key, "item") == 0;
    if (!*children) *children = item ? json_array() : json_object();
    if (json_is_array(*children)) return item && json_array_append(*children, value) == 0;
    return json_object_set(*children, key, value) == 0;
}

/* Up to the closing tag of what they are children of; NULL when there are none. */
static json_t *tree_children(struct rest *p, const json_t *schema, bool *ok) {
    json_t *children = NULL, *name;
    while (*ok && (name = tag_at(p)) != NULL) {
        const json_t *of_child =
            json_object_get(json_object_get(schema, "properties"), json_string_value(name));
        if (!of_child) of_child = json_object_get(schema, "items");
        json_t *value = tree_value(p, of_child);
        *ok = value && close_tag(p, name) && add_child(&children, name, value);
        json_decref(value);
        json_decref(name);
    }
    return children;
}

static json_t *tree_value(struct rest *p, const json_t *schema) {
    bool ok = true;
    if (p->depth == TREE_DEPTH_MAX) return NULL;
    p->depth++;
    json_t *value = tree_children(p, schema, &ok);
    p->depth--;
    if (ok && value) {
        skip_blanks(p);
        return value;
    }
    json_decref(value);
    return ok ? leaf(p, schema) : NULL;
}

static json_t *tree_call(struct rest *p, const json_t *tools) {
    bool ok = true;
    json_t *name = text_up_to(p, "\">");
    const json_t *function = name ? offered_tool(tools, json_string_value(name)) : NULL;
    const json_t *schema = json_object_get(function, "parameters");
    json_t *arguments = name ? tree_children(p, schema, &ok) : NULL;
    if (ok && !arguments) arguments = json_object();
    skip_blanks(p);
    ok = ok && json_is_object(arguments) && take(p, mark) && take(p, "</invoke>");
    if (ok) return make_call(name, arguments);
    json_decref(name);
    json_decref(arguments);
    return NULL;
}

json_t *calls_of_tree(const char *text, size_t n, const json_t *tools) {
    struct rest p = {text, text + n, 0};
    json_t *calls = json_array();
    bool ok = calls != NULL;
    for (skip_blanks(&p); ok && p.at < p.end; skip_blanks(&p)) {
        ok = take(&p, mark) && take(&p, "<invoke name=\"");
        ok = ok && json_array_append_new(calls, tree_call(&p, tools)) == 0;
    }
    if (ok && json_array_size(calls) > 0) return calls;
    json_decref(calls);
    return NULL;
}
