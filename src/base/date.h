/* date.h - points in time as milliseconds since 1970 in UTC, and as ISO 8601 texts
 * ("2026-01-31T09:30:00.250Z"). */
#ifndef HEARTH_BASE_DATE_H
#define HEARTH_BASE_DATE_H

#include <stdbool.h>
#include <stdint.h>

enum { DATE_TEXT_BYTES = 32, DATE_DAY_MS = 86400000 };

int64_t date_now_ms(void);
/* Years 1970 to 9999; what lies outside becomes the nearest. Returns `out`. */
const char *date_format(int64_t ms, char out[DATE_TEXT_BYTES]);
/* Reads what date_format writes, with up to nine digits of a second (the first three count) or
 * none, and with an offset such as "+01:00" for 'Z'. False: not such a text, or no such day. */
bool date_parse(const char *text, int64_t *ms);

#endif
