#include "base/units.h"

#include <errno.h>
#include <math.h>
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

/* The unit at the beginning of a text in seconds, and its length; 0: none. */
static double unit_seconds(const char *text, size_t *length) {
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"ns", 1e-9}, {"us", 1e-6}, {"\xC2\xB5s", 1e-6}, {"ms", 1e-3},
                 {"s", 1},     {"m", 60},    {"h", 3600}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        *length = strlen(units[i].name);
        if (strncmp(text, units[i].name, *length) == 0) return units[i].seconds;
    }
    return 0;
}

bool units_parse_duration(const char *text, double *seconds) {
    static const char digits[] = "0123456789.";
    double sum = 0, sign = *text == '-' ? -1 : 1;
    if (*text == '-' || *text == '+') text++;
    bool alone = text[strspn(text, digits)] == '\0';
    do {
        char *end;
        size_t length = 0;
        if (strspn(text, digits) == 0) return false;
        double number = strtod(text, &end), unit = alone ? 1 : unit_seconds(end, &length);
        if (end == text || unit == 0) return false;
        sum += number * unit;
        text = end + length;
    } while (*text);
    *seconds = sign * sum;
    return isfinite(sum);
}
