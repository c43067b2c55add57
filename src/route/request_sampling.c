#include "route/request_sampling.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum setting_type { SETTING_FLOAT, SETTING_I32, SETTING_SIZE };

struct setting {
    const char *name;
    enum setting_type type;
    size_t offset;
};

#define FIELD(type, name)                                                                          \
    { #name, type, offsetof(struct sampler_params, name) }

/* Ranges are checked by sampler_open. */
static const struct setting table[] = {
    FIELD(SETTING_FLOAT, temperature),
    FIELD(SETTING_I32, top_k),
    FIELD(SETTING_FLOAT, top_p),
    FIELD(SETTING_FLOAT, min_p),
    FIELD(SETTING_FLOAT, typical_p),
    FIELD(SETTING_FLOAT, top_n_sigma),
    FIELD(SETTING_FLOAT, xtc_probability),
    FIELD(SETTING_FLOAT, xtc_threshold),
    FIELD(SETTING_FLOAT, dry_multiplier),
    FIELD(SETTING_FLOAT, dry_base),
    FIELD(SETTING_I32, dry_allowed_length),
    FIELD(SETTING_I32, dry_penalty_last_n),
    FIELD(SETTING_FLOAT, repeat_penalty),
    FIELD(SETTING_I32, repeat_last_n),
    FIELD(SETTING_FLOAT, presence_penalty),
    FIELD(SETTING_FLOAT, frequency_penalty),
    FIELD(SETTING_I32, mirostat),
    FIELD(SETTING_FLOAT, mirostat_tau),
    FIELD(SETTING_FLOAT, mirostat_eta),
    FIELD(SETTING_SIZE, min_keep),
};

static hearth_status set_number(const struct setting *setting, const json_t *value,
                                struct sampler_params *params, hearth_error *err) {
    void *field = (char *)params + setting->offset;
    double number = json_number_value(value);
    if (setting->type == SETTING_FLOAT && json_is_number(value) && fabs(number) <= 1e9)
        *(float *)field = (float)number;
    else if (setting->type != SETTING_FLOAT && json_is_number(value) && floor(number) == number &&
             fabs(number) <= INT32_MAX && (setting->type == SETTING_I32 || number >= 0)) {
        if (setting->type == SETTING_I32)
            *(int32_t *)field = (int32_t)number;
        else
            *(size_t *)field = (size_t)number;
    } else
        return error_set(err, HEARTH_ERROR_ARGUMENT, "%s is not a possible %snumber", setting->name,
                         setting->type == SETTING_FLOAT ? "" : "whole ");
    return HEARTH_OK;
}

/* -1 stands for a seed by chance, as in llama.cpp. */
static hearth_status set_seed(const json_t *value, struct sampler_params *params,
                              hearth_error *err) {
    if (!value || json_is_null(value)) return HEARTH_OK;
    if (!json_is_integer(value))
        return error_set(err, HEARTH_ERROR_ARGUMENT, "seed is not a whole number");
    params->seed_is_set = json_integer_value(value) != -1;
    params->seed = (uint64_t)json_integer_value(value);
    return HEARTH_OK;
}

static hearth_status add_bias(struct request_sampling *p, json_int_t token, const json_t *bias,
                              const struct tokenizer *tokenizer, hearth_error *err) {
    double value = json_is_false(bias) ? -INFINITY : json_number_value(bias);
    size_t n = p->params.n_logit_bias;
    if (token < 0 || (size_t)token >= tokenizer_n_vocab(tokenizer) ||
        (!json_is_number(bias) && !json_is_false(bias)))
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "logit_bias needs ids of the vocabulary with numbers, or false");
    if (n == SAMPLER_MAX_BIASES)
        return error_set(err, HEARTH_ERROR_LIMIT, "logit_bias names more than %d tokens",
                         SAMPLER_MAX_BIASES);
    struct sampler_bias *biases = mem_realloc_array(p->biases, n + 1, sizeof *biases);
    if (!biases) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for logit_bias");
    biases[n] = (struct sampler_bias){(int32_t)token, (float)value};
    p->biases = biases;
    p->params.logit_bias = biases;
    p->params.n_logit_bias = n + 1;
    return HEARTH_OK;
}

