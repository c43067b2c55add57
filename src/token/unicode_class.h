/* unicode_class.h - what kind of character a code point is (Unicode Character
 * Database, through utf8proc). */
#ifndef HEARTH_TOKEN_UNICODE_CLASS_H
#define HEARTH_TOKEN_UNICODE_CLASS_H

#include <stdbool.h>
#include <stdint.h>

bool unicode_is_space(uint32_t code);           /* White_Space */
bool unicode_is_control(uint32_t code);         /* Cc, Cf, Cs, Co */
bool unicode_is_punctuation(uint32_t code);     /* P* */
bool unicode_is_symbol(uint32_t code);          /* S* */
bool unicode_is_mark(uint32_t code);            /* M* */
bool unicode_is_nonspacing_mark(uint32_t code); /* Mn */
bool unicode_is_number(uint32_t code);          /* N* */
bool unicode_is_decimal(uint32_t code);         /* Nd */
bool unicode_is_word(uint32_t code);            /* letters, marks, decimal digits, connectors */
bool unicode_is_cjk(uint32_t code);             /* ideographs that BERT makes words of */
uint32_t unicode_lower(uint32_t code);

#endif
