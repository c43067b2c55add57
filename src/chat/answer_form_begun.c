/* Grammars of calls that a model begins by itself: what may follow each of the marks that calls
 * begin with, up to the end of the call, or of the section of calls that the mark opens. The names
 * are those of the tools, the arguments hold to their schemas; between the parts any white space
 * may stand, as the reader reads it.
 *
 *     root ::= mark-0 | mark-1 | …          each with its mark
 *     call ::= … called …                   one whole call
 *     called ::= called-0 | called-1 | …    name and arguments of a tool */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "chat/answer_form_grammar.h"

const char bare_mark[] = "\"name\":", channel_mark[] = "to=functions.";

size_t answer_form_call_marks(const struct answer_form *form, const char *marks[ANSWER_MARKS_MAX]) {
    const struct call_form *c = form->call;
    size_t n = 0;
    if (c->style == CALLS_CHANNEL) marks[n++] = channel_mark;
    if (c->section_open) marks[n++] = c->section_open;
    if (c->open) marks[n++] = c->open;
    if (c->bare) marks[n++] = bare_mark;
    return n;
}

/* ---- one tool ---- */

static const char *name_key(const struct call_form *form) {
    return form->writing.name_key ? form->writing.name_key : "name";
}

static const char *arguments_key(const struct call_form *form) {
    return form->writing.arguments_key ? form->writing.arguments_key : "arguments";
}

/* From the name to the arguments. */
static void put_name(struct buf *out, const json_t *name, const struct call_form *form) {
    switch (form->style) {
    case CALLS_OBJECT:
        call_grammar_json(out, name);
        call_grammar_literal(out, ",", NULL, NULL);
        buf_append_text(out, "ws ");
        call_grammar_literal(out, "\"", arguments_key(form), "\":");
        buf_append_text(out, "ws ");
        break;
    case CALLS_KEYED:
        call_grammar_json(out, name);
        buf_append_text(out, "\":\" ws ");
        break;
    case CALLS_CHANNEL:
        call_grammar_literal(out, json_string_value(name), NULL, NULL);
        buf_append_text(out, "header ws ");
        break;
    default:
        call_grammar_literal(out, json_string_value(name), NULL, NULL);
        if (form->numbered) buf_append_text(out, "\":\" [0-9]{1,4} ");
        if (form->writing.id) buf_append_char(out, '(');
        call_grammar_literal(out, form->writing.id, NULL, NULL);
        if (form->writing.id) buf_append_text(out, "[a-zA-Z0-9]{1,32})? ");
        call_grammar_loose(out, form->numbered ? form->name_end : form->writing.middle);
        if (form->style == CALLS_ARGUMENTS) buf_append_text(out, "ws ");
    }
}

static bool put_tool(struct call_grammar *g, size_t i, const json_t *tool) {
    const json_t *function = json_object_get(tool, "function");
    const json_t *name = json_object_get(function, "name");
    if (json_string_length(name) == 0) return false;
    buf_append_format(&g->text, "called-%zu ::= ", i);
    put_name(&g->text, name, g->form);
    buf_append_format(&g->text, "arguments-%zu\n", i);
    return call_grammar_arguments(g, i, json_object_get(function, "parameters"));
}

/* ---- one call ---- */

/* An object from its brace, or from its name's key on; some families number their calls. */
static void put_object_rules(struct buf *out, const struct call_form *form) {
    buf_append_text(out, "object ::= \"{\" ws (other \",\" ws)? ");
    call_grammar_literal(out, "\"", name_key(form), "\":");
    buf_append_text(out, "ws named\n"
                         "named ::= called (\",\" ws other)? ws \"}\"\n"
                         "other ::= \"\\\"type\\\":\" ws \"\\\"function\\\"\" | "
                         "\"\\\"\" (\"id\" | \"call_id\" | \"tool_call_id\") \"\\\":\" ws "
                         "\"\\\"\" [a-zA-Z0-9_-]{1,64} \"\\\"\"\n");
}

/* The rule `call`, with what stands around each. */
static void put_call_rule(struct buf *out, const struct call_form *form) {
    const struct call_writing *w = &form->writing;
    buf_append_text(out, "call ::= ");
    call_grammar_loose(out, w->open);
    switch (form->style) {
    case CALLS_OBJECT: buf_append_text(out, "object "); break;
    case CALLS_KEYED: buf_append_text(out, "\"{\" ws called ws \"}\" "); break;
    default: buf_append_text(out, "called ");
    }
    call_grammar_loose(out, w->close);
    buf_append_char(out, '\n');
}

/* ---- marks ---- */

/* Up to the first `end`, and with it. Given; NULL: no memory. */
static char *cut_after(const char *text, const char *end) {
    const char *found = text && end ? strstr(text, end) : NULL;
    size_t n = found ? (size_t)(found - text) + strlen(end) : text ? strlen(text) : 0;
    struct buf cut;
    buf_init(&cut, CALL_GRAMMAR_BYTES_MAX);
    buf_append(&cut, text ? text : "", n);
    char *given = buf_take(&cut);
    buf_release(&cut);
    return given;
}

