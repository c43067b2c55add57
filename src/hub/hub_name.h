/* hub_name.h - the parts of a model's name, and what servers may call things. */
#ifndef HEARTH_HUB_HUB_NAME_H
#define HEARTH_HUB_HUB_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum {
    HUB_REPO_BYTES = 200,
    HUB_REVISION_BYTES = 200,
    HUB_QUANT_BYTES = 48,
    HUB_FILE_BYTES = 512,
    HUB_ETAG_BYTES = 129,
    HUB_COMMIT_BYTES = 65
};

/* Each part may be "". */
struct hub_name {
    char repo[HUB_REPO_BYTES]; /* "org/repo" */
    char revision[HUB_REVISION_BYTES];
    char quant[HUB_QUANT_BYTES];
    char file[HUB_FILE_BYTES];
};

/* Takes apart "org/repo[@revision][:quant]", "org/repo/file", the same behind
 * "hf.co/", "huggingface.co/", "hf://" or an address at `endpoint`, and the
 * /tree/, /blob/ and /resolve/ addresses of the hub's pages. */
hearth_status hub_name_parse(const char *text, const char *endpoint, struct hub_name *name,
                             hearth_error *err);

/* What may come from outside and become part of a path. */
bool hub_safe_file(const char *path);     /* relative, no "..", no control characters */
bool hub_safe_revision(const char *text); /* the same, of ordinary characters */
bool hub_safe_etag(const char *text);
bool hub_safe_commit(const char *text); /* 7 to 64 lower-case hexadecimal digits */
bool hub_is_sha256(const char *text);   /* 64 of them */

#endif
