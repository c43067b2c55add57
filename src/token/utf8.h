/* utf8.h - one character at a time, in and out of UTF-8 (RFC 3629). */
#ifndef HEARTH_TOKEN_UTF8_H
#define HEARTH_TOKEN_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UTF8_MAX_BYTES = 4, UTF8_REPLACEMENT = 0xFFFD };

/* What the first byte promises, 1 for bytes that cannot start a character. */
static inline size_t utf8_lead_length(unsigned char lead) {
    if (lead < 0xC0) return 1;
    if (lead < 0xE0) return 2;
    return lead < 0xF0 ? 3 : 4;
}

/* Decodes the character at data[0 .. n), n > 0; returns its length, or 0 when these
 * bytes are not one (overlong forms, surrogates and cut characters included). */
static inline size_t utf8_decode(const char *data, size_t n, uint32_t *code) {
    const unsigned char *p = (const unsigned char *)data;
    if (p[0] < 0x80) {
        *code = p[0];
        return 1;
    }
    if (p[0] < 0xC2 || p[0] > 0xF4) return 0;
    size_t length = utf8_lead_length(p[0]);
    if (n < length) return 0;
    uint32_t value = p[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
        value = value << 6 | (p[i] & 0x3Fu);
    }
    if ((length == 3 && (value < 0x800 || (value >= 0xD800 && value <= 0xDFFF))) ||
        (length == 4 && (value < 0x10000 || value > 0x10FFFF)))
        return 0;
    *code = value;
    return length;
}

/* As utf8_decode, but bytes that are no character are U+FFFD, one byte each. */
static inline size_t utf8_next(const char *data, size_t n, uint32_t *code) {
    size_t length = utf8_decode(data, n, code);
    if (length) return length;
    *code = UTF8_REPLACEMENT;
    return 1;
}

/* Writes at most 4 bytes; returns how many. */
static inline size_t utf8_encode(uint32_t code, char *out) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

/* Is the whole text UTF-8? */
static inline bool utf8_valid(const char *data, size_t n) {
    uint32_t code;
    for (size_t at = 0, length; at < n; at += length)
        if ((length = utf8_decode(data + at, n - at, &code)) == 0) return false;
    return true;
}

#endif
