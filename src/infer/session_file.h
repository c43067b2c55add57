/* session_file.h - a session's timeline on disk: what is computed once need not be computed
 * again by the next process.
 *
 * Layout, little-endian, nothing padded:
 *
 *     header   SESSION_FILE_HEADER_BYTES, see session_file.c
 *     pages    [n_pages][page_bytes], n_pages = ceil(n_tokens / page_tokens)
 *     tokens   int32 [n_tokens]
 *     digests  [n_pages][32], SHA-256 of each page
 *     state    [state_bytes], the recurrent state after the last token
 *     logits   float32 [n_vocab], after the last token
 *     digest   [32], SHA-256 of the header and of everything between pages and here
 *
 * A page has a digest of its own so that only those are read which the next prompt shares.
 * The header says everything that decides over the cached values: the model, its adapters,
 * the cache's types and layout, the arithmetic (processor level, activations) and the
 * version of Hearth. A file that differs in any of it is refused, so an answer is, to the
 * bit, what the session that wrote the file would have gone on with. */
#ifndef HEARTH_INFER_SESSION_FILE_H
#define HEARTH_INFER_SESSION_FILE_H

#include "base/sha256.h"
#include "infer/session.h"

enum { SESSION_FILE_HEADER_BYTES = 160, SESSION_FILE_VERSION_BYTES = 16 };

/* Who computed the pages of a file. */
struct session_origin {
    char hearth[SESSION_FILE_VERSION_BYTES]; /* version, zeros behind it */
    uint8_t model[SHA256_BYTES], adapters[SHA256_BYTES];
    uint32_t layout, page_tokens, k_type, v_type;
    uint32_t level;      /* enum cpu_level */
    uint32_t arithmetic; /* bit 0: exact activations; bit 1: positions of a long context */
    uint32_t n_vocab;
    uint64_t page_bytes, state_bytes;
};

/* A file as its parts, which borrow its bytes and may be misaligned. */
struct session_view {
    struct session_origin origin;
    uint32_t n_tokens, n_pages;
    const uint8_t *header, *pages, *tokens, *page_digests, *state, *logits, *digest;
};

/* Whether these bytes begin like a session's file, be it whole or not. */
bool session_file_is_one(const uint8_t *data, size_t size);
/* Finds the parts. HEARTH_ERROR_UNSUPPORTED when this is something else;
 * HEARTH_ERROR_FORMAT when its size is not what its header says. Reads no page. */
hearth_status session_file_parse(struct session_view *view, const uint8_t *data, size_t size,
                                 hearth_error *err);

/* Writes the timeline, which must have logits. The file appears only when it is complete;
 * one of that name is replaced if it is a session's, else HEARTH_ERROR_UNSUPPORTED. */
hearth_status session_save(struct session *session, const char *path, hearth_error *err);

/* Makes the timeline the longest common prefix of the file's and tokens [n], if that is
 * longer than what the session shares with them; at most n - 1 tokens of a longer file, and
 * of a recurrent model all of the file or nothing. `shared` (nullable) receives the length
 * of the common prefix itself. The file is mapped, and read only as far as needed.
 *
 * HEARTH_ERROR_NOT_FOUND: no file, or an empty one. HEARTH_ERROR_FORMAT: it is damaged or
 * was written by another version. HEARTH_ERROR_UNSUPPORTED: it is no session's file, or good
 * for another model, adapter, cache type or processor level. The session is then as before,
 * or empty. */
hearth_status session_load(struct session *session, const char *path, const int32_t *tokens,
                           uint32_t n, uint32_t *shared, hearth_error *err);

#endif