/* A text stands for each of its tokens, as in llama.cpp's server. */
static hearth_status add_biases_of_text(struct request_sampling *p, const json_t *text,
                                        const json_t *bias, const struct tokenizer *tokenizer,
                                        hearth_error *err) {
    struct token_list tokens = {0};
    hearth_status status = tokenizer_encode(tokenizer, json_string_value(text),
                                            json_string_length(text), false, false, &tokens, err);
    for (size_t i = 0; i < tokens.count && status == HEARTH_OK; i++)
        status = add_bias(p, tokens.ids[i], bias, tokenizer, err);
    token_list_release(&tokens);
    return status;
}

static json_int_t id_of_text(const char *text) {
    char *end;
    long long id = strtoll(text, &end, 10);
    return end == text || *end ? -1 : id;
}

/* OpenAI: {"id": bias}; llama.cpp: [[id or text, bias or false], …]. */
static hearth_status set_biases(struct request_sampling *p, json_t *biases,
                                const struct tokenizer *tokenizer, hearth_error *err) {
    const char *key;
    json_t *item;
    size_t i;
    json_object_foreach(biases, key, item) {
        RETURN_IF_ERROR(add_bias(p, id_of_text(key), item, tokenizer, err));
    }
    json_array_foreach(biases, i, item) {
        const json_t *token = json_array_get(item, 0), *bias = json_array_get(item, 1);
        if (json_is_string(token))
            RETURN_IF_ERROR(add_biases_of_text(p, token, bias, tokenizer, err));
        else
            RETURN_IF_ERROR(add_bias(p, json_is_integer(token) ? json_integer_value(token) : -1,
                                     bias, tokenizer, err));
    }
    return HEARTH_OK;
}

static hearth_status set_breakers(struct request_sampling *p, const json_t *texts,
                                  const struct tokenizer *tokenizer, hearth_error *err) {
    enum { MOST = 64 };
    const char *list[MOST];
    size_t count = json_array_size(texts);
    if (p->params.dry_multiplier <= 0) return HEARTH_OK;
    if (count > MOST)
        return error_set(err, HEARTH_ERROR_LIMIT, "dry_sequence_breakers has %zu texts, at most %d",
                         count, MOST);
    for (size_t i = 0; i < count; i++) {
        list[i] = json_string_value(json_array_get(texts, i));
        if (!list[i])
            return error_set(err, HEARTH_ERROR_ARGUMENT, "dry_sequence_breakers[%zu] is not a text",
                             i);
    }
    RETURN_IF_ERROR(sampler_breakers_open(&p->breakers, list, count, tokenizer, err));
    p->params.dry_sequence_breakers = p->breakers.items;
    p->params.n_dry_sequence_breakers = p->breakers.count;
    return HEARTH_OK;
}

static hearth_status read_parts(struct request_sampling *p, const json_t *sampling,
                                const struct tokenizer *tokenizer, hearth_error *err) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const json_t *value = json_object_get(sampling, table[i].name);
        if (value && !json_is_null(value))
            RETURN_IF_ERROR(set_number(&table[i], value, &p->params, err));
    }
    RETURN_IF_ERROR(set_seed(json_object_get(sampling, "seed"), &p->params, err));
    RETURN_IF_ERROR(set_biases(p, json_object_get(sampling, "logit_bias"), tokenizer, err));
    return set_breakers(p, json_object_get(sampling, "dry_sequence_breakers"), tokenizer, err);
}

hearth_status request_sampling_init(struct request_sampling *sampling,
                                    const struct request *request,
                                    const struct sampler_params *defaults,
                                    const struct tokenizer *tokenizer, hearth_error *err) {
    *sampling = (struct request_sampling){.params = *defaults};
    sampling->params.n_probs = request->n_logprobs;
    return read_parts(sampling, request->sampling, tokenizer, err);
}

void request_sampling_release(struct request_sampling *sampling) {
    sampler_breakers_close(&sampling->breakers);
    mem_free(sampling->biases);
}

struct sampler_params request_sampling_of_choice(const struct request_sampling *sampling,
                                                 uint32_t choice) {
    struct sampler_params params = sampling->params;
    params.seed += choice;
    return params;
}
