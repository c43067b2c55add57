/* http_parts.h - what the files of the server share; private to the room. */
#ifndef HEARTH_SERVER_HTTP_PARTS_H
#define HEARTH_SERVER_HTTP_PARTS_H

#include <pthread.h>

#include "server/http_exchange.h"
#include "server/http_server.h"
#include "server/http_tls.h"
#include "server/http_watch.h"
#include "server/limits.h"
#include "server/listed_session.h"
#include "server/log_feed.h"
#include "server/metrics.h"
#include "server/run_feed.h"

struct http_server {
    struct http_server_settings settings;
    struct MHD_Daemon *daemon;
    struct http_tls *tls; /* NULL: plain HTTP */
    struct http_watch *watch;
    struct limits *limits;
    struct log_feed *feed;
    struct run_feed *run_feed;
    struct run_queue *runs; /* NULL: this server does not tune */
    struct access_log log;  /* the settings' and the feed's */
    struct metrics metrics;
    atomic_size_t body_bytes; /* of all requests that are being read and taken apart */
    char address[128];
    uint64_t begun_ns;
    bool only_here; /* only this machine can reach it */
    uint8_t session_secret[LISTED_SECRET_BYTES];
    pthread_mutex_t mutex;         /* of what follows */
    pthread_cond_t quiet;          /* n_active or n_streams became 0 */
    pthread_mutex_t streams_mutex; /* taken before a stream's own; of */
    struct http_stream *streams;   /* the newest */
    size_t n_active;               /* requests, from their head to their end */
    size_t n_streams;              /* answers and tasks that have not ended */
    size_t n_tasks, n_long_tasks;
    uint64_t n_requests, id_key; /* ids of requests are made of both */
    bool ending;
};

void http_server_count_stream(struct http_server *server, int by);
void http_server_count_request(struct http_server *server, int by);
bool http_server_is_ending(struct http_server *server);

/* ---- libmicrohttpd's callbacks (http_access.c); the context is the server -------------- */

void http_access_connection(void *context, struct MHD_Connection *connection, void **link,
                            enum MHD_ConnectionNotificationCode code);
void *http_access_target(void *context, const char *target, struct MHD_Connection *connection);
enum MHD_Result http_access_handle(void *context, struct MHD_Connection *connection,
                                   const char *path, const char *method, const char *version,
                                   const char *data, size_t *n_data, void **exchange);
void http_access_completed(void *context, struct MHD_Connection *connection, void **exchange,
                           enum MHD_RequestTerminationCode why);

#endif
