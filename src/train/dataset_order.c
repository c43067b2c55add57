#include "train/dataset_order.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

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

uint64_t order_hash(const char *data, size_t n, uint64_t seed) {
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)data[i]) * 0x100000001b3u;
    return mix(h + seed * 0x9e3779b97f4a7c15u);
}

static int compare_hashes(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

hearth_status order_split(uint64_t *offsets, const uint64_t *hashes, uint64_t n, uint64_t wanted,
                          uint64_t *n_eval, hearth_error *err) {
    if (wanted >= n)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "%llu of %llu records for evaluation leave none to train on",
                         (unsigned long long)wanted, (unsigned long long)n);
    uint64_t *work = mem_alloc_array((size_t)n, sizeof *work);
    if (!work) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to split the records");
    memcpy(work, hashes, (size_t)n * sizeof *work);
    qsort(work, (size_t)n, sizeof *work, compare_hashes);
    uint64_t limit = work[wanted - 1], n_train = 0;
    *n_eval = 0;
    for (uint64_t i = 0; i < n; i++)
        if (hashes[i] <= limit)
            work[(*n_eval)++] = offsets[i];
        else
            offsets[n_train++] = offsets[i];
    memcpy(offsets + n_train, work, (size_t)*n_eval * sizeof *work);
    mem_free(work);
    if (n_train > 0) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_ARGUMENT,
                     "all records are the same: none can be kept apart for evaluation");
}
