/* answer_reader_json.h - JSON that comes byte by byte: where a value ends, and where in an object
 * that describes a call its name and its arguments are. */
#ifndef HEARTH_CHAT_ANSWER_READER_JSON_H
#define HEARTH_CHAT_ANSWER_READER_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool json_is_blank(char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* ---- one value ---- */

enum { JSON_SCAN_DEPTH_MAX = 64 };

/* A checker of RFC 8259, more lenient in one place: control characters may stand in strings
 * (models write them; whoever passes the text on escapes them). Zeroed is a beginning. */
struct json_scan {
    uint8_t state, number, left; /* left: of \uXXXX, or of a literal */
    bool in_key;
    unsigned depth;
    uint64_t objects; /* bit d: what is open at depth d is an object */
    const char *literal;
};

enum json_step {
    JSON_MORE, /* the byte belongs to the value */
    JSON_LAST, /* and ends it */
    JSON_PAST, /* a number ended before this byte, which is none of it */
    JSON_BAD
};
enum json_step json_scan_push(struct json_scan *scan, char c);
bool json_scan_in_string(const struct json_scan *scan);

/* ---- an object that is a call ---- */

enum { CALL_KEY_MAX = 64, CALL_NAME_MAX = 256 };

enum call_part {
    CALL_PART_FRAME,    /* the byte is neither */
    CALL_PART_NAME,     /* the name is known now */
    CALL_PART_ARGUMENT, /* the byte belongs to the arguments, an object */
    CALL_PART_TEXT,     /* to the arguments as a JSON string that holds the object */
    CALL_PART_DONE,     /* the object ended */
    CALL_PART_BAD
};

/* {"name": "…", "arguments": {…}} in either order and with further members, or with `keyed`
 * {"the name": {…}}. `strict`: nothing but the members that calls have. */
struct call_object {
    bool keyed, strict;
    uint8_t state, role;
    bool has_name, has_arguments;
    struct json_scan value;
    size_t n_key, n_name;
    char key[CALL_KEY_MAX];       /* with its quotes */
    char name[CALL_NAME_MAX + 2]; /* as JSON until it is known, then as text */
};
void call_object_init(struct call_object *object, bool keyed, bool strict);
enum call_part call_object_push(struct call_object *object, char c);
/* The value of the name is what comes next. */
bool call_object_awaits_name(const struct call_object *object);
/* The key that is being read, or was just read, with its quotes; n 0: none. */
const char *call_object_key(const struct call_object *object, size_t *n);

#endif
