#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"

enum { PATH_MAX_BYTES = 4096, FOLDER_MAX_ENTRIES = 1 << 20 };

static hearth_status open_regular(const char *path, int *fd, uint64_t *size, hearth_error *err) {
    struct stat info;
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0) {
        hearth_status status = error_set_errno(err, "cannot open '%s'", path);
        return errno == ENOENT && err ? (err->code = HEARTH_ERROR_NOT_FOUND) : status;
    }
    if (fstat(*fd, &info) != 0) {
        error_set_errno(err, "cannot examine '%s'", path);
    } else if (!S_ISREG(info.st_mode)) {
        error_set(err, HEARTH_ERROR_IO, "cannot read '%s': it is not a regular file", path);
    } else {
        *size = (uint64_t)info.st_size;
        return HEARTH_OK;
    }
    close(*fd);
    *fd = -1;
    return HEARTH_ERROR_IO;
}

hearth_status file_map_open(struct file_map *map, const char *path, hearth_error *err) {
    int fd;
    uint64_t size = 0;
    *map = (struct file_map){0};
    RETURN_IF_ERROR(open_regular(path, &fd, &size, err));
    if (size > 0) {
        void *data = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0);
        if (data == MAP_FAILED) {
            error_set_errno(err, "cannot map '%s' (%llu bytes)", path, (unsigned long long)size);
            close(fd);
            return HEARTH_ERROR_IO;
        }
        map->data = data;
        map->size = (size_t)size;
        if (size >= HUGE_PAGE_BYTES) madvise(data, (size_t)size, MADV_HUGEPAGE); /* a wish */
    }
    close(fd);
    return HEARTH_OK;
}

void file_map_close(struct file_map *map) {
    if (map->data) munmap((void *)(uintptr_t)map->data, map->size);
    *map = (struct file_map){0};
}

hearth_status file_read(const char *path, size_t max_bytes, char **data, size_t *size,
                        hearth_error *err) {
    FILE *stream = NULL;
    struct buf content;
    hearth_status status = HEARTH_OK;
    *data = NULL;
    *size = 0;
    buf_init(&content, max_bytes);
    stream = fopen(path, "rbe");
    if (!stream) {
        status = error_set_errno(err, "cannot open '%s'", path);
        if (errno == ENOENT) {
            status = HEARTH_ERROR_NOT_FOUND;
            if (err) err->code = status;
        }
        return status;
    }
    char block[16384];
    size_t got;
    while ((got = fread(block, 1, sizeof block, stream)) > 0) {
        if (got > max_bytes - content.length) {
            status = error_set(err, HEARTH_ERROR_LIMIT,
                               "cannot read '%s': it is larger than %zu bytes", path, max_bytes);
            goto done;
        }
        if (!buf_append(&content, block, got)) {
            status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to read '%s'", path);
            goto done;
        }
    }
    if (ferror(stream)) {
        status = error_set_errno(err, "cannot read '%s'", path);
        goto done;
    }
    *size = content.length;
    *data = buf_take(&content);
    if (!*data) status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to read '%s'", path);
done:
    buf_release(&content);
    fclose(stream);
    return status;
}

/* `path` ends in ".XXXXXX". Unlike mkstemp with the mode that the process's mask leaves, which no
 * thread can ask for without changing it for all of them. -1: errno says why. */
static int make_temporary(char *path) {
    enum { SUFFIX = 6, TRIES = 64 };
    int fd = -1;
    errno = EEXIST;
    for (int i = 0; i < TRIES && fd < 0 && errno == EEXIST; i++) {
        unsigned number = (unsigned)rng_entropy() & 0xffffff;
        snprintf(path + strlen(path) - SUFFIX, SUFFIX + 1, "%06x", number);
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    }
    return fd;
}

hearth_status file_writer_open(struct file_writer *writer, const char *path, hearth_error *err) {
    *writer = (struct file_writer){0};
    size_t length = strlen(path) + sizeof ".XXXXXX";
    writer->path = mem_strdup(path);
    char *temporary = writer->path ? mem_alloc(length) : NULL;
    if (!temporary) {
        file_writer_discard(writer);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to write '%s'", path);
    }
    snprintf(temporary, length, "%s.XXXXXX", path);
    int fd = make_temporary(temporary);
    if (fd < 0) {
        error_set_errno(err, "cannot create a file beside '%s'", path);
        mem_free(temporary);
        file_writer_discard(writer);
        return HEARTH_ERROR_IO;
    }
    writer->temporary = temporary; /* discard removes it from here on */
    if (!(writer->stream = fdopen(fd, "wb"))) {
        error_set_errno(err, "cannot write '%s'", path);
        close(fd);
        file_writer_discard(writer);
        return HEARTH_ERROR_IO;
    }
    writer->buffer = mem_alloc(HUGE_PAGE_BYTES);
    if (writer->buffer) setvbuf(writer->stream, writer->buffer, _IOFBF, HUGE_PAGE_BYTES);
    return HEARTH_OK;
}

