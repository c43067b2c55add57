/* Values of arguments that are not parts of one JSON object. Texts stand as they are, up to a tag;
 * what is no text is JSON and left to its schema, but that braces hold texts in quotes of their own
 * at any depth.
 *
 * What a schema says of a text beyond the texts it lists (its length, a pattern) is not held to
 * where texts stand without quotes. */
#include <stdio.h>
#include <string.h>

#include "chat/answer_form_grammar.h"
#include "chat/answer_reader_parts.h"
#include "token/utf8.h"

enum { REFERENCES_MAX = 8, BRACES_DEPTH_MAX = 8, RULE_NAME_MAX = 32 };

static const char braces_quote[] = "<|\"|>";

/* ---- schemas ---- */

/* What a schema that only refers to a definition of the parameters means. */
static const json_t *resolved(const json_t *parameters, const json_t *schema) {
    static const char *const places[] = {"$defs", "definitions"};
    for (int n = 0; n < REFERENCES_MAX; n++) {
        const char *reference = json_string_value(json_object_get(schema, "$ref"));
        const json_t *found = NULL;
        for (size_t i = 0; reference && i < 2 && !found; i++) {
            size_t length = strlen(places[i]);
            if (strncmp(reference, "#/", 2) == 0 &&
                strncmp(reference + 2, places[i], length) == 0 && reference[length + 2] == '/')
                found =
                    json_object_get(json_object_get(parameters, places[i]), reference + length + 3);
        }
        if (!found) break;
        schema = found;
    }
    return schema;
}

/* What a value's schema asks for, alone, with the definitions that it may use. Given. */
static json_t *schema_alone(const json_t *parameters, const json_t *schema) {
    static const char *const places[] = {"$defs", "definitions"};
    static const char *const notes[] = {"description", "title", "default", "examples"};
    json_t *copy = json_is_object(schema) ? json_copy((json_t *)(uintptr_t)schema) : json_object();
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++)
        json_object_del(copy, notes[i]);
    for (size_t i = 0; i < 2; i++) {
        json_t *defined = json_object_get(parameters, places[i]);
        if (defined && !json_object_get(copy, places[i])) json_object_set(copy, places[i], defined);
    }
    return copy;
}

/* The rule of JSON by this schema, which values of the same schema share. */
static void put_json(struct call_grammar *g, struct buf *out, const json_t *parameters,
                     const json_t *schema) {
    char name[RULE_NAME_MAX];
    json_t *wanted = schema_alone(parameters, schema), *known;
    const char *known_name;
    json_object_foreach(g->schemas, known_name, known) {
        if (!json_equal(known, wanted)) continue;
        buf_append_format(out, "%s ", known_name);
        json_decref(wanted);
        return;
    }
    g->schema_bytes += json_dumpb(wanted, NULL, 0, JSON_COMPACT);
    if (g->schema_bytes > CALL_GRAMMAR_SCHEMA_BYTES ||
        json_object_size(g->schemas) == CALL_GRAMMAR_SCHEMAS_MAX)
        g->text.failed = true;
    snprintf(name, sizeof name, "value-%u", g->n_values++);
    if (json_object_set_new(g->schemas, name, wanted) != 0) g->text.failed = true;
    buf_append_format(out, "%s ", name);
}

/* Whether a schema lists texts and nothing else. */
static bool lists_texts(const json_t *schema) {
    const json_t *list = json_object_get(schema, "enum"), *item;
    size_t i;
    if (json_is_string(json_object_get(schema, "const"))) return true;
    json_array_foreach(list, i, item) if (!json_is_string(item)) return false;
    return json_array_size(list) > 0;
}

/* Appends them as alternatives between two quotes. */
static void put_listed(struct buf *out, const json_t *schema, const char *quote) {
    const json_t *constant = json_object_get(schema, "const"), *item;
    size_t i;
    if (json_is_string(constant)) {
        call_grammar_literal(out, quote, json_string_value(constant), quote);
        return;
    }
    json_array_foreach(json_object_get(schema, "enum"), i, item) {
        buf_append_text(out, i == 0 ? "(" : "| ");
        call_grammar_literal(out, quote, json_string_value(item), quote);
    }
    buf_append_text(out, ") ");
}

