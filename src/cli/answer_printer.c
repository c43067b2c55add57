#include "cli/answer_printer.h"

#include "base/term.h"

#define MAX_ANSWER_BYTES ((size_t)256 << 20)

void answer_printer_init(struct answer_printer *p, FILE *out, bool hide_thinking,
                         uint32_t n_left_out, void (*over)(void)) {
    *p = (struct answer_printer){.out = out,
                                 .hide_thinking = hide_thinking,
                                 .n_left_out = n_left_out,
                                 .colour = out && term_has_colour(out),
                                 .over = over};
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
    if (p->hide_thinking || !p->out) return;
    if (!p->thinking_shown && p->colour) fputs("\x1b[2m", p->out);
    p->thinking_shown = true;
    fwrite(text, 1, n, p->out);
}

static void print_content(struct answer_printer *p, const char *text, size_t n) {
    buf_append(&p->content, text, n);
    if (!p->out) return;
    if (p->thinking_shown) {
        fputs(p->colour ? "\x1b[0m\n\n" : "\n\n", p->out);
        p->thinking_shown = false;
    }
    if (!p->started) /* some vocabularies begin every word with a space */
        while (n > 0 && *text == ' ')
            text++, n--;
    if (n > 0) p->started = true;
    fwrite(text, 1, n, p->out);
}

static void take_start(struct answer_printer *p, uint32_t n_left_out) {
    if (n_left_out > p->n_left_out)
        fputs("hearth: the context is full; the oldest messages are left out\n", stderr);
    p->n_left_out = n_left_out;
}

static void end(struct answer_printer *p) {
    if (p->thinking_shown && p->colour) fputs("\x1b[0m", p->out);
    if (p->out) fflush(p->out);
    atomic_store(&p->is_over, true);
    p->over();
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
    bool last = event->kind == EVENT_DONE || event->kind == EVENT_FAILED;
    if (p->out && !last) fflush(p->out);
    if (last || (p->out && ferror(p->out))) end(p);
    return !atomic_load(&p->is_over);
}

struct event_sink answer_printer_sink(struct answer_printer *printer) {
    return (struct event_sink){take, printer};
}

bool answer_printer_is_over(const struct answer_printer *printer) {
    return atomic_load(&printer->is_over);
}
