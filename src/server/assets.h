/* assets.h - the files of the browser app, as they were built into the program. */
#ifndef HEARTH_SERVER_ASSETS_H
#define HEARTH_SERVER_ASSETS_H

#include <stddef.h>

struct asset {
    const char *path; /* as browsers ask for it, "/index.html" */
    const char *content_type;
    const unsigned char *data;
    size_t length;
    const char *etag; /* with its quotes */
};

extern const struct asset *const assets; /* [n_assets]; "/" is answered by "/index.html" */
extern const size_t n_assets;            /* 0: the app was not built */

#endif
