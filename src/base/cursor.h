/* cursor.h - reads little-endian values from untrusted bytes.
 *
 * A read past the end returns 0, sets `failed` and leaves the position where it
 * was; the flag sticks, so a parser may read several fields and look once. */
#ifndef HEARTH_BASE_CURSOR_H
#define HEARTH_BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cursor {
    const uint8_t *data;
    size_t size, position;
    bool failed;
};

static inline struct cursor cursor_over(const void *data, size_t size) {
    return (struct cursor){.data = data, .size = size};
}

static inline size_t cursor_left(const struct cursor *c) {
    return c->size - c->position;
}

/* The next `n` bytes, borrowed, or NULL. */
static inline const uint8_t *cursor_bytes(struct cursor *c, size_t n) {
    if (c->failed || n > cursor_left(c)) {
        c->failed = true;
        return NULL;
    }
    const uint8_t *at = c->data + c->position;
    c->position += n;
    return at;
}

static inline uint8_t cursor_u8(struct cursor *c) {
    const uint8_t *p = cursor_bytes(c, 1);
    return p ? p[0] : 0;
}

static inline uint16_t cursor_u16(struct cursor *c) {
    const uint8_t *p = cursor_bytes(c, 2);
    return p ? (uint16_t)((unsigned)p[0] | (unsigned)p[1] << 8) : 0;
}

static inline uint32_t cursor_u32(struct cursor *c) {
    const uint8_t *p = cursor_bytes(c, 4);
    return p ? (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24
             : 0;
}

static inline uint64_t cursor_u64(struct cursor *c) {
    if (c->failed || cursor_left(c) < 8) {
        c->failed = true;
        return 0;
    }
    uint64_t low = cursor_u32(c);
    return low | (uint64_t)cursor_u32(c) << 32;
}

static inline float cursor_f32(struct cursor *c) {
    uint32_t bits = cursor_u32(c);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline double cursor_f64(struct cursor *c) {
    uint64_t bits = cursor_u64(c);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
