#include "server/http_pipe.h"

#include <string.h>

void http_pipe_init(struct http_pipe *p, struct MHD_Connection *connection, size_t most) {
    *p = (struct http_pipe){.connection = connection, .most = most};
    buf_init(&p->out, most * 2);
    pthread_mutex_init(&p->mutex, NULL);
}

void http_pipe_release(struct http_pipe *p) {
    buf_release(&p->out);
    pthread_mutex_destroy(&p->mutex);
}

size_t http_pipe_waiting(const struct http_pipe *p) {
    return p->out.length - p->sent;
}

void http_pipe_suspend(struct http_pipe *p) {
    p->suspended = true;
    MHD_suspend_connection(p->connection);
}

void http_pipe_wake(struct http_pipe *p) {
    if (!p->suspended || !p->connection) return;
    p->suspended = false;
    MHD_resume_connection(p->connection);
}

void http_pipe_clear(struct http_pipe *p) {
    buf_clear(&p->out);
    p->sent = 0;
}

/* Not for every block: what stays behind is moved. */
static void drop_sent(struct http_pipe *p) {
    if (p->sent < p->out.length && p->sent <= p->most / 2) return;
    p->out.length -= p->sent;
    if (p->out.length) memmove(p->out.data, p->out.data + p->sent, p->out.length);
    p->sent = 0;
}

static ssize_t send_more(void *context, uint64_t position, char *out, size_t most) {
    struct http_pipe *p = context;
    (void)position;
    pthread_mutex_lock(&p->mutex);
    size_t n = http_pipe_waiting(p);
    ssize_t result = 0;
    if (n > most) n = most;
    if (p->cut)
        result = MHD_CONTENT_READER_END_WITH_ERROR;
    else if (n > 0) {
        memcpy(out, p->out.data + p->sent, n);
        p->sent += n;
        p->sent_bytes += n;
        result = (ssize_t)n;
    } else if (p->ended)
        result = MHD_CONTENT_READER_END_OF_STREAM;
    else
        http_pipe_suspend(p);
    drop_sent(p);
    pthread_mutex_unlock(&p->mutex);
    return result;
}

struct MHD_Response *http_pipe_response(struct http_pipe *p, uint64_t n_bytes, size_t block_bytes) {
    return MHD_create_response_from_callback(n_bytes, block_bytes, send_more, p, NULL);
}

bool http_pipe_queue(struct http_exchange *x, struct MHD_Response *response) {
    http_reply_put_headers(x, response);
    x->answered = MHD_queue_response(x->connection, MHD_HTTP_OK, response) == MHD_YES;
    MHD_destroy_response(response);
    x->reply.status = MHD_HTTP_OK;
    return x->answered;
}
