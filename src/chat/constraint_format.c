/* constraint_format.c - the formats of JSON Schema (validation vocabulary, section 7.3) as
 * expressions of constraint_regex.h. Where a format has parts that no automaton of reasonable size
 * holds (the whole length of a host name, punycode, leap seconds by time zone) those parts are
 * left out: the answer has the format, if not every way of it. */
#include <string.h>

#include "chat/constraint_schema.h"

#define MONTHS_DAYS                                                                                \
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|"          \
    "02-(?:0[1-9]|1\\d|2[0-8]))"
#define LEAP_YEAR "(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
#define DATE "(?:\\d{4}-" MONTHS_DAYS "|" LEAP_YEAR "-02-29)"
#define TIME                                                                                       \
    "(?:(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?"                                      \
    "(?:[zZ]|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)|23:59:60(?:\\.\\d{1,9})?(?:[zZ]|[+-]00:00))"
#define NUMBER "\\d{1,12}"
#define DURATION_TIME                                                                              \
    "T(?:" NUMBER "H(?:" NUMBER "M(?:" NUMBER "S)?)?|" NUMBER "M(?:" NUMBER "S)?|" NUMBER "S)"
#define DURATION                                                                                   \
    "P(?:" NUMBER "W|(?:" NUMBER "D|" NUMBER "M(?:" NUMBER "D)?|" NUMBER "Y(?:" NUMBER             \
    "M(?:" NUMBER "D)?)?)(?:" DURATION_TIME ")?|" DURATION_TIME ")"
#define BYTE "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define IPV4 BYTE "(?:\\." BYTE "){3}"
#define H16 "[0-9a-fA-F]{1,4}"
#define LS32 "(?:" H16 ":" H16 "|" IPV4 ")"
#define IPV6                                                                                       \
    "(?:(?:" H16 ":){6}" LS32 "|::(?:" H16 ":){5}" LS32 "|(?:" H16 ")?::(?:" H16 ":){4}" LS32      \
    "|(?:(?:" H16 ":){0,1}" H16 ")?::(?:" H16 ":){3}" LS32 "|(?:(?:" H16 ":){0,2}" H16             \
    ")?::(?:" H16 ":){2}" LS32 "|(?:(?:" H16 ":){0,3}" H16 ")?::" H16 ":" LS32 "|(?:(?:" H16       \
    ":){0,4}" H16 ")?::" LS32 "|(?:(?:" H16 ":){0,5}" H16 ")?::" H16 "|(?:(?:" H16 ":){0,6}" H16   \
    ")?::)"
/* No hyphens third and fourth, where A-labels have them; 63 characters at most, and 62 from the
 * second label on, so that four labels are no longer than a name may be. */
#define LABEL(n)                                                                                   \
    "[0-9A-Za-z](?:[0-9A-Za-z-]{0,2}[0-9A-Za-z]|[0-9A-Za-z-](?:[0-9A-Za-z][0-9A-Za-z-]|"           \
    "-[0-9A-Za-z])[0-9A-Za-z-]{0," n "}[0-9A-Za-z])?"
#define HOST LABEL("58") "(?:\\." LABEL("57") "){0,3}"
/* Three of them stay below the 64 characters of a local part (RFC 5321, section 4.5.3.1.1). */
#define ATOM "[0-9A-Za-z!#$%&'*+/=?^_`{|}~-]{1,20}"
#define ESCAPED "%[0-9A-Fa-f]{2}"
#define SUB_DELIMS "!$&'()*+,;="
#define PCHAR "(?:[0-9A-Za-z._~" SUB_DELIMS ":@-]|" ESCAPED ")"
#define AUTHORITY                                                                                  \
    "(?:(?:[0-9A-Za-z._~" SUB_DELIMS ":-]|" ESCAPED ")*@)?(?:\\[(?:" IPV6                          \
    "|v[0-9A-Fa-f]+\\.[0-9A-Za-z._~" SUB_DELIMS ":-]+)\\]|(?:[0-9A-Za-z._~" SUB_DELIMS             \
    "-]|" ESCAPED ")*)(?::\\d*)?"
#define AFTER_PATH "(?:\\?(?:" PCHAR "|[/?])*)?(?:#(?:" PCHAR "|[/?])*)?"
#define URI                                                                                        \
    "[A-Za-z][0-9A-Za-z+.-]*:(?://" AUTHORITY "(?:/" PCHAR "*)*|/(?:" PCHAR "+(?:/" PCHAR          \
    "*)*)?|" PCHAR "+(?:/" PCHAR "*)*|)" AFTER_PATH
#define SEGMENT_NO_COLON "(?:[0-9A-Za-z._~" SUB_DELIMS "@-]|" ESCAPED ")+"
#define RELATIVE                                                                                   \
    "(?://" AUTHORITY "(?:/" PCHAR "*)*|/(?:" PCHAR "+(?:/" PCHAR "*)*)?|" SEGMENT_NO_COLON        \
    "(?:/" PCHAR "*)*|)" AFTER_PATH
#define POINTER "(?:/(?:[^~/]|~[01])*)*"

static const struct {
    const char *name, *expression; /* NULL: known, and not held to */
} formats[] = {
    {"date", "^" DATE "$"},
    {"time", "^" TIME "$"},
    {"date-time", "^" DATE "[tT]" TIME "$"},
    {"duration", "^" DURATION "$"},
    {"email", "^" ATOM "(?:\\." ATOM "){0,2}@" HOST "$"},
    {"hostname", "^" HOST "$"},
    {"ipv4", "^" IPV4 "$"},
    {"ipv6", "^" IPV6 "$"},
    {"uuid", "^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"},
    {"uri", "^" URI "$"},
    {"uri-reference", "^(?:" URI "|" RELATIVE ")$"},
    {"json-pointer", "^" POINTER "$"},
    {"relative-json-pointer", "^(?:0|[1-9]\\d*)(?:#|" POINTER ")$"},
    {"idn-email", NULL},
    {"idn-hostname", NULL},
    {"iri", NULL},
    {"iri-reference", NULL},
    {"uri-template", NULL},
    {"regex", NULL},
};

const char *format_expression(const char *format, bool *known) {
    *known = false;
    for (size_t i = 0; format && i < sizeof formats / sizeof *formats; i++) {
        if (strcmp(formats[i].name, format) != 0) continue;
        *known = true;
        return formats[i].expression;
    }
    return NULL;
}
