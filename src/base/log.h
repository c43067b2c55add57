/* log.h - the library's only way to say something unasked: warnings and notes go
 * to a sink the program sets. Without a sink they vanish. */
#ifndef HEARTH_BASE_LOG_H
#define HEARTH_BASE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING };

typedef void (*log_sink)(enum log_level level, const char *message, void *context);

void log_set_sink(log_sink sink, void *context, enum log_level least);
void log_message(enum log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
