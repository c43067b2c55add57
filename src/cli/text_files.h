/* text_files.h - the texts of files of text and of data sets, one after the other.
 *
 * A file whose name ends in .jsonl is a data set: each line is a JSON value, and every
 * string under the keys "text", "content" and "reasoning_content", however deep, is a text.
 * Any other file is plain text and given in parts of about a megabyte, cut only where a
 * line begins with something that is no white space. */
#ifndef HEARTH_CLI_TEXT_FILES_H
#define HEARTH_CLI_TEXT_FILES_H

#include <stddef.h>

#include "base/status.h"

enum { TEXT_FILE_PART_BYTES = 1 << 20, TEXT_FILE_MAX_DEPTH = 16 };

/* Gets each text; borrowed during the call. `done`: bytes of the file behind it. */
typedef hearth_status text_taker(void *context, const char *text, size_t n, size_t done,
                                 hearth_error *err);

/* An error names the file, and the line of a data set. */
hearth_status text_file_read(const char *path, text_taker *take, void *context, hearth_error *err);

#endif
