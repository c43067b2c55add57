#include "base/term.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"

enum { REDRAW_INTERVAL_NS = 100 * 1000 * 1000, BAR_CELLS = 28 };

bool term_is_terminal(FILE *stream) {
    return isatty(fileno(stream)) == 1;
}

unsigned term_width(FILE *stream) {
    struct winsize size;
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    return 80;
}

bool term_is_dumb(void) {
    const char *kind = getenv("TERM");
    return !kind || !*kind || strcmp(kind, "dumb") == 0;
}

bool term_has_colour(FILE *stream) {
    const char *none = getenv("NO_COLOR");
    return !(none && *none) && !term_is_dumb() && term_is_terminal(stream);
}

static void draw(struct progress *p, uint64_t done) {
    char have[32], all[32], rate[32], bar[BAR_CELLS + 1];
    double fraction = p->total ? (double)done / (double)p->total : 0;
    if (fraction > 1) fraction = 1;
    double seconds = clock_seconds_since(p->start_ns);
    uint64_t now = done > p->resumed ? done - p->resumed : 0;
    uint64_t per_second = seconds > 0.05 ? (uint64_t)((double)now / seconds) : 0;
    int filled = (int)(fraction * BAR_CELLS);
    memset(bar, '-', BAR_CELLS);
    memset(bar, '#', (size_t)filled);
    bar[BAR_CELLS] = '\0';
    const char *(*format)(uint64_t, char *, size_t) =
        p->is_bytes ? units_format_bytes : units_format_count;
    double left =
        per_second && p->total > done ? (double)(p->total - done) / (double)per_second : 0;
    fprintf(p->stream, "\r%s [%s] %3.0f%% %s/%s %s/s, %.0f s left\x1b[K", p->label, bar,
            fraction * 100, format(done, have, sizeof have), format(p->total, all, sizeof all),
            format(per_second, rate, sizeof rate), left);
    fflush(p->stream);
}

void progress_begin(struct progress *p, FILE *stream, const char *label, uint64_t total,
                    bool is_bytes) {
    *p = (struct progress){.stream = stream,
                           .label = label,
                           .total = total,
                           .is_bytes = is_bytes,
                           .shown = term_is_terminal(stream),
                           .start_ns = clock_now_ns()};
}

void progress_update(struct progress *p, uint64_t done) {
    uint64_t now = clock_now_ns();
    if (!p->shown || now - p->last_ns < REDRAW_INTERVAL_NS) return;
    p->last_ns = now;
    draw(p, done);
}

void progress_report(void *progress, uint64_t done, uint64_t total) {
    (void)total;
    progress_update(progress, done);
}

void progress_end(struct progress *p, uint64_t done) {
    if (!p->shown) return;
    draw(p, done);
    fputc('\n', p->stream);
}
