/* Python's literals, as templates and models write them: None, True, texts in either quotes,
 * lists, tuples and dictionaries; and calls with named arguments. JSON's literals are taken too. */
#include <string.h>

#include "chat/answer_reader_parts.h"
#include "token/utf8.h"

enum { PYTHON_DEPTH_MAX = 32 };

struct python {
    const char *at, *end;
    unsigned depth;
};

static void skip_blanks(struct python *p) {
    while (p->at < p->end && json_is_blank(*p->at))
        p->at++;
}

/* Skips white space and then `c`, if it is there. */
static bool take(struct python *p, char c) {
    skip_blanks(p);
    if (p->at == p->end || *p->at != c) return false;
    p->at++;
    return true;
}

/* A quote ends a text when what follows could follow a text: models and templates forget to
 * escape the quotes inside. */
static bool ends_text(const struct python *p) {
    struct python rest = {p->at + 1, p->end, 0};
    skip_blanks(&rest);
    return rest.at == rest.end || strchr(",)]}:", *rest.at);
}

/* The four hexadecimal digits at `at`; -1: there are none. */
static int32_t hex_at(const struct python *p, const char *at) {
    int32_t code = 0;
    if (p->end - at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        const char *digits = "0123456789abcdef";
        const char *digit = at[i] ? strchr(digits, at[i] | 0x20) : NULL;
        if (!digit) return -1;
        code = code << 4 | (int32_t)(digit - digits);
    }
    return code;
}

/* \uXXXX, two of them where they are surrogates; false: it is something else. */
static bool append_unicode_escape(struct python *p, struct buf *text) {
    int32_t code = hex_at(p, p->at + 1), low = -1;
    char utf8[4];
    if (code >= 0xd800 && code < 0xdc00 && p->end - p->at > 10 && p->at[5] == '\\' &&
        p->at[6] == 'u')
        low = hex_at(p, p->at + 7);
    bool pair = low >= 0xdc00 && low < 0xe000;
    if (pair) code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    if (code <= 0 || (code >= 0xd800 && code < 0xe000)) return false;
    buf_append(text, utf8, utf8_encode((uint32_t)code, utf8));
    p->at += pair ? 10 : 4;
    return true;
}

/* What stands after a backslash, Python's or JSON's. */
static void append_python_escape(struct python *p, struct buf *text) {
    static const char escapes[] = "n\nt\tr\rb\bf\f\\\\''\"\"//";
    if (*p->at == 'u' && append_unicode_escape(p, text)) return;
    for (const char *e = escapes; *e; e += 2)
        if (*e == *p->at) {
            buf_append_char(text, e[1]);
            return;
        }
    buf_append_char(text, '\\');
    buf_append_char(text, *p->at);
}

static json_t *python_text(struct python *p) {
    char quote = *p->at++;
    struct buf text;
    json_t *value = NULL;
    buf_init(&text, 2 * ANSWER_CALL_MAX);
    for (; p->at < p->end && !(*p->at == quote && ends_text(p)); p->at++) {
        if (*p->at != '\\' || p->at + 1 == p->end) {
            buf_append_char(&text, *p->at);
            continue;
        }
        p->at++;
        append_python_escape(p, &text);
    }
    if (p->at < p->end && !text.failed) value = json_stringn(buf_text(&text), text.length);
    if (p->at < p->end) p->at++;
    buf_release(&text);
    return value;
}

static json_t *value_at(struct python *p);

static json_t *python_list(struct python *p, char close) {
    json_t *list = json_array();
    p->at++;
    while (list && !take(p, close)) {
        bool ok = json_array_append_new(list, value_at(p)) == 0;
        skip_blanks(p);
        ok = ok && p->at < p->end && (*p->at == close || take(p, ','));
        if (ok) continue;
        json_decref(list);
        return NULL;
    }
    return list;
}

static json_t *python_dictionary(struct python *p) {
    json_t *object = json_object();
    p->at++;
    while (object && !take(p, '}')) {
        json_t *key = value_at(p), *value = key && take(p, ':') ? value_at(p) : NULL;
        bool ok = json_is_string(key) && value &&
                  json_object_set(object, json_string_value(key), value) == 0;
        json_decref(key);
        json_decref(value);
        skip_blanks(p);
        ok = ok && p->at < p->end && (*p->at == '}' || take(p, ','));
        if (ok) continue;
        json_decref(object);
        return NULL;
    }
    return object;
}

/* A word or a number: what goes up to the next punctuation. */
static json_t *python_word(struct python *p) {
    const char *word = p->at;
    while (p->at < p->end && *p->at != '\0' && !strchr(" \n\r\t,)]}:", *p->at))
        p->at++;
    size_t n = (size_t)(p->at - word);
    if (n == 4 && memcmp(word, "None", n) == 0) return json_null();
    if (n == 4 && memcmp(word, "True", n) == 0) return json_true();
    if (n == 5 && memcmp(word, "False", n) == 0) return json_false();
    return json_loadb(word, n, JSON_DECODE_ANY, NULL);
}

static json_t *value_at(struct python *p) {
    json_t *value = NULL;
    skip_blanks(p);
    if (p->at == p->end || p->depth == PYTHON_DEPTH_MAX) return NULL;
    p->depth++;
    switch (*p->at) {
    case '\'':
    case '"': value = python_text(p); break;
    case '[': value = python_list(p, ']'); break;
    case '(': value = python_list(p, ')'); break;
    case '{': value = python_dictionary(p); break;
    default: value = python_word(p);
    }
    p->depth--;
    return value;
}

json_t *python_value(const char *text, size_t n) {
    struct python p = {text, text + n, 0};
    json_t *value = value_at(&p);
    skip_blanks(&p);
    if (value && p.at == p.end) return value;
    json_decref(value);
    return NULL;
}

static json_t *name_at(struct python *p) {
    skip_blanks(p);
    const char *name = p->at;
    while (p->at < p->end && *p->at != '\0' && !strchr(" \n\r\t=(),'\"[]{}:", *p->at))
        p->at++;
    size_t n = (size_t)(p->at - name);
    return n > 0 && n <= CALL_NAME_MAX ? json_stringn(name, n) : NULL;
}

static json_t *named_arguments(struct python *p) {
    json_t *arguments = json_object();
    while (arguments && !take(p, ')')) {
        json_t *key = name_at(p), *value = key && take(p, '=') ? value_at(p) : NULL;
        bool ok = value && json_object_set(arguments, json_string_value(key), value) == 0;
        json_decref(key);
        json_decref(value);
        skip_blanks(p);
        ok = ok && p->at < p->end && (*p->at == ')' || take(p, ','));
        if (ok) continue;
        json_decref(arguments);
        return NULL;
    }
    return arguments;
}

static json_t *call_at(struct python *p) {
    json_t *name = name_at(p), *arguments = name && take(p, '(') ? named_arguments(p) : NULL;
    return json_pack("{s:o,s:o}", "name", name, "arguments", arguments);
}

json_t *calls_of_python(const char *text, size_t n) {
    struct python p = {text, text + n, 0};
    bool listed = take(&p, '['), ok = true;
    json_t *calls = json_array();
    do { /* in a list, or one a line */
        ok = calls && json_array_append_new(calls, call_at(&p)) == 0;
        skip_blanks(&p);
    } while (ok && (listed ? take(&p, ',') : p.at < p.end));
    ok = ok && (!listed || take(&p, ']'));
    skip_blanks(&p);
    if (ok && p.at == p.end) return calls;
    json_decref(calls);
    return NULL;
}
