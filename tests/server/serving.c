#include "serving.h"

#include <string.h>

void serving_begin(struct serving *s, struct backend *backend,
                   const struct http_server_settings *settings) {
    struct http_server_settings own = settings ? *settings : (struct http_server_settings){0};
    hearth_error err = {0};
    *s = (struct serving){.backend = backend};
    own.backend = backend;
    own.port = 0;
    if (http_server_start(&s->server, &own, &err) != HEARTH_OK) fail_msg("%s", err.message);
    s->port = (unsigned)strtoul(strrchr(http_server_address(s->server), ':') + 1, NULL, 10);
}

void serving_end(struct serving *s) {
    http_server_stop(s->server);
    backend_close(s->backend);
}
