/* hostile.h - takes a working model file apart, changes one thing, writes it again and
 * tries to use it.
 *
 * Whatever was changed, opening and decoding must end in an error message or in
 * logits: never in a crash, a hang or an absurd amount of memory. */
#ifndef HEARTH_TESTS_MODEL_HOSTILE_H
#define HEARTH_TESTS_MODEL_HOSTILE_H

#include "testdata.h"

#include "infer/context.h"

enum { VICTIM_MAX_TENSORS = 512, VICTIM_MAX_BYTES = 64 << 20, VICTIM_N_CTX = 16 };

struct victim {
    struct directory original;
    const char *name; /* of the model */
    struct metadata metadata;
    struct tensor tensors[VICTIM_MAX_TENSORS];
    size_t n_tensors;
    unsigned tried, refused;
    char path[256];
    hearth_error err; /* of the last try that was refused */
};

void victim_open(struct victim *v, const char *path, const char *name);
void victim_close(struct victim *v);
/* Back to the original, without the metadata key `except` (nullable). */
void victim_reset(struct victim *v, const char *except);
/* Replaces tensor i's description; its bytes become zeros where there were none. */
void victim_reshape(struct victim *v, size_t i, enum elem type, const uint64_t dims[4]);
/* Writes the file and uses it: true when it gave logits, false when it was refused.
 * `format` names the change in messages. */
bool victim_try(struct victim *v, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
