#include "base/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

static bool same(char a, char b) {
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

size_t nearest_distance(const char *a, const char *b) {
    size_t rows[3][NEAREST_MAX_BYTES + 1]; /* before the previous, previous, current */
    size_t *older = rows[0], *previous = rows[1], *current = rows[2];
    size_t n = strnlen(a, NEAREST_MAX_BYTES + 1), m = strnlen(b, NEAREST_MAX_BYTES + 1);
    if (n > NEAREST_MAX_BYTES || m > NEAREST_MAX_BYTES) return NEAREST_MAX_BYTES + 1;
    for (size_t j = 0; j <= m; j++)
        previous[j] = j;
    for (size_t i = 1; i <= n; i++) {
        current[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t cost = !same(a[i - 1], b[j - 1]);
            current[j] = least(least(previous[j], current[j - 1]) + 1, previous[j - 1] + cost);
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                current[j] = least(current[j], older[j - 2] + 1);
        }
        size_t *recycled = older;
        older = previous;
        previous = current;
        current = recycled;
    }
    return previous[m];
}

const char *nearest_name(const char *given, const char *const *names, size_t count) {
    const char *best = NULL;
    size_t best_distance = NEAREST_MAX_BYTES + 1;
    for (size_t i = 0; i < count; i++) {
        if (!names[i]) continue;
        size_t distance = nearest_distance(given, names[i]);
        size_t longer = strlen(given) > strlen(names[i]) ? strlen(given) : strlen(names[i]);
        size_t allowed = longer < 6 ? 1 : longer / 3;
        if (distance > allowed || distance >= best_distance || distance >= longer) continue;
        best = names[i];
        best_distance = distance;
    }
    return best;
}
