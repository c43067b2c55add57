/* Opens arbitrary bytes as a GGUF model and computes two tokens with it, in a bounded
 * amount of memory. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "fuzz_target.h"
#include "infer/context.h"

enum { MAX_BYTES = 32 << 20, N_CTX = 8 };

static void compute(struct context *context) {
    static const int32_t tokens[] = {1, 0};
    const struct config *config = &context_model(context)->config;
    struct context_part part = {.tokens = tokens, .n_tokens = 1, .last_logits = true};
    float *out = mem_alloc_array((size_t)config->n_vocab + config->n_embd, sizeof *out);
    if (!out) return;
    if (!config->causal) {
        context_embed(context, 0, tokens, 2, out, NULL);
    } else if (context_decode(context, &part, 1, out, NULL) == HEARTH_OK) {
        part.tokens = tokens + 1;
        if (context_decode(context, &part, 1, out, NULL) != HEARTH_OK)
            if (context_sequence_length(context, 0) > 1) abort();
    }
    mem_free(out);
}

static void use(const struct model *model) {
    struct context_options options = {
        .n_threads = 1, .n_ctx = N_CTX, .n_sequences = 1, .max_batch = 2, .max_bytes = MAX_BYTES};
    struct context *context;
    if (context_open(&context, model, &options, NULL) != HEARTH_OK) return;
    if (context_allocated_bytes(context) > MAX_BYTES) abort();
    compute(context);
    context_close(context);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int file = -1;
    char path[64];
    struct model model;
    if (file < 0) file = memfd_create("fuzz_model", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (model_open(&model, path, NULL) != HEARTH_OK) return 0;
    use(&model);
    model_close(&model);
    return 0;
}
