/* answer_form.h - how a family marks thinking and calls of tools: rows of tags, no code.
 *
 * Calls are written as
 *
 *     section_open  ( open  … name_open  name  name_end  arguments  close )*  section_close
 *
 * where most families leave some of these out (NULL). White space between the parts belongs to
 * none of them. */
#ifndef HEARTH_CHAT_ANSWER_FORM_H
#define HEARTH_CHAT_ANSWER_FORM_H

#include "chat/answer_reader.h"

enum { ANSWER_TAG_MAX = 64 }; /* bytes of the longest tag */

enum call_style {
    CALLS_NONE,
    CALLS_OBJECT,     /* {"name": …, "arguments": {…}}; several may stand in a list */
    CALLS_KEYED,      /* {"the name": {…}}; the same */
    CALLS_ARGUMENTS,  /* the name, then {…} */
    CALLS_PARAMETERS, /* the name, then every argument between tags */
    CALLS_PYTHON,     /* [name(argument='text', …), …] */
    CALLS_BRACES,     /* call:name{argument:<|"|>text<|"|>,…} */
    CALLS_TREE,       /* <invoke name="…"><argument><item>…</item></argument></invoke> */
    CALLS_CHANNEL     /* a message of its own with the tool as its recipient: harmony */
};

/* How calls are written, for grammars: what stands around all of them, around each, and between
 * two. Lines end where any white space will do. */
struct call_writing {
    const char *begin, *end, *open, *close, *between;
    const char *middle; /* between the name and the arguments, where it is outside */
    const char *id;     /* behind it, where a number of the call may follow the name */
    const char *name_key, *arguments_key; /* CALLS_OBJECT; NULL: "name", "arguments" */
    const char *key_end;                  /* CALLS_PARAMETERS: from key to value */
};

struct call_form {
    const char *name;
    const char *marks[3]; /* what a template of this family contains, all of them */
    enum call_style style;
    bool bare;       /* an object at the beginning of the answer is a call without a tag */
    bool numbered;   /* the name is written functions.NAME:0 */
    bool lined;      /* values of CALLS_PARAMETERS stand on lines of their own */
    bool quoted;     /* they may be <![CDATA[…]]> */
    bool attributed; /* their tags say whether they are texts: string="true" */
    const char *section_open, *section_close, *open, *close;
    const char *name_open, *name_end;
    /* CALLS_PARAMETERS: key_open key key_end … value_open value value_close. */
    const char *key_open, *key_end, *value_open, *value_close;
    struct call_writing writing;
};

/* Marks of calls that are no tags: the key of an object without one, whose brace may have been read
 * in any spacing, and a recipient of CALLS_CHANNEL. */
extern const char bare_mark[], channel_mark[];

struct think_form {
    const char *mark; /* what a template of this family contains */
    const char *open, *close;
    const char *end;        /* what ends thinking when its budget is spent */
    const char *dropped[2]; /* further tags around the answer, of no meaning here */
};

struct answer_form {
    const struct call_form *call;
    const struct think_form *think;
    bool thinks;
};

#endif
