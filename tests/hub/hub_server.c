#include "hub_server.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sha256.h"

enum { BLOCK_BYTES = 16384, TEXT_BYTES = 16384 };

struct hub_server {
    struct MHD_Daemon *daemon;
    const char *repo, *commit;
    char bearer[256];
    struct hub_server_file *files;
    size_t n_files;
    struct hub_faults faults;
    struct hub_server_counts counts;
    atomic_bool stopping;
};

/* ---- bodies ------------------------------------------------------------ */

struct body {
    struct hub_server *server;
    const struct hub_server_file *file;
    size_t begin, length, limit; /* the connection breaks after `limit` */
    bool damaged;
};

static ssize_t read_body(void *context, uint64_t position, char *out, size_t max) {
    struct body *b = context;
    struct hub_server *s = b->server;
    if (position >= b->limit) return MHD_CONTENT_READER_END_WITH_ERROR;
    while (atomic_load(&s->faults.stall) && position >= b->length / 2 && !atomic_load(&s->stopping))
        usleep(10000);
    if (atomic_load(&s->stopping)) return MHD_CONTENT_READER_END_WITH_ERROR;
    unsigned delay = atomic_load(&s->faults.delay_us);
    if (delay) usleep(delay);
    size_t left = b->length - (size_t)position, room = b->limit - (size_t)position;
    size_t n = max < left ? max : left;
    if (n > BLOCK_BYTES) n = BLOCK_BYTES;
    if (n > room) n = room;
    size_t from = b->begin + (size_t)position, middle = b->file->size / 2;
    memcpy(out, b->file->data + from, n);
    if (b->damaged && middle >= from && middle < from + n) out[middle - from] ^= 1;
    atomic_fetch_add(&s->counts.body_bytes, n);
    return (ssize_t)n;
}

static void free_body(void *context) {
    struct body *b = context;
    atomic_fetch_sub(&b->server->counts.running, 1);
    free(b);
}

static enum MHD_Result send_text(struct MHD_Connection *c, unsigned status, const char *text,
                                 const char *header, const char *value) {
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
                                                             MHD_RESPMEM_MUST_COPY);
    if (header) MHD_add_response_header(r, header, value);
    enum MHD_Result result = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return result;
}

static bool take_one(atomic_int *left) {
    int now = atomic_load(left);
    while (now > 0)
        if (atomic_compare_exchange_weak(left, &now, now - 1)) return true;
    return false;
}

static struct body *new_body(struct hub_server *s, const struct hub_server_file *file, size_t begin,
                             size_t length) {
    struct body *b = malloc(sizeof *b);
    *b = (struct body){.server = s,
                       .file = file,
                       .begin = begin,
                       .length = length,
                       .limit = SIZE_MAX,
                       .damaged = atomic_load(&s->faults.wrong_bytes)};
    size_t cut = atomic_load(&s->faults.cut_after);
    if (cut && cut < length && take_one(&s->faults.cuts)) b->limit = cut;
    unsigned running = atomic_fetch_add(&s->counts.running, 1) + 1;
    unsigned most = atomic_load(&s->counts.most_at_once);
    while (running > most &&
           !atomic_compare_exchange_weak(&s->counts.most_at_once, &most, running)) {
    }
    atomic_fetch_add(&s->counts.bodies, 1);
    return b;
}

