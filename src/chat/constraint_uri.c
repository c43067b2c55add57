#include "chat/constraint_uri.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct part {
    const char *text;
    size_t n;
    bool given;
};

struct uri {
    struct part scheme, authority, path, query;
};

static bool is_scheme(const char *text, size_t n) {
    for (size_t i = 0; i < n; i++) {
        char c = (char)(text[i] | 0x20);
        bool letter = c >= 'a' && c <= 'z';
        if (!letter && (i == 0 || !strchr("+-.0123456789", text[i]))) return false;
    }
    return n > 0;
}

/* The parts before a fragment (RFC 3986, appendix B). */
static struct uri split(const char *text) {
    struct uri u = {0};
    size_t end = strcspn(text, "#"), at = strcspn(text, ":/?#");
    if (text[at] == ':' && is_scheme(text, at)) {
        u.scheme = (struct part){text, at, true};
        at++;
    } else {
        at = 0;
    }
    if (strncmp(text + at, "//", 2) == 0) {
        size_t n = strcspn(text + at + 2, "/?#");
        u.authority = (struct part){text + at + 2, n, true};
        at += 2 + n;
    }
    u.path = (struct part){text + at, strcspn(text + at, "?#"), true};
    at += u.path.n;
    if (text[at] == '?') u.query = (struct part){text + at + 1, end - at - 1, true};
    return u;
}

/* Takes "." and ".." out of `path`, in place. */
static void remove_dots(char *path) {
    size_t out = 0, n = strlen(path);
    for (size_t at = 0; at < n;) {
        size_t end = at + 1 + strcspn(path + at + 1, "/");
        const char *segment = path + at + (path[at] == '/');
        size_t length = end - (size_t)(segment - path);
        bool one = length == 1 && segment[0] == '.';
        bool two = length == 2 && segment[0] == '.' && segment[1] == '.';
        if (two)
            while (out > 0 && path[--out] != '/')
                ;
        if (one || two) {
            if (end == n && (out == 0 || path[out - 1] != '/')) path[out++] = '/';
        } else {
            memmove(path + out, path + at, end - at);
            out += end - at;
        }
        at = end;
    }
    path[out] = '\0';
}

/* The base's path up to its last '/', then the reference's (section 5.2.3). */
static bool merge(char out[URI_MAX_BYTES], const struct uri *base, struct part path) {
    size_t n = base->path.n;
    while (n > 0 && base->path.text[n - 1] != '/')
        n--;
    const char *root = base->authority.given && base->path.n == 0 ? "/" : "";
    int length = snprintf(out, URI_MAX_BYTES, "%s%.*s%.*s", root, (int)n, base->path.text,
                          (int)path.n, path.text);
    return length >= 0 && length < URI_MAX_BYTES;
}

bool uri_resolve(char out[URI_MAX_BYTES], const char *base_text, const char *reference) {
    struct uri base = split(base_text), r = split(reference);
    char path[URI_MAX_BYTES];
    if (strlen(base_text) >= URI_MAX_BYTES || strlen(reference) >= URI_MAX_BYTES) return false;
    struct part authority = r.authority, query = r.query;
    bool own = r.scheme.given || r.authority.given;
    if (!own) authority = base.authority;
    if (own || (r.path.n > 0 && r.path.text[0] == '/')) {
        snprintf(path, sizeof path, "%.*s", (int)r.path.n, r.path.text);
    } else if (r.path.n == 0) {
        snprintf(path, sizeof path, "%.*s", (int)base.path.n, base.path.text);
        if (!r.query.given) query = base.query;
    } else if (!merge(path, &base, r.path)) {
        return false;
    }
    if (path[0] == '/') remove_dots(path);
    struct part scheme = r.scheme.given ? r.scheme : base.scheme;
    int n = snprintf(out, URI_MAX_BYTES, "%.*s%s%s%.*s%s%s%.*s", (int)scheme.n,
                     scheme.given ? scheme.text : "", scheme.given ? ":" : "",
                     authority.given ? "//" : "", (int)authority.n,
                     authority.given ? authority.text : "", path, query.given ? "?" : "",
                     (int)query.n, query.given ? query.text : "");
    return n >= 0 && n < URI_MAX_BYTES;
}

void uri_unescape(char *out, const char *text) {
    for (; *text; text++) {
        char digits[3] = {text[0] == '%' ? text[1] : '\0',
                          text[0] == '%' && text[1] ? text[2] : '\0', '\0'};
        char *end = digits;
        unsigned long value = strtoul(digits, &end, 16);
        bool escaped = end == digits + 2 && value > 0;
        *out++ = escaped ? (char)value : *text;
        if (escaped) text += 2;
    }
    *out = '\0';
}
