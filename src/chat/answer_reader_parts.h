/* answer_reader_parts.h - what the files of the reader share.
 *
 *     answer_reader.c            text, thinking and their tags; what comes out
 *     answer_reader_call.c       calls, from the opening tag to the closing one
 *     answer_reader_parameter.c  arguments between tags
 *     answer_reader_value.c      values turned into JSON by the tool's schema
 *     answer_reader_python.c     Python's literals and calls
 *     answer_reader_tree.c       calls in braces, calls as trees of tags
 *     answer_reader_channel.c    harmony: messages with a header each
 *     answer_reader_unclosed.c   calls at the end of thinking that was not closed
 *
 * The text is looked at byte by byte, so that nothing depends on how it was cut. Invariants:
 * 1. Every byte is in exactly one place: given out, in `blanks`, in `tag` or in `call.held`, or
 *    it was part of a tag (or of the frame of a call that has come out).
 * 2. In READ_CALL, until the call is certain, `call.held` has everything since its first tag,
 *    the bytes in `tag` too; refusing the call gives that out as text.
 * 3. `tag` is a proper beginning of one of the tags that may come now, or empty. */
#ifndef HEARTH_CHAT_ANSWER_READER_PARTS_H
#define HEARTH_CHAT_ANSWER_READER_PARTS_H

#include "base/buf.h"
#include "chat/answer_form.h"
#include "chat/answer_reader_json.h"

enum {
    ANSWER_BLANKS_MAX = 64,     /* held back before what may be a tag */
    ANSWER_CERTAIN_BYTES = 512, /* a call so long is given out before its end */
    ANSWER_CALL_MAX = 1 << 18,  /* a call that cannot be given out yet and is longer is text */
    ANSWER_HEADER_MAX = 256,    /* between two tags of a frame */
    ANSWER_OUT_BYTES = 1 << 16  /* of a piece */
};

enum read_mode { READ_TEXT, READ_THINKING, READ_CALL, READ_HEADER };

enum call_step {
    STEP_BETWEEN, /* before, between and after calls */
    STEP_NAME_OPEN,
    STEP_NAME,
    STEP_NAME_END,
    STEP_FRAME, /* up to the arguments' brace */
    STEP_ARGUMENTS,
    STEP_OBJECT,
    STEP_KEY_OPEN,
    STEP_KEY,
    STEP_VALUE_OPEN,
    STEP_VALUE,
    STEP_WHOLE /* up to the closing tag */
};

struct call_reading {
    enum call_step step;
    struct buf held;      /* as it was written, while the call may still be text */
    struct buf arguments; /* of the call that is not certain yet */
    struct buf raw;       /* a value, or a whole call, that is turned into JSON at its end */
    bool certain;         /* given out, at least its beginning */
    bool any;             /* a call of this section was given out */
    bool in_list;
    bool named;
    bool as_text; /* the arguments are a JSON string that holds the object */
    char name[CALL_NAME_MAX + 1];
    size_t n_name, n_frame;
    struct json_scan scan;
    struct call_object object;
    /* CALLS_PARAMETERS */
    struct buf key;
    char attributes[ANSWER_TAG_MAX];
    size_t n_attributes;
    bool streams; /* the value is text for certain, and comes out as it comes in */
    bool is_json; /* it must be JSON, and so far it is, as `scan` knows */
    bool newline; /* held: the value may end here */
    size_t n_value, n_keys;
};

struct answer_reader {
    const struct answer_form *form;
    json_t *tools;
    answer_piece_taker taker;
    void *taker_context;
    enum read_mode mode;

    char tag[ANSWER_TAG_MAX];
    size_t n_tag;
    char blanks[ANSWER_BLANKS_MAX];
    size_t n_blanks;
    bool after_tag;   /* white space is dropped until something else comes */
    bool has_thought; /* there are no more tags of thinking */
    char last;        /* byte of the text */

    struct call_reading call;
    unsigned n_calls;
    size_t n_pushed; /* bytes of the text that is being pushed */
    struct answer_mark mark;

    struct buf thought; /* the thinking that is not closed yet, as it was written; with tools */
    bool reads_thought; /* this reader reads another one's `thought` */

    struct buf out;
    enum answer_piece_kind out_kind;
    bool failed; /* no memory */
};

/* ---- answer_reader.c ---- */

enum tag_match { TAG_NONE, TAG_BEGUN, TAG_WHOLE };
/* What `n` bytes are to some tags, of which any may be NULL: the beginning of one, or one, whose
 * place `which` then is. */
enum tag_match tag_match(const char *const *tags, size_t n_tags, const char *text, size_t n,
                         size_t *which);
