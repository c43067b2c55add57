#include "base/socket_watch.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_EVENTS = 64 };

hearth_status socket_watch_open(struct socket_watch *w, hearth_error *err) {
    struct epoll_event event = {.events = EPOLLIN};
    w->poll = epoll_create1(EPOLL_CLOEXEC);
    w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->poll >= 0 && w->wake >= 0 && epoll_ctl(w->poll, EPOLL_CTL_ADD, w->wake, &event) == 0)
        return HEARTH_OK;
    error_set_errno(err, "cannot watch sockets");
    socket_watch_close(w);
    return HEARTH_ERROR_IO;
}

void socket_watch_close(struct socket_watch *w) {
    if (w->poll >= 0) close(w->poll);
    if (w->wake >= 0) close(w->wake);
    w->poll = w->wake = -1;
}

bool socket_watch_add(struct socket_watch *w, int socket, uint64_t name) {
    struct epoll_event event = {.events = EPOLLRDHUP, .data.u64 = name};
    return epoll_ctl(w->poll, EPOLL_CTL_ADD, socket, &event) == 0;
}

void socket_watch_remove(struct socket_watch *w, int socket) {
    struct epoll_event event = {0};
    epoll_ctl(w->poll, EPOLL_CTL_DEL, socket, &event);
}

void socket_watch_wake(struct socket_watch *w) {
    eventfd_write(w->wake, 1);
}

size_t socket_watch_wait(struct socket_watch *w, int timeout_ms, uint64_t *names, size_t most) {
    struct epoll_event events[MOST_EVENTS];
    eventfd_t count;
    size_t n = 0;
    int n_events =
        epoll_wait(w->poll, events, most < MOST_EVENTS ? (int)most : MOST_EVENTS, timeout_ms);
    for (int i = 0; i < n_events; i++)
        if (events[i].data.u64)
            names[n++] = events[i].data.u64;
        else
            eventfd_read(w->wake, &count);
    return n;
}

void socket_cut(int socket) {
    shutdown(socket, SHUT_RDWR);
}

void socket_close(int socket) {
    close(socket);
}
