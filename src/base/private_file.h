/* private_file.h - files that nobody but their owner may read. */
#ifndef HEARTH_BASE_PRIVATE_FILE_H
#define HEARTH_BASE_PRIVATE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Makes the file with these bytes, mode 0600, on the disk when this returns; where one of that
 * name is already there, also one made at the same moment by another process, it stays. */
hearth_status private_file_make(const char *path, const void *data, size_t size_bytes,
                                hearth_error *err);
/* Exactly `size_bytes`. HEARTH_ERROR_NOT_FOUND: there is none. Refuses files of another length
 * and those that others may read. */
hearth_status private_file_read(const char *path, void *data, size_t size_bytes, hearth_error *err);
/* A whole file of at most `max_bytes` that came from elsewhere, such as the key of a certificate;
 * `*text` is given (mem_free) and followed by a NUL that `*size_bytes` does not count. Refuses one
 * that others may read; a group may where the file is root's, as it is where a system keeps such
 * keys for several services. */
hearth_status private_file_text(const char *path, size_t max_bytes, char **text, size_t *size_bytes,
                                hearth_error *err);
/* Makes an empty file of mode 0600, or takes others' permissions from one that is there, as far
 * as this user may. */
void private_file_prepare(const char *path);
/* Makes a folder, and those above it, or takes others' permissions from one that is there, as far
 * as this user may. */
hearth_status private_folder_make(const char *path, hearth_error *err);

#endif
