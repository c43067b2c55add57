#include "infer/sampling_defaults.h"

#include <string.h>

#include "base/mem.h"

/* A recommendation that makes no sense is passed over. */
static void take_number(const struct metadata *metadata, const char *key, float least, float most,
                        float *out) {
    float value;
    if (metadata_f32(metadata, key, &value) && value >= least && value <= most) *out = value;
}

struct sampler_params sampler_params_of_model(const struct metadata *metadata) {
    struct sampler_params p = sampler_params_default();
    uint32_t top_k;
    take_number(metadata, "general.sampling.temp", 0, 100, &p.temperature);
    take_number(metadata, "general.sampling.top_p", 0, 1, &p.top_p);
    take_number(metadata, "general.sampling.min_p", 0, 1, &p.min_p);
    take_number(metadata, "general.sampling.penalty_repeat", 0.001F, 1e3F, &p.repeat_penalty);
    if (metadata_u32(metadata, "general.sampling.top_k", &top_k) && top_k <= 1 << 24)
        p.top_k = (int32_t)top_k;
    return p;
}

static bool holds_one(struct text piece, const char *const *texts, size_t n_texts) {
    for (size_t i = 0; i < n_texts; i++)
        if (piece.length && memmem(piece.data, piece.length, texts[i], strlen(texts[i])))
            return true;
    return false;
}

hearth_status sampler_breakers_open(struct sampler_breakers *out, const char *const *texts,
                                    size_t n_texts, const struct tokenizer *tokenizer,
                                    hearth_error *err) {
    static const char *const usual[] = {"\n", ":", "\"", "*"};
    size_t n_vocab = tokenizer_n_vocab(tokenizer);
    if (n_texts == 0) {
        texts = usual;
        n_texts = sizeof usual / sizeof usual[0];
    }
    *out = (struct sampler_breakers){.items = mem_alloc_array(n_vocab, sizeof *out->items),
                                     .ids = mem_alloc_array(n_vocab, sizeof *out->ids)};
    if (!out->ids || !out->items)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for sequence breakers");
    for (size_t id = 0; id < n_vocab && out->count < SAMPLER_MAX_BREAKERS; id++) {
        if (!holds_one(tokenizer_piece(tokenizer, (int32_t)id), texts, n_texts)) continue;
        out->ids[out->count] = (int32_t)id;
        out->items[out->count] = (struct sampler_breaker){&out->ids[out->count], 1};
        out->count++;
    }
    return HEARTH_OK;
}

void sampler_breakers_close(struct sampler_breakers *breakers) {
    mem_free(breakers->items);
    mem_free(breakers->ids);
    *breakers = (struct sampler_breakers){0};
}
