#include "server/http_server.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/socket_watch.h"
#include "server/http_guard.h"
#include "server/http_identity.h"
#include "server/http_parts.h"

enum { N_THREADS = 4, CONNECTION_BYTES = 32 << 10, BACKLOG = 1024 };

static void set_defaults(struct http_server_settings *s) {
    if (!s->host) s->host = "127.0.0.1";
    if (!s->max_body_bytes) s->max_body_bytes = (size_t)64 << 20;
    if (!s->max_bodies_bytes) s->max_bodies_bytes = 8 * s->max_body_bytes;
    if (!s->max_pending_bytes) s->max_pending_bytes = (size_t)8 << 20;
    if (!s->max_connections) s->max_connections = 4096;
    if (!s->max_per_address) s->max_per_address = 2048;
    if (!s->header_s) s->header_s = 15;
    if (!s->body_s) s->body_s = 120;
    if (!s->idle_s) s->idle_s = 60;
    if (!s->stall_s) s->stall_s = 60;
}

/* ---- counting ----------------------------------------------------------------------- */

bool http_server_is_ending(struct http_server *server) {
    pthread_mutex_lock(&server->mutex);
    bool ending = server->ending;
    pthread_mutex_unlock(&server->mutex);
    return ending;
}

static void count(struct http_server *server, size_t *counter, int by) {
    pthread_mutex_lock(&server->mutex);
    *counter += (size_t)by;
    if (*counter == 0) pthread_cond_broadcast(&server->quiet);
    pthread_mutex_unlock(&server->mutex);
}

void http_server_count_stream(struct http_server *server, int by) {
    count(server, &server->n_streams, by);
}

void http_server_count_request(struct http_server *server, int by) {
    atomic_fetch_add(&server->metrics.active, by);
    count(server, &server->n_active, by);
}

/* ---- start --------------------------------------------------------------------------- */

/* By addresses, not by name: a name means what the system says. */
static bool is_only_here(const struct addrinfo *addresses) {
    for (const struct addrinfo *a = addresses; a; a = a->ai_next) {
        char text[INET6_ADDRSTRLEN];
        if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) ||
            !guard_is_loopback(text))
            return false;
    }
    return true;
}

static hearth_status check_settings(struct http_server *server, const struct addrinfo *addresses,
                                    hearth_error *err) {
    const struct http_server_settings *s = &server->settings;
    bool has_keys;
    RETURN_IF_ERROR(http_identity_any(server, &has_keys, err));
    server->only_here = is_only_here(addresses);
    if (server->only_here || has_keys) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_ARGUMENT,
                     "'%s' can be reached from other machines, and there are no keys: everybody "
                     "could use this server; give one with --api-key or listen at 127.0.0.1",
                     s->host);
}

static hearth_status find_address(const struct http_server_settings *s, struct addrinfo **out,
                                  hearth_error *err) {
    char port[8];
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                                   .ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM};
    snprintf(port, sizeof port, "%u", (unsigned)s->port);
    int code = getaddrinfo(s->host, port, &hints, out);
    if (code == 0) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_ARGUMENT, "no address to listen at is called '%s': %s",
                     s->host, gai_strerror(code));
}

static hearth_status open_tls(struct http_server *server, hearth_error *err) {
    const struct http_server_settings *s = &server->settings;
    if (!s->tls_certificate && !s->tls_key) {
        if (!server->only_here)
            log_message(LOG_WARNING,
                        "keys and answers cross the network as plain text: give --tls-cert and "
                        "--tls-key, or let a proxy speak TLS");
        return HEARTH_OK;
    }
    if (!s->tls_certificate || !s->tls_key)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "TLS needs both a certificate and its key: --tls-cert and --tls-key");
    if (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED, "this libmicrohttpd was built without TLS");
    return http_tls_open(&server->tls, s->tls_certificate, s->tls_key, err);
}

