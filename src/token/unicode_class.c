#include "token/unicode_class.h"

#include <stddef.h>
#include <utf8proc.h>

static utf8proc_category_t category(uint32_t code) {
    return code > 0x10FFFF ? UTF8PROC_CATEGORY_CN : utf8proc_category((utf8proc_int32_t)code);
}

static bool between(utf8proc_category_t c, utf8proc_category_t first, utf8proc_category_t last) {
    return c >= first && c <= last;
}

bool unicode_is_space(uint32_t code) {
    if (code < 0x80) return code == ' ' || (code >= 9 && code <= 13);
    return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
           code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

bool unicode_is_control(uint32_t code) {
    return between(category(code), UTF8PROC_CATEGORY_CC, UTF8PROC_CATEGORY_CO);
}

bool unicode_is_punctuation(uint32_t code) {
    return between(category(code), UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PO);
}

bool unicode_is_symbol(uint32_t code) {
    return between(category(code), UTF8PROC_CATEGORY_SM, UTF8PROC_CATEGORY_SO);
}

bool unicode_is_mark(uint32_t code) {
    return between(category(code), UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_ME);
}

bool unicode_is_nonspacing_mark(uint32_t code) {
    return category(code) == UTF8PROC_CATEGORY_MN;
}

bool unicode_is_number(uint32_t code) {
    return between(category(code), UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NO);
}

bool unicode_is_decimal(uint32_t code) {
    return category(code) == UTF8PROC_CATEGORY_ND;
}

bool unicode_is_word(uint32_t code) {
    utf8proc_category_t c = category(code);
    return between(c, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_NL) || c == UTF8PROC_CATEGORY_PC;
}

bool unicode_is_cjk(uint32_t code) {
    static const struct {
        uint32_t first, last;
    } blocks[] = {{0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},   {0x20000, 0x2A6DF},
                  {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F}};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (code >= blocks[i].first && code <= blocks[i].last) return true;
    return false;
}

uint32_t unicode_lower(uint32_t code) {
    return code > 0x10FFFF ? code : (uint32_t)utf8proc_tolower((utf8proc_int32_t)code);
}
