/* wire.h - a client that sends exactly the bytes a test wants, and reads what comes back. Every
 * wait ends after ten seconds, and then the test fails. */
#ifndef HEARTH_TESTS_SERVER_WIRE_H
#define HEARTH_TESTS_SERVER_WIRE_H

#include "testdata.h"

#include <jansson.h>

#include "base/buf.h"

struct wire_reply {
    int status; /* 0: the connection ended without a reply */
    struct buf head, body;
    bool whole; /* the body came to its end */
};

int wire_connect(unsigned port);
int wire_try_connect(unsigned port); /* -1: it cannot; for threads, where no test can fail */
void wire_send(int fd, const char *data, size_t n);
void wire_send_text(int fd, const char *text);
/* One response; released by wire_release in every case. */
void wire_read(int fd, struct wire_reply *reply);
/* The same up to the end of the head; more of the body may be there already. */
void wire_read_head(int fd, struct wire_reply *reply);
void wire_release(struct wire_reply *reply);
/* The value of a header, in a static buffer of the thread; NULL: none. */
const char *wire_header(const struct wire_reply *reply, const char *name);
/* Whether the other side closes the connection, after whatever it still says. */
bool wire_is_closed(int fd);

/* A whole exchange on a connection of its own. `extra`: further lines of the head, each with its
 * line break, or "". Returns the status. */
int wire_ask(unsigned port, const char *method, const char *path, const char *extra,
             const char *body, struct wire_reply *reply);
/* The body as JSON, a new reference. */
json_t *wire_json(const struct wire_reply *reply);
/* The value of a metric, by its whole name with labels; 0: it is not there. */
double wire_metric(unsigned port, const char *name);

#endif
