#include "hub/hub_name.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MAX_PART_BYTES = 96, MAX_COMPONENT_BYTES = 255, MAX_NAME_BYTES = 1024 };

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define HEX DIGITS "abcdef"

static bool only(const char *text, const char *allowed, size_t least, size_t most) {
    size_t length = strspn(text, allowed);
    return text[length] == '\0' && length >= least && length <= most;
}

bool hub_safe_file(const char *path) {
    if (!*path || strlen(path) >= HUB_FILE_BYTES) return false;
    for (const char *c = path; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f || *c == '\\') return false;
    for (const char *part = path;; part++) {
        size_t length = strcspn(part, "/");
        if (length == 0 || length > MAX_COMPONENT_BYTES) return false;
        if (part[0] == '.' && (length == 1 || (length == 2 && part[1] == '.'))) return false;
        part += length;
        if (!*part) return true;
    }
}

bool hub_safe_revision(const char *text) {
    return hub_safe_file(text) && only(text, LETTERS DIGITS "._-/", 1, HUB_REVISION_BYTES - 1);
}

bool hub_safe_etag(const char *text) {
    return text[0] != '.' && only(text, LETTERS DIGITS "._-", 1, HUB_ETAG_BYTES - 1);
}

bool hub_safe_commit(const char *text) {
    return only(text, HEX, 7, 64);
}

bool hub_is_sha256(const char *text) {
    return only(text, HEX, 64, 64);
}

/* An organisation or a repository: "--" would make the cache's folder ambiguous. */
static bool safe_part(const char *text) {
    return text[0] != '.' && text[0] != '-' && !strstr(text, "--") && !strstr(text, "..") &&
           only(text, LETTERS DIGITS "._-", 1, MAX_PART_BYTES);
}

static bool skip_prefix(const char **text, const char *prefix) {
    size_t length = strlen(prefix);
    if (strncasecmp(*text, prefix, length) != 0) return false;
    *text += length;
    return true;
}

static const char *skip_host(const char *text, const char *endpoint) {
    if (skip_prefix(&text, "hf://")) return text;
    if (endpoint && skip_prefix(&text, endpoint) && skip_prefix(&text, "/")) return text;
    const char *start = text;
    bool scheme = skip_prefix(&text, "https://") || skip_prefix(&text, "http://");
    if (skip_prefix(&text, "hf.co/") || skip_prefix(&text, "huggingface.co/") ||
        skip_prefix(&text, "www.huggingface.co/"))
        return text;
    return scheme ? NULL : start;
}

static int hex_digit(char c) {
    const char *at = c ? strchr(HEX, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
    return at ? (int)(at - HEX) : -1;
}

/* Undoes %XX in place. */
static void unescape(char *text) {
    char *to = text;
    for (const char *from = text; *from; from++) {
        int high = *from == '%' ? hex_digit(from[1]) : -1;
        int low = high >= 0 ? hex_digit(from[2]) : -1;
        bool decoded = low >= 0 && (high || low); /* a NUL would hide what follows */
        if (decoded) from += 2;
        *to++ = decoded ? (char)(high * 16 + low) : *from;
    }
    *to = '\0';
}

static bool put(char *out, size_t out_size, const char *text) {
    size_t length = strlen(text);
    if (length >= out_size) return false;
    memcpy(out, text, length + 1);
    return true;
}

/* "tree/REV[/...]", "blob/REV/FILE", "resolve/REV/FILE", or a file. */
static bool parse_rest(char *rest, struct hub_name *name) {
    const char *after = rest;
    if (!skip_prefix(&after, "tree/") && !skip_prefix(&after, "blob/") &&
        !skip_prefix(&after, "resolve/")) {
        unescape(rest);
        return put(name->file, sizeof name->file, rest) && hub_safe_file(name->file);
    }
    bool is_tree = strncasecmp(rest, "tree/", 5) == 0;
    char *revision = rest + (after - rest), *file = strchr(revision, '/');
    if (file) *file++ = '\0';
    unescape(revision);
    if (!put(name->revision, sizeof name->revision, revision) || !hub_safe_revision(revision))
        return false;
    if (is_tree || !file || !*file) return true;
    unescape(file);
    return put(name->file, sizeof name->file, file) && hub_safe_file(name->file);
}

static bool parse_tail(char *repo, struct hub_name *name) {
    char *quant = strchr(repo, ':');
    if (quant) *quant++ = '\0';
    char *revision = strchr(repo, '@');
    if (revision) *revision++ = '\0';
    if (revision &&
        (!hub_safe_revision(revision) || !put(name->revision, sizeof name->revision, revision)))
        return false;
    if (!quant || strcasecmp(quant, "latest") == 0) return true;
    return put(name->quant, sizeof name->quant, quant) &&
           only(quant, LETTERS DIGITS "._-", 1, sizeof name->quant - 1);
}

static bool parse_path(char *path, struct hub_name *name) {
    char *repo = strchr(path, '/');
    if (!repo) return false;
    *repo++ = '\0';
    /* In "org/repo@refs/pr/1" the slashes belong to the revision. */
    char *at = strchr(repo, '@'), *rest = strchr(repo, '/');
    if (at && rest && at < rest) rest = NULL;
    if (rest) *rest++ = '\0';
    bool more = rest && *rest;
    if (!parse_tail(repo, name) || (more && (name->quant[0] || !parse_rest(rest, name))))
        return false;
    if (!safe_part(path) || !safe_part(repo)) return false;
    return (size_t)snprintf(name->repo, sizeof name->repo, "%s/%s", path, repo) < sizeof name->repo;
}

hearth_status hub_name_parse(const char *text, const char *endpoint, struct hub_name *name,
                             hearth_error *err) {
    char path[MAX_NAME_BYTES];
    *name = (struct hub_name){0};
    const char *from = skip_host(text, endpoint);
    if (!from)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "'%.200s' is not an address of a model hub; set HF_ENDPOINT to use "
                         "another one than huggingface.co",
                         text);
    size_t length = strcspn(from, "?#");
    if (length < sizeof path) {
        memcpy(path, from, length);
        path[length] = '\0';
        if (parse_path(path, name)) return HEARTH_OK;
    }
    return error_set(err, HEARTH_ERROR_ARGUMENT,
                     "'%.200s' is not a model name; expected a file, a folder, org/repo, "
                     "org/repo:QUANT or a short name such as llama3.2:1b",
                     text);
}
