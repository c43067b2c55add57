#include "server/http_watch.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/socket_watch.h"
#include "server/log_feed.h"

enum { TICK_MS = 250, REMIND_TICKS = 40, MOST_NAMES = 64 };
#define SECOND_NS UINT64_C(1000000000)

struct http_link {
    int fd;
    uint64_t name;        /* unlike any other's, ever */
    uint64_t deadline_ns; /* 0: none */
    struct http_watched *watched;
    struct http_link *previous, *next;
};

struct http_watch {
    pthread_t thread;
    pthread_mutex_t mutex;
    struct socket_watch sockets;
    struct log_feed *feed;
    unsigned n_ticks;
    struct http_link *links;
    uint64_t n_names;
    struct http_watched *dead;
    bool has_thread, stops;
};

static void hear(struct http_watch *w, uint64_t name) {
    pthread_mutex_lock(&w->mutex);
    struct http_link *link = w->links;
    while (link && link->name != name)
        link = link->next;
    if (link && link->watched) {
        socket_watch_remove(&w->sockets, link->fd);
        link->watched->ops->hang_up(link->watched);
        link->watched = NULL;
    }
    pthread_mutex_unlock(&w->mutex);
}

/* libmicrohttpd sees the end of what it reads, and closes. */
static void cut_late(struct http_watch *w) {
    uint64_t now = clock_now_ns();
    pthread_mutex_lock(&w->mutex);
    for (struct http_link *link = w->links; link; link = link->next)
        if (link->deadline_ns && link->deadline_ns < now) {
            socket_cut(link->fd);
            link->deadline_ns = 0;
        }
    pthread_mutex_unlock(&w->mutex);
}

static void bury_dead(struct http_watch *w) {
    pthread_mutex_lock(&w->mutex);
    struct http_watched *watched = w->dead;
    w->dead = NULL;
    pthread_mutex_unlock(&w->mutex);
    while (watched) {
        struct http_watched *next = watched->next_dead;
        watched->ops->free(watched);
        watched = next;
    }
}

static void *run(void *context) {
    struct http_watch *w = context;
    uint64_t names[MOST_NAMES];
    uint64_t ticked = clock_now_ns();
    for (bool stops = false; !stops;) {
        size_t n = socket_watch_wait(&w->sockets, TICK_MS, names, MOST_NAMES);
        for (size_t i = 0; i < n; i++)
            hear(w, names[i]);
        bury_dead(w);
        if (clock_now_ns() - ticked > TICK_MS * (SECOND_NS / 1000)) {
            cut_late(w);
            if (++w->n_ticks % REMIND_TICKS == 0) log_feed_remind(w->feed);
            ticked = clock_now_ns();
        }
        pthread_mutex_lock(&w->mutex);
        stops = w->stops;
        pthread_mutex_unlock(&w->mutex);
    }
    bury_dead(w);
    return NULL;
}

static hearth_status start(struct http_watch *w, hearth_error *err) {
    RETURN_IF_ERROR(socket_watch_open(&w->sockets, err));
    int code = pthread_create(&w->thread, NULL, run, w);
    w->has_thread = code == 0;
    if (code == 0) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "cannot start a thread: %s", strerror(code));
}

hearth_status http_watch_open(struct http_watch **out, struct log_feed *feed, hearth_error *err) {
    struct http_watch *w = mem_calloc(1, sizeof *w);
    *out = NULL;
    if (!w) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to watch connections");
    w->sockets = (struct socket_watch){-1, -1};
    w->feed = feed;
    pthread_mutex_init(&w->mutex, NULL);
    hearth_status status = start(w, err);
    if (status == HEARTH_OK)
        *out = w;
    else
        http_watch_close(w);
    return status;
}

void http_watch_close(struct http_watch *w) {
    if (!w) return;
    if (w->has_thread) {
        pthread_mutex_lock(&w->mutex);
        w->stops = true;
        pthread_mutex_unlock(&w->mutex);
        socket_watch_wake(&w->sockets);
        pthread_join(w->thread, NULL);
    }
    socket_watch_close(&w->sockets);
    pthread_mutex_destroy(&w->mutex);
    mem_free(w);
}

struct http_link *http_watch_open_link(struct http_watch *w, int fd) {
    struct http_link *link = mem_calloc(1, sizeof *link);
    if (!link) return NULL;
    link->fd = fd;
    pthread_mutex_lock(&w->mutex);
    link->name = ++w->n_names;
    link->next = w->links;
    if (link->next) link->next->previous = link;
    w->links = link;
    pthread_mutex_unlock(&w->mutex);
    return link;
}

void http_watch_close_link(struct http_watch *w, struct http_link *link) {
    if (!link) return;
    pthread_mutex_lock(&w->mutex);
    if (link->watched) socket_watch_remove(&w->sockets, link->fd);
    if (link->previous)
        link->previous->next = link->next;
    else
        w->links = link->next;
    if (link->next) link->next->previous = link->previous;
    pthread_mutex_unlock(&w->mutex);
    mem_free(link);
}

void http_watch_limit(struct http_watch *w, struct http_link *link, unsigned seconds) {
    if (!link) return;
    pthread_mutex_lock(&w->mutex);
    link->deadline_ns = seconds ? clock_now_ns() + seconds * SECOND_NS : 0;
    pthread_mutex_unlock(&w->mutex);
}

void http_watch_follow(struct http_watch *w, struct http_link *link, struct http_watched *watched) {
    if (!link) return;
    pthread_mutex_lock(&w->mutex);
    if (link->watched) socket_watch_remove(&w->sockets, link->fd);
    link->watched = watched;
    if (watched && !socket_watch_add(&w->sockets, link->fd, link->name))
        log_message(LOG_WARNING,
                    "a connection cannot be watched: an answer may outlive its client");
    pthread_mutex_unlock(&w->mutex);
}

void http_watch_cancel_all(struct http_watch *w) {
    pthread_mutex_lock(&w->mutex);
    for (struct http_link *link = w->links; link; link = link->next)
        if (link->watched) link->watched->ops->cancel(link->watched);
    pthread_mutex_unlock(&w->mutex);
}

void http_watch_bury(struct http_watch *w, struct http_watched *watched) {
    pthread_mutex_lock(&w->mutex);
    watched->next_dead = w->dead;
    w->dead = watched;
    pthread_mutex_unlock(&w->mutex);
    socket_watch_wake(&w->sockets);
}
