#include "cli/tune_log.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/term.h"
#include "base/units.h"

enum { LOG_MAX_BYTES = 1 << 30, SMOOTHED_STEPS = 20, REDRAW_NS = 100 * 1000 * 1000 };

/* The number after `key` in a line of one's own. */
static bool number_in(const char *line, const char *key, double *out) {
    const char *at = strstr(line, key);
    if (at) *out = strtod(at + strlen(key), NULL);
    return at != NULL;
}

/* A running mean: of all steps at first, then of about as many as SMOOTHED_STEPS. */
static void take_loss(struct tune_log *log, double step, double loss) {
    double weight = step < SMOOTHED_STEPS ? 1.0 / step : 1.0 / SMOOTHED_STEPS;
    log->loss = isnan(log->loss) ? loss : log->loss + weight * (loss - log->loss);
}

/* Copies the lines up to `step`; the losses among them are those of the log. */
static hearth_status keep_lines(struct tune_log *log, const char *path, uint64_t step,
                                hearth_error *err) {
    char *text;
    size_t size;
    struct buf kept;
    if (!file_exists(path)) return HEARTH_OK;
    RETURN_IF_ERROR(file_read(path, LOG_MAX_BYTES, &text, &size, err));
    buf_init(&kept, LOG_MAX_BYTES);
    for (char *line = text, *end; line < text + size; line = end + 1) {
        end = memchr(line, '\n', (size_t)(text + size - line));
        if (!end) break; /* cut off when the process was killed */
        double number, loss;
        *end = '\0';
        if (!number_in(line, "\"step\":", &number) || number > (double)step) continue;
        buf_append(&kept, line, (size_t)(end - line));
        buf_append_char(&kept, '\n');
        if (number_in(line, "\"loss\":", &loss)) take_loss(log, number, loss);
        number_in(line, "\"eval_loss\":", &log->eval_loss);
    }
    hearth_status status = kept.failed ? error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory")
                                       : file_write(path, buf_text(&kept), kept.length, err);
    buf_release(&kept);
    mem_free(text);
    return status;
}

hearth_status tune_log_open(struct tune_log *log, const char *folder, const struct run_state *state,
                            uint64_t n_steps, bool quiet, hearth_error *err) {
    *log = (struct tune_log){.n_steps = n_steps,
                             .tokens = state->tokens,
                             .seconds = state->seconds,
                             .loss = NAN,
                             .eval_loss = NAN,
                             .margin = NAN,
                             .quiet = quiet};
    char *path = path_join(folder, "log.jsonl");
    if (!path) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    hearth_status status = keep_lines(log, path, state->step, err);
    if (status == HEARTH_OK && !(log->file = fopen(path, "ae")))
        status = error_set_errno(err, "cannot write '%s'", path);
    mem_free(path);
    return status;
}

void tune_log_close(struct tune_log *log) {
    if (log->shown) fputc('\n', stderr);
    if (log->file) fclose(log->file);
    log->file = NULL;
    log->shown = false;
}

static void write_line(struct tune_log *log, const struct train_event *e) {
    char pairs[80] = "";
    if (!log->file) return;
    if (!isnan(e->margin))
        snprintf(pairs, sizeof pairs, ", \"margin\": %.6g, \"accuracy\": %.4g", e->margin,
                 e->accuracy);
    if (e->kind == TRAIN_STEP)
        fprintf(log->file,
                "{\"step\": %" PRIu64 ", \"loss\": %.6g, \"rate\": %.6g, \"norm\": %.6g, "
                "\"tokens\": %" PRIu64 ", \"seconds\": %.4g, \"memory\": %" PRIu64 "%s}\n",
                e->step, e->loss, e->rate, e->norm, e->tokens, e->seconds,
                cpu_process_memory().resident, pairs);
    else
        fprintf(log->file,
                "{\"step\": %" PRIu64 ", \"eval_loss\": %.6g, \"best\": %s, \"seconds\": %.4g%s}\n",
                e->step, e->loss, e->best ? "true" : "false", e->seconds, pairs);
    fflush(log->file);
}

