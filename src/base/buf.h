/* buf.h - a growing byte buffer that cannot exist without a maximum.
 *
 * Appends return false when memory or the maximum is exhausted and set `failed`,
 * which sticks: a writer may append many pieces and look once at the end.
 * `data` is always followed by a NUL once anything was appended. */
#ifndef HEARTH_BASE_BUF_H
#define HEARTH_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data;
    size_t length, capacity, max_bytes;
    bool failed;
};

void buf_init(struct buf *buf, size_t max_bytes);
void buf_release(struct buf *buf);
void buf_clear(struct buf *buf); /* keeps the memory; forgets `failed` */
bool buf_append(struct buf *buf, const void *data, size_t length_bytes);
bool buf_append_char(struct buf *buf, char c);
bool buf_append_text(struct buf *buf, const char *text);
bool buf_append_format(struct buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Gives the NUL-terminated text to the caller (mem_free it); NULL if failed. The
 * buffer is empty afterwards. */
char *buf_take(struct buf *buf);
const char *buf_text(const struct buf *buf); /* "" when empty */

#endif