/* What libmicrohttpd is told of TLS: `items` ends with MHD_OPTION_END. */
static void put_tls_options(const struct http_tls *tls, struct MHD_OptionItem items[4]) {
    size_t n = 0;
    if (tls) {
        items[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0,
                                             (void *)(uintptr_t)http_tls_certificate(tls)};
        items[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0,
                                             (void *)(uintptr_t)http_tls_key(tls)};
        items[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0,
                                             (void *)(uintptr_t)HTTP_TLS_PRIORITIES};
    }
    items[n] = (struct MHD_OptionItem){.option = MHD_OPTION_END};
}

static hearth_status start_daemon(struct http_server *server, const struct addrinfo *address,
                                  hearth_error *err) {
    const struct http_server_settings *s = &server->settings;
    struct MHD_OptionItem tls[4];
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
    if (address->ai_family == AF_INET6) flags |= MHD_USE_IPv6;
    if (server->tls) flags |= MHD_USE_TLS;
    put_tls_options(server->tls, tls);
    server->daemon = MHD_start_daemon(
        flags, s->port, NULL, NULL, http_access_handle, server, MHD_OPTION_SOCK_ADDR,
        address->ai_addr, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)N_THREADS,
        MHD_OPTION_CONNECTION_LIMIT, s->max_connections, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        s->max_per_address, MHD_OPTION_CONNECTION_TIMEOUT, s->stall_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
        MHD_OPTION_LISTEN_BACKLOG_SIZE, (unsigned)BACKLOG, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_NOTIFY_CONNECTION, http_access_connection, server, MHD_OPTION_URI_LOG_CALLBACK,
        http_access_target, server, MHD_OPTION_NOTIFY_COMPLETED, http_access_completed, server,
        MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    if (server->daemon) return HEARTH_OK;
    return error_set_errno(err, "cannot listen at %s, port %u", s->host, (unsigned)s->port);
}

static void name_address(struct http_server *server) {
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT);
    const char *host = server->settings.host;
    bool v6 = strchr(host, ':') != NULL;
    snprintf(server->address, sizeof server->address, "%s://%s%s%s:%u",
             server->tls ? "https" : "http", v6 ? "[" : "", host, v6 ? "]" : "",
             info ? (unsigned)info->port : server->settings.port);
}

/* At the first address that can be listened at: a machine may be without IPv6. */
static hearth_status listen_at(struct http_server *server, const struct addrinfo *addresses,
                               hearth_error *err) {
    hearth_status status = start_daemon(server, addresses, err);
    for (const struct addrinfo *a = addresses->ai_next; a && status != HEARTH_OK; a = a->ai_next)
        status = start_daemon(server, a, err);
    if (status == HEARTH_OK) name_address(server);
    return status;
}

static void tick(void *context) {
    run_feed_tick(context);
}

static hearth_status open_runs(struct http_server *server, hearth_error *err) {
    const struct tune_settings *tuning = server->settings.tuning;
    RETURN_IF_ERROR(run_feed_open(&server->run_feed, err));
    if (!tuning) return HEARTH_OK;
    const struct run_queue_settings settings = {.program = tuning->program,
                                                .store = server->settings.store,
                                                .tick = tick,
                                                .context = server->run_feed};
    RETURN_IF_ERROR(run_queue_open(&server->runs, &settings, err));
    run_feed_set_queue(server->run_feed, server->runs);
    return HEARTH_OK;
}

static void write_log(void *context, const char *line, size_t n) {
    struct http_server *server = context;
    const struct access_log *log = &server->settings.log;
    if (log->write) log->write(log->context, line, n);
    log_feed_put(server->feed, line, n);
}

