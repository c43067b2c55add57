/* rng.h - reproducible random numbers (xoshiro256**, seeded by splitmix64;
 * Blackman & Vigna, "Scrambled linear pseudorandom number generators"). */
#ifndef HEARTH_BASE_RNG_H
#define HEARTH_BASE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t state[4];
};

void rng_seed(struct rng *rng, uint64_t seed);
uint64_t rng_u64(struct rng *rng);
double rng_uniform(struct rng *rng); /* [0, 1), 53 bits */
float rng_normal(struct rng *rng);   /* mean 0, variance 1 (Box-Muller, two draws) */
/* Number i of the stream `key`, without a state (splitmix64; Steele, Lea & Flood, "Fast
 * splittable pseudorandom number generators", 2014). */
static inline uint64_t rng_at(uint64_t key, uint64_t i) {
    uint64_t z = key + (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
uint64_t rng_entropy(void); /* a fresh seed from the operating system */

#endif
