#include "server/http_auth.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/mem.h"

#define MAX_KEY_FILE_BYTES ((size_t)1 << 20)

static void digest_of(const char *key, size_t n, uint8_t digest[SHA256_BYTES]) {
    struct sha256 hash;
    sha256_init(&hash);
    sha256_update(&hash, key, n);
    sha256_final(&hash, digest);
}

hearth_status key_list_add(struct key_list *list, const char *key, size_t n, hearth_error *err) {
    if (list->count == KEY_LIST_MOST)
        return error_set(err, HEARTH_ERROR_LIMIT, "more than %d keys", KEY_LIST_MOST);
    if (n == 0 || n > KEY_MAX_BYTES)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "a key has 1 to %d bytes, found %zu",
                         KEY_MAX_BYTES, n);
    digest_of(key, n, list->digests[list->count++]);
    return HEARTH_OK;
}

static hearth_status add_line(struct key_list *list, const char *line, size_t n,
                              hearth_error *err) {
    while (n > 0 && strchr(" \t\r", line[n - 1]))
        n--;
    while (n > 0 && strchr(" \t", *line))
        line++, n--;
    return n == 0 || *line == '#' ? HEARTH_OK : key_list_add(list, line, n, err);
}

hearth_status key_list_read(struct key_list *list, const char *path, hearth_error *err) {
    char *text;
    size_t size, before = list->count;
    RETURN_IF_ERROR(file_read(path, MAX_KEY_FILE_BYTES, &text, &size, err));
    hearth_status status = HEARTH_OK;
    for (const char *at = text; at < text + size && status == HEARTH_OK;) {
        const char *end = memchr(at, '\n', (size_t)(text + size - at));
        size_t n = end ? (size_t)(end - at) : (size_t)(text + size - at);
        status = add_line(list, at, n, err);
        at += n + 1;
    }
    if (status == HEARTH_OK && list->count == before)
        status = error_set(err, HEARTH_ERROR_ARGUMENT, "no key in '%s'", path);
    memset(text, 0, size);
    mem_free(text);
    return status;
}

static bool list_any(void *context) {
    return ((const struct key_list *)context)->count > 0;
}

/* Every digest is looked at to its end, whether or not an earlier one was the same. */
static bool list_check(void *context, const char *key, size_t n, struct key_identity *out) {
    const struct key_list *list = context;
    uint8_t digest[SHA256_BYTES];
    size_t found = list->count;
    if (n == 0 || n > KEY_MAX_BYTES) return false;
    digest_of(key, n, digest);
    for (size_t i = 0; i < list->count; i++) {
        unsigned differs = 0;
        for (int k = 0; k < SHA256_BYTES; k++)
            differs |= (unsigned)(list->digests[i][k] ^ digest[k]);
        if (!differs) found = i;
    }
    if (found == list->count) return false;
    *out = (struct key_identity){0};
    snprintf(out->id, sizeof out->id, "key-%zu", found + 1);
    return true;
}

struct key_check key_list_check(const struct key_list *list) {
    return (struct key_check){list_any, list_check, (void *)(uintptr_t)list};
}

const char *auth_bearer(const char *value, size_t *n) {
    static const char scheme[] = "Bearer";
    size_t length = sizeof scheme - 1;
    if (strncasecmp(value, scheme, length) != 0 || value[length] != ' ') return NULL;
    const char *key = value + length + strspn(value + length, " ");
    *n = strlen(key);
    while (*n > 0 && key[*n - 1] == ' ')
        --*n;
    return *n > 0 ? key : NULL;
}