/* ---- texts up to a tag ---- */

struct characters {
    const char *at[ANSWER_TAG_MAX]; /* in the text */
    uint32_t code[ANSWER_TAG_MAX];
    size_t n;
};

static void read_characters(const char *text, struct characters *c) {
    c->n = 0;
    while (*text && c->n < ANSWER_TAG_MAX) {
        size_t length = utf8_decode(text, strlen(text), &c->code[c->n]);
        c->at[c->n++] = text;
        text += length ? length : 1;
    }
}

/* How much of the tag's beginning stands at the end of its first `n` characters and one more
 * (Knuth, Morris & Pratt 1977). */
static size_t next_match(const struct characters *c, size_t n, uint32_t code) {
    for (size_t length = n + 1; length > 0; length--) {
        size_t skip = n + 1 - length;
        bool same = c->code[length - 1] == code;
        for (size_t i = 0; same && i + 1 < length; i++)
            same = c->code[i] == c->code[skip + i];
        if (same) return length;
    }
    return 0;
}

static bool is_first(const struct characters *c, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (c->code[k] == c->code[i]) return false;
    return true;
}

static void put_character(struct buf *out, const struct characters *c, size_t i) {
    uint32_t code;
    size_t n = utf8_decode(c->at[i], strlen(c->at[i]), &code);
    if (n == 1 && strchr("]\\^-[\"", *c->at[i])) buf_append_char(out, '\\');
    buf_append(out, c->at[i], n ? n : 1);
}

/* NAME-n: the first `n` characters of the tag were just read. */
static void put_matched(struct buf *out, const char *name, const struct characters *c, size_t n) {
    struct buf others;
    buf_init(&others, CALL_GRAMMAR_BYTES_MAX);
    buf_append_format(out, "%s-%zu ::= ", name, n);
    for (size_t i = 0; i < c->n; i++) {
        size_t next = is_first(c, i) ? next_match(c, n, c->code[i]) : 0;
        if (next == 0) continue;
        put_character(&others, c, i);
        buf_append_char(out, '[');
        put_character(out, c, i);
        buf_append_text(out, "] ");
        if (next < c->n) buf_append_format(out, "%s-%zu ", name, next);
        buf_append_text(out, "| ");
    }
    buf_append_format(out, "[^\\x00%s] %s-0\n", buf_text(&others), name);
    if (others.failed) out->failed = true;
    buf_release(&others);
}

/* Rules NAME-0 …: a text up to `end`, and with it. */
static void put_until(struct buf *out, const char *name, const char *end) {
    struct characters c = {0};
    read_characters(end, &c);
    for (size_t n = 0; n < c.n; n++)
        put_matched(out, name, &c, n);
}

/* ---- between tags ---- */

/* A text and its closing tag. */
static void put_text(struct call_grammar *g, struct buf *out, const json_t *schema,
                     const char *close) {
    const char *line = g->form->lined ? "\"\\n\"? " : "";
    if (!lists_texts(schema)) {
        buf_append_text(out, "string ");
        return;
    }
    buf_append_text(out, line);
    put_listed(out, schema, NULL);
    buf_append_text(out, line);
    call_grammar_literal(out, close, NULL, NULL);
}

static void put_json_up_to(struct call_grammar *g, struct buf *out, const json_t *parameters,
                           const json_t *schema, const char *close) {
    buf_append_text(out, "ws ");
    put_json(g, out, parameters, schema);
    buf_append_text(out, "ws ");
    call_grammar_literal(out, close, NULL, NULL);
}

