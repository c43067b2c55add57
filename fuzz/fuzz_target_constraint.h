/* fuzz_target_constraint.h - a constraint of hostile bytes, followed for a while. */
#ifndef HEARTH_FUZZ_FUZZ_TARGET_CONSTRAINT_H
#define HEARTH_FUZZ_FUZZ_TARGET_CONSTRAINT_H

#include <stdlib.h>

#include "chat/constraint.h"
#include "fuzz_target.h"

/* Every byte, some longer tokens, and an end. */
static inline const struct constraint_vocabulary *fuzz_vocabulary(void) {
    static struct constraint_vocabulary *v;
    static char bytes[256];
    struct constraint_token tokens[261] = {[256] = {"true", 4, false, false},
                                           [257] = {"\":", 2, false, false},
                                           [258] = {"}]", 2, false, false},
                                           [259] = {"aaaa", 4, false, false},
                                           [260] = {"</s>", 4, true, false}};
    for (int i = 0; i < 256; i++) {
        bytes[i] = (char)i;
        tokens[i] = (struct constraint_token){bytes + i, 1, false, false};
    }
    if (!v && constraint_vocabulary_open(&v, tokens, 261, NULL) != HEARTH_OK) abort();
    return v;
}

/* Goes up to 64 tokens along, each the first allowed one after a place that `size` and the step
 * choose. What the mask allows must be accepted. */
static inline void fuzz_constraint(enum constraint_kind kind, const json_t *schema,
                                   const char *text, size_t size) {
    struct constraint *c;
    struct constraint_state *s;
    if (constraint_open(&c, fuzz_vocabulary(), kind, schema, text, NULL) != HEARTH_OK) return;
    if (constraint_begin(c, &s, NULL) != HEARTH_OK) abort();
    for (int32_t step = 0; step < 64; step++) {
        const uint64_t *mask = constraint_allowed(s);
        int32_t token = (int32_t)((size + (size_t)step * 97) % 261), tried = 0;
        if (!mask) abort();
        for (; tried < 261 && !(mask[token / 64] >> token % 64 & 1); tried++)
            token = (token + 1) % 261;
        if (tried == 261) break;
        if (!constraint_accept(s, token)) abort();
    }
    constraint_end(s);
    constraint_close(c);
}

#endif
