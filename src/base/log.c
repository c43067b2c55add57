#include "base/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

enum { LOG_MESSAGE_BYTES = 1024 };

/* Set once by the program before threads start. */
static log_sink current_sink;
static void *current_context;
static enum log_level least_level;

void log_set_sink(log_sink sink, void *context, enum log_level least) {
    current_sink = sink;
    current_context = context;
    least_level = least;
}

void log_message(enum log_level level, const char *format, ...) {
    if (!current_sink || level < least_level) return;
    char message[LOG_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    current_sink(level, message, current_context);
}
