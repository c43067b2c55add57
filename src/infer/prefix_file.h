/* prefix_file.h - the computed beginning of prompts on disk: what is computed once need not be
 * computed again by the next process.
 *
 * Layout, little-endian, nothing padded:
 *
 *     header         PREFIX_FILE_HEADER_BYTES, see prefix_file.c
 *     pages          [n_pages][page_bytes]
 *     states         [n_states][state_bytes], of a recurrent model
 *     tokens         int32 [n_pages * page_tokens]
 *     page digests   [n_pages][32], SHA-256 of each
 *     state digests  [n_states][32]
 *     ends           uint32 [n_states]: the pages that a state comes after, rising, from 1 on
 *     digest         [32], SHA-256 of the header and of everything between states and here
 *
 * Pages and states have digests of their own so that only those are read which the next prompt
 * shares. The header says everything that decides over the cached values: the model, its adapters,
 * the cache's types and layout, the arithmetic (processor level, activations) and the version of
 * Hearth. A file that differs in any of it is refused, so an answer is, to the bit, what it would
 * be without. All tokens are a prompt's (context.h, `prompt`). */
#ifndef HEARTH_INFER_PREFIX_FILE_H
#define HEARTH_INFER_PREFIX_FILE_H

#include "base/file.h"
#include "base/sha256.h"
#include "infer/context.h"

enum { PREFIX_FILE_HEADER_BYTES = 160, PREFIX_FILE_VERSION_BYTES = 16 };

/* Who computed the pages of a file. */
struct prefix_origin {
    char hearth[PREFIX_FILE_VERSION_BYTES]; /* version, zeros behind it */
    uint8_t model[SHA256_BYTES], adapters[SHA256_BYTES];
    uint32_t layout, page_tokens, k_type, v_type;
    uint32_t level;      /* enum cpu_level */
    uint32_t arithmetic; /* bit 0: exact activations; bit 1: positions of a long context */
    uint32_t n_vocab;
    uint64_t page_bytes, state_bytes;
};

/* Pages of this context that are computed with these adapters. */
hearth_status prefix_origin_of(const struct context *context, const struct adapter_set *adapters,
                               struct prefix_origin *origin, hearth_error *err);

/* ---- reading --------------------------------------------------------------- */

/* A file as its parts, which borrow its bytes and may be misaligned. */
struct prefix_view {
    struct prefix_origin origin;
    uint32_t n_pages, n_states;
    const uint8_t *header, *pages, *states, *tokens, *page_digests, *state_digests, *ends, *digest;
};

/* Whether these bytes begin like such a file, be it whole or not. */
bool prefix_file_is_one(const uint8_t *data, size_t size);
/* Finds the parts. HEARTH_ERROR_UNSUPPORTED when this is something else; HEARTH_ERROR_FORMAT when
 * its size or its ends are not what its header says. Reads no page. */
hearth_status prefix_file_parse(struct prefix_view *view, const uint8_t *data, size_t size,
                                hearth_error *err);
/* Whether it can be used here: HEARTH_ERROR_FORMAT, it is damaged or of another version;
 * HEARTH_ERROR_UNSUPPORTED, it is good for another model, adapter, cache type or processor. Pages
 * and states are looked at by the two functions below. */
hearth_status prefix_file_check(const struct prefix_view *view, const struct prefix_origin *ours,
                                hearth_error *err);
/* The page or state, or NULL: it is damaged. */
const uint8_t *prefix_file_page(const struct prefix_view *view, uint32_t i);
const uint8_t *prefix_file_state(const struct prefix_view *view, uint32_t i);
/* The pages before state i. */
uint32_t prefix_file_end(const struct prefix_view *view, uint32_t i);
/* Whole pages that these tokens have in common with the file's. */
uint32_t prefix_file_common(const struct prefix_view *view, const int32_t *tokens, uint32_t n);

/* The tokens of a whole file, given (mem_free); not checked against its digest. As file_map_open
 * and prefix_file_parse fail. */
hearth_status prefix_file_tokens(const char *path, int32_t **tokens, uint32_t *n,
                                 hearth_error *err);

/* ---- writing --------------------------------------------------------------- */

/* Open, all pages, all states, commit; or discard instead of commit. */
struct prefix_writer {
    struct prefix_origin origin;
    struct file_writer file;
    struct sha256 hash; /* of header and tail */
    uint32_t n_pages, n_states, n_put;
    uint8_t *digests; /* [n_pages + n_states][SHA256_BYTES] */
};

/* A file of that name is replaced, when the new one is whole, if it is of this kind; otherwise
 * HEARTH_ERROR_UNSUPPORTED. Nothing is to be discarded after an error. */
hearth_status prefix_writer_open(struct prefix_writer *writer, const char *path,
                                 const struct prefix_origin *origin, uint32_t n_pages,
                                 uint32_t n_states, hearth_error *err);
/* The next page or state. */
hearth_status prefix_writer_put(struct prefix_writer *writer, const uint8_t *bytes,
                                hearth_error *err);
/* `ends` [n_states]. Closes the writer in every case. */
hearth_status prefix_writer_commit(struct prefix_writer *writer, const int32_t *tokens,
                                   const uint32_t *ends, hearth_error *err);
void prefix_writer_discard(struct prefix_writer *writer);

#endif
