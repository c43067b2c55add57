#include "cli/sampling.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "infer/sampler.h"

#define NUMBER(option, names, text, low, high, field)                                              \
    {                                                                                              \
        .name = (option), .aliases = (names), .argument = "N", .help = (text),                     \
        .type = OPTION_FLOAT, .least = (low), .most = (high), .number = &s->field                  \
    }
#define INTEGER(option, names, text, low, high, field)                                             \
    {                                                                                              \
        .name = (option), .aliases = (names), .argument = "N", .help = (text), .type = OPTION_INT, \
        .least = (low), .most = (high), .integer = &s->field                                       \
    }

/* One that a model's file may recommend. */
#define RECOMMENDED(option, names, text, low, high, field)                                         \
    {                                                                                              \
        .name = (option), .aliases = (names), .argument = "N", .help = (text),                     \
        .type = OPTION_FLOAT, .least = (low), .most = (high), .number = &s->field,                 \
        .given = &s->field##_given                                                                 \
    }

static void set_defaults(struct sampling_settings *s) {
    struct sampler_params p = sampler_params_default();
    *s = (struct sampling_settings){.temperature = (double)p.temperature,
                                    .top_k = p.top_k,
                                    .top_p = (double)p.top_p,
                                    .min_p = (double)p.min_p,
                                    .typical_p = (double)p.typical_p,
                                    .top_n_sigma = (double)p.top_n_sigma,
                                    .xtc_probability = (double)p.xtc_probability,
                                    .xtc_threshold = (double)p.xtc_threshold,
                                    .dry_multiplier = (double)p.dry_multiplier,
                                    .dry_base = (double)p.dry_base,
                                    .dry_allowed_length = p.dry_allowed_length,
                                    .dry_penalty_last_n = p.dry_penalty_last_n,
                                    .repeat_penalty = (double)p.repeat_penalty,
                                    .repeat_last_n = p.repeat_last_n,
                                    .presence_penalty = (double)p.presence_penalty,
                                    .frequency_penalty = (double)p.frequency_penalty,
                                    .mirostat = p.mirostat,
                                    .mirostat_tau = (double)p.mirostat_tau,
                                    .mirostat_eta = (double)p.mirostat_eta};
}

size_t sampling_specs(struct sampling_settings *s, struct option_spec specs[SAMPLING_SPECS]) {
    set_defaults(s);
    const struct option_spec own[SAMPLING_SPECS] = {
        {.type = OPTION_HEADING, .help = "Sampling"},
        RECOMMENDED("temp", "temperature",
                    "randomness; 0 always takes the likeliest (default: 0.8)", 0, 100, temperature),
        {.name = "top-k",
         .argument = "N",
         .help = "choose among the N likeliest; 0 is off (default: 40)",
         .type = OPTION_INT,
         .least = -1,
         .most = 1 << 24,
         .integer = &s->top_k,
         .given = &s->top_k_given},
        RECOMMENDED("top-p", NULL, "smallest set of this probability (default: 0.95)", 0, 1, top_p),
        RECOMMENDED("min-p", NULL, "least share of the likeliest (default: 0.05)", 0, 1, min_p),
        NUMBER("typical", "typical-p", "locally typical set; 1 is off (default: 1)", 0, 1,
               typical_p),
        NUMBER("top-n-sigma", "top-nsigma", "within N deviations of the best; -1 is off", -1, 1e6,
               top_n_sigma),
        NUMBER("xtc-probability", NULL, "chance to leave out the top choices (default: 0)", 0, 1,
               xtc_probability),
        NUMBER("xtc-threshold", NULL, "what counts as a top choice (default: 0.1)", 0, 1,
               xtc_threshold),
        RECOMMENDED("repeat-penalty", NULL, "divide repeated logits; 1 is off (default: 1)", 0.001,
                    1e3, repeat_penalty),
        INTEGER("repeat-last-n", NULL, "how far back penalties look (default: 64)", -1, 1 << 24,
                repeat_last_n),
        NUMBER("presence-penalty", NULL, "subtract once from what occurred (default: 0)", -100, 100,
               presence_penalty),
        NUMBER("frequency-penalty", NULL, "subtract for each occurrence (default: 0)", -100, 100,
               frequency_penalty),
        NUMBER("dry-multiplier", NULL, "DRY: strength; 0 is off (default: 0)", 0, 100,
               dry_multiplier),
        NUMBER("dry-base", NULL, "DRY: growth per repeated token (default: 1.75)", 1, 100,
               dry_base),
        INTEGER("dry-allowed-length", NULL, "DRY: repetitions that are free (default: 2)", 0,
                1 << 20, dry_allowed_length),
        INTEGER("dry-penalty-last-n", NULL, "DRY: tokens searched; -1 is all (default: -1)", -1,
                1 << 24, dry_penalty_last_n),
        {.name = "dry-sequence-breaker",
         .argument = "TEXT",
         .help = "DRY: text that ends a repetition; may be repeated",
         .type = OPTION_LIST,
         .list = &s->dry_breakers},
        INTEGER("mirostat", NULL, "2 keeps the surprise constant; 0 is off (default: 0)", 0, 2,
                mirostat),
        NUMBER("mirostat-ent", "mirostat-tau", "mirostat: target surprise (default: 5)", 0, 100,
               mirostat_tau),
        NUMBER("mirostat-lr", "mirostat-eta", "mirostat: learning rate (default: 0.1)", 0, 1,
               mirostat_eta),
        {.name = "logit-bias",
         .argument = "ID=BIAS",
         .help = "add to a token's logit; -inf bans it; may be repeated",
         .type = OPTION_LIST,
         .list = &s->logit_bias},
        {.name = "seed",
         .letter = 's',
         .argument = "N",
         .help = "same seed, same answer (default: random)",
         .type = OPTION_INT,
         .least = 0,
         .most = 9e15,
         .integer = &s->seed,
         .given = &s->seed_given},
    };
    memcpy(specs, own, sizeof own);
    return SAMPLING_SPECS;
}

