#include "server/http_target.h"

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static bool is_dots(const char *segment, size_t n) {
    return (n == 1 && segment[0] == '.') || (n == 2 && segment[0] == '.' && segment[1] == '.');
}

static bool has_dot_segment(const char *path) {
    size_t begin = 1, i = 1;
    for (;; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        if (is_dots(path + begin, i - begin)) return true;
        if (path[i] == '\0') return false;
        begin = i + 1;
    }
}

bool http_target_path(const char *target, char *out, size_t out_size) {
    size_t n = 0;
    if (target[0] != '/') return false;
    for (const char *at = target; *at && *at != '?' && *at != '#'; at++) {
        int c = (unsigned char)*at;
        if (c == '%') {
            int high = hex_digit(at[1]), low = high < 0 ? -1 : hex_digit(at[2]);
            if (low < 0) return false;
            c = high * 16 + low;
            at += 2;
        }
        if (c < 0x20 || c == 0x7f || n + 1 >= out_size) return false;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return !has_dot_segment(out);
}
