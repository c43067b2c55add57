#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define MOST_BYTES ((size_t)64 << 20)

int wire_try_connect(unsigned port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval limit = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

int wire_connect(unsigned port) {
    int fd = wire_try_connect(port);
    if (fd < 0) fail_msg("cannot connect to port %u", port);
    return fd;
}

/* A server that refuses may close before it has read everything. */
void wire_send(int fd, const char *data, size_t n) {
    while (n > 0) {
        ssize_t sent = send(fd, data, n, MSG_NOSIGNAL);
        if (sent <= 0) return;
        data += sent;
        n -= (size_t)sent;
    }
}

void wire_send_text(int fd, const char *text) {
    wire_send(fd, text, strlen(text));
}

/* One byte at a time is slow and never reads into the next response. */
static bool read_byte(int fd, char *c) {
    ssize_t n = recv(fd, c, 1, 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) fail_msg("no answer for ten seconds");
    return n == 1;
}

static bool read_line(int fd, struct buf *line) {
    char c = '\0';
    while (c != '\n') {
        if (!read_byte(fd, &c)) return false;
        buf_append_char(line, c);
    }
    return true;
}

static bool read_bytes(int fd, struct buf *out, size_t n) {
    char block[65536];
    while (n > 0) {
        ssize_t got = recv(fd, block, n < sizeof block ? n : sizeof block, 0);
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            fail_msg("no answer for ten seconds");
        if (got <= 0) return false;
        buf_append(out, block, (size_t)got);
        n -= (size_t)got;
    }
    return true;
}

static bool read_chunks(int fd, struct buf *out) {
    for (;;) {
        struct buf line;
        buf_init(&line, 4096);
        bool there = read_line(fd, &line);
        size_t n = there ? strtoul(buf_text(&line), NULL, 16) : 0;
        buf_release(&line);
        if (!there || !read_bytes(fd, out, n)) return false;
        buf_init(&line, 4096);
        there = read_line(fd, &line);
        buf_release(&line);
        if (!there) return false;
        if (n == 0) return true;
    }
}

void wire_read_head(int fd, struct wire_reply *reply) {
    *reply = (struct wire_reply){0};
    buf_init(&reply->head, MOST_BYTES);
    buf_init(&reply->body, MOST_BYTES);
    for (;;) {
        size_t before = reply->head.length;
        if (!read_line(fd, &reply->head)) return;
        if (reply->head.length - before <= 2) break;
    }
    reply->status = (int)strtol(buf_text(&reply->head) + 9, NULL, 10);
}

void wire_read(int fd, struct wire_reply *reply) {
    wire_read_head(fd, reply);
    if (reply->status == 100) { /* and then the response itself */
        wire_release(reply);
        wire_read_head(fd, reply);
    }
    if (reply->status == 0) return;
    const char *length = wire_header(reply, "Content-Length");
    const char *encoding = length ? NULL : wire_header(reply, "Transfer-Encoding");
    if (length)
        reply->whole = read_bytes(fd, &reply->body, strtoul(length, NULL, 10));
    else if (encoding)
        reply->whole = read_chunks(fd, &reply->body);
    else
        reply->whole = reply->status == 204 || reply->status == 304;
}

void wire_release(struct wire_reply *reply) {
    buf_release(&reply->head);
    buf_release(&reply->body);
}

const char *wire_header(const struct wire_reply *reply, const char *name) {
    static _Thread_local char value[1024];
    size_t n = strlen(name);
    for (const char *line = buf_text(&reply->head); line; line = strchr(line, '\n')) {
        if (*line == '\n') line++;
        if (strncasecmp(line, name, n) != 0 || line[n] != ':') continue;
        const char *begin = line + n + 1 + strspn(line + n + 1, " ");
        snprintf(value, sizeof value, "%.*s", (int)strcspn(begin, "\r\n"), begin);
        return value;
    }
    return NULL;
}

bool wire_is_closed(int fd) {
    char block[4096];
    ssize_t n;
    while ((n = recv(fd, block, sizeof block, 0)) > 0) {
    }
    return n == 0 || errno == ECONNRESET;
}

int wire_ask(unsigned port, const char *method, const char *path, const char *extra,
             const char *body, struct wire_reply *reply) {
    char head[4096];
    int fd = wire_connect(port);
    snprintf(head, sizeof head,
             "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%sContent-Length: %zu\r\n\r\n", method, path,
             port, extra, body ? strlen(body) : 0);
    wire_send_text(fd, head);
    if (body) wire_send_text(fd, body);
    wire_read(fd, reply);
    close(fd);
    return reply->status;
}

json_t *wire_json(const struct wire_reply *reply) {
    json_t *value = json_loadb(buf_text(&reply->body), reply->body.length, JSON_DECODE_ANY, NULL);
    if (!value) fail_msg("not JSON: %s", buf_text(&reply->body));
    return value;
}

double wire_metric(unsigned port, const char *name) {
    struct wire_reply reply;
    size_t n = strlen(name);
    double value = 0;
    assert_int_equal(wire_ask(port, "GET", "/metrics", "", NULL, &reply), 200);
    for (const char *line = buf_text(&reply.body); line; line = strchr(line, '\n')) {
        if (*line == '\n') line++;
        if (strncmp(line, name, n) == 0 && line[n] == ' ') value = strtod(line + n, NULL);
    }
    wire_release(&reply);
    return value;
}
