/* status.h - how functions fail.
 *
 * A fallible function returns a hearth_status and takes a nullable
 * `hearth_error *` as its last parameter. Messages are lower case, one line:
 * what failed, what was expected, what was found, what to do. */
#ifndef HEARTH_BASE_STATUS_H
#define HEARTH_BASE_STATUS_H

#include "hearth.h"

/* Fills `err` (may be NULL) and returns `code`, so that callers can
 * `return error_set(err, HEARTH_ERROR_FORMAT, "...", ...)`. */
hearth_status error_set(hearth_error *err, hearth_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " in front of a message that is already there; returns its code. */
hearth_status error_prefix(hearth_error *err, hearth_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As error_set with HEARTH_ERROR_IO and the text of the current errno appended. */
hearth_status error_set_errno(hearth_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The analyzer reads one file at a time; this tells it what the three return. */
#if defined(__clang_analyzer__) && !defined(STATUS_DEFINITIONS)
#define error_set(err, code, ...) (error_set(err, code, __VA_ARGS__), (code))
#define error_prefix(err, code, ...) (error_prefix(err, code, __VA_ARGS__), (code))
#define error_set_errno(err, ...) (error_set_errno(err, __VA_ARGS__), HEARTH_ERROR_IO)
#endif

/* Returns early from the calling function when `expr` is not HEARTH_OK; only for
 * functions that own nothing at that point. */
#define RETURN_IF_ERROR(expr)                                                                      \
    do {                                                                                           \
        hearth_status status_ = (expr);                                                            \
        if (status_ != HEARTH_OK) return status_;                                                  \
    } while (0)

#endif