/* From the key on: ` string="true">text` or ` string="false">JSON`. */
static void put_attributed(struct call_grammar *g, struct buf *out, const json_t *parameters,
                           const json_t *schema, unsigned types) {
    const char *close = g->form->value_close;
    bool texts = types == 0 || (types & TYPE_TEXT), others = types != TYPE_TEXT;
    call_grammar_literal(out, g->form->key_end, " string=\"", NULL);
    buf_append_char(out, '(');
    if (texts) call_grammar_literal(out, "true\"", g->form->value_open, NULL);
    if (texts) put_text(g, out, schema, close);
    if (texts && others) buf_append_text(out, "| ");
    if (others) call_grammar_literal(out, "false\"", g->form->value_open, NULL);
    if (others) put_json_up_to(g, out, parameters, schema, close);
    buf_append_text(out, ") ");
}

static void put_tagged(struct call_grammar *g, struct buf *out, const json_t *parameters,
                       const json_t *schema, unsigned types) {
    const struct call_form *f = g->form;
    char key_end[ANSWER_TAG_MAX * 2];
    if (f->attributed) {
        put_attributed(g, out, parameters, schema, types);
        return;
    }
    snprintf(key_end, sizeof key_end, "%s", f->writing.key_end);
    size_t n = strlen(key_end);
    while (n > 0 && key_end[n - 1] == '\n') /* the text's own line, or white space before JSON */
        key_end[--n] = '\0';
    call_grammar_loose(out, key_end);
    if (types == 0 || (types & TYPE_TEXT))
        put_text(g, out, schema, f->value_close);
    else
        put_json_up_to(g, out, parameters, schema, f->value_close);
}

/* ---- as Python writes them ---- */

/* JSON, whose literals the reader takes, or Python's words; a text may stand in single quotes. */
static void put_python(struct call_grammar *g, struct buf *out, const json_t *parameters,
                       const json_t *schema, unsigned types) {
    static const char *const bounds[] = {"pattern", "format", "minLength", "maxLength",
                                         "allOf",   "anyOf",  "oneOf",     "not"};
    bool bound = types != TYPE_TEXT;
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++)
        bound |= json_object_get(schema, bounds[i]) != NULL;
    buf_append_char(out, '(');
    put_json(g, out, parameters, schema);
    if (types & TYPE_BOOLEAN && !json_object_get(schema, "enum"))
        buf_append_text(out, "| \"True\" | \"False\" ");
    if (types & TYPE_NULL) buf_append_text(out, "| \"None\" ");
    if (!bound) buf_append_text(out, "| ");
    if (!bound && lists_texts(schema))
        put_listed(out, schema, "'");
    else if (!bound)
        buf_append_text(out, "string ");
    buf_append_text(out, ") ");
}

/* ---- in braces ---- */

static void put_braces(struct call_grammar *g, struct buf *out, const json_t *parameters,
                       const json_t *schema);

static void put_list(struct call_grammar *g, struct buf *out, const json_t *parameters,
                     const json_t *items) {
    struct buf one;
    buf_init(&one, CALL_GRAMMAR_BYTES_MAX);
    put_braces(g, &one, parameters, items);
    buf_append_format(out, "\"[\" (%s(\",\" %s)*)? \"]\" ", buf_text(&one), buf_text(&one));
    if (one.failed) out->failed = true;
    buf_release(&one);
}

static void put_object(struct call_grammar *g, struct buf *out, const json_t *parameters,
                       const json_t *schema) {
    char name[RULE_NAME_MAX];
    snprintf(name, sizeof name, "object-%u", g->n_values++);
    if (json_object_get(schema, "properties") && call_grammar_members(g, name, parameters, schema))
        buf_append_format(out, "\"{\" %s-0 \"}\" ", name);
    else
        buf_append_text(out, "object ");
}

static void put_braces_type(struct call_grammar *g, struct buf *out, const json_t *parameters,
                            const json_t *schema, unsigned type) {
    switch (type) {
    case TYPE_TEXT:
        if (lists_texts(schema))
            put_listed(out, schema, braces_quote);
        else
            buf_append_text(out, "string ");
        break;
    case TYPE_NUMBER:
        if (schema_types(schema) == TYPE_NUMBER)
            put_json(g, out, parameters, schema);
        else
            buf_append_text(out, "number ");
        break;
    case TYPE_BOOLEAN: buf_append_text(out, "\"true\" | \"false\" "); break;
    case TYPE_NULL: buf_append_text(out, "\"null\" "); break;
    case TYPE_ARRAY: put_list(g, out, parameters, json_object_get(schema, "items")); break;
    default: put_object(g, out, parameters, schema);
    }
}

