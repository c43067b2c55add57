/* dialect_fields.h - typed reading of the fields of JSON objects that clients send.
 *
 * The first problem of a body stays, with the path of its field ("messages[2].content"); after it
 * readers return as if nothing was there, so that a parser reads everything in a row and looks at
 * the end. null counts as missing. Values are borrowed from the body unless said otherwise. */
#ifndef HEARTH_CHAT_DIALECT_FIELDS_H
#define HEARTH_CHAT_DIALECT_FIELDS_H

#include "chat/dialect.h"

enum {
    BODY_MAX_DEPTH = 128,
    TEXT_MAX_NAME_BYTES = 1024, /* of models, functions and the like */
    TEXT_MAX_BYTES = 64 << 20
};

/* Where a value stands, from the inside out: a field, or (name NULL) an element. The outermost has
 * no `up` and no name. */
struct place {
    const struct place *up;
    const char *name;
    size_t index;
};

/* Notes a problem unless there is one; returns false. */
bool problem_at(struct dialect_problem *problem, const struct place *place, int http_status,
                const char *format, ...) __attribute__((format(printf, 4, 5)));
/* A problem of the server's own: no memory. */
bool problem_no_memory(struct dialect_problem *problem);

struct fields {
    json_t *object; /* never changed; what is kept of it is shared */
    json_t *rest;   /* what was not read yet; NULL: nobody asks */
    struct place place;
    struct dialect_problem *problem;
};

/* Whether everything was right so far. */
bool fields_ok(const struct fields *fields);
/* An object within another value: false and a problem when it is none. Nothing to release. */
bool fields_open(struct fields *fields, json_t *object, const struct place *place,
                 struct dialect_problem *problem);
/* The place of one of the fields. */
struct place field_place(const struct fields *fields, const char *name);
bool field_problem(const struct fields *fields, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The value, NULL when it is missing, null, or there is a problem. It counts as read. */
json_t *field_take(struct fields *fields, const char *name);
/* The same; missing is a problem. */
json_t *field_need(struct fields *fields, const char *name);

/* A string without characters counts as none; it is read then. */
bool field_is_empty(struct fields *fields, const char *name);

/* True: there, of the right type and in its range, and stored. */
bool field_flag(struct fields *fields, const char *name, bool *out);
bool field_integer(struct fields *fields, const char *name, int64_t min, int64_t max, int64_t *out);
bool field_number(struct fields *fields, const char *name, double min, double max, double *out);
/* A copy without U+0000 (the old one is freed), of 1 to max_bytes bytes. */
bool field_text(struct fields *fields, const char *name, size_t max_bytes, char **out);

/* NULL: not there, or a problem. Texts may hold U+0000 unless they are words. */
json_t *field_string(struct fields *fields, const char *name);
const char *field_word(struct fields *fields, const char *name);
json_t *field_array(struct fields *fields, const char *name, size_t max_length);
bool field_object(struct fields *fields, const char *name, struct fields *out);
json_t *field_any_object(struct fields *fields, const char *name);
/* An array of words. */
json_t *field_words(struct fields *fields, const char *name, size_t max_length);
/* An array of objects: `read` gets one after the other, up to the first problem. The first form is
 * for a value that was taken already and may be no array at all, then nothing is read. */
typedef void (*element_reader)(struct fields *element, void *context);
void fields_each(const struct fields *fields, const char *name, json_t *list, size_t max_length,
                 element_reader read, void *context);
json_t *field_each(struct fields *fields, const char *name, size_t max_length, element_reader read,
                   void *context);
/* The number of the word in a list that ends with NULL; -1: not there, or a problem. */
int field_one_of(struct fields *fields, const char *name, const char *const *words);

/* Fields that are only checked and stay in `rest`. */
enum field_type {
    FIELD_FLAG,
    FIELD_INTEGER,
    FIELD_NUMBER,
    FIELD_STRING,
    FIELD_ARRAY,
    FIELD_OBJECT
};
struct field_kept {
    const char *name;
    enum field_type type;
};
void fields_check_kept(const struct fields *fields, const struct field_kept *kept, size_t n);
/* Fields that ask for what is not done here: a problem unless they are missing, false or empty. */
void fields_refuse(struct fields *fields, const char *name, const char *why);

/* An object with the same fields, whose values are shared; NULL: no memory, which json_copy does
 * not notice of single fields. */
json_t *object_copy(const json_t *object);
/* The value's type as people say it: "an array", "a number", … */
const char *json_type_words(const json_t *value);
/* A text without U+0000; NULL otherwise. */
const char *json_word(const json_t *value);

#endif
