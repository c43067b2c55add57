#include "base/private_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

/* A link appears whole, and never in the place of another file. */
static hearth_status link_into_place(const char *temporary, const char *path, hearth_error *err) {
    if (link(temporary, path) == 0 || errno == EEXIST) return file_sync_folder(path, err);
    return error_set_errno(err, "cannot create '%s'", path);
}

hearth_status private_file_make(const char *path, const void *data, size_t size_bytes,
                                hearth_error *err) {
    size_t length = strlen(path) + sizeof ".XXXXXX";
    char *temporary = mem_alloc(length);
    if (!temporary) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for '%s'", path);
    snprintf(temporary, length, "%s.XXXXXX", path);
    int fd = mkostemp(temporary, O_CLOEXEC); /* of mode 0600 */
    hearth_status status = HEARTH_OK;
    if (fd < 0)
        status = error_set_errno(err, "cannot create a file beside '%s'", path);
    else if (write(fd, data, size_bytes) != (ssize_t)size_bytes || fsync(fd) != 0)
        status = error_set_errno(err, "cannot write '%s'", temporary);
    else
        status = link_into_place(temporary, path, err);
    if (fd >= 0) {
        close(fd);
        unlink(temporary);
    }
    mem_free(temporary);
    return status;
}

static hearth_status read_checked(int fd, const char *path, void *data, size_t size_bytes,
                                  hearth_error *err) {
    struct stat info;
    if (fstat(fd, &info) != 0) return error_set_errno(err, "cannot examine '%s'", path);
    if (info.st_mode & (S_IRWXG | S_IRWXO))
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "'%s' has mode %04o: others may read what should be secret; 'chmod 600' "
                         "it if nobody has",
                         path, (unsigned)info.st_mode & 07777u);
    if (!S_ISREG(info.st_mode) || info.st_size != (off_t)size_bytes)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "'%s' is damaged: a file of %zu bytes was "
                         "expected",
                         path, size_bytes);
    if (read(fd, data, size_bytes) != (ssize_t)size_bytes)
        return error_set_errno(err, "cannot read '%s'", path);
    return HEARTH_OK;
}

hearth_status private_file_read(const char *path, void *data, size_t size_bytes,
                                hearth_error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        int code = errno;
        hearth_status status = error_set_errno(err, "cannot open '%s'", path);
        if (code != ENOENT) return status;
        if (err) err->code = HEARTH_ERROR_NOT_FOUND;
        return HEARTH_ERROR_NOT_FOUND;
    }
    hearth_status status = read_checked(fd, path, data, size_bytes, err);
    close(fd);
    return status;
}

static hearth_status check_secret(int fd, const char *path, size_t max_bytes, size_t *size_bytes,
                                  hearth_error *err) {
    struct stat info;
    if (fstat(fd, &info) != 0) return error_set_errno(err, "cannot examine '%s'", path);
    mode_t others = info.st_uid == 0 ? S_IWGRP | S_IXGRP | S_IRWXO : S_IRWXG | S_IRWXO;
    if (info.st_mode & others)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "'%s' has mode %04o: others may read what should be secret; 'chmod 600' "
                         "it if nobody has",
                         path, (unsigned)info.st_mode & 07777u);
    if (!S_ISREG(info.st_mode))
        return error_set(err, HEARTH_ERROR_ARGUMENT, "'%s' is not a file", path);
    if ((uintmax_t)info.st_size > max_bytes)
        return error_set(err, HEARTH_ERROR_LIMIT, "cannot read '%s': it is larger than %zu bytes",
                         path, max_bytes);
    *size_bytes = (size_t)info.st_size;
    return HEARTH_OK;
}

static hearth_status read_text(int fd, const char *path, size_t size_bytes, char **text,
                               hearth_error *err) {
    size_t n = 0;
    char *data = mem_alloc(size_bytes + 1);
    if (!data) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to read '%s'", path);
    for (ssize_t got = 1; got > 0 && n < size_bytes; n += (size_t)got) {
        got = read(fd, data + n, size_bytes - n);
        if (got > 0) continue;
        mem_free(data);
        if (got < 0) return error_set_errno(err, "cannot read '%s'", path);
        return error_set(err, HEARTH_ERROR_IO, "'%s' became shorter while it was read", path);
    }
    data[size_bytes] = '\0';
    *text = data;
    return HEARTH_OK;
}

hearth_status private_file_text(const char *path, size_t max_bytes, char **text, size_t *size_bytes,
                                hearth_error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *text = NULL;
    if (fd < 0) return error_set_errno(err, "cannot open '%s'", path);
    hearth_status status = check_secret(fd, path, max_bytes, size_bytes, err);
    if (status == HEARTH_OK) status = read_text(fd, path, *size_bytes, text, err);
    close(fd);
    return status;
}

/* By name: closing a descriptor would release the locks that this process has on the file. */
void private_file_prepare(const char *path) {
    struct stat info;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    else if (stat(path, &info) == 0 && S_ISREG(info.st_mode) &&
             (info.st_mode & (S_IRWXG | S_IRWXO)))
        (void)chmod(path, info.st_mode & S_IRWXU);
}

hearth_status private_folder_make(const char *path, hearth_error *err) {
    RETURN_IF_ERROR(file_make_folders(path, err));
    (void)chmod(path, S_IRWXU);
    return HEARTH_OK;
}
