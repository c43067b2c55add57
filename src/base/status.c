#define STATUS_DEFINITIONS
#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Messages quote names from files and sockets; control characters in them must not
 * reach a terminal or break a log line. */
static void one_line(char *message) {
    for (; *message; message++)
        if ((unsigned char)*message < 0x20 || *message == 0x7f) *message = '?';
}

hearth_status error_set(hearth_error *err, hearth_status code, const char *format, ...) {
    if (err) {
        va_list args;
        va_start(args, format);
        err->code = code;
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        one_line(err->message);
    }
    return code;
}

hearth_status error_prefix(hearth_error *err, hearth_status code, const char *format, ...) {
    if (err) {
        char rest[HEARTH_ERROR_MESSAGE_BYTES];
        memcpy(rest, err->message, sizeof rest);
        rest[sizeof rest - 1] = '\0';
        va_list args;
        va_start(args, format);
        int n = vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        if (n >= 0 && (size_t)n < sizeof err->message)
            snprintf(err->message + n, sizeof err->message - (size_t)n, ": %s", rest);
        one_line(err->message);
        err->code = code;
    }
    return code;
}

hearth_status error_set_errno(hearth_error *err, const char *format, ...) {
    int saved = errno;
    if (err) {
        va_list args;
        va_start(args, format);
        int n = vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        if (n >= 0 && (size_t)n < sizeof err->message)
            snprintf(err->message + n, sizeof err->message - (size_t)n, ": %s", strerror(saved));
        one_line(err->message);
        err->code = HEARTH_ERROR_IO;
    }
    return HEARTH_ERROR_IO;
}
