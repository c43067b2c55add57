#include "chat/answer_reader_json.h"

#include <jansson.h>
#include <string.h>

/* ---- one value ---- */

enum scan_state {
    SCAN_VALUE,      /* a value begins */
    SCAN_FIRST,      /* of an array: a value, or its end */
    SCAN_KEY_OR_END, /* of an object: a key, or its end */
    SCAN_KEY,        /* a key after a comma */
    SCAN_COLON,
    SCAN_AFTER, /* a comma, or the end of what is open */
    SCAN_STRING,
    SCAN_ESCAPE,
    SCAN_HEX,
    SCAN_NUMBER,
    SCAN_LITERAL
};

enum number_state {
    NUMBER_MINUS,
    NUMBER_ZERO,
    NUMBER_WHOLE,
    NUMBER_POINT,
    NUMBER_FRACTION,
    NUMBER_E,
    NUMBER_SIGN,
    NUMBER_EXPONENT
};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static enum json_step value_ended(struct json_scan *scan) {
    scan->state = SCAN_AFTER;
    return scan->depth == 0 ? JSON_LAST : JSON_MORE;
}

static bool in_object(const struct json_scan *scan) {
    return scan->objects >> (scan->depth - 1) & 1;
}

static enum json_step open_container(struct json_scan *scan, bool object) {
    if (scan->depth == JSON_SCAN_DEPTH_MAX) return JSON_BAD;
    scan->objects &= ~(UINT64_C(1) << scan->depth);
    scan->objects |= (uint64_t)object << scan->depth++;
    scan->state = object ? SCAN_KEY_OR_END : SCAN_FIRST;
    return JSON_MORE;
}

static enum json_step close_container(struct json_scan *scan, char c) {
    if (scan->depth == 0 || c != (in_object(scan) ? '}' : ']')) return JSON_BAD;
    scan->depth--;
    return value_ended(scan);
}

static enum json_step begin_literal(struct json_scan *scan, const char *rest) {
    scan->literal = rest;
    scan->state = SCAN_LITERAL;
    return JSON_MORE;
}

static enum json_step begin_value(struct json_scan *scan, char c) {
    if (json_is_blank(c)) return JSON_MORE;
    switch (c) {
    case '{': return open_container(scan, true);
    case '[': return open_container(scan, false);
    case 't': return begin_literal(scan, "rue");
    case 'f': return begin_literal(scan, "alse");
    case 'n': return begin_literal(scan, "ull");
    case '"':
        scan->in_key = false;
        scan->state = SCAN_STRING;
        return JSON_MORE;
    default: break;
    }
    if (c != '-' && !is_digit(c)) return JSON_BAD;
    scan->state = SCAN_NUMBER;
    scan->number = c == '-' ? NUMBER_MINUS : c == '0' ? NUMBER_ZERO : NUMBER_WHOLE;
    return JSON_MORE;
}

static enum json_step begin_key(struct json_scan *scan, char c) {
    if (json_is_blank(c)) return JSON_MORE;
    if (c != '"') return JSON_BAD;
    scan->in_key = true;
    scan->state = SCAN_STRING;
    return JSON_MORE;
}

static enum json_step after_value(struct json_scan *scan, char c) {
    if (json_is_blank(c)) return JSON_MORE;
    if (c != ',') return close_container(scan, c);
    scan->state = in_object(scan) ? SCAN_KEY : SCAN_VALUE;
    return JSON_MORE;
}

static enum json_step string_byte(struct json_scan *scan, char c) {
    if (c == '\\') scan->state = SCAN_ESCAPE;
    if (c != '"') return c == '\0' ? JSON_BAD : JSON_MORE;
    if (!scan->in_key) return value_ended(scan);
    scan->state = SCAN_COLON;
    return JSON_MORE;
}

static enum json_step escape_byte(struct json_scan *scan, char c) {
    if (c == '\0' || !strchr("\"\\/bfnrtu", c)) return JSON_BAD;
    scan->state = c == 'u' ? SCAN_HEX : SCAN_STRING;
    scan->left = 4;
    return JSON_MORE;
}

static enum json_step hex_byte(struct json_scan *scan, char c) {
    if (!is_hex(c)) return JSON_BAD;
    if (--scan->left == 0) scan->state = SCAN_STRING;
    return JSON_MORE;
}

static enum json_step literal_byte(struct json_scan *scan, char c) {
    if (c != *scan->literal++) return JSON_BAD;
    return *scan->literal ? JSON_MORE : value_ended(scan);
}

