/* hearth.h - the public interface of libhearth.
 *
 * Reading order: status and errors; then the simple calls (open a model, ask it
 * something); then sessions, tokens and logits for those who drive the model
 * themselves. Every type is opaque. Every fallible function returns a
 * hearth_status and fills a hearth_error when one is given. Nothing here prints
 * or ends the process. */
#ifndef HEARTH_H
#define HEARTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- status and errors ------------------------------------------------- */

typedef enum hearth_status {
    HEARTH_OK = 0,
    HEARTH_ERROR_ARGUMENT,    /* the caller passed something impossible */
    HEARTH_ERROR_NO_MEMORY,   /* an allocation failed or a budget is exhausted */
    HEARTH_ERROR_IO,          /* the operating system refused: file, disk, socket */
    HEARTH_ERROR_FORMAT,      /* a file or text is damaged or not what it claims */
    HEARTH_ERROR_UNSUPPORTED, /* well formed, but Hearth cannot do it */
    HEARTH_ERROR_LIMIT,       /* a named limit was reached */
    HEARTH_ERROR_NOT_FOUND,   /* no such file, model, tensor, token */
    HEARTH_ERROR_CANCELLED,   /* the caller asked to stop */
    HEARTH_ERROR_INTERNAL     /* a defect of Hearth; please report it */
} hearth_status;

#define HEARTH_ERROR_MESSAGE_BYTES 512

/* What went wrong, in one line: what failed, what was expected, what was found,
 * what to do. The caller holds it; the library fills it. */
typedef struct hearth_error {
    hearth_status code;
    char message[HEARTH_ERROR_MESSAGE_BYTES];
} hearth_error;

#ifdef __cplusplus
}
#endif
#endif
