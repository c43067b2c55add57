/* serving.h - a server on a loopback port, for the time of a test. */
#ifndef HEARTH_TESTS_SERVER_SERVING_H
#define HEARTH_TESTS_SERVER_SERVING_H

#include "scripted_backend.h"
#include "server/http_server.h"
#include "wire.h"

struct serving {
    struct http_server *server;
    struct backend *backend;
    unsigned port;
};

/* Serves the backend, which serving_end closes. `settings` nullable. */
void serving_begin(struct serving *s, struct backend *backend,
                   const struct http_server_settings *settings);
void serving_end(struct serving *s);

#endif
