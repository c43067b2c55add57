#include "base/sha256.h"

#include <stdlib.h>
#include <string.h>

#include "base/sha256_rounds.h"

enum { LENGTH_FIELD_BYTES = 8 };

/* FIPS 180-4, 4.2.2: the first 32 bits of the fractional parts of the cube roots
 * of the first 64 primes. */
const uint32_t sha256_constants[SHA256_ROUNDS] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static inline uint32_t rotate_right(uint32_t x, unsigned n) {
    return x >> n | x << (32 - n);
}

static inline uint32_t load_big_endian(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

/* 6.2.2: the message schedule W, then 64 rounds over the working variables a..h. */
static void compress_block(uint32_t state[8], const uint8_t *block) {
    uint32_t w[SHA256_ROUNDS];
    for (unsigned t = 0; t < 16; t++)
        w[t] = load_big_endian(block + 4 * t);
    for (unsigned t = 16; t < SHA256_ROUNDS; t++) {
        uint32_t x = w[t - 15], y = w[t - 2];
        uint32_t sigma0 = rotate_right(x, 7) ^ rotate_right(x, 18) ^ x >> 3;
        uint32_t sigma1 = rotate_right(y, 17) ^ rotate_right(y, 19) ^ y >> 10;
        w[t] = sigma1 + w[t - 7] + sigma0 + w[t - 16];
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (unsigned t = 0; t < SHA256_ROUNDS; t++) {
        uint32_t sum1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
        uint32_t choice = (e & f) ^ (~e & g);
        uint32_t t1 = h + sum1 + choice + sha256_constants[t] + w[t];
        uint32_t sum0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
        uint32_t majority = (a & b) ^ (a & c) ^ (b & c);
        uint32_t t2 = sum0 + majority;
        h = g, g = f, f = e, e = d + t1;
        d = c, c = b, b = a, a = t1 + t2;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

static void compress_scalar(uint32_t state[8], const uint8_t *blocks, size_t n_blocks) {
    for (; n_blocks > 0; n_blocks--, blocks += SHA256_BLOCK_BYTES)
        compress_block(state, blocks);
}

void sha256_init(struct sha256 *hash) {
    const char *level = getenv("HEARTH_CPU");
    bool scalar = (level && strcmp(level, "scalar") == 0) || !sha256_hardware();
    *hash = (struct sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
                                      0x9b05688c, 0x1f83d9ab, 0x5be0cd19},
                            .compress = scalar ? compress_scalar : sha256_compress_hardware};
}

void sha256_update(struct sha256 *hash, const void *data, size_t size_bytes) {
    const uint8_t *bytes = data;
    size_t held = (size_t)(hash->length_bytes % SHA256_BLOCK_BYTES);
    hash->length_bytes += size_bytes;
    if (held) {
        size_t take = SHA256_BLOCK_BYTES - held;
        if (take > size_bytes) take = size_bytes;
        memcpy(hash->block + held, bytes, take);
        bytes += take, size_bytes -= take;
        if (held + take < SHA256_BLOCK_BYTES) return;
        hash->compress(hash->state, hash->block, 1);
    }
    hash->compress(hash->state, bytes, size_bytes / SHA256_BLOCK_BYTES);
    size_t rest = size_bytes % SHA256_BLOCK_BYTES;
    if (rest) memcpy(hash->block, bytes + size_bytes - rest, rest);
}

void sha256_final(struct sha256 *hash, uint8_t digest[SHA256_BYTES]) {
    static const uint8_t padding[SHA256_BLOCK_BYTES] = {0x80};
    uint64_t bits = hash->length_bytes * 8;
    size_t held = (size_t)(hash->length_bytes % SHA256_BLOCK_BYTES);
    size_t room = SHA256_BLOCK_BYTES - LENGTH_FIELD_BYTES;
    sha256_update(hash, padding, held < room ? room - held : SHA256_BLOCK_BYTES + room - held);
    uint8_t length[LENGTH_FIELD_BYTES];
    for (unsigned i = 0; i < LENGTH_FIELD_BYTES; i++)
        length[i] = (uint8_t)(bits >> (56 - 8 * i));
    sha256_update(hash, length, sizeof length);
    for (unsigned i = 0; i < SHA256_BYTES; i++)
        digest[i] = (uint8_t)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
}

void sha256_hex(const uint8_t digest[SHA256_BYTES], char hex[SHA256_HEX_BYTES]) {
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < SHA256_BYTES; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[SHA256_HEX_BYTES - 1] = '\0';
}