hearth_status file_writer_put(struct file_writer *writer, const void *data, size_t size_bytes,
                              hearth_error *err) {
    if (fwrite(data, 1, size_bytes, writer->stream) != size_bytes)
        return error_set_errno(err, "cannot write '%s'", writer->path);
    return HEARTH_OK;
}

hearth_status file_sync_folder(const char *path, hearth_error *err) {
    char *folder = path_folder(path);
    hearth_status status = HEARTH_OK;
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (!folder)
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    else if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL)) /* some file systems have none */
        status = error_set_errno(err, "cannot bring the folder of '%s' to the disk", path);
    if (fd >= 0) close(fd);
    mem_free(folder);
    return status;
}

hearth_status file_writer_finish(struct file_writer *writer, hearth_error *err) {
    hearth_status status = HEARTH_OK;
    if (!writer->stream) return HEARTH_OK;
    if (fflush(writer->stream) != 0 || fsync(fileno(writer->stream)) != 0)
        status = error_set_errno(err, "cannot write '%s'", writer->path);
    if (fclose(writer->stream) != 0 && status == HEARTH_OK)
        status = error_set_errno(err, "cannot write '%s'", writer->path);
    writer->stream = NULL;
    return status;
}

hearth_status file_writer_commit(struct file_writer *writer, hearth_error *err) {
    hearth_status status = file_writer_finish(writer, err);
    if (status == HEARTH_OK && rename(writer->temporary, writer->path) != 0)
        status =
            error_set_errno(err, "cannot rename '%s' to '%s'", writer->temporary, writer->path);
    if (status == HEARTH_OK) {
        file_sync_folder(writer->path, NULL);
        mem_free(writer->temporary);
        writer->temporary = NULL;
    }
    file_writer_discard(writer);
    return status;
}

void file_writer_discard(struct file_writer *writer) {
    if (writer->stream) fclose(writer->stream);
    if (writer->temporary) unlink(writer->temporary);
    mem_free(writer->temporary);
    mem_free(writer->path);
    mem_free(writer->buffer);
    *writer = (struct file_writer){0};
}

hearth_status file_write(const char *path, const void *data, size_t size_bytes, hearth_error *err) {
    struct file_writer writer;
    RETURN_IF_ERROR(file_writer_open(&writer, path, err));
    hearth_status status = file_writer_put(&writer, data, size_bytes, err);
    if (status == HEARTH_OK) return file_writer_commit(&writer, err);
    file_writer_discard(&writer);
    return status;
}

hearth_status file_append(const char *path, const void *data, size_t size_bytes,
                          hearth_error *err) {
    hearth_status status = HEARTH_OK;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return error_set_errno(err, "cannot open '%s' for writing", path);
    ssize_t written = write(fd, data, size_bytes);
    if (written < 0 || fsync(fd) != 0)
        status = error_set_errno(err, "cannot write '%s'", path);
    else if ((size_t)written != size_bytes)
        status = error_set(err, HEARTH_ERROR_IO, "cannot write '%s': the disk is full", path);
    close(fd);
    return status;
}

hearth_status file_lock_open(struct file_lock *lock, const char *path, bool *taken,
                             hearth_error *err) {
    *taken = false;
    lock->descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lock->descriptor < 0) return error_set_errno(err, "cannot create the lock '%s'", path);
    *taken = flock(lock->descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (*taken) file_lock_close(lock);
    return HEARTH_OK;
}

void file_lock_close(struct file_lock *lock) {
    if (lock->descriptor >= 0) close(lock->descriptor);
    lock->descriptor = -1;
}

bool file_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

bool file_is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

hearth_status file_size(const char *path, uint64_t *size_bytes, hearth_error *err) {
    struct stat info;
    if (stat(path, &info) != 0) return error_set_errno(err, "cannot examine '%s'", path);
    *size_bytes = (uint64_t)info.st_size;
    return HEARTH_OK;
}

