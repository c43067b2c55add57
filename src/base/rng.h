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
uint64_t rng_entropy(void);          /* a fresh seed from the operating system */

#endif
