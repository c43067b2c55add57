#include "server/tune_uploads.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/date.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/private_file.h"
#include "base/remove_tree.h"
#include "base/sha256.h"

enum { NAME_BYTES = 100, TIME_DIGITS = 14 };

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a file of examples");
}

static char *uploads_folder(void) {
    char *home = path_home(PATH_STATE), *folder = home ? path_join(home, "tune-files") : NULL;
    mem_free(home);
    return folder;
}

static bool is_id(const char *text) {
    return strlen(text) == UPLOAD_ID_BYTES - 1 && text[strspn(text, "0123456789abcdef")] == '\0';
}

static void make_id(const void *data, size_t size, char id[UPLOAD_ID_BYTES]) {
    struct sha256 hash;
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX_BYTES];
    sha256_init(&hash);
    sha256_update(&hash, data, size);
    sha256_final(&hash, digest);
    sha256_hex(digest, hex);
    memcpy(id, hex, UPLOAD_ID_BYTES - 1);
    id[UPLOAD_ID_BYTES - 1] = '\0';
}

/* Of what is behind the last slash, letters, digits and "._-". */
static void make_name(const char *given, char name[NAME_BYTES]) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t n = 0, length = 0;
    const char *base = given ? given : "";
    for (const char *c = base; *c; c++)
        if (*c == '/' || *c == '\\') base = c + 1;
    length = strlen(base);
    if (length >= NAME_BYTES) base += length - NAME_BYTES + 1; /* the ending matters */
    while (*base == '.' || *base == '-')
        base++;
    for (; *base; base++)
        name[n++] = strchr(plain, *base) ? *base : '_';
    name[n] = '\0';
    if (n == 0) memcpy(name, "examples.jsonl", sizeof "examples.jsonl");
}

/* ---- room -------------------------------------------------------------------------------------
 */

/* A file lies in a folder of its own, FOLDER/ID/TIME-NAME. */
static char *only_file(const char *folder, const char *id) {
    char **names, *inside = path_join(folder, id), *path = NULL;
    size_t count;
    if (inside && file_is_folder(inside) && file_list(inside, &names, &count, NULL) == HEARTH_OK) {
        if (count == 1) path = path_join(inside, names[0]);
        file_names_free(names, count);
    }
    mem_free(inside);
    return path;
}

struct kept {
    char id[UPLOAD_ID_BYTES];
    long long time;
    uint64_t size;
};

static int older_first(const void *a, const void *b) {
    const struct kept *x = a, *y = b;
    return (x->time > y->time) - (x->time < y->time);
}

static struct kept look_at(const char *folder, const char *id) {
    struct kept kept = {.time = 0};
    char *path = only_file(folder, id);
    snprintf(kept.id, sizeof kept.id, "%s", id);
    if (path) kept.time = strtoll(path_base(path), NULL, 10);
    if (path) file_size(path, &kept.size, NULL);
    mem_free(path);
    return kept;
}

static hearth_status drop(const char *folder, const char *id, hearth_error *err) {
    char *path = path_join(folder, id);
    hearth_status status = path ? remove_tree(path, err) : no_memory(err);
    mem_free(path);
    return status;
}

/* Until one more of `size` bytes fits. */
static hearth_status drop_oldest(const char *folder, struct kept *kept, size_t count, uint64_t size,
                                 hearth_error *err) {
    uint64_t all = size;
    qsort(kept, count, sizeof *kept, older_first);
    for (size_t i = 0; i < count; i++)
        all += kept[i].size;
    for (size_t i = 0; i < count && (count - i >= UPLOADS_MOST || all > UPLOADS_MOST_BYTES); i++) {
        RETURN_IF_ERROR(drop(folder, kept[i].id, err));
        all -= kept[i].size;
    }
    return HEARTH_OK;
}

static hearth_status make_room(const char *folder, uint64_t size, hearth_error *err) {
    char **names;
    size_t count, n = 0;
    RETURN_IF_ERROR(file_list(folder, &names, &count, err));
    struct kept *kept = mem_alloc_array(count + 1, sizeof *kept);
    for (size_t i = 0; i < count && kept; i++)
        if (is_id(names[i])) kept[n++] = look_at(folder, names[i]);
    file_names_free(names, count);
    hearth_status status = kept ? drop_oldest(folder, kept, n, size, err) : no_memory(err);
    mem_free(kept);
    return status;
}

/* ---- keeping ----------------------------------------------------------------------------------
 */

static hearth_status write_file(const char *folder, const char *id, const char *name,
                                const void *data, size_t size, hearth_error *err) {
    char whole[NAME_BYTES + TIME_DIGITS + 8];
    snprintf(whole, sizeof whole, "%0*lld-%s", TIME_DIGITS, (long long)date_now_ms(), name);
    char *inside = path_join(folder, id), *path = inside ? path_join(inside, whole) : NULL;
    hearth_status status = path ? file_make_folders(inside, err) : no_memory(err);
    if (status == HEARTH_OK) status = file_write(path, data, size, err);
    mem_free(path);
    mem_free(inside);
    return status;
}

/* Whoever sent the same before may be reading it. */
static bool is_there(const char *folder, const char *id, const char *name) {
    char *path = only_file(folder, id);
    bool same = path && strcmp(tune_uploads_name(path), name) == 0;
    mem_free(path);
    return same;
}

hearth_status tune_uploads_keep(const char *name, const void *data, size_t size,
                                char id[UPLOAD_ID_BYTES], hearth_error *err) {
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    char plain[NAME_BYTES], *folder = uploads_folder();
    make_id(data, size, id);
    make_name(name, plain);
    pthread_mutex_lock(&one_at_a_time);
    hearth_status status = folder ? private_folder_make(folder, err) : no_memory(err);
    if (status == HEARTH_OK && !is_there(folder, id, plain)) {
        status = drop(folder, id, err); /* it may have another name */
        if (status == HEARTH_OK) status = make_room(folder, size, err);
        if (status == HEARTH_OK) status = write_file(folder, id, plain, data, size, err);
    }
    pthread_mutex_unlock(&one_at_a_time);
    mem_free(folder);
    return status;
}

hearth_status tune_uploads_find(const char *id, char **path, hearth_error *err) {
    char *folder = uploads_folder();
    *path = folder && is_id(id) ? only_file(folder, id) : NULL;
    mem_free(folder);
    if (*path) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NOT_FOUND,
                     "this file is not here, or no longer; have it looked at once more");
}

const char *tune_uploads_name(const char *path) {
    const char *base = path_base(path);
    return strlen(base) > TIME_DIGITS ? base + TIME_DIGITS + 1 : base;
}