int64_t file_modified(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 ? (int64_t)info.st_mtime : 0;
}

hearth_status file_make_folders(const char *path, hearth_error *err) {
    char partial[PATH_MAX_BYTES];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof partial)
        return error_set(err, HEARTH_ERROR_LIMIT, "cannot create folder: the path has %zu bytes",
                         length);
    memcpy(partial, path, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (partial[i] != '/' && partial[i] != '\0') continue;
        char kept = partial[i];
        partial[i] = '\0';
        if (mkdir(partial, 0777) != 0 && errno != EEXIST)
            return error_set_errno(err, "cannot create folder '%s'", partial);
        partial[i] = kept;
    }
    if (!file_is_folder(path))
        return error_set(err, HEARTH_ERROR_IO, "cannot use '%s': it is not a folder", path);
    return HEARTH_OK;
}

uint64_t file_disk_free(const char *path) {
    struct statvfs info;
    return statvfs(path, &info) == 0 ? (uint64_t)info.f_bavail * info.f_frsize : 0;
}

char *path_join(const char *folder, const char *name) {
    size_t n = strlen(folder), m = strlen(name);
    bool slash = n > 0 && folder[n - 1] != '/';
    char *path = mem_alloc(n + m + 2);
    if (!path) return NULL;
    memcpy(path, folder, n);
    if (slash) path[n++] = '/';
    memcpy(path + n, name, m + 1);
    return path;
}

const char *path_base(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *path_folder(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return mem_strdup(".");
    return slash == path ? mem_strdup("/") : mem_strndup(path, (size_t)(slash - path));
}

char *path_absolute(const char *path) {
    char here[PATH_MAX_BYTES];
    if (path[0] == '/') return mem_strdup(path);
    return getcwd(here, sizeof here) ? path_join(here, path) : NULL;
}

char *path_real(const char *path) {
    char *real = realpath(path, NULL), *copy = real ? mem_strdup(real) : NULL;
    free(real);
    return copy;
}

char *path_program(void) {
    char path[PATH_MAX_BYTES];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path);
    return n > 0 && (size_t)n < sizeof path ? mem_strndup(path, (size_t)n) : NULL;
}

char *path_home(enum path_kind kind) {
    static const struct {
        const char *variable, *fallback, *own;
    } places[] = {
        [PATH_DATA] = {"XDG_DATA_HOME", ".local/share", "data"},
        [PATH_CONFIG] = {"XDG_CONFIG_HOME", ".config", "config"},
        [PATH_CACHE] = {"XDG_CACHE_HOME", ".cache", "cache"},
        [PATH_STATE] = {"XDG_STATE_HOME", ".local/state", "state"},
    };
    const char *own = getenv("HEARTH_HOME");
    if (own && *own) return path_join(own, places[kind].own);
    const char *xdg = getenv(places[kind].variable);
    if (xdg && xdg[0] == '/') return path_join(xdg, "hearth");
    const char *home = getenv("HOME");
    char *base = path_join(home && *home ? home : "/tmp", places[kind].fallback);
    char *path = base ? path_join(base, "hearth") : NULL;
    mem_free(base);
    return path;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

hearth_status file_list(const char *folder, char ***names, size_t *count, hearth_error *err) {
    size_t capacity = 0;
    hearth_status status = HEARTH_OK;
    *names = NULL;
    *count = 0;
    DIR *dir = opendir(folder);
    if (!dir) return error_set_errno(err, "cannot open folder '%s'", folder);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (*count == capacity) {
            capacity = capacity ? capacity * 2 : 32;
            char **grown = capacity <= FOLDER_MAX_ENTRIES
                               ? mem_realloc_array(*names, capacity, sizeof *grown)
                               : NULL;
            if (!grown) goto no_memory;
            *names = grown;
        }
        char *copy = mem_strdup(entry->d_name);
        if (!copy) goto no_memory;
        (*names)[(*count)++] = copy;
    }
    if (*count) qsort(*names, *count, sizeof **names, compare_names);
    goto done;
no_memory:
    status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to list folder '%s'", folder);
    file_names_free(*names, *count);
    *names = NULL;
    *count = 0;
done:
    closedir(dir);
    return status;
}

void file_names_free(char **names, size_t count) {
    for (size_t i = 0; i < count; i++)
        mem_free(names[i]);
    mem_free(names);
}
