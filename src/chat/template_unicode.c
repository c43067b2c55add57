#include "chat/template_unicode.h"

#include <utf8proc.h>

size_t text_decode(const char *text, size_t n, uint32_t *code) {
    const unsigned char *s = (const unsigned char *)text;
    *code = s[0];
    if (s[0] < 0x80) return 1;
    size_t need = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc2 ? 2 : 1;
    if (need == 1 || need > n || s[0] > 0xf4) return 1;
    uint32_t c = s[0] & (0x7fu >> need);
    for (size_t i = 1; i < need; i++) {
        if ((s[i] & 0xc0) != 0x80) return 1;
        c = c << 6 | (s[i] & 0x3f);
    }
    *code = c;
    return need;
}

size_t text_decode_before(const char *text, size_t n, uint32_t *code) {
    for (size_t back = 1; back <= 4 && back <= n; back++) {
        if (((unsigned char)text[n - back] & 0xc0) == 0x80) continue;
        if (text_decode(text + n - back, back, code) == back) return back;
        break;
    }
    *code = (unsigned char)text[n - 1];
    return 1;
}

size_t text_encode(uint32_t code, char out[static 4]) {
    utf8proc_ssize_t n = utf8proc_encode_char((utf8proc_int32_t)code, (utf8proc_uint8_t *)out);
    return n > 0 ? (size_t)n : 0;
}

bool text_is_valid(const char *text, size_t n, size_t *bad_offset) {
    for (size_t i = 0; i < n;) {
        uint32_t code;
        size_t step = text_decode(text + i, n - i, &code);
        bool overlong = (step == 3 && code < 0x800) || (step == 4 && code < 0x10000);
        if ((step == 1 && code >= 0x80) || overlong || code > 0x10ffff ||
            (code >= 0xd800 && code < 0xe000 && step == 3)) {
            *bad_offset = i;
            return false;
        }
        i += step;
    }
    return true;
}

size_t text_count(const struct str *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->length; i++)
        n += ((unsigned char)s->data[i] & 0xc0) != 0x80;
    return n;
}

size_t text_offset(const struct str *s, size_t characters) {
    size_t i = 0;
    while (i < s->length && characters > 0) {
        for (i++; i < s->length && ((unsigned char)s->data[i] & 0xc0) == 0x80;)
            i++;
        characters--;
    }
    return i;
}

