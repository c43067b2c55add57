/* term.h - the terminal: is there one, how wide, and a progress bar on it. */
#ifndef HEARTH_BASE_TERM_H
#define HEARTH_BASE_TERM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

bool term_is_terminal(FILE *stream);
unsigned term_width(FILE *stream); /* columns; 80 when unknown */
bool term_is_dumb(void);           /* TERM is unset, empty or "dumb": no escape codes */
/* A terminal that shows colours, and nobody asked for none (https://no-color.org). */
bool term_has_colour(FILE *stream);

/* One line that redraws itself, at most ten times a second, on a terminal; on
 * anything else it prints nothing until `progress_end`. */
struct progress {
    FILE *stream;
    const char *label; /* borrowed */
    bool is_bytes, shown;
    uint64_t total, start_ns, last_ns;
    uint64_t resumed; /* done before progress_begin; not counted into the rate */
};

void progress_begin(struct progress *p, FILE *stream, const char *label, uint64_t total,
                    bool is_bytes);
void progress_update(struct progress *p, uint64_t done);
/* The same as a callback, whose context is the progress; `total` is not used. */
void progress_report(void *progress, uint64_t done, uint64_t total);
void progress_end(struct progress *p, uint64_t done);

#endif
