/* Reading answers, and the small pieces of URLs that messages and requests need. */
#include <curl/curl.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "net/http.h"

enum { HOST_BYTES = 300, SAID_BYTES = 160 };

void http_response_release(struct http_response *response) {
    mem_free(response->url);
    buf_release(&response->headers);
    buf_release(&response->body);
    *response = (struct http_response){0};
}

bool http_header(const struct http_response *response, const char *name, char *value,
                 size_t value_size) {
    size_t length = strlen(name);
    for (const char *line = buf_text(&response->headers); *line;) {
        const char *end = strchr(line, '\n');
        if (!end) end = line + strlen(line);
        if (strncasecmp(line, name, length) == 0 && line[length] == ':') {
            const char *from = line + length + 1;
            while (from < end && (*from == ' ' || *from == '\t'))
                from++;
            while (end > from && (end[-1] == ' ' || end[-1] == '\t'))
                end--;
            if ((size_t)(end - from) >= value_size) return false;
            memcpy(value, from, (size_t)(end - from));
            value[end - from] = '\0';
            return true;
        }
        line = *end ? end + 1 : end;
    }
    return false;
}

const char *http_host(const char *url, char *out, size_t out_size) {
    const char *from = strstr(url, "://");
    from = from ? from + 3 : url;
    size_t length = strcspn(from, "/?#");
    const char *at = memchr(from, '@', length);
    if (at) length -= (size_t)(at + 1 - from), from = at + 1;
    snprintf(out, out_size, "%.*s", (int)(length < HOST_BYTES ? length : HOST_BYTES - 1), from);
    return out;
}

bool http_escape(struct buf *out, const char *text, const char *keep) {
    static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789-._~";
    for (; *text; text++) {
        if (strchr(unreserved, *text) || strchr(keep, *text))
            buf_append_char(out, *text);
        else
            buf_append_format(out, "%%%02X", (unsigned)(unsigned char)*text);
    }
    return !out->failed;
}

/* The beginning of what the server said, if it is one readable line or so. */
static const char *first_words(const struct http_response *response, char *out, size_t out_size) {
    size_t n = 0;
    const char *body = buf_text(&response->body);
    if (*body == '<') body = ""; /* a page for browsers */
    for (; *body && n + 1 < out_size; body++) {
        unsigned char c = (unsigned char)*body;
        out[n++] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
    }
    out[n] = '\0';
    return out;
}

static const char *advice_for(long status) {
    if (status == 401 || status == 407) return "check the key or token";
    if (status == 403) return "this key or token may not do that";
    if (status == 404) return "check the address";
    if (status == 429) return "too many requests: wait, then try again";
    if (status >= 500) return "the server has a problem: try again later";
    return "check the request";
}

hearth_status http_check(const struct http_response *response, hearth_error *err) {
    char host[HOST_BYTES], said[SAID_BYTES];
    long status = response->status;
    if (status >= 200 && status < 300) return HEARTH_OK;
    hearth_status code = status == 404 || status == 410 ? HEARTH_ERROR_NOT_FOUND : HEARTH_ERROR_IO;
    first_words(response, said, sizeof said);
    http_host(response->url ? response->url : "the server", host, sizeof host);
    return error_set(err, code, "%s answered with status %ld%s%s%s; %s", host, status,
                     *said ? " (" : "", said, *said ? ")" : "", advice_for(status));
}
