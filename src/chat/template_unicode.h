/* template_unicode.h - text as Python sees it: code points, white space, case.
 *
 * Texts here are valid UTF-8 (the compiler and the JSON parser check); a stray byte is
 * nevertheless read as one code point of its own, never past the end. */
#ifndef HEARTH_CHAT_TEMPLATE_UNICODE_H
#define HEARTH_CHAT_TEMPLATE_UNICODE_H

#include "chat/template_value.h"

/* Bytes of the code point at `text` (at least 1), n > 0. */
size_t text_decode(const char *text, size_t n, uint32_t *code);
/* Bytes of the code point that ends at text + n, n > 0. */
size_t text_decode_before(const char *text, size_t n, uint32_t *code);
size_t text_encode(uint32_t code, char out[static 4]);
bool text_is_valid(const char *text, size_t n, size_t *bad_offset);

size_t text_count(const struct str *s);                     /* code points */
size_t text_offset(const struct str *s, size_t characters); /* byte offset of the n-th */

bool code_is_space(uint32_t code);      /* str.isspace */
bool code_is_line_break(uint32_t code); /* str.splitlines */
bool code_is_printable(uint32_t code);  /* what repr() leaves as it is */
bool code_is_letter(uint32_t code);
bool code_is_word(uint32_t code); /* \w of a regular expression */
bool code_is_decimal(uint32_t code);
bool code_is_digit(uint32_t code);
bool code_is_numeric(uint32_t code);
bool code_is_upper(uint32_t code);
bool code_is_lower(uint32_t code);
bool code_is_title(uint32_t code);

/* Full upper, lower and title case of a code point; puts one to three. */
bool put_upper(struct render *r, uint32_t code);
bool put_lower(struct render *r, uint32_t code);
bool put_title(struct render *r, uint32_t code);

enum strip_side { STRIP_LEFT = 1, STRIP_RIGHT = 2, STRIP_BOTH = 3 };
/* Without `set` (NULL) strips white space, else every character that occurs in it. */
struct str text_strip(struct str s, const struct str *set, enum strip_side side);
/* First occurrence of `needle` at or after byte `from`; SIZE_MAX when none. */
size_t text_find(const struct str *s, const struct str *needle, size_t from);
size_t text_rfind(const struct str *s, const struct str *needle, size_t end);
bool text_starts(const struct str *s, const struct str *prefix);
bool text_ends(const struct str *s, const struct str *suffix);

#endif