hearth_status http_server_start(struct http_server **out,
                                const struct http_server_settings *settings, hearth_error *err) {
    struct http_server *server = mem_calloc(1, sizeof *server);
    struct addrinfo *addresses = NULL;
    *out = NULL;
    if (!server) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a server");
    server->settings = *settings;
    set_defaults(&server->settings);
    server->begun_ns = clock_now_ns();
    server->id_key = rng_entropy();
    listed_session_secret(server->session_secret);
    server->log = (struct access_log){write_log, server, settings->log.bodies};
    pthread_mutex_init(&server->mutex, NULL);
    pthread_mutex_init(&server->streams_mutex, NULL);
    pthread_cond_init(&server->quiet, NULL);
    hearth_status status = find_address(&server->settings, &addresses, err);
    if (status == HEARTH_OK) status = check_settings(server, addresses, err);
    if (status == HEARTH_OK) status = open_tls(server, err);
    if (status == HEARTH_OK) status = limits_open(&server->limits, err);
    if (status == HEARTH_OK) status = log_feed_open(&server->feed, err);
    if (status == HEARTH_OK) status = http_watch_open(&server->watch, server->feed, err);
    if (status == HEARTH_OK) status = open_runs(server, err);
    if (status == HEARTH_OK) status = listen_at(server, addresses, err);
    if (status == HEARTH_OK && server->runs) status = run_queue_begin(server->runs, err);
    if (addresses) freeaddrinfo(addresses);
    if (status == HEARTH_OK)
        *out = server;
    else
        http_server_stop(server);
    return status;
}

const char *http_server_address(const struct http_server *server) {
    return server->address;
}

hearth_status http_server_reload(struct http_server *server, hearth_error *err) {
    return server->tls ? http_tls_reload(server->tls, err) : HEARTH_OK;
}

/* ---- end -------------------------------------------------------------------------------- */

/* Until nothing is counted any more, or so many seconds. */
static bool wait_for(struct http_server *server, const size_t *counter, unsigned limit_s) {
    struct timespec end;
    int code = 0;
    timespec_get(&end, TIME_UTC);
    end.tv_sec += limit_s;
    pthread_mutex_lock(&server->mutex);
    while (*counter > 0 && code == 0)
        code = pthread_cond_timedwait(&server->quiet, &server->mutex, &end);
    bool quiet = *counter == 0;
    pthread_mutex_unlock(&server->mutex);
    return quiet;
}

static void stop_listening(struct http_server *server) {
    pthread_mutex_lock(&server->mutex);
    bool first = !server->ending;
    server->ending = true;
    pthread_mutex_unlock(&server->mutex);
    if (first && server->daemon) {
        MHD_socket listener = MHD_quiesce_daemon(server->daemon);
        if (listener != MHD_INVALID_SOCKET) socket_close(listener);
        log_feed_end(server->feed);
        run_feed_end(server->run_feed);
        if (server->runs) run_queue_end(server->runs);
    }
}

/* Cancelling comes again for answers that were just being started; whoever does not read the
 * end of an answer is not waited for. */
void http_server_drain(struct http_server *server, unsigned limit_s) {
    stop_listening(server);
    bool quiet = wait_for(server, &server->n_active, limit_s);
    for (int i = 0; i < 3 && !quiet; i++) {
        http_watch_cancel_all(server->watch);
        quiet = wait_for(server, &server->n_active, 1);
    }
}

/* libmicrohttpd must not be stopped while connections are suspended: those of answers whose last
 * event is still to come, and those of tasks. */
void http_server_stop(struct http_server *server) {
    if (!server) return;
    if (server->daemon) {
        stop_listening(server);
        do /* again for those that were just being started */
            http_watch_cancel_all(server->watch);
        while (!wait_for(server, &server->n_streams, 1));
        MHD_stop_daemon(server->daemon);
    }
    run_queue_close(server->runs);
    run_feed_close(server->run_feed);
    http_watch_close(server->watch);
    log_feed_close(server->feed);
    limits_close(server->limits);
    http_tls_close(server->tls);
    pthread_cond_destroy(&server->quiet);
    pthread_mutex_destroy(&server->streams_mutex);
    pthread_mutex_destroy(&server->mutex);
    mem_free(server);
}
