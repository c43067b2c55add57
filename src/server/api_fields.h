/* api_fields.h - the fields of a JSON object that a client sent, checked against a list. */
#ifndef HEARTH_SERVER_API_FIELDS_H
#define HEARTH_SERVER_API_FIELDS_H

#include "server/api.h"

enum field_type {
    FIELD_TEXT,
    FIELD_OBJECT,
    FIELD_ARRAY,
    FIELD_COUNT, /* a whole number, 0 or more */
    FIELD_TIME   /* ISO 8601 */
};
enum { FIELD_NEEDED = 1, FIELD_NULLABLE = 2 }; /* flags */

struct api_field {
    const char *name;
    enum field_type type;
    unsigned flags;
    /* TEXT: bytes of its UTF-8. OBJECT, ARRAY: bytes as JSON; 0: the handler takes it apart, and
     * no text is made. COUNT: the largest. */
    size_t most;

    bool given;         /* from here on results: there, also as null */
    const char *text;   /* TEXT; and OBJECT, ARRAY as JSON; NULL: missing or null */
    const json_t *json; /* borrowed; NULL: missing or null */
    int64_t number;     /* COUNT; TIME in milliseconds since 1970; 0: missing or null */
    char *given_text;   /* what api_fields_release frees */
};

/* What the list says of a field; the results are empty. */
#define API_FIELD(name_, type_, flags_, most_)                                                     \
    { .name = (name_), .type = (type_), .flags = (flags_), .most = (most_) }

/* False, and the answer says which field is wrong: `object` is none (or NULL), lacks a needed
 * field, has one that is not in the list, or of another type, or too long. `where`: put before
 * names, such as "messages[3]."; may be "". api_fields_release follows in every case. */
bool api_fields_take(const json_t *object, const char *where, struct api_field *fields,
                     size_t n_fields, struct api_answer *answer);
void api_fields_release(struct api_field *fields, size_t n_fields);

#endif
