#include "infer/stop_texts.h"

#include <string.h>

size_t stop_texts_find(const struct stop_texts *stops, const char *text, size_t n, size_t *which) {
    size_t first = n;
    for (size_t i = 0; i < stops->count; i++) {
        size_t length = strlen(stops->items[i]);
        const char *at = length ? memmem(text, n, stops->items[i], length) : NULL;
        if (!at || (size_t)(at - text) >= first) continue;
        first = (size_t)(at - text);
        *which = i;
    }
    return first;
}

size_t stop_texts_held(const struct stop_texts *stops, const char *text, size_t n) {
    size_t most = 0;
    for (size_t i = 0; i < stops->count; i++) {
        size_t length = strlen(stops->items[i]), limit = length ? length - 1 : 0;
        if (limit > n) limit = n;
        for (size_t k = limit; k > most; k--)
            if (memcmp(text + n - k, stops->items[i], k) == 0) most = k;
    }
    return most;
}
