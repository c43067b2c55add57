#include "train/dataset.h"

enum { ROUNDS = 6 };

static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* One pass over two halves of `bits` bits each. */
static uint64_t permute(uint64_t x, unsigned bits, uint64_t key) {
    uint64_t mask = ((uint64_t)1 << bits) - 1, left = x >> bits, right = x & mask;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint64_t next = left ^ (mix(right + key + round * 0x9e3779b97f4a7c15u) & mask);
        left = right;
        right = next;
    }
    return left << bits | right;
}

uint64_t dataset_shuffled(uint64_t n, uint64_t seed, uint64_t epoch, uint64_t i) {
    uint64_t key = mix(seed + 0x9e3779b97f4a7c15u) ^ mix(epoch + 0xd1b54a32d192ed03u);
    unsigned bits = 1;
    while (bits < 32 && n > (uint64_t)1 << (2 * bits))
        bits++;
    do
        i = permute(i, bits, key);
    while (i >= n);
    return i;
}
