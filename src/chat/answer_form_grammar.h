/* answer_form_grammar.h - what the two grammars of calls share: that of answers which must be calls
 * (answer_form_grammar.c) and that of calls which a model begins by itself (answer_form_begun.c).
 * Both are written in the language of llama.cpp (GBNF). Source of the language:
 * https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md */
#ifndef HEARTH_CHAT_ANSWER_FORM_GRAMMAR_H
#define HEARTH_CHAT_ANSWER_FORM_GRAMMAR_H

#include "base/buf.h"
#include "chat/answer_form.h"

enum {
    CALL_GRAMMAR_BYTES_MAX = 1 << 20,
    CALL_GRAMMAR_TOOLS_MAX = 1024,
    CALL_GRAMMAR_MEMBERS_MAX = 4096,     /* of all tools, where each is written by itself, */
    CALL_GRAMMAR_SCHEMAS_MAX = 1024,     /* the different schemas of these, */
    CALL_GRAMMAR_SCHEMA_BYTES = 4 << 20, /* and their bytes with the definitions they may use */
};

#define CALL_TREE_MARK "]<]minimax[>[" /* before every tag of CALLS_TREE */

struct call_grammar {
    const struct call_form *form;
    struct buf text;   /* rules, line by line */
    json_t *schemas;   /* what rules of these names are left to */
    unsigned n_values; /* rules of values so far */
    unsigned n_members;
    size_t schema_bytes;
    unsigned depth; /* of the value that is being written */
};

/* ---- answer_form_grammar.c ---- */

/* A literal of up to three texts; nothing when they are empty or NULL. */
void call_grammar_literal(struct buf *out, const char *a, const char *b, const char *c);
/* The same of one text, but that any white space may stand where lines end in it and at its end:
 * the spaces inside its tags are theirs. */
void call_grammar_loose(struct buf *out, const char *text);
/* A literal of a JSON text. */
void call_grammar_json(struct buf *out, const json_t *value);

/* ---- answer_form_arguments.c ---- */

/* The rule arguments-TOOL. False: it cannot be written. */
bool call_grammar_arguments(struct call_grammar *g, size_t tool, const json_t *parameters);
/* Rules NAME-0 … that are the properties of an object, or the arguments of a call, with commas in
 * between; false: too many. */
bool call_grammar_members(struct call_grammar *g, const char *name, const json_t *parameters,
                          const json_t *schema);

/* ---- answer_form_values.c ---- */

/* Appends an expression of a value as the style has it, with what ends it; rules that it needs go
 * to g->text, so that `out` must be another buffer. */
void call_grammar_value(struct call_grammar *g, struct buf *out, const json_t *parameters,
                        const json_t *schema);
/* The rules that all values use. */
void call_grammar_common(struct call_grammar *g);

#endif
