#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

void buf_init(struct buf *buf, size_t max_bytes) {
    *buf = (struct buf){.max_bytes = max_bytes};
}

void buf_release(struct buf *buf) {
    mem_free(buf->data);
    *buf = (struct buf){.max_bytes = buf->max_bytes};
}

void buf_clear(struct buf *buf) {
    buf->length = 0;
    buf->failed = false;
    if (buf->data) buf->data[0] = '\0';
}

static bool reserve(struct buf *buf, size_t extra) {
    if (buf->failed) return false;
    if (buf->length > buf->max_bytes || extra > buf->max_bytes - buf->length) {
        buf->failed = true;
        return false;
    }
    size_t need = buf->length + extra + 1;
    if (buf->data && need <= buf->capacity) return true;
    size_t capacity = buf->capacity < 128 ? 256 : buf->capacity;
    while (capacity < need) {
        if (capacity > SIZE_MAX / 2) {
            capacity = need;
            break;
        }
        capacity *= 2;
    }
    char *grown = mem_realloc_array(buf->data, capacity, 1);
    if (!grown) {
        buf->failed = true;
        return false;
    }
    buf->data = grown;
    buf->capacity = capacity;
    return true;
}

bool buf_append(struct buf *buf, const void *data, size_t length_bytes) {
    if (!reserve(buf, length_bytes)) return false;
    if (length_bytes) memcpy(buf->data + buf->length, data, length_bytes);
    buf->length += length_bytes;
    buf->data[buf->length] = '\0';
    return true;
}

bool buf_append_char(struct buf *buf, char c) {
    return buf_append(buf, &c, 1);
}

bool buf_append_text(struct buf *buf, const char *text) {
    return buf_append(buf, text, strlen(text));
}

bool buf_append_format(struct buf *buf, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int need = vsnprintf(NULL, 0, format, args);
    va_end(args);
    bool ok = need >= 0 && reserve(buf, (size_t)need);
    if (ok) {
        vsnprintf(buf->data + buf->length, (size_t)need + 1, format, again);
        buf->length += (size_t)need;
    }
    va_end(again);
    return ok;
}

char *buf_take(struct buf *buf) {
    if (!buf->data && !buf->failed) buf_append(buf, "", 0);
    char *text = buf->failed ? NULL : buf->data;
    if (!text) mem_free(buf->data);
    *buf = (struct buf){.max_bytes = buf->max_bytes};
    return text;
}

const char *buf_text(const struct buf *buf) {
    return buf->data ? buf->data : "";
}