static enum MHD_Result send_range(struct hub_server *s, struct MHD_Connection *c,
                                  const struct hub_server_file *file) {
    char value[128];
    unsigned long long begin = 0, last = 0;
    const char *range = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Range");
    size_t size = file->size;
    if (atomic_load(&s->faults.no_ranges)) range = NULL;
    int n = range ? sscanf(range, "bytes=%llu-%llu", &begin, &last) : 0;
    if (n == 1) last = size - 1;
    if (n >= 1 && begin >= size) {
        snprintf(value, sizeof value, "bytes */%zu", size);
        return send_text(c, 416, "", "Content-Range", value);
    }
    if (n < 1) begin = 0, last = size ? size - 1 : 0;
    if (last >= size && size) last = size - 1;
    size_t length = size ? (size_t)(last - begin + 1) : 0;
    struct MHD_Response *r = MHD_create_response_from_callback(
        length, BLOCK_BYTES, read_body, new_body(s, file, (size_t)begin, length), free_body);
    snprintf(value, sizeof value, "bytes %llu-%llu/%zu", begin, last, size);
    if (n >= 1) MHD_add_response_header(r, "Content-Range", value);
    enum MHD_Result result = MHD_queue_response(c, n >= 1 ? 206 : 200, r);
    MHD_destroy_response(r);
    return result;
}

static enum MHD_Result answer_cdn(struct hub_server *s, struct MHD_Connection *c,
                                  const struct hub_server_file *file) {
    if (MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization"))
        atomic_fetch_add(&s->counts.tokens_at_cdn, 1);
    if (take_one(&s->faults.status_500_times)) return send_text(c, 500, "oops", NULL, NULL);
    if (take_one(&s->faults.status_429_times))
        return send_text(c, 429, "slow down", "Retry-After", "1");
    return send_range(s, c, file);
}

/* ---- the hub ----------------------------------------------------------- */

static const struct hub_server_file *find_file(const struct hub_server *s, const char *name) {
    for (size_t i = 0; i < s->n_files; i++)
        if (strcmp(s->files[i].name, name) == 0) return &s->files[i];
    return NULL;
}

static bool is_allowed(struct hub_server *s, struct MHD_Connection *c) {
    const char *value = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
    return !atomic_load(&s->faults.gated_status) || (value && strcmp(value, s->bearer) == 0);
}

static enum MHD_Result answer_listing(struct hub_server *s, struct MHD_Connection *c) {
    char text[TEXT_BYTES];
    size_t n = (size_t)snprintf(text, sizeof text, "{\"sha\":\"%s\",\"siblings\":[", s->commit);
    atomic_fetch_add(&s->counts.listings, 1);
    for (size_t i = 0; i < s->n_files; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s{\"rfilename\":\"%s\"", i ? "," : "",
                              s->files[i].name);
        if (!atomic_load(&s->faults.no_sizes))
            n += (size_t)snprintf(text + n, sizeof text - n, ",\"size\":%zu", s->files[i].size);
        n += (size_t)snprintf(text + n, sizeof text - n, "}");
    }
    if (s->faults.location_of_file)
        n += (size_t)snprintf(text + n, sizeof text - n, ",{\"rfilename\":\"%s\"}",
                              s->faults.location_of_file);
    snprintf(text + n, sizeof text - n, "]}");
    return send_text(c, 200, text, "Content-Type", "application/json");
}

static void add_identity(struct hub_server *s, struct MHD_Response *r,
                         const struct hub_server_file *file) {
    char value[96];
    snprintf(value, sizeof value, "\"%s\"", file->etag);
    MHD_add_response_header(r, file->is_large ? "X-Linked-Etag" : "ETag", value);
    snprintf(value, sizeof value, "%ld", (long)file->size + atomic_load(&s->faults.wrong_size));
    MHD_add_response_header(r, "X-Linked-Size", value);
    MHD_add_response_header(r, "X-Repo-Commit", s->commit);
}

static enum MHD_Result answer_resolve(struct hub_server *s, struct MHD_Connection *c,
                                      const char *method, const struct hub_server_file *file) {
    bool head = strcmp(method, "HEAD") == 0;
    atomic_fetch_add(head ? &s->counts.heads : &s->counts.resolves, 1);
    if (!is_allowed(s, c))
        return send_text(c, (unsigned)atomic_load(&s->faults.gated_status), "gated", "X-Error-Code",
                         "GatedRepo");
    struct MHD_Response *r;
    unsigned status = 200;
    if (file->is_large) {
        char location[512];
        bool absolute = atomic_load(&s->faults.absolute_location);
        /* "localhost" is another host than 127.0.0.1 as far as a client can know. */
        if (absolute)
            snprintf(location, sizeof location, "http://localhost:%u/cdn/%s/%s?signed=1",
                     hub_server_port(s), s->repo, file->name);
        else
            snprintf(location, sizeof location, "/cdn/%s/%s", s->repo, file->name);
        r = MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT);
        MHD_add_response_header(r, "Location", location);
        status = 302;
    } else {
        r = MHD_create_response_from_buffer(file->size, (void *)(uintptr_t)file->data,
                                            MHD_RESPMEM_PERSISTENT);
    }
    add_identity(s, r, file);
    enum MHD_Result result = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return result;
}

