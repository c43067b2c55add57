#include "split.h"

#include "base/sha256.h"

static const char key[] = "Ember, held out, 1\n";

bool split_is_held_out(const struct problem *p) {
    struct sha256 hash;
    uint8_t digest[SHA256_BYTES];
    uint64_t number = 0;
    if (p->only_trained) return false;
    sha256_init(&hash);
    sha256_update(&hash, key, sizeof key - 1);
    sha256_update(&hash, buf_text(&p->canonical), p->canonical.length);
    sha256_final(&hash, digest);
    for (int i = 0; i < 8; i++)
        number = number << 8 | digest[i];
    return number % SPLIT_HELD_OUT_IN == 0;
}