/* The state of a number after one more byte; -1: the byte is none of it. */
static int next_number(unsigned number, char c) {
    bool digit = is_digit(c), e = c == 'e' || c == 'E';
    switch (number) {
    case NUMBER_MINUS: return c == '0' ? NUMBER_ZERO : digit ? NUMBER_WHOLE : -1;
    case NUMBER_ZERO: return c == '.' ? NUMBER_POINT : e ? NUMBER_E : -1;
    case NUMBER_WHOLE: return digit ? NUMBER_WHOLE : next_number(NUMBER_ZERO, c);
    case NUMBER_POINT: return digit ? NUMBER_FRACTION : -1;
    case NUMBER_FRACTION: return digit ? NUMBER_FRACTION : e ? NUMBER_E : -1;
    case NUMBER_E: return digit ? NUMBER_EXPONENT : c == '+' || c == '-' ? NUMBER_SIGN : -1;
    default: return digit ? NUMBER_EXPONENT : -1;
    }
}

static enum json_step number_byte(struct json_scan *scan, char c) {
    int next = next_number(scan->number, c);
    if (next >= 0) {
        scan->number = (uint8_t)next;
        return JSON_MORE;
    }
    bool whole = scan->number == NUMBER_ZERO || scan->number == NUMBER_WHOLE ||
                 scan->number == NUMBER_FRACTION || scan->number == NUMBER_EXPONENT;
    if (!whole || is_digit(c)) return JSON_BAD;
    if (value_ended(scan) == JSON_LAST) return JSON_PAST;
    return after_value(scan, c);
}

enum json_step json_scan_push(struct json_scan *scan, char c) {
    switch ((enum scan_state)scan->state) {
    case SCAN_VALUE: return begin_value(scan, c);
    case SCAN_FIRST: return c == ']' ? close_container(scan, c) : begin_value(scan, c);
    case SCAN_KEY_OR_END: return c == '}' ? close_container(scan, c) : begin_key(scan, c);
    case SCAN_KEY: return begin_key(scan, c);
    case SCAN_COLON:
        if (c == ':') scan->state = SCAN_VALUE;
        return c == ':' || json_is_blank(c) ? JSON_MORE : JSON_BAD;
    case SCAN_AFTER: return scan->depth == 0 ? JSON_BAD : after_value(scan, c);
    case SCAN_STRING: return string_byte(scan, c);
    case SCAN_ESCAPE: return escape_byte(scan, c);
    case SCAN_HEX: return hex_byte(scan, c);
    case SCAN_NUMBER: return number_byte(scan, c);
    case SCAN_LITERAL: return literal_byte(scan, c);
    }
    return JSON_BAD;
}

bool json_scan_in_string(const struct json_scan *scan) {
    return scan->state == SCAN_STRING;
}

/* ---- an object that is a call ---- */

enum object_state {
    OBJECT_OPEN,
    OBJECT_KEY_OR_END,
    OBJECT_KEY,
    OBJECT_IN_KEY,
    OBJECT_COLON,
    OBJECT_BEFORE_VALUE,
    OBJECT_VALUE,
    OBJECT_AFTER
};

enum member_role {
    MEMBER_STRANGE, /* no call has it */
    MEMBER_OTHER,
    MEMBER_NAME,
    MEMBER_ARGUMENTS,
    MEMBER_ARGUMENTS_TEXT,
    MEMBER_NULL
};

void call_object_init(struct call_object *object, bool keyed, bool strict) {
    *object = (struct call_object){.keyed = keyed, .strict = strict};
}

/* Decodes what is in `name`, a JSON string. */
static bool take_name(struct call_object *object) {
    json_t *text = json_loadb(object->name, object->n_name, JSON_DECODE_ANY, NULL);
    size_t n = json_string_length(text);
    bool ok = n > 0 && n <= CALL_NAME_MAX;
    if (ok) memcpy(object->name, json_string_value(text), n + 1);
    object->n_name = n;
    json_decref(text);
    return object->has_name = ok;
}

/* What the member is whose key was just read. */
static enum member_role member_role(const struct call_object *object) {
    static const struct {
        const char *key;
        enum member_role role;
    } members[] = {{"name", MEMBER_NAME},
                   {"tool_name", MEMBER_NAME},
                   {"function", MEMBER_NAME},
                   {"arguments", MEMBER_ARGUMENTS},
                   {"parameters", MEMBER_ARGUMENTS},
                   {"id", MEMBER_OTHER},
                   {"type", MEMBER_OTHER},
                   {"tool_call_id", MEMBER_OTHER},
                   {"call_id", MEMBER_OTHER}};
    if (object->keyed) return MEMBER_ARGUMENTS;
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        size_t n = strlen(members[i].key);
        if (object->n_key != n + 2 || memcmp(object->key + 1, members[i].key, n) != 0) continue;
        bool again = members[i].role == MEMBER_NAME ? object->has_name : object->has_arguments;
        return again ? MEMBER_OTHER : members[i].role;
    }
    return MEMBER_STRANGE;
}

