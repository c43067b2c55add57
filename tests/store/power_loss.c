#include "store/power_loss.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/rng.h"

/* What a write replaced, so that it can be taken back. */
struct replaced {
    const char *path; /* SQLite keeps it as long as the file is open */
    sqlite3_int64 offset, size_before;
    size_t n, n_old; /* bytes written; of these there before */
    unsigned char *old;
};

struct watched {
    sqlite3_file base;
    const char *path;
    sqlite3_file *real;
};

static struct {
    sqlite3_vfs vfs, *real;
    struct replaced *list;
    size_t count;
    uint64_t countdown;
    struct rng rng;
} power;

static sqlite3_file *real_of(sqlite3_file *file) {
    return ((struct watched *)file)->real;
}

/* ---- losing ---------------------------------------------------------------------------------- */

static void take_back(const struct replaced *r, bool all) {
    static const unsigned char zeros[1 << 16];
    int fd = open(r->path, O_RDWR | O_CLOEXEC);
    if (fd < 0) _exit(1);
    if (pwrite(fd, r->old, r->n_old, r->offset) != (ssize_t)r->n_old) _exit(1);
    if (all && ftruncate(fd, r->size_before) != 0) _exit(1);
    for (size_t at = r->n_old; !all && at < r->n; at += sizeof zeros) {
        size_t n = r->n - at < sizeof zeros ? r->n - at : sizeof zeros;
        if (pwrite(fd, zeros, n, r->offset + (sqlite3_int64)at) != (ssize_t)n) _exit(1);
    }
    close(fd);
}

static void lose_power(void) {
    bool all = rng_u64(&power.rng) % 2 == 0;
    for (size_t i = power.count; i-- > 0;)
        if (all || rng_u64(&power.rng) % 2 == 0) take_back(&power.list[i], all);
    _exit(POWER_LOSS_EXIT);
}

static void count_down(void) {
    if (--power.countdown == 0) lose_power();
}

static void remember(const struct watched *file, sqlite3_int64 offset, size_t n) {
    struct replaced r = {.path = file->path, .offset = offset, .n = n};
    struct stat info;
    int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) _exit(1);
    r.size_before = info.st_size;
    if (offset < r.size_before)
        r.n_old = r.size_before - offset < (sqlite3_int64)n ? (size_t)(r.size_before - offset) : n;
    r.old = malloc(r.n_old + 1);
    power.list = realloc(power.list, (power.count + 1) * sizeof *power.list);
    if (!r.old || !power.list || pread(fd, r.old, r.n_old, offset) != (ssize_t)r.n_old) _exit(1);
    power.list[power.count++] = r;
    close(fd);
}

/* What was written to the file is safe. */
static void forget(const char *path) {
    size_t kept = 0;
    for (size_t i = 0; i < power.count; i++)
        if (strcmp(power.list[i].path, path) != 0)
            power.list[kept++] = power.list[i];
        else
            free(power.list[i].old);
    power.count = kept;
}

/* ---- files ----------------------------------------------------------------------------------- */

static int do_close(sqlite3_file *file) {
    return real_of(file)->pMethods->xClose(real_of(file));
}
static int do_read(sqlite3_file *file, void *out, int n, sqlite3_int64 offset) {
    return real_of(file)->pMethods->xRead(real_of(file), out, n, offset);
}
static int do_write(sqlite3_file *file, const void *data, int n, sqlite3_int64 offset) {
    count_down();
    remember((struct watched *)file, offset, (size_t)n);
    return real_of(file)->pMethods->xWrite(real_of(file), data, n, offset);
}
static int do_truncate(sqlite3_file *file, sqlite3_int64 size) {
    sqlite3_int64 before;
    if (real_of(file)->pMethods->xFileSize(real_of(file), &before) != SQLITE_OK) _exit(1);
    if (size < before) remember((struct watched *)file, size, (size_t)(before - size));
    return real_of(file)->pMethods->xTruncate(real_of(file), size);
}
/* The real one is not needed: nothing is lost but what is taken back here. */
static int do_sync(sqlite3_file *file, int flags) {
    (void)flags;
    count_down();
    forget(((struct watched *)file)->path);
    return SQLITE_OK;
}
static int do_size(sqlite3_file *file, sqlite3_int64 *size) {
    return real_of(file)->pMethods->xFileSize(real_of(file), size);
}
static int do_lock(sqlite3_file *file, int level) {
    return real_of(file)->pMethods->xLock(real_of(file), level);
}
static int do_unlock(sqlite3_file *file, int level) {
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}
static int do_is_reserved(sqlite3_file *file, int *out) {
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}
static int do_control(sqlite3_file *file, int op, void *argument) {
    return real_of(file)->pMethods->xFileControl(real_of(file), op, argument);
}
static int do_sector(sqlite3_file *file) {
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}
static int do_characteristics(sqlite3_file *file) {
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}
static int do_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out) {
    return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, out);
}
static int do_shm_lock(sqlite3_file *file, int offset, int n, int flags) {
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, n, flags);
}
static void do_shm_barrier(sqlite3_file *file) {
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}
static int do_shm_unmap(sqlite3_file *file, int remove) {
    return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = do_close,
    .xRead = do_read,
    .xWrite = do_write,
    .xTruncate = do_truncate,
    .xSync = do_sync,
    .xFileSize = do_size,
    .xLock = do_lock,
    .xUnlock = do_unlock,
    .xCheckReservedLock = do_is_reserved,
    .xFileControl = do_control,
    .xSectorSize = do_sector,
    .xDeviceCharacteristics = do_characteristics,
    .xShmMap = do_shm_map,
    .xShmLock = do_shm_lock,
    .xShmBarrier = do_shm_barrier,
    .xShmUnmap = do_shm_unmap,
};

/* Temporary files have no name, and nothing of theirs is missed. */
static int open_watched(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags,
                        int *out_flags) {
    struct watched *watched = (struct watched *)file;
    (void)vfs;
    if (!path) return power.real->xOpen(power.real, path, file, flags, out_flags);
    *watched = (struct watched){.path = path, .real = (sqlite3_file *)(watched + 1)};
    int code = power.real->xOpen(power.real, path, watched->real, flags, out_flags);
    if (watched->real->pMethods) watched->base.pMethods = &methods;
    return code;
}

void power_loss_install(uint64_t countdown, uint64_t seed) {
    power.real = sqlite3_vfs_find(NULL);
    power.vfs = *power.real;
    power.vfs.zName = "power-loss";
    power.vfs.pNext = NULL;
    power.vfs.szOsFile += (int)sizeof(struct watched);
    power.vfs.xOpen = open_watched;
    power.countdown = countdown;
    rng_seed(&power.rng, seed);
    if (sqlite3_vfs_register(&power.vfs, 1) != SQLITE_OK) _exit(1);
}
