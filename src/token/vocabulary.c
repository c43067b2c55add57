#include "token/vocabulary.h"

#include "base/mem.h"

void vocabulary_release(struct vocabulary *v) {
    string_table_release(&v->texts);
    mem_free(v->bits);
    mem_free(v->scores);
    *v = (struct vocabulary){0};
}

static bool grow(struct vocabulary *v) {
    size_t capacity = v->capacity ? v->capacity * 2 : 1024;
    uint16_t *bits = mem_realloc_array(v->bits, capacity, sizeof *bits);
    if (!bits) return false;
    v->bits = bits;
    float *scores = mem_realloc_array(v->scores, capacity, sizeof *scores);
    if (!scores) return false;
    v->scores = scores;
    v->capacity = capacity;
    return true;
}

bool vocabulary_add(struct vocabulary *v, struct text text, unsigned bits, float score) {
    size_t id = v->texts.count;
    if (id == v->capacity && !grow(v)) return false;
    if (!string_table_add(&v->texts, text.data, text.length)) return false;
    v->bits[id] = (uint16_t)bits;
    v->scores[id] = score;
    return true;
}

unsigned vocabulary_kind_bits(int64_t kind) {
    switch (kind) {
    case TOKEN_KIND_NORMAL: return TOKEN_BIT_NORMAL;
    case TOKEN_KIND_UNKNOWN: return TOKEN_BIT_UNKNOWN;
    case TOKEN_KIND_CONTROL: return TOKEN_BIT_CONTROL;
    case TOKEN_KIND_USER_DEFINED: return TOKEN_BIT_USER_DEFINED;
    case TOKEN_KIND_UNUSED: return TOKEN_BIT_UNUSED;
    case TOKEN_KIND_BYTE: return TOKEN_BIT_BYTE;
    default: return 0;
    }
}

enum token_kind vocabulary_bits_kind(unsigned bits) {
    if (bits & TOKEN_BIT_UNKNOWN) return TOKEN_KIND_UNKNOWN;
    if (bits & TOKEN_BIT_CONTROL) return TOKEN_KIND_CONTROL;
    if (bits & TOKEN_BIT_USER_DEFINED) return TOKEN_KIND_USER_DEFINED;
    if (bits & TOKEN_BIT_BYTE) return TOKEN_KIND_BYTE;
    if (bits & TOKEN_BIT_UNUSED) return TOKEN_KIND_UNUSED;
    return bits & TOKEN_BIT_NORMAL ? TOKEN_KIND_NORMAL : TOKEN_KIND_UNDEFINED;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int vocabulary_byte_value(struct text text) {
    if (text.length != 6 || memcmp(text.data, "<0x", 3) != 0 || text.data[5] != '>') return -1;
    int high = hex_digit(text.data[3]), low = hex_digit(text.data[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* How many bytes below this one are not written as themselves. */
static unsigned shifted_before(unsigned byte) {
    if (byte <= 32) return byte;
    if (byte <= 126) return 33;
    if (byte <= 160) return 33 + (byte - 127);
    return byte <= 173 ? 67 : 68;
}

static bool is_itself(unsigned byte) {
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
}

uint32_t byte_alphabet_char(unsigned byte) {
    return is_itself(byte) ? byte : 256 + shifted_before(byte);
}

int byte_alphabet_byte(uint32_t code) {
    if (code < 256) return is_itself(code) ? (int)code : -1;
    uint32_t n = code - 256;
    if (n < 33) return (int)n;
    if (n < 67) return (int)(n - 33 + 127);
    return n == 67 ? 173 : -1;
}