/* The alternatives of a value's types. */
static void put_braces(struct call_grammar *g, struct buf *out, const json_t *parameters,
                       const json_t *schema) {
    schema = resolved(parameters, schema);
    unsigned types = schema_types(schema);
    const char *between = "(";
    if (types == 0 || g->depth == BRACES_DEPTH_MAX || g->text.failed) {
        buf_append_text(out, "any ");
        return;
    }
    g->depth++;
    for (unsigned type = TYPE_TEXT; type <= TYPE_OBJECT; type <<= 1) {
        if (!(types & type)) continue;
        buf_append_text(out, between);
        put_braces_type(g, out, parameters, schema, type);
        between = "| ";
    }
    buf_append_text(out, ") ");
    g->depth--;
}

/* ---- all of them ---- */

void call_grammar_value(struct call_grammar *g, struct buf *out, const json_t *parameters,
                        const json_t *schema) {
    schema = resolved(parameters, schema);
    unsigned types = schema_types(schema);
    if (++g->n_members > CALL_GRAMMAR_MEMBERS_MAX) g->text.failed = true;
    if (g->text.failed) return;
    switch (g->form->style) {
    case CALLS_PYTHON: put_python(g, out, parameters, schema, types); break;
    case CALLS_BRACES: put_braces(g, out, parameters, schema); break;
    case CALLS_TREE:
        if (types == 0 || (types & TYPE_TEXT))
            put_text(g, out, schema, CALL_TREE_MARK);
        else
            put_json_up_to(g, out, parameters, schema, CALL_TREE_MARK);
        break;
    default: put_tagged(g, out, parameters, schema, types);
    }
}

static void put_braces_rules(struct buf *out) {
    buf_append_text(out, "string ::= \"<|\\\"|>\" text-0\n"
                         "number ::= \"-\"? (\"0\" | [1-9] [0-9]{0,15}) (\".\" [0-9]{1,16})?\n"
                         "key ::= [a-zA-Z_] [a-zA-Z0-9_]{0,63}\n"
                         "object ::= \"{\" (key \":\" any (\",\" key \":\" any)*)? \"}\"\n"
                         "any ::= string | number | \"true\" | \"false\" | \"null\" | object | "
                         "\"[\" (any (\",\" any)*)? \"]\"\n");
    put_until(out, "text", braces_quote);
}

/* A text that begins as a tag does must stand in CDATA, for the reader would look for its end. */
static void put_quoted_rules(struct buf *out, const char *close) {
    char end[ANSWER_TAG_MAX];
    buf_append_text(out, "string ::= \"<![CDATA[\" quoted-0 | [^<\\x00] text-0 | ");
    call_grammar_literal(out, close, NULL, NULL);
    buf_append_char(out, '\n');
    snprintf(end, sizeof end, "]]>%s", close);
    put_until(out, "quoted", end);
    put_until(out, "text", close);
}

void call_grammar_common(struct call_grammar *g) {
    const char *close = g->form->style == CALLS_TREE ? CALL_TREE_MARK : g->form->value_close;
    struct buf *out = &g->text;
    buf_append_text(out, "ws ::= [ \\t]{0,4} | \"\\n\" \"\\n\"? [ \\t]{0,20}\n");
    switch (g->form->style) {
    case CALLS_PYTHON:
        buf_append_text(
            out, "string ::= \"'\" ([^'\\\\\\x00-\\x1F] | \"\\\\\" [\\\"'\\\\nrt])* \"'\"\n");
        break;
    case CALLS_BRACES: put_braces_rules(out); break;
    case CALLS_TREE:
    case CALLS_PARAMETERS:
        if (g->form->quoted) {
            put_quoted_rules(out, close);
            break;
        }
        buf_append_text(out, "string ::= text-0\n");
        put_until(out, "text", close);
        break;
    default: break;
    }
}