static void take_number(const json_t *recommended, const char *name, bool given, double *number) {
    const json_t *value = json_object_get(recommended, name);
    if (!given && json_is_number(value)) *number = json_number_value(value);
}

void sampling_take_model(struct sampling_settings *s, const json_t *recommended) {
    const json_t *top_k = json_object_get(recommended, "top_k");
    take_number(recommended, "temperature", s->temperature_given, &s->temperature);
    take_number(recommended, "top_p", s->top_p_given, &s->top_p);
    take_number(recommended, "min_p", s->min_p_given, &s->min_p);
    take_number(recommended, "repeat_penalty", s->repeat_penalty_given, &s->repeat_penalty);
    if (!s->top_k_given && json_is_integer(top_k)) s->top_k = json_integer_value(top_k);
}

static struct sampler_params params_of(const struct sampling_settings *s) {
    struct sampler_params p = sampler_params_default();
    p.temperature = (float)s->temperature;
    p.top_k = (int32_t)s->top_k;
    p.top_p = (float)s->top_p;
    p.min_p = (float)s->min_p;
    p.typical_p = (float)s->typical_p;
    p.top_n_sigma = (float)s->top_n_sigma;
    p.xtc_probability = (float)s->xtc_probability;
    p.xtc_threshold = (float)s->xtc_threshold;
    p.dry_multiplier = (float)s->dry_multiplier;
    p.dry_base = (float)s->dry_base;
    p.dry_allowed_length = (int32_t)s->dry_allowed_length;
    p.dry_penalty_last_n = (int32_t)s->dry_penalty_last_n;
    p.repeat_penalty = (float)s->repeat_penalty;
    p.repeat_last_n = (int32_t)s->repeat_last_n;
    p.presence_penalty = (float)s->presence_penalty;
    p.frequency_penalty = (float)s->frequency_penalty;
    p.mirostat = (int32_t)s->mirostat;
    p.mirostat_tau = (float)s->mirostat_tau;
    p.mirostat_eta = (float)s->mirostat_eta;
    p.seed_is_set = s->seed_given;
    p.seed = (uint64_t)s->seed;
    return p;
}

/* "128=-inf", "128+2.5" and "128-1" as llama.cpp spells it; in a request false is -inf. */
static json_t *bias_of(const char *item) {
    char *end;
    long id = strtol(item, &end, 10);
    const char *number = *end == '=' ? end + 1 : end;
    char *last;
    double value = strtod(number, &last);
    if (end == item || id < 0 || id > INT32_MAX || last == number || *last || isnan(value) ||
        (isinf(value) && value > 0))
        return NULL;
    if (isinf(value)) return json_pack("[I, b]", (json_int_t)id, 0);
    return json_pack("[I, f]", (json_int_t)id, value);
}

static hearth_status put_biases(const struct option_list *list, json_t *biases, hearth_error *err) {
    for (size_t i = 0; i < list->count; i++)
        if (json_array_append_new(biases, bias_of(list->items[i])) != 0)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "--logit-bias '%s' is not of the form ID=BIAS, such as 128=-inf",
                             list->items[i]);
    return HEARTH_OK;
}

static hearth_status put_breakers(const struct option_list *list, json_t *breakers,
                                  hearth_error *err) {
    for (size_t i = 0; i < list->count; i++)
        if (json_array_append_new(breakers, json_string(list->items[i])) != 0)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "--dry-sequence-breaker '%s' is not valid UTF-8", list->items[i]);
    return HEARTH_OK;
}

hearth_status sampling_check(const struct sampling_settings *s, hearth_error *err) {
    const struct sampler_params params = params_of(s);
    return sampler_params_check(&params, INT32_MAX, err);
}

/* long: a list of fields */
static json_t *numbers_of(const struct sampling_settings *s) {
    return json_pack("{s:f, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:f, s:I, s:f, "
                     "s:f, s:I, s:f, s:f, s:[], s:[]}",
                     "temperature", s->temperature, "top_k", (json_int_t)s->top_k, "top_p",
                     s->top_p, "min_p", s->min_p, "typical_p", s->typical_p, "top_n_sigma",
                     s->top_n_sigma, "xtc_probability", s->xtc_probability, "xtc_threshold",
                     s->xtc_threshold, "dry_multiplier", s->dry_multiplier, "dry_base", s->dry_base,
                     "dry_allowed_length", (json_int_t)s->dry_allowed_length, "dry_penalty_last_n",
                     (json_int_t)s->dry_penalty_last_n, "repeat_penalty", s->repeat_penalty,
                     "repeat_last_n", (json_int_t)s->repeat_last_n, "presence_penalty",
                     s->presence_penalty, "frequency_penalty", s->frequency_penalty, "mirostat",
                     (json_int_t)s->mirostat, "mirostat_tau", s->mirostat_tau, "mirostat_eta",
                     s->mirostat_eta, "logit_bias", "dry_sequence_breakers");
}

hearth_status sampling_request(const struct sampling_settings *s, json_t **out, hearth_error *err) {
    *out = numbers_of(s);
    if (!*out || (s->seed_given && json_object_set_new(*out, "seed", json_integer(s->seed)) != 0))
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a request");
    RETURN_IF_ERROR(put_biases(&s->logit_bias, json_object_get(*out, "logit_bias"), err));
    return put_breakers(&s->dry_breakers, json_object_get(*out, "dry_sequence_breakers"), err);
}
