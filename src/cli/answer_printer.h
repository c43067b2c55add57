/* answer_printer.h - an answer on its way to the terminal, from the events of a backend.
 *
 * What the model thinks is shown dimmed, or not at all, and is no part of the answer's text. Events
 * come on a thread of the backend: until job_finish has returned, only how far it is may be asked
 * of it elsewhere. */
#ifndef HEARTH_CLI_ANSWER_PRINTER_H
#define HEARTH_CLI_ANSWER_PRINTER_H

#include <stdatomic.h>
#include <stdio.h>

#include "base/buf.h"
#include "chat/event.h"

struct answer_printer_settings {
    FILE *out; /* NULL: nothing is printed */
    bool hide_thinking;
    uint32_t n_ctx;      /* tokens of the context, and */
    uint32_t n_left_out; /* messages that had no room in it before: more of them are told */
    void (*wake)(void);  /* the answer has begun, or is over */
};

struct answer_printer {
    struct answer_printer_settings settings;
    bool colour, started, thinking_shown;
    struct buf content, reasoning; /* whole, though shown in part */
    uint32_t n_left_out;           /* messages without room in the context */
    enum finish_reason reason;
    struct event_usage usage;
    hearth_status status; /* of the answer, with `err` */
    hearth_error err;
    atomic_bool has_begun, is_over;
};

void answer_printer_init(struct answer_printer *printer,
                         const struct answer_printer_settings *settings);
void answer_printer_release(struct answer_printer *printer);
struct event_sink answer_printer_sink(struct answer_printer *printer);
/* Any thread: something was said, or thought; the last event came, or nobody reads what is printed
 * any more. */
bool answer_printer_has_begun(const struct answer_printer *printer);
bool answer_printer_is_over(const struct answer_printer *printer);

#endif