static enum call_part key_byte(struct call_object *object, char c) {
    if (object->keyed) {
        if (object->n_name == CALL_NAME_MAX + 1) return CALL_PART_BAD;
        object->name[object->n_name++] = c;
    } else if (object->n_key < CALL_KEY_MAX) {
        object->key[object->n_key++] = c;
    } else if (object->strict) {
        return CALL_PART_BAD;
    }
    enum json_step step = json_scan_push(&object->value, c);
    if (step == JSON_BAD) return CALL_PART_BAD;
    if (step != JSON_LAST) return CALL_PART_FRAME;
    object->state = OBJECT_COLON;
    object->role = (uint8_t)member_role(object);
    if (object->strict && object->role == MEMBER_STRANGE) return CALL_PART_BAD;
    if (!object->keyed) return CALL_PART_FRAME;
    return take_name(object) ? CALL_PART_NAME : CALL_PART_BAD;
}

static enum call_part begin_key_of_call(struct call_object *object, char c) {
    if (json_is_blank(c)) return CALL_PART_FRAME;
    if (c != '"') return CALL_PART_BAD;
    if (object->keyed && object->has_name) return CALL_PART_BAD;
    object->value = (struct json_scan){0};
    object->n_key = 0;
    object->state = OBJECT_IN_KEY;
    return key_byte(object, c);
}

static enum call_part value_ended_in_call(struct call_object *object, char c);

static enum call_part value_byte(struct call_object *object, char c) {
    static const enum call_part parts[] = {
        [MEMBER_STRANGE] = CALL_PART_FRAME,       [MEMBER_OTHER] = CALL_PART_FRAME,
        [MEMBER_NAME] = CALL_PART_FRAME,          [MEMBER_ARGUMENTS] = CALL_PART_ARGUMENT,
        [MEMBER_ARGUMENTS_TEXT] = CALL_PART_TEXT, [MEMBER_NULL] = CALL_PART_FRAME};
    enum member_role role = (enum member_role)object->role;
    enum json_step step = json_scan_push(&object->value, c);
    if (step == JSON_BAD) return CALL_PART_BAD;
    if (step == JSON_PAST) return value_ended_in_call(object, c);
    if (role == MEMBER_NAME) {
        if (object->n_name == CALL_NAME_MAX + 1) return CALL_PART_BAD;
        object->name[object->n_name++] = c;
    }
    if (step == JSON_MORE) return parts[role];
    object->state = OBJECT_AFTER;
    if (role != MEMBER_NAME) return parts[role];
    return take_name(object) ? CALL_PART_NAME : CALL_PART_BAD;
}

static enum call_part begin_member_value(struct call_object *object, char c) {
    if (json_is_blank(c)) return CALL_PART_FRAME;
    object->value = (struct json_scan){0};
    object->state = OBJECT_VALUE;
    if (object->role == MEMBER_NAME && c != '"') object->role = MEMBER_OTHER;
    if (object->role == MEMBER_ARGUMENTS) {
        object->has_arguments = true;
        if (c == '"') object->role = MEMBER_ARGUMENTS_TEXT;
        if (c == 'n') object->role = MEMBER_NULL;
        if (c != '"' && c != 'n' && c != '{') return CALL_PART_BAD;
    }
    return value_byte(object, c);
}

static enum call_part value_ended_in_call(struct call_object *object, char c) {
    if (json_is_blank(c)) {
        object->state = OBJECT_AFTER;
        return CALL_PART_FRAME;
    }
    if (c == ',') {
        object->state = OBJECT_KEY;
        return CALL_PART_FRAME;
    }
    return c == '}' && object->has_name ? CALL_PART_DONE : CALL_PART_BAD;
}

enum call_part call_object_push(struct call_object *object, char c) {
    switch ((enum object_state)object->state) {
    case OBJECT_OPEN:
        object->state = OBJECT_KEY_OR_END;
        return c == '{' ? CALL_PART_FRAME : CALL_PART_BAD;
    case OBJECT_KEY_OR_END:
    case OBJECT_KEY: return begin_key_of_call(object, c);
    case OBJECT_IN_KEY: return key_byte(object, c);
    case OBJECT_COLON:
        if (c == ':') object->state = OBJECT_BEFORE_VALUE;
        return c == ':' || json_is_blank(c) ? CALL_PART_FRAME : CALL_PART_BAD;
    case OBJECT_BEFORE_VALUE: return begin_member_value(object, c);
    case OBJECT_VALUE: return value_byte(object, c);
    case OBJECT_AFTER: return value_ended_in_call(object, c);
    }
    return CALL_PART_BAD;
}

bool call_object_awaits_name(const struct call_object *object) {
    return object->state == OBJECT_BEFORE_VALUE && object->role == MEMBER_NAME;
}

const char *call_object_key(const struct call_object *object, size_t *n) {
    bool in_key = object->state == OBJECT_IN_KEY || object->state == OBJECT_COLON;
    *n = in_key && !object->keyed ? object->n_key : 0;
    return object->key;
}
