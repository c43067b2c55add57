/* tune_uploads.h - files of examples that were looked at and may become runs, kept for a while in
 * Hearth's state folder: the same bytes once, so many files and bytes at most, the oldest go first.
 * A run copies its file, so nothing is lost with it.
 *
 * A file's id is made of its bytes; names that clients give become harmless. Any thread. */
#ifndef HEARTH_SERVER_TUNE_UPLOADS_H
#define HEARTH_SERVER_TUNE_UPLOADS_H

#include <stddef.h>

#include "base/status.h"

enum { UPLOAD_ID_BYTES = 33, UPLOADS_MOST = 32 };
#define UPLOADS_MOST_BYTES ((uint64_t)1 << 30)

/* `name`: as the client calls it, or NULL; only the kind of file that its ending tells matters. */
hearth_status tune_uploads_keep(const char *name, const void *data, size_t size,
                                char id[UPLOAD_ID_BYTES], hearth_error *err);
/* The path, given. HEARTH_ERROR_NOT_FOUND: no such file, or no longer. */
hearth_status tune_uploads_find(const char *id, char **path, hearth_error *err);
/* What the file at such a path is called; borrowed from it. */
const char *tune_uploads_name(const char *path);

#endif
