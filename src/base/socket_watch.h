/* socket_watch.h - hears when the other side of sockets hangs up, while nobody reads them. */
#ifndef HEARTH_BASE_SOCKET_WATCH_H
#define HEARTH_BASE_SOCKET_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* One thread waits; the others may add, remove and wake at any time. */
struct socket_watch {
    int poll, wake; /* -1: none */
};

hearth_status socket_watch_open(struct socket_watch *watch, hearth_error *err);
void socket_watch_close(struct socket_watch *watch);

/* `name`, not 0, is what socket_watch_wait calls the socket. It is added once at a time. */
bool socket_watch_add(struct socket_watch *watch, int socket, uint64_t name);
void socket_watch_remove(struct socket_watch *watch, int socket);
/* Ends a wait that is going on, or else the next. */
void socket_watch_wake(struct socket_watch *watch);
/* Waits for at most `timeout_ms` and gives the names of sockets that were hung up, at most `most`
 * (up to 64); returns how many. A socket is named until it is removed. */
size_t socket_watch_wait(struct socket_watch *watch, int timeout_ms, uint64_t *names, size_t most);

/* Ends a connection in both directions; the socket stays open. */
void socket_cut(int socket);
void socket_close(int socket);

#endif