/* A section of calls, or a list. */
static void put_section(struct buf *out, const char *mark, const struct call_form *form,
                        bool one_call) {
    const struct call_writing *w = &form->writing;
    call_grammar_loose(out, w->begin + strlen(mark));
    buf_append_text(out, "ws call ");
    if (!one_call) {
        buf_append_text(out, "(ws ");
        call_grammar_loose(out, w->between);
        buf_append_text(out, "call)* ");
    }
    buf_append_text(out, "ws ");
    call_grammar_loose(out, w->end);
}

/* A call whose own tags begin with the mark, outside of a section. */
static void put_alone(struct buf *out, const char *after_mark, const struct call_form *form) {
    char *close = cut_after(form->writing.close, form->close);
    call_grammar_loose(out, after_mark);
    buf_append_text(out, form->style == CALLS_OBJECT ? "ws object " : "called ");
    if (close && *close && form->style != CALLS_BRACES) buf_append_text(out, "ws ");
    call_grammar_loose(out, close);
    if (!close) out->failed = true;
    mem_free(close);
}

/* Objects after a tag of which the writing knows nothing. */
static void put_unwritten(struct buf *out, const char *mark, const struct call_form *form,
                          bool one_call) {
    bool list = mark[strlen(mark) - 1] == '[';
    const char *close = mark == form->open ? form->close : form->section_close;
    buf_append_text(out, "ws object ");
    if (list && !one_call) buf_append_text(out, "(\",\" ws object)* ");
    if (list) buf_append_text(out, "ws \"]\" ");
    if (close) buf_append_text(out, "ws ");
    call_grammar_literal(out, close, NULL, NULL);
}

static bool begins_with(const char *text, const char *beginning) {
    return text && strncmp(text, beginning, strlen(beginning)) == 0;
}

static void put_mark_rule(struct buf *out, size_t i, const char *mark, const struct call_form *form,
                          bool one_call) {
    const char *in_open = form->writing.open ? strstr(form->writing.open, mark) : NULL;
    buf_append_format(out, "mark-%zu ::= ", i);
    call_grammar_literal(out, mark, NULL, NULL);
    if (mark == bare_mark)
        buf_append_text(out, "ws named");
    else if (mark == channel_mark)
        buf_append_text(out, "called");
    else if (begins_with(form->writing.begin, mark))
        put_section(out, mark, form, one_call);
    else if (in_open)
        put_alone(out, in_open + strlen(mark), form);
    else
        put_unwritten(out, mark, form, one_call);
    buf_append_char(out, '\n');
}

static void put_choice(struct buf *out, const char *rule, const char *of, size_t n) {
    buf_append_format(out, "%s ::= %s-0", rule, of);
    for (size_t i = 1; i < n; i++)
        buf_append_format(out, " | %s-%zu", of, i);
    buf_append_char(out, '\n');
}

static void put_frame(struct buf *out, const struct answer_form *form, size_t n_tools,
                      bool one_call) {
    static const char header[] = "header ::= (ws \"<|channel|>\" (\"commentary\" | \"analysis\"))? "
                                 "(ws \"<|constrain|>\"? \"json\")? ws \"<|message|>\"\n";
    const char *marks[ANSWER_MARKS_MAX];
    size_t n = answer_form_call_marks(form, marks);
    put_choice(out, "root", "mark", n);
    for (size_t i = 0; i < n; i++)
        put_mark_rule(out, i, marks[i], form->call, one_call);
    put_call_rule(out, form->call);
    if (form->call->style == CALLS_OBJECT) put_object_rules(out, form->call);
    if (form->call->style == CALLS_CHANNEL) buf_append_text(out, header);
    put_choice(out, "called", "called", n_tools);
}

bool answer_form_begun_grammar(const struct answer_form *form, const json_t *tools, bool one_call,
                               char **grammar, json_t **schemas) {
    struct call_grammar g = {.form = form->call, .schemas = json_object()};
    const json_t *tool;
    size_t i, n = json_array_size(tools);
    bool ok = g.schemas && form->call->style != CALLS_NONE && n > 0 && n <= CALL_GRAMMAR_TOOLS_MAX;
    buf_init(&g.text, CALL_GRAMMAR_BYTES_MAX);
    if (ok) put_frame(&g.text, form, n, one_call);
    json_array_foreach(tools, i, tool) ok = ok && put_tool(&g, i, tool);
    if (ok) call_grammar_common(&g);
    *grammar = ok ? buf_take(&g.text) : NULL;
    *schemas = *grammar ? g.schemas : NULL;
    if (!*grammar) json_decref(g.schemas);
    buf_release(&g.text);
    return *grammar != NULL;
}