static const char *after(const char *text, const char *prefix) {
    size_t n = strlen(prefix);
    return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

static enum MHD_Result answer(void *context, struct MHD_Connection *c, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **state) {
    struct hub_server *s = context;
    char prefix[256];
    (void)version, (void)upload, (void)upload_size, (void)state;
    if (strcmp(url, "/api/models") == 0 && s->faults.search_answer)
        return send_text(c, 200, s->faults.search_answer, "Content-Type", "application/json");
    snprintf(prefix, sizeof prefix, "/api/models/%s/revision/", s->repo);
    const char *rest = after(url, prefix);
    if (rest &&
        (strcmp(rest, "main") == 0 || strcmp(rest, "v1") == 0 || strcmp(rest, s->commit) == 0))
        return answer_listing(s, c);
    if (rest) return send_text(c, 404, "no revision", "X-Error-Code", "RevisionNotFound");
    snprintf(prefix, sizeof prefix, "/%s/resolve/%s/", s->repo, s->commit);
    const struct hub_server_file *file = NULL;
    if ((rest = after(url, prefix))) file = find_file(s, rest);
    if (file) return answer_resolve(s, c, method, file);
    snprintf(prefix, sizeof prefix, "/cdn/%s/", s->repo);
    if ((rest = after(url, prefix))) file = find_file(s, rest);
    if (file) return answer_cdn(s, c, file);
    return send_text(c, 404, "not here", "X-Error-Code", "RepoNotFound");
}

struct hub_server *hub_server_start(const char *repo, const char *commit, const char *token,
                                    struct hub_server_file *files, size_t n_files) {
    struct hub_server *s = calloc(1, sizeof *s);
    s->repo = repo;
    s->commit = commit;
    s->files = files;
    s->n_files = n_files;
    snprintf(s->bearer, sizeof s->bearer, "Bearer %s", token);
    for (size_t i = 0; i < n_files; i++) {
        struct sha256 hash;
        uint8_t digest[SHA256_BYTES];
        if (!files[i].is_large) continue;
        sha256_init(&hash);
        sha256_update(&hash, files[i].data, files[i].size);
        sha256_final(&hash, digest);
        sha256_hex(digest, files[i].etag);
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    s->daemon =
        MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL,
                         NULL, answer, s, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_END);
    if (!s->daemon) abort();
    return s;
}

void hub_server_stop(struct hub_server *server) {
    atomic_store(&server->stopping, true);
    MHD_stop_daemon(server->daemon);
    free(server);
}

unsigned hub_server_port(const struct hub_server *server) {
    return MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

struct hub_faults *hub_server_faults(struct hub_server *server) {
    return &server->faults;
}

struct hub_server_counts *hub_server_counts(struct hub_server *server) {
    return &server->counts;
}

void hub_server_reset(struct hub_server *server) {
    while (atomic_load(&server->counts.running) > 0) /* a client may know its body's end sooner */
        usleep(1000);
    memset(&server->faults, 0, sizeof server->faults);
    memset(&server->counts, 0, sizeof server->counts);
}
