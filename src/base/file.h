/* file.h - files: mapping, whole reads, atomic writes, paths.
 *
 * Reads have a named limit. A write becomes visible only when it is complete:
 * temporary file in the same folder, fsync, rename. */
#ifndef HEARTH_BASE_FILE_H
#define HEARTH_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

/* A read-only mapping of a whole file. Where the system can, the file comes into the page
 * cache in huge pages and is mapped by them: what reads it from end to end again and again
 * then does so as fast as memory. A file that is in the cache in small pages, because it
 * was written so, stays in them until it has left the cache. */
struct file_map {
    const uint8_t *data;
    size_t size;
};

hearth_status file_map_open(struct file_map *map, const char *path, hearth_error *err);
void file_map_close(struct file_map *map); /* a zeroed or closed map is fine */

/* Reads a whole file of at most `max_bytes`; `*data` is given (mem_free) and is
 * followed by a NUL that `*size` does not count. */
hearth_status file_read(const char *path, size_t max_bytes, char **data, size_t *size,
                        hearth_error *err);

/* A file being written. Write to `stream`; commit makes it appear under its name,
 * discard removes what was written. One of the two ends it. It goes to the system in
 * pieces of a huge page, so that file systems that can keep it in the page cache so. */
struct file_writer {
    FILE *stream;
    char *buffer; /* of the stream */
    char *path, *temporary;
};

hearth_status file_writer_open(struct file_writer *writer, const char *path, hearth_error *err);
hearth_status file_writer_put(struct file_writer *writer, const void *data, size_t size_bytes,
                              hearth_error *err);
/* Everything is on the disk, not yet under its name; for several files that are to
 * appear together. Nothing can be put afterwards; commit or discard still follows. */
hearth_status file_writer_finish(struct file_writer *writer, hearth_error *err);
hearth_status file_writer_commit(struct file_writer *writer, hearth_error *err);
void file_writer_discard(struct file_writer *writer);

hearth_status file_write(const char *path, const void *data, size_t size_bytes, hearth_error *err);

/* Adds to the end of a file, which is created if need be: in one piece, so that lines of
 * several processes do not mix, and on the disk when it returns. */
hearth_status file_append(const char *path, const void *data, size_t size_bytes, hearth_error *err);

/* Brings the name of a file that was made, renamed or removed to the disk. */
hearth_status file_sync_folder(const char *path, hearth_error *err);

/* A lock between processes: held from open to close, or to the end of the process, however it
 * ends. `*taken`: another process has it (HEARTH_OK; nothing is to be closed). On file systems
 * without locks everyone gets it. */
struct file_lock {
    int descriptor; /* -1: none */
};
hearth_status file_lock_open(struct file_lock *lock, const char *path, bool *taken,
                             hearth_error *err);
void file_lock_close(struct file_lock *lock); /* twice is fine */

bool file_exists(const char *path);
bool file_is_folder(const char *path);
hearth_status file_size(const char *path, uint64_t *size_bytes, hearth_error *err);
int64_t file_modified(const char *path); /* seconds since 1970; 0: unknown */
hearth_status file_make_folders(const char *path, hearth_error *err); /* like mkdir -p */
uint64_t file_disk_free(const char *path); /* bytes available to this user; 0 unknown */

/* "folder/name", given (mem_free); NULL when memory is exhausted. */
char *path_join(const char *folder, const char *name);
const char *path_base(const char *path); /* after the last '/', borrowed */
char *path_folder(const char *path);     /* before the last '/', "." if none; given */
char *path_absolute(const char *path);   /* from this folder, links kept; given */
char *path_real(const char *path);       /* links followed; given; NULL: not there */
char *path_program(void); /* of the program that runs, links followed; given; NULL: unknown */

enum path_kind { PATH_DATA, PATH_CONFIG, PATH_CACHE, PATH_STATE };
/* Hearth's own folder of that kind: $HEARTH_HOME/<kind> or the XDG base directory
 * (XDG Base Directory Specification 0.8) + "/hearth"; given. Not created. */
char *path_home(enum path_kind kind);

/* Names in a folder, sorted, without "." and ".."; given: free with file_names_free. */
hearth_status file_list(const char *folder, char ***names, size_t *count, hearth_error *err);
void file_names_free(char **names, size_t count);

#endif
