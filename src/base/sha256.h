/* sha256.h - the Secure Hash Algorithm SHA-256 (FIPS 180-4, sections 5 and 6.2).
 *
 * For checking that a file is what its publisher named, not for passwords. Uses the
 * processor's instructions for it where there are any; HEARTH_CPU=scalar does not. */
#ifndef HEARTH_BASE_SHA256_H
#define HEARTH_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_BYTES = 32, SHA256_BLOCK_BYTES = 64, SHA256_HEX_BYTES = 65 /* with the NUL */ };

struct sha256 {
    uint32_t state[8];
    uint8_t block[SHA256_BLOCK_BYTES]; /* the message's last, unfinished block */
    uint64_t length_bytes;
    void (*compress)(uint32_t state[8], const uint8_t *blocks, size_t n_blocks);
};

void sha256_init(struct sha256 *hash);
void sha256_update(struct sha256 *hash, const void *data, size_t size_bytes);
void sha256_final(struct sha256 *hash, uint8_t digest[SHA256_BYTES]);
/* The digest as 64 lower-case hexadecimal digits and a NUL. */
void sha256_hex(const uint8_t digest[SHA256_BYTES], char hex[SHA256_HEX_BYTES]);

#endif
