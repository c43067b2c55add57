/* stop_texts.h - texts that end an answer, however its tokens cut them. */
#ifndef HEARTH_INFER_STOP_TEXTS_H
#define HEARTH_INFER_STOP_TEXTS_H

#include <stddef.h>

struct stop_texts {
    const char *const *items; /* borrowed */
    size_t count;
};

/* Where in `text` [n] the first of them begins, and which it is; n: none is there. */
size_t stop_texts_find(const struct stop_texts *stops, const char *text, size_t n, size_t *which);
/* Bytes at the end of `text` that may be the beginning of one. */
size_t stop_texts_held(const struct stop_texts *stops, const char *text, size_t n);

#endif
