#include "server/http_guard.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

enum { MAX_HOST_BYTES = 255 };

/* A host without its port. */
struct host {
    char name[MAX_HOST_BYTES + 1];
    bool bracketed;
};

static bool is_name_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
}

static bool is_port(const char *text) {
    size_t n = strspn(text, "0123456789");
    return n > 0 && n <= 5 && text[n] == '\0';
}

static bool is_address(int family, const char *text) {
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(family, text, bytes) == 1;
}

static bool split(const char *value, struct host *host) {
    const char *begin = value, *end;
    host->bracketed = *value == '[';
    if (host->bracketed) {
        begin++;
        end = strchr(begin, ']');
        if (!end) return false;
    } else {
        for (end = begin; is_name_byte(*end);)
            end++;
    }
    size_t n = (size_t)(end - begin);
    if (n == 0 || n > MAX_HOST_BYTES) return false;
    memcpy(host->name, begin, n);
    host->name[n] = '\0';
    if (host->bracketed && !is_address(AF_INET6, host->name)) return false;
    if (host->bracketed) end++;
    return *end == '\0' || (*end == ':' && is_port(end + 1));
}

bool guard_host_is_valid(const char *host) {
    struct host parts;
    return split(host, &parts);
}

static bool is_localhost(const char *name) {
    static const char suffix[] = ".localhost";
    size_t n = strlen(name), tail = sizeof suffix - 1;
    return strcasecmp(name, "localhost") == 0 ||
           (n > tail && strcasecmp(name + n - tail, suffix) == 0);
}

bool guard_host_is_own(const char *host, const struct option_list *names) {
    struct host parts;
    if (!split(host, &parts)) return false;
    if (parts.bracketed || is_address(AF_INET, parts.name) || is_localhost(parts.name)) return true;
    for (size_t i = 0; i < names->count; i++)
        if (strcasecmp(names->items[i], parts.name) == 0) return true;
    return false;
}

bool guard_origin_is_own(const char *origin, const char *host, bool tls) {
    static const char *const schemes[] = {"https://", "http://"};
    for (int i = 0; i < (tls ? 1 : 2); i++) {
        size_t n = strlen(schemes[i]);
        if (strncasecmp(origin, schemes[i], n) == 0) return strcasecmp(origin + n, host) == 0;
    }
    return false;
}

bool guard_origin_is_allowed(const char *origin, const struct option_list *origins) {
    for (size_t i = 0; i < origins->count; i++)
        if (strcmp(origins->items[i], "*") == 0 || strcasecmp(origins->items[i], origin) == 0)
            return true;
    return false;
}

bool guard_is_loopback(const char *host) {
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
    if (inet_pton(AF_INET6, host, &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
    return strcasecmp(host, "localhost") == 0;
}
