/* Reads arbitrary bytes as what the server takes apart by hand: the target of a request, hosts,
 * origins, keys, encodings, names of requests, and how deep JSON nests. */
#include "fuzz_target.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "server/http_accept.h"
#include "server/http_auth.h"
#include "server/http_guard.h"
#include "server/http_target.h"
#include "server/json_depth.h"

static unsigned depth_of(const json_t *value) {
    unsigned most = 0;
    const char *key;
    json_t *member;
    size_t i;
    if (!json_is_object(value) && !json_is_array(value)) return 0;
    json_array_foreach(value, i, member) {
        unsigned depth = depth_of(member);
        if (depth > most) most = depth;
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, member) {
        unsigned depth = depth_of(member);
        if (depth > most) most = depth;
    }
    return most + 1;
}

/* What a parser takes is judged as it is. */
static void read_json(const char *text, size_t n) {
    enum { MOST = 20 };
    bool within = json_depth_within(text, n, MOST, SIZE_MAX);
    json_t *value = within || n < 4096 ? json_loadb(text, n, 0, NULL) : NULL;
    if (value && within != (depth_of(value) <= MOST)) abort();
    json_decref(value);
}

static void read_target(const char *text) {
    char path[256];
    if (!http_target_path(text, path, sizeof path)) return;
    if (path[0] != '/' || strstr(path, "/../") || strlen(path) >= sizeof path) abort();
}

static void read_head(const char *text) {
    const struct option_list names = {{"hearth.example"}, 1};
    size_t n;
    if (guard_host_is_own(text, &names) && !guard_host_is_valid(text)) abort();
    guard_origin_is_own(text, "localhost:8484", strlen(text) % 2);
    guard_origin_is_allowed(text, &names);
    guard_is_loopback(text);
    http_accepts_gzip(text);
    if (http_request_id_is_valid(text) && strpbrk(text, "\r\n \"")) abort();
    const char *key = auth_bearer(text, &n);
    if (key && (n == 0 || n > strlen(key))) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    if (!text) return 0;
    if (size) memcpy(text, data, size);
    text[size] = '\0';
    read_json(text, size);
    read_target(text);
    read_head(text);
    free(text);
    return 0;
}
