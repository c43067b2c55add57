/* assets.h - the files of the browser app, as they were built into the program (web/). Made by
 * web/tools/embed.mjs; nothing here is ever released. */
#ifndef HEARTH_SERVER_ASSETS_H
#define HEARTH_SERVER_ASSETS_H

#include <stddef.h>

struct asset {
    const char *path; /* as browsers ask for it, "/index.html" */
    const char *content_type;
    const unsigned char *data; /* compressed: goes out with Content-Encoding: gzip */
    size_t length;             /* bytes of data */
    const char *etag;          /* with its quotes */
};

/* Sorted by path. What lies below "/assets/" has its content's hash in its name and never changes;
 * the rest must be asked for again. "/" is answered by "/index.html". */
extern const struct asset *const assets; /* [n_assets] */
extern const size_t n_assets;            /* 0: the app was not built */

#endif
