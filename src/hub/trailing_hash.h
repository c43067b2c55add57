/* trailing_hash.h - the SHA-256 of a file that is still being written, computed on a
 * thread that follows the writer, so that checking costs no time of its own. */
#ifndef HEARTH_HUB_TRAILING_HASH_H
#define HEARTH_HUB_TRAILING_HASH_H

#include <stdint.h>

#include "base/sha256.h"
#include "base/status.h"

struct trailing_hash;

/* `fd` is borrowed and read with pread from byte 0 to `size_bytes`. */
hearth_status trailing_hash_start(struct trailing_hash **hash, int fd, uint64_t size_bytes,
                                  hearth_error *err);
/* The first `ready_bytes` of the file are final. Never falls. */
void trailing_hash_advance(struct trailing_hash *hash, uint64_t ready_bytes);
/* Waits for the end and gives the digest in hexadecimal; all bytes must be ready. Frees. */
hearth_status trailing_hash_finish(struct trailing_hash *hash, char hex[SHA256_HEX_BYTES],
                                   hearth_error *err);
void trailing_hash_abandon(struct trailing_hash *hash); /* NULL is fine */

#endif