bool code_is_space(uint32_t c) {
    return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

bool code_is_line_break(uint32_t c) {
    return (c >= 10 && c <= 13) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
           c == 0x2029;
}

static utf8proc_category_t category(uint32_t c) {
    return utf8proc_category((utf8proc_int32_t)c);
}

bool code_is_printable(uint32_t c) {
    if (c < 0x7f) return c >= 0x20;
    switch (category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS: return false;
    default: return true;
    }
}

bool code_is_letter(uint32_t c) {
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

bool code_is_decimal(uint32_t c) {
    return category(c) == UTF8PROC_CATEGORY_ND;
}

/* Superscripts and circled digits are digits to Python without being decimals. */
bool code_is_digit(uint32_t c) {
    return code_is_decimal(c) || c == 0xb2 || c == 0xb3 || c == 0xb9 || c == 0x2070 ||
           (c >= 0x2074 && c <= 0x2079) || (c >= 0x2080 && c <= 0x2089) ||
           (c >= 0x2460 && c <= 0x2468) || (c >= 0x2474 && c <= 0x247c) ||
           (c >= 0x2488 && c <= 0x2490);
}

bool code_is_numeric(uint32_t c) {
    utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_NO;
}

bool code_is_word(uint32_t c) {
    if (c < 0x80)
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
               c == '_';
    utf8proc_category_t k = category(c);
    return code_is_letter(c) || code_is_numeric(c) || k == UTF8PROC_CATEGORY_MN ||
           k == UTF8PROC_CATEGORY_MC || k == UTF8PROC_CATEGORY_PC;
}

bool code_is_upper(uint32_t c) {
    return category(c) == UTF8PROC_CATEGORY_LU;
}

bool code_is_lower(uint32_t c) {
    return category(c) == UTF8PROC_CATEGORY_LL || c == 0xaa || c == 0xba;
}

bool code_is_title(uint32_t c) {
    return category(c) == UTF8PROC_CATEGORY_LT;
}

static bool put_code(struct render *r, uint32_t code) {
    char bytes[4];
    return tpl_put(r, bytes, text_encode(code, bytes));
}

/* Mappings to several code points: the common ones of Unicode's SpecialCasing.txt. */
static const struct {
    uint32_t code;
    const char *upper, *title;
} special_upper[] = {
    {0xdf, "SS", "Ss"},
    {0x149, "\xca\xbcN", "\xca\xbcN"},
    {0xfb00, "FF", "Ff"},
    {0xfb01, "FI", "Fi"},
    {0xfb02, "FL", "Fl"},
    {0xfb03, "FFI", "Ffi"},
    {0xfb04, "FFL", "Ffl"},
    {0xfb05, "ST", "St"},
    {0xfb06, "ST", "St"},
    {0x587, "\xd4\xb5\xd5\x92", "\xd4\xb5\xd6\x82"},
    {0x1f0, "J\xcc\x8c", "J\xcc\x8c"},
};

static const char *special_case(uint32_t code, bool title) {
    for (size_t i = 0; i < sizeof special_upper / sizeof special_upper[0]; i++)
        if (special_upper[i].code == code)
            return title ? special_upper[i].title : special_upper[i].upper;
    return NULL;
}

bool put_upper(struct render *r, uint32_t code) {
    if (code < 0x80) return tpl_put_char(r, (char)(code >= 'a' && code <= 'z' ? code - 32 : code));
    const char *special = special_case(code, false);
    if (special) return tpl_put_text(r, special);
    return put_code(r, (uint32_t)utf8proc_toupper((utf8proc_int32_t)code));
}

bool put_lower(struct render *r, uint32_t code) {
    if (code < 0x80) return tpl_put_char(r, (char)(code >= 'A' && code <= 'Z' ? code + 32 : code));
    if (code == 0x130) return tpl_put_text(r, "i\xcc\x87");
    return put_code(r, (uint32_t)utf8proc_tolower((utf8proc_int32_t)code));
}

bool put_title(struct render *r, uint32_t code) {
    if (code < 0x80) return put_upper(r, code);
    const char *special = special_case(code, true);
    if (special) return tpl_put_text(r, special);
    return put_code(r, (uint32_t)utf8proc_totitle((utf8proc_int32_t)code));
}

static bool in_set(const struct str *set, const char *character, size_t n, uint32_t code) {
    if (!set) return code_is_space(code);
    for (size_t i = 0; i + n <= set->length; i++)
        if (memcmp(set->data + i, character, n) == 0) return true;
    return false;
}

struct str text_strip(struct str s, const struct str *set, enum strip_side side) {
    uint32_t code;
    while ((side & STRIP_LEFT) && s.length > 0) {
        size_t n = text_decode(s.data, s.length, &code);
        if (!in_set(set, s.data, n, code)) break;
        s.data += n;
        s.length -= n;
    }
    while ((side & STRIP_RIGHT) && s.length > 0) {
        size_t n = text_decode_before(s.data, s.length, &code);
        if (!in_set(set, s.data + s.length - n, n, code)) break;
        s.length -= n;
    }
    return s;
}

size_t text_find(const struct str *s, const struct str *needle, size_t from) {
    if (from > s->length || needle->length > s->length - from) return SIZE_MAX;
    if (needle->length == 0) return from;
    const char *hit = memmem(s->data + from, s->length - from, needle->data, needle->length);
    return hit ? (size_t)(hit - s->data) : SIZE_MAX;
}

size_t text_rfind(const struct str *s, const struct str *needle, size_t end) {
    if (end > s->length) end = s->length;
    if (needle->length > end) return SIZE_MAX;
    for (size_t i = end - needle->length + 1; i-- > 0;)
        if (memcmp(s->data + i, needle->data, needle->length) == 0) return i;
    return SIZE_MAX;
}

bool text_starts(const struct str *s, const struct str *prefix) {
    return prefix->length <= s->length && memcmp(s->data, prefix->data, prefix->length) == 0;
}

bool text_ends(const struct str *s, const struct str *suffix) {
    return suffix->length <= s->length &&
           memcmp(s->data + s->length - suffix->length, suffix->data, suffix->length) == 0;
}
