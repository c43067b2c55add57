#include <stdlib.h>
#include <string.h>

#include "chat/answer_reader_parts.h"

enum { SCHEMA_DEPTH_MAX = 8 };

const json_t *offered_tool(const json_t *tools, const char *name) {
    const json_t *tool;
    size_t i;
    json_array_foreach(tools, i, tool) {
        const json_t *function = json_object_get(tool, "function");
        const char *offered = json_string_value(json_object_get(function, "name"));
        if (offered && strcmp(offered, name) == 0) return function;
    }
    return NULL;
}

const json_t *argument_schema(const json_t *tools, const char *tool, const char *key) {
    const json_t *parameters = json_object_get(offered_tool(tools, tool), "parameters");
    return json_object_get(json_object_get(parameters, "properties"), key);
}

static unsigned type_of_name(const char *name) {
    static const struct {
        const char *name;
        unsigned type;
    } types[] = {{"string", TYPE_TEXT},     {"number", TYPE_NUMBER}, {"integer", TYPE_NUMBER},
                 {"boolean", TYPE_BOOLEAN}, {"null", TYPE_NULL},     {"array", TYPE_ARRAY},
                 {"object", TYPE_OBJECT}};
    for (size_t i = 0; name && i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].name, name) == 0) return types[i].type;
    return 0;
}

static unsigned type_of_value(const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_STRING: return TYPE_TEXT;
    case JSON_INTEGER:
    case JSON_REAL: return TYPE_NUMBER;
    case JSON_NULL: return TYPE_NULL;
    case JSON_ARRAY: return TYPE_ARRAY;
    case JSON_OBJECT: return TYPE_OBJECT;
    default: return TYPE_BOOLEAN;
    }
}

static unsigned types_at(const json_t *schema, unsigned depth) {
    static const char *const choices[] = {"anyOf", "oneOf"};
    const json_t *type = json_object_get(schema, "type"), *item;
    unsigned types = type_of_name(json_string_value(type));
    size_t i;
    json_array_foreach(type, i, item) types |= type_of_name(json_string_value(item));
    if (types || depth == SCHEMA_DEPTH_MAX) return types;
    json_array_foreach(json_object_get(schema, "enum"), i, item) types |= type_of_value(item);
    for (unsigned k = 0; k < 2; k++)
        json_array_foreach(json_object_get(schema, choices[k]), i, item) {
            unsigned some = types_at(item, depth + 1);
            if (!some) return 0;
            types |= some;
        }
    return types;
}

unsigned schema_types(const json_t *schema) {
    return types_at(schema, 0);
}

bool schema_is_text(const json_t *schema) {
    return schema_types(schema) == TYPE_TEXT;
}

/* What stands after the backslash, or 0. */
static char short_escape(char c) {
    switch (c) {
    case '"':
    case '\\': return c;
    case '\n': return 'n';
    case '\r': return 'r';
    case '\t': return 't';
    default: return 0;
    }
}

size_t escape_byte(char escaped[ESCAPED_MAX], char c) {
    static const char digits[] = "0123456789abcdef";
    if (short_escape(c)) {
        escaped[0] = '\\';
        escaped[1] = short_escape(c);
        return 2;
    }
    escaped[0] = c;
    if ((unsigned char)c >= 0x20) return 1;
    memcpy(escaped, "\\u00", 4);
    escaped[4] = digits[(unsigned char)c >> 4];
    escaped[5] = digits[c & 15];
    return 6;
}

void append_escaped(struct buf *out, const char *text, size_t n) {
    char escaped[ESCAPED_MAX];
    for (size_t i = 0; i < n; i++)
        buf_append(out, escaped, escape_byte(escaped, text[i]));
}

static void append_json(struct buf *out, const json_t *value) {
    char *text = json_dumps(value, JSON_ENCODE_ANY | ANSWER_JSON_STYLE);
    if (!text || !buf_append_text(out, text)) out->failed = true;
    free(text);
}

/* As `types` want it; false: it is a text. */
static bool append_typed(struct buf *out, const char *text, size_t n, unsigned types) {
    json_t *json = json_loadb(text, n, JSON_DECODE_ANY, NULL);
    json_t *value = json ? json : python_value(text, n);
    bool wanted = value && (!(types & TYPE_TEXT) || (types & type_of_value(value)));
    if (wanted && json)
        buf_append(out, text, n); /* numbers stay as they were written */
    else if (wanted)
        append_json(out, value);
    json_decref(value);
    return wanted;
}

void append_value(struct buf *out, const char *text, size_t n, const json_t *schema) {
    unsigned types = schema_types(schema);
    if (types != TYPE_TEXT && append_typed(out, text, n, types)) return;
    buf_append_char(out, '"');
    append_escaped(out, text, n);
    buf_append_char(out, '"');
}