hearth_status tune_log_put_samples(const char *folder, uint64_t step, const json_t *samples,
                                   hearth_error *err) {
    char *path = path_join(folder, "log.jsonl");
    hearth_status status =
        path ? HEARTH_OK : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    json_t *sample;
    size_t i;
    json_array_foreach(samples, i, sample) {
        json_t *line = json_pack("{s:I, s:O}", "step", (json_int_t)step, "sample", sample);
        char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
        struct buf out;
        buf_init(&out, LOG_MAX_BYTES);
        buf_append_format(&out, "%s\n", text ? text : "");
        if (status == HEARTH_OK && text && !out.failed)
            status = file_append(path, buf_text(&out), out.length, err);
        buf_release(&out);
        free(text);
        json_decref(line);
    }
    mem_free(path);
    return status;
}

static void format_duration(double seconds, char *out, size_t size) {
    uint64_t s = (uint64_t)(seconds + 0.5);
    if (s >= 3600)
        snprintf(out, size, "%" PRIu64 ":%02u:%02u", s / 3600, (unsigned)(s / 60 % 60),
                 (unsigned)(s % 60));
    else
        snprintf(out, size, "%u:%02u", (unsigned)(s / 60), (unsigned)(s % 60));
}

static void format_state(const struct tune_log *log, uint64_t step, char *out, size_t size) {
    char left[32], eval[48] = "", pairs[64] = "";
    double per_step = log->seconds / (double)(step ? step : 1);
    format_duration(per_step * (double)(log->n_steps - step), left, sizeof left);
    if (!isnan(log->eval_loss)) snprintf(eval, sizeof eval, "  eval %.4f", log->eval_loss);
    if (!isnan(log->margin))
        snprintf(pairs, sizeof pairs, "  margin %.3f  right %.0f%%", log->margin,
                 100 * log->accuracy);
    snprintf(out, size,
             "step %" PRIu64 "/%" PRIu64 "  loss %.4f%s%s  rate %.2e  %.0f tok/s  %s left", step,
             log->n_steps, log->loss, eval, pairs, log->rate,
             log->seconds > 0 ? (double)log->tokens / log->seconds : 0.0, left);
}

static void show(struct tune_log *log, const struct train_event *e) {
    char line[160];
    uint64_t now = clock_now_ns();
    bool terminal = term_is_terminal(stderr) && !term_is_dumb();
    bool last = e->step == log->n_steps, evaluated = e->kind == TRAIN_EVALUATION;
    bool tenth = log->n_steps < 10 || e->step % (log->n_steps / 10) == 0;
    if (log->quiet || (e->kind == TRAIN_SAVED)) return;
    if (terminal ? now - log->last_shown_ns < REDRAW_NS && !last && !evaluated
                 : !last && !evaluated && !(tenth && e->kind == TRAIN_STEP))
        return;
    log->last_shown_ns = now;
    format_state(log, e->step, line, sizeof line);
    if (terminal)
        fprintf(stderr, "\r\033[K%.*s", (int)term_width(stderr) - 1, line);
    else
        fprintf(stderr, "%s\n", line);
    fflush(stderr);
    log->shown = terminal;
}

void tune_log_report(struct tune_log *log, const struct train_event *e) {
    if (e->kind == TRAIN_STEP) {
        take_loss(log, (double)e->step, e->loss);
        log->rate = e->rate;
        log->tokens = e->state->tokens;
        log->seconds = e->state->seconds;
    } else if (e->kind == TRAIN_EVALUATION) {
        log->eval_loss = e->loss;
    }
    if (e->kind != TRAIN_SAVED) {
        log->margin = e->margin;
        log->accuracy = e->accuracy;
        write_line(log, e);
    }
    show(log, e);
}
