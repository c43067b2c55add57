/* units.h - sizes as people write them. */
#ifndef HEARTH_BASE_UNITS_H
#define HEARTH_BASE_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "812 B", "1.2 KiB", "4.7 GiB"; returns `out`. */
const char *units_format_bytes(uint64_t bytes, char *out, size_t out_size);
/* "4096", "16K", "2G", "1.5GiB" (powers of 1024); false when it is not a size. */
bool units_parse_bytes(const char *text, uint64_t *bytes);
/* As Go writes durations: "1h30m", "1.5s", "300ms", "-1m"; a number alone is seconds. False when it
 * is none. */
bool units_parse_duration(const char *text, double *seconds);
/* "1.24 B", "260 K": parameter counts (powers of 1000). */
const char *units_format_count(uint64_t count, char *out, size_t out_size);

#endif
