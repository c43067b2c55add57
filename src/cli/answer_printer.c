#include "cli/answer_printer.h"

#include "base/term.h"

#define MAX_ANSWER_BYTES ((size_t)256 << 20)

void answer_printer_init(struct answer_printer *p, const struct answer_printer_settings *settings) {
    *p = (struct answer_printer){.settings = *settings,
                                 .colour = settings->out && term_has_colour(settings->out)};
    atomic_init(&p->has_begun, false);
    atomic_init(&p->is_over, false);
    buf_init(&p->content, MAX_ANSWER_BYTES);
    buf_init(&p->reasoning, MAX_ANSWER_BYTES);
}

void answer_printer_release(struct answer_printer *p) {
    buf_release(&p->content);
    buf_release(&p->reasoning);
}

static void print_thinking(struct answer_printer *p, const char *text, size_t n) {
    buf_append(&p->reasoning, text, n);
    if (p->settings.hide_thinking || !p->settings.out) return;
    if (!p->thinking_shown && p->colour) fputs("\x1b[2m", p->settings.out);
    p->thinking_shown = true;
    fwrite(text, 1, n, p->settings.out);
}

static void print_content(struct answer_printer *p, const char *text, size_t n) {
    buf_append(&p->content, text, n);
    if (!p->settings.out) return;
    if (p->thinking_shown) {
        fputs(p->colour ? "\x1b[0m\n\n" : "\n\n", p->settings.out);
        p->thinking_shown = false;
    }
    if (!p->started) /* some vocabularies begin every word with a space */
        while (n > 0 && *text == ' ')
            text++, n--;
    if (n > 0) p->started = true;
    fwrite(text, 1, n, p->settings.out);
}

static void take_start(struct answer_printer *p, uint32_t n_left_out) {
    if (n_left_out > p->settings.n_left_out)
        fprintf(stderr,
                "hearth: the context of %u tokens is full; the oldest messages are left out\n",
                p->settings.n_ctx);
    p->n_left_out = n_left_out;
}

static void end(struct answer_printer *p) {
    if (p->thinking_shown && p->colour) fputs("\x1b[0m", p->settings.out);
    if (p->settings.out) fflush(p->settings.out);
    atomic_store(&p->is_over, true);
    p->settings.wake();
}

static void note_begun(struct answer_printer *p) {
    if (!atomic_exchange(&p->has_begun, true)) p->settings.wake();
}

static bool take(void *context, const struct event *event) {
    struct answer_printer *p = context;
    switch (event->kind) {
    case EVENT_STARTED: take_start(p, event->n_left_out); break;
    case EVENT_REASONING: print_thinking(p, event->text.data, event->text.length); break;
    case EVENT_TEXT: print_content(p, event->text.data, event->text.length); break;
    case EVENT_FINISHED: p->reason = event->finished.reason; break;
    case EVENT_DONE: p->usage = event->usage; break;
    case EVENT_FAILED:
        p->status = error_set(&p->err, event->failed.status, "%s", event->failed.message);
        break;
    case EVENT_TOOL_CALL:
    case EVENT_EMBEDDING: break; /* neither is asked for */
    }
    if (event->kind == EVENT_REASONING || event->kind == EVENT_TEXT) note_begun(p);
    bool last = event->kind == EVENT_DONE || event->kind == EVENT_FAILED;
    if (p->settings.out && !last) fflush(p->settings.out);
    if (last || (p->settings.out && ferror(p->settings.out))) end(p);
    return !atomic_load(&p->is_over);
}

struct event_sink answer_printer_sink(struct answer_printer *printer) {
    return (struct event_sink){take, printer};
}

bool answer_printer_has_begun(const struct answer_printer *printer) {
    return atomic_load(&printer->has_begun);
}

bool answer_printer_is_over(const struct answer_printer *printer) {
    return atomic_load(&printer->is_over);
}
