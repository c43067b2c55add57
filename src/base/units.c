#include "base/units.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *units_format_bytes(uint64_t bytes, char *out, size_t out_size) {
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024.0 && unit + 1 < sizeof names / sizeof names[0]) {
        value /= 1024.0;
        unit++;
    }
    snprintf(out, out_size, unit == 0 ? "%.0f %s" : "%.1f %s", value, names[unit]);
    return out;
}

const char *units_format_count(uint64_t count, char *out, size_t out_size) {
    static const char *const names[] = {"", " K", " M", " B", " T"};
    double value = (double)count;
    size_t unit = 0;
    while (value >= 1000.0 && unit + 1 < sizeof names / sizeof names[0]) {
        value /= 1000.0;
        unit++;
    }
    snprintf(out, out_size, unit == 0 ? "%.0f%s" : "%.3g%s", value, names[unit]);
    return out;
}

bool units_parse_bytes(const char *text, uint64_t *bytes) {
    static const char *const suffixes[] = {"", "K", "M", "G", "T"};
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || errno || !(value >= 0)) return false;
    while (*end == ' ')
        end++;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        size_t n = strlen(suffixes[i]);
        const char *rest = end + n;
        if (strncasecmp(end, suffixes[i], n) == 0 &&
            (*rest == '\0' || strcasecmp(rest, "B") == 0 || (n && strcasecmp(rest, "iB") == 0))) {
            value *= (double)(UINT64_C(1) << (10 * i));
            if (value >= 0x1.0p63) return false;
            *bytes = (uint64_t)value;
            return true;
        }
    }
    return false;
}