/* As white space, text or thinking, by the mode; no tag is looked for. */
void answer_put(struct answer_reader *r, const char *text, size_t n);
/* Bytes of the arguments of the call that is certain. */
void answer_put_arguments(struct answer_reader *r, const char *text, size_t n);
/* The first piece of a call. */
void answer_put_call(struct answer_reader *r, const char *name, const char *text, size_t n);
void answer_feed(struct answer_reader *r, char c); /* one more byte, in any mode */
/* After a tag: white space around it belongs to nothing. */
void answer_enter(struct answer_reader *r, enum read_mode mode);
/* One of the marks of calls was just read; `text`: as answer_form_call_marks gives it. */
void answer_mark_call(struct answer_reader *r, const char *text);
/* What follows thinking: the answer, or a call without a tag. */
void answer_begin_text(struct answer_reader *r);

/* ---- answer_reader_call.c ---- */

/* From one of the tags that open a call or a section of them; `tag` NULL: from nothing, for a
 * call without a tag. */
void call_open(struct answer_reader *r, const char *tag);
/* A call of this tool begins; what follows is its arguments' brace. */
void call_open_named(struct answer_reader *r, const char *name, size_t n);
void call_feed(struct answer_reader *r, char c);
void call_refuse(struct answer_reader *r); /* what is held is text */
void call_drop(struct answer_reader *r);   /* what is held is nothing */
void call_finish(struct answer_reader *r); /* the call is whole, and comes out */
void call_leave(struct answer_reader *r);  /* no more calls in this section */
void call_put_argument(struct answer_reader *r, const char *text, size_t n);
/* Appends; false: the buffer is full. */
bool call_keep(struct answer_reader *r, struct buf *buf, char c);
/* What a long call holds comes out before its end: nobody should wait for a whole file. */
void call_give_out_if_long(struct answer_reader *r);
/* Waits for a tag; what comes before it is offered to `skipped`, which says whether it may stand
 * there (if not, the call is refused). True when the tag is there. */
bool call_reached(struct answer_reader *r, char c, const char *tag,
                  bool (*skipped)(struct answer_reader *r, char c));

/* ---- answer_reader_parameter.c ---- */

void parameter_feed(struct answer_reader *r, char c); /* STEP_KEY_OPEN to STEP_VALUE */

/* ---- answer_reader_channel.c ---- */

/* The tags between messages. */
enum { N_CHANNEL_TAGS = 5 };
extern const char *const channel_tags[N_CHANNEL_TAGS];
/* A message's header begins, with this tag (NULL: right after the prompt). */
void channel_open(struct answer_reader *r, const char *tag);
void channel_feed_header(struct answer_reader *r, char c);
void channel_finish(struct answer_reader *r);

/* ---- answer_reader_unclosed.c ---- */

void unclosed_keep(struct answer_reader *r, char c);
void unclosed_finish(struct answer_reader *r); /* the text ended while the model was thinking */

/* ---- answer_reader_value.c ---- */

#define ANSWER_JSON_STYLE JSON_REAL_PRECISION(15)

/* The function of this name among a request's tools, or NULL. */
const json_t *offered_tool(const json_t *tools, const char *name);
/* The schema of a tool's argument, or NULL. */
const json_t *argument_schema(const json_t *tools, const char *tool, const char *key);
/* The types a schema allows; 0: it does not say. */
enum {
    TYPE_TEXT = 1,
    TYPE_NUMBER = 2,
    TYPE_BOOLEAN = 4,
    TYPE_NULL = 8,
    TYPE_ARRAY = 16,
    TYPE_OBJECT = 32
};
unsigned schema_types(const json_t *schema);
/* Whether the schema takes texts only, so that a value needs no quotes. */
bool schema_is_text(const json_t *schema);
/* JSON of a value as it was written between tags: JSON, Python's literals or plain text,
 * whichever the schema asks for. Appends. */
void append_value(struct buf *out, const char *text, size_t n, const json_t *schema);
/* A byte as it stands in a JSON string; returns how many it became. */
enum { ESCAPED_MAX = 6 };
size_t escape_byte(char escaped[ESCAPED_MAX], char c);
void append_escaped(struct buf *out, const char *text, size_t n);

/* ---- answer_reader_python.c, answer_reader_tree.c ---- */

/* A value as Python writes it, from the whole text, or NULL. Given. */
json_t *python_value(const char *text, size_t n);
/* Arrays of {"name", "arguments"} from a whole call, or NULL: it is none. Given. */
json_t *calls_of_python(const char *text, size_t n);
json_t *calls_of_braces(const char *text, size_t n);
json_t *calls_of_tree(const char *text, size_t n, const json_t *tools);

#endif
