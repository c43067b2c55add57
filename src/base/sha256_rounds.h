/* sha256_rounds.h - the compression function of SHA-256, plain and with the
 * processor's own instructions; private to sha256.c. */
#ifndef HEARTH_BASE_SHA256_ROUNDS_H
#define HEARTH_BASE_SHA256_ROUNDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHA256_ROUNDS = 64 };
extern const uint32_t sha256_constants[SHA256_ROUNDS];

/* Whether this processor has instructions for it. */
bool sha256_hardware(void);
/* FIPS 180-4, 6.2.2, over `n_blocks` blocks of 64 bytes; only if sha256_hardware. */
void sha256_compress_hardware(uint32_t state[8], const uint8_t *blocks, size_t n_blocks);

#endif
