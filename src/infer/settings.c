#include "infer/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "infer/speculation.h"

enum setting_type { SETTING_U32, SETTING_I32, SETTING_FLOAT, SETTING_SEED, SETTING_CACHE_TYPE };

struct setting {
    const char *name;
    enum setting_type type;
    size_t offset;
    double least, most;
};

#define FIELD(member) offsetof(struct settings, member)

static const struct setting table[] = {
    {"ctx-size", SETTING_U32, FIELD(context.n_ctx), 0, 1 << 30},
    {"threads", SETTING_U32, FIELD(context.n_threads), 0, 512},
    {"batch-size", SETTING_U32, FIELD(context.max_batch), 1, 65536},
    {"cache-type-k", SETTING_CACHE_TYPE, FIELD(context.k_type), 0, 0},
    {"cache-type-v", SETTING_CACHE_TYPE, FIELD(context.v_type), 0, 0},
    {"draft-max", SETTING_U32, FIELD(context.n_draft), 0, DRAFT_MAX},
    {"n-predict", SETTING_U32, FIELD(max_tokens), 0, 1 << 30},
    {"temp", SETTING_FLOAT, FIELD(sampler.temperature), 0, 100},
    {"top-k", SETTING_I32, FIELD(sampler.top_k), -1, 1 << 24},
    {"top-p", SETTING_FLOAT, FIELD(sampler.top_p), 0, 1},
    {"min-p", SETTING_FLOAT, FIELD(sampler.min_p), 0, 1},
    {"typical", SETTING_FLOAT, FIELD(sampler.typical_p), 0, 1},
    {"top-n-sigma", SETTING_FLOAT, FIELD(sampler.top_n_sigma), -1, 1e6},
    {"xtc-probability", SETTING_FLOAT, FIELD(sampler.xtc_probability), 0, 1},
    {"xtc-threshold", SETTING_FLOAT, FIELD(sampler.xtc_threshold), 0, 1},
    {"repeat-penalty", SETTING_FLOAT, FIELD(sampler.repeat_penalty), 0.001, 1000},
    {"repeat-last-n", SETTING_I32, FIELD(sampler.repeat_last_n), -1, 1 << 24},
    {"presence-penalty", SETTING_FLOAT, FIELD(sampler.presence_penalty), -100, 100},
    {"frequency-penalty", SETTING_FLOAT, FIELD(sampler.frequency_penalty), -100, 100},
    {"dry-multiplier", SETTING_FLOAT, FIELD(sampler.dry_multiplier), 0, 100},
    {"dry-base", SETTING_FLOAT, FIELD(sampler.dry_base), 1, 100},
    {"dry-allowed-length", SETTING_I32, FIELD(sampler.dry_allowed_length), 0, 1 << 20},
    {"dry-penalty-last-n", SETTING_I32, FIELD(sampler.dry_penalty_last_n), -1, 1 << 24},
    {"mirostat", SETTING_I32, FIELD(sampler.mirostat), 0, 2},
    {"mirostat-ent", SETTING_FLOAT, FIELD(sampler.mirostat_tau), 0, 100},
    {"mirostat-lr", SETTING_FLOAT, FIELD(sampler.mirostat_eta), 0, 1},
    {"seed", SETTING_SEED, FIELD(sampler.seed), 0, 9e15},
};

enum { N_SETTINGS = sizeof table / sizeof table[0] };

void settings_init(struct settings *settings) {
    *settings =
        (struct settings){.context = context_defaults(), .sampler = sampler_params_default()};
    settings->context.n_draft = SPECULATION_MAX_DRAFT;
}

static hearth_status set_number(struct settings *settings, const struct setting *setting,
                                const char *value, hearth_error *err) {
    char *end;
    void *field = (char *)settings + setting->offset;
    double number = strtod(value, &end);
    bool whole = setting->type == SETTING_FLOAT || number == (double)(int64_t)number;
    if (end == value || *end || !(number >= setting->least && number <= setting->most) || !whole)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "option '%s' needs a %snumber from %g to %g, found '%s'", setting->name,
                         setting->type == SETTING_FLOAT ? "" : "whole ", setting->least,
                         setting->most, value);
    switch (setting->type) {
    case SETTING_U32: *(uint32_t *)field = (uint32_t)number; break;
    case SETTING_I32: *(int32_t *)field = (int32_t)number; break;
    case SETTING_FLOAT: *(float *)field = (float)number; break;
    default:
        settings->sampler.seed = (uint64_t)number;
        settings->sampler.seed_is_set = true;
        break;
    }
    return HEARTH_OK;
}

hearth_status settings_set(struct settings *settings, const char *name, const char *value,
                           hearth_error *err) {
    const char *names[N_SETTINGS];
    for (int i = 0; i < N_SETTINGS; i++) {
        names[i] = table[i].name;
        if (strcmp(name, table[i].name) != 0) continue;
        if (table[i].type != SETTING_CACHE_TYPE) return set_number(settings, &table[i], value, err);
        enum elem type = elem_by_name(value);
        if (type != ELEM_F32 && type != ELEM_F16 && type != ELEM_Q8_0 && type != ELEM_Q4_0)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "option '%s' needs f32, f16, q8_0 or q4_0, found '%s'", name, value);
        *(enum elem *)(void *)((char *)settings + table[i].offset) = type;
        return HEARTH_OK;
    }
    const char *nearest = nearest_name(name, names, N_SETTINGS);
    return error_set(err, HEARTH_ERROR_NOT_FOUND, "no option '%s'%s%s%s", name,
                     nearest ? "; did you mean '" : "", nearest ? nearest : "",
                     nearest ? "'?" : "");
}
