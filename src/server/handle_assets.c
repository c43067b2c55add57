/* The browser app's files, as they are built in. */
#include <string.h>

#include "server/assets.h"
#include "server/handlers.h"
#include "server/http_accept.h"
#include "server/http_errors.h"

/* Nothing from elsewhere, nothing inline. Styles that scripts set through the object model, as
 * charts and formulas do, need no permission. */
static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

#define PAGE(text)                                                                                 \
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Hearth</title>"               \
    "<h1>Hearth</h1><p>The server is running. " text                                               \
    " The interfaces under <code>/v1</code> and <code>/api</code> are there.</p></html>\n"

static const char page_without_app[] = PAGE("The browser app was not built into this program.");
static const char page_without_gzip[] =
    PAGE("This page is for programs that do not take gzip; browsers get the app.");

static const struct asset *find(const char *path) {
    if (strcmp(path, "/") == 0) path = "/index.html";
    for (size_t i = 0; i < n_assets; i++)
        if (strcmp(assets[i].path, path) == 0) return &assets[i];
    return NULL;
}

static void put_page_headers(struct http_exchange *x, const char *type) {
    x->reply.type = type;
    http_reply_header(x, "Referrer-Policy", "no-referrer");
    http_reply_header(x, "Cross-Origin-Opener-Policy", "same-origin");
    http_reply_header(x, "Cross-Origin-Resource-Policy", "same-origin");
    if (strncmp(type, "text/html", 9) == 0) http_reply_header(x, "Content-Security-Policy", policy);
}

static void put_plain_page(struct http_exchange *x, const char *page) {
    static const char html[] = "text/html; charset=utf-8";
    http_reply_text(x, MHD_HTTP_OK, html, page, strlen(page));
    put_page_headers(x, html);
}

static void answer_asset(struct http_exchange *x, const struct asset *asset) {
    const char *known = http_exchange_header(x, MHD_HTTP_HEADER_IF_NONE_MATCH);
    bool same = known && strcmp(known, asset->etag) == 0;
    x->reply.status = same ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK;
    put_page_headers(x, asset->content_type);
    http_reply_header(x, MHD_HTTP_HEADER_ETAG, asset->etag);
    http_reply_header(x, MHD_HTTP_HEADER_CACHE_CONTROL,
                      strncmp(asset->path, "/assets/", 8) == 0
                          ? "public, max-age=31536000, immutable"
                          : "no-cache");
    http_reply_header(x, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
    if (same) return;
    x->reply.data = asset->data;
    x->reply.n_data = asset->length;
}

/* The app's files are there compressed only. Who says nothing of encodings takes them so, but is
 * no browser, and a person may look at what it prints. */
static void answer_by_encoding(struct http_exchange *x, const struct asset *asset) {
    const char *encodings = http_exchange_header(x, MHD_HTTP_HEADER_ACCEPT_ENCODING);
    bool is_page = strcmp(asset->path, "/index.html") == 0;
    http_reply_header(x, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ACCEPT_ENCODING ", Origin");
    if (encodings ? http_accepts_gzip(encodings) : !is_page)
        answer_asset(x, asset);
    else if (is_page)
        put_plain_page(x, page_without_gzip);
    else
        http_reply_error(x, MHD_HTTP_NOT_ACCEPTABLE, "",
                         "'%.200s' is there with Content-Encoding: gzip only", x->path);
}

void handle_asset(struct http_exchange *x) {
    const struct asset *asset = find(x->path);
    if (asset)
        answer_by_encoding(x, asset);
    else if (strcmp(x->path, "/") == 0)
        put_plain_page(x, page_without_app);
    else
        http_reply_error(x, MHD_HTTP_NOT_FOUND, "", "no such path: %.32s '%.200s'", x->method,
                         x->path);
}
