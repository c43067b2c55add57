#include "base/date.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const int64_t last_ms = INT64_C(253402300799999); /* 9999-12-31T23:59:59.999Z */

int64_t date_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const char *date_format(int64_t ms, char out[DATE_TEXT_BYTES]) {
    struct tm utc;
    ms = ms < 0 ? 0 : ms > last_ms ? last_ms : ms;
    time_t seconds = (time_t)(ms / 1000);
    out[0] = '\0';
    if (!gmtime_r(&seconds, &utc)) return out;
    size_t n = strftime(out, DATE_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + n, DATE_TEXT_BYTES - n, ".%03dZ", (int)(ms % 1000));
    return out;
}

/* Exactly n digits; -1: they are not. */
static int take_digits(const char **at, int n) {
    int value = 0;
    for (; n > 0; n--, (*at)++) {
        if (**at < '0' || **at > '9') return -1;
        value = 10 * value + (**at - '0');
    }
    return value;
}

/* Digits between separators: "YYYY-MM-DDTHH:MM:SS". */
static bool take_fields(const char **at, int fields[6]) {
    static const char before[6] = {'\0', '-', '-', 'T', ':', ':'};
    for (int i = 0; i < 6; i++) {
        if (before[i] && *(*at)++ != before[i]) return false;
        fields[i] = take_digits(at, i == 0 ? 4 : 2);
        if (fields[i] < 0) return false;
    }
    return true;
}

static bool take_fraction(const char **at, int *ms) {
    int unit = 100, digits = 0;
    *ms = 0;
    if (**at != '.') return true;
    for ((*at)++; **at >= '0' && **at <= '9'; (*at)++, digits++) {
        *ms += (**at - '0') * unit;
        unit /= 10;
    }
    return digits > 0 && digits <= 9;
}

static bool take_offset(const char **at, int *minutes) {
    int sign = **at == '-' ? -1 : 1;
    *minutes = 0;
    if (**at == 'Z') return *++*at == '\0';
    if (**at != '+' && **at != '-') return false;
    ++*at;
    int hour = take_digits(at, 2);
    if (hour < 0 || hour > 23 || *(*at)++ != ':') return false;
    int minute = take_digits(at, 2);
    *minutes = sign * (60 * hour + minute);
    return minute >= 0 && minute <= 59 && **at == '\0';
}

bool date_parse(const char *text, int64_t *ms) {
    int fields[6], fraction, minutes;
    if (!take_fields(&text, fields) || !take_fraction(&text, &fraction) ||
        !take_offset(&text, &minutes))
        return false;
    struct tm utc = {.tm_year = fields[0] - 1900,
                     .tm_mon = fields[1] - 1,
                     .tm_mday = fields[2],
                     .tm_hour = fields[3],
                     .tm_min = fields[4],
                     .tm_sec = fields[5]};
    struct tm normal = utc;
    time_t seconds = timegm(&normal);
    /* A day or an hour that does not exist comes back as another one. */
    if (normal.tm_year != utc.tm_year || normal.tm_mon != utc.tm_mon ||
        normal.tm_mday != utc.tm_mday || normal.tm_hour != utc.tm_hour ||
        normal.tm_min != utc.tm_min || normal.tm_sec != utc.tm_sec)
        return false;
    *ms = ((int64_t)seconds - 60 * minutes) * 1000 + fraction;
    return *ms >= 0 && *ms <= last_ms;
}
