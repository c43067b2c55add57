/* answer_reader.h - from the text a model generates to what it means: thinking, answer, calls of
 * tools. Families write these in their own ways; which one a model uses is read from its chat
 * template.
 *
 * Text goes in as it is generated, control tokens as their text; what is certain comes out at once,
 * and what may still become a tag is held back. A tag never leaks into an answer, whatever the
 * pieces; thinking after the answer has begun (a second block) is thinking too. White space beside
 * a tag belongs to nothing; a tag in quotes is text.
 *
 * A call of up to some 500 bytes comes out at its end, and then its arguments are a JSON object;
 * what turns out to be none is text, whole. A longer call comes out as it is written from there
 * on; should it break off, its arguments do too. Thinking that is never closed is thinking, all of
 * it; calls that it ends with come out as calls too, when there were no others. */
#ifndef HEARTH_CHAT_ANSWER_READER_H
#define HEARTH_CHAT_ANSWER_READER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

/* How a family marks what it writes; from its template. */
struct answer_form;

/* `template_source`: the model's chat template, or NULL (then nothing is marked but <think>). */
hearth_status answer_form_open(struct answer_form **out, const char *template_source,
                               hearth_error *err);
/* The same for a model that is told of tools in plain words (plain_tools.h). */
hearth_status answer_form_open_told(struct answer_form **out, const struct answer_form *form,
                                    hearth_error *err);
void answer_form_close(struct answer_form *form);             /* NULL is fine */
const char *answer_form_name(const struct answer_form *form); /* "hermes", "gpt-oss", "llama3", … */
bool answer_form_thinks(const struct answer_form *form);
bool answer_form_calls_tools(const struct answer_form *form);
/* Whether a prompt ends (white space aside) with the tag that opens thinking. */
bool answer_form_opens_thinking(const struct answer_form *form, const char *prompt, size_t n);
/* The text that ends thinking when its budget is spent, "</think>\n\n" for most. */
const char *answer_form_end_of_thinking(const struct answer_form *form);
/* A GBNF grammar of answers that are calls of these tools (array as in struct request), for
 * tool_choice required or named, and an object of the schemas that it uses by name
 * (constraint.h); false: the form has none, or no memory. Both are given: mem_free, json_decref. */
bool answer_form_tool_grammar(const struct answer_form *form, const json_t *tools, bool one_call,
                              char **grammar, json_t **schemas);
/* The marks with which a call begins, or a section of calls: at most so many texts of the form's.
 */
enum { ANSWER_MARKS_MAX = 4 };
size_t answer_form_call_marks(const struct answer_form *form, const char *marks[ANSWER_MARKS_MAX]);
/* As answer_form_tool_grammar, of what may stand from one of these marks on, the mark included, up
 * to the end of the call, or of its section: for calls that a model makes by itself. */
bool answer_form_begun_grammar(const struct answer_form *form, const json_t *tools, bool one_call,
                               char **grammar, json_t **schemas);
/* Whether a control token of this text is one of the form's tags, or a part of one, so that the
 * reader must see it. */
bool answer_form_reads(const struct answer_form *form, const char *text, size_t n);
/* Whether it is so of the tags around calls. */
bool answer_form_is_of_calls(const struct answer_form *form, const char *text, size_t n);
/* The tags that open thinking and a call (or a section of them); NULL: none. */
const char *answer_form_thinking_tag(const struct answer_form *form);
const char *answer_form_call_tag(const struct answer_form *form);

enum answer_piece_kind { PIECE_REASONING, PIECE_TEXT, PIECE_CALL };

struct answer_piece {
    enum answer_piece_kind kind;
    const char *text; /* or the next bytes of a call's arguments, JSON */
    size_t length;
    unsigned call;         /* number of the call, from 0 */
    const char *call_name; /* with the first piece of a call; NULL afterwards */
};
typedef void (*answer_piece_taker)(void *context, const struct answer_piece *piece);

struct answer_reader;
/* `inside_thinking`: the prompt ends with the opening tag. `tools`: the request's (copied), or
 * NULL: then what looks like a call is text. The form is borrowed. A piece's text is whole UTF-8
 * characters where each push is. */
hearth_status answer_reader_open(struct answer_reader **out, const struct answer_form *form,
                                 const json_t *tools, bool inside_thinking,
                                 answer_piece_taker taker, void *taker_context, hearth_error *err);
void answer_reader_close(struct answer_reader *reader); /* NULL is fine */
hearth_status answer_reader_push(struct answer_reader *reader, const char *text, size_t n,
                                 hearth_error *err);
/* The answer was cut where it is: a call that is not whole is left out. */
void answer_reader_cut(struct answer_reader *reader);
/* The text ended: what is held comes out, a call that is not whole as text. Nothing is pushed
 * afterwards. */
hearth_status answer_reader_finish(struct answer_reader *reader, hearth_error *err);
/* What follows is the answer: tags of thinking in it are text, as in a JSON string. */
void answer_reader_end_thinking(struct answer_reader *reader);
bool answer_reader_is_thinking(const struct answer_reader *reader); /* now */
/* The answer's text goes on here, or would begin here. */
bool answer_reader_is_answering(const struct answer_reader *reader);
/* Bytes of text or thinking that may still become a tag, or white space beside one. */
size_t answer_reader_held(const struct answer_reader *reader);
unsigned answer_reader_calls(const struct answer_reader *reader);

/* The latest mark with which a call, or a section of calls, began outside of thinking; that it was
 * a call is not certain yet. */
struct answer_mark {
    unsigned number;  /* marks so far; 0: none */
    const char *text; /* of answer_form_call_marks */
    size_t end;       /* where it ended in the text that was pushed last */
};
struct answer_mark answer_reader_mark(const struct answer_reader *reader);
/* The end of the text so far that may be the beginning of such a mark, in the spelling of
 * answer_form_call_marks; none where no call can begin. Valid until the next push. */
const char *answer_reader_before_mark(const struct answer_reader *reader, size_t *n);

#endif
