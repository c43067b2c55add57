#include "server/tune_recipe.h"

#include <string.h>

#include "base/nearest.h"

static const char *const allowed[] = {"method",
                                      "rank",
                                      "alpha",
                                      "lora-dropout",
                                      "neftune-noise-alpha",
                                      "rslora",
                                      "dora",
                                      "train-embeddings",
                                      "train-output",
                                      "format",
                                      "skip-broken",
                                      "max-samples",
                                      "eval-split",
                                      "train-turns",
                                      "train-prompts",
                                      "sequence-length",
                                      "too-long",
                                      "objective",
                                      "beta",
                                      "dpo-label-smoothing",
                                      "dpo-norm-loss",
                                      "rpo-alpha",
                                      "epochs",
                                      "max-steps",
                                      "learning-rate",
                                      "schedule",
                                      "min-lr-ratio",
                                      "warmup-ratio",
                                      "warmup-steps",
                                      "batch-tokens",
                                      "step-tokens",
                                      "accumulation",
                                      "packing",
                                      "optimizer",
                                      "weight-decay",
                                      "max-grad-norm",
                                      "eval-steps",
                                      "save-steps",
                                      "save-total-limit",
                                      "early-stopping-patience",
                                      "samples",
                                      "live-samples",
                                      "seed",
                                      "threads",
                                      "memory",
                                      "gradient-checkpointing",
                                      "exact",
                                      "outtype"};
static const char *const others[] = {"model", "file", "name", "hosts"};
enum { ALLOWED = sizeof allowed / sizeof *allowed, OTHERS = sizeof others / sizeof *others };

static bool is_one_of(const char *key, const char *const *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(key, list[i]) == 0) return true;
    return false;
}

/* With '-' for '_'; false: it is too long for any key. */
static bool spell(const char *key, char out[NEAREST_MAX_BYTES]) {
    size_t n = strlen(key);
    if (n >= NEAREST_MAX_BYTES) return false;
    for (size_t i = 0; i <= n; i++)
        out[i] = key[i] == '_' ? '-' : key[i];
    return true;
}

static hearth_status take(json_t *recipe, const char *key, json_t *value, hearth_error *err) {
    char spelt[NEAREST_MAX_BYTES];
    bool is_scalar = json_is_string(value) || json_is_number(value) || json_is_boolean(value);
    if (!spell(key, spelt))
        return error_set(err, HEARTH_ERROR_ARGUMENT, "'%.80s' is no setting of a run", key);
    if (is_one_of(spelt, others, OTHERS)) return HEARTH_OK;
    if (!is_one_of(spelt, allowed, ALLOWED)) {
        const char *near = nearest_name(spelt, allowed, ALLOWED);
        return error_set(err, HEARTH_ERROR_ARGUMENT, "'%.80s' is no setting of a run%s%s%s", key,
                         near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    if (!is_scalar || json_string_length(value) > TUNE_RECIPE_TEXT_BYTES)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "'%.80s' must be a number, true or false, or a short text", key);
    return json_object_set(recipe, spelt, value) == 0
               ? HEARTH_OK
               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a recipe");
}

/* What was broken has been shown when the file was looked at; answers on the way are wanted. */
static json_t *begin(const char *model_path) {
    return json_pack("{s:s, s:b, s:b}", "model", model_path, "skip-broken", 1, "live-samples", 1);
}

hearth_status tune_recipe_make(const json_t *body, const char *model_path, char **recipe,
                               const char **field, hearth_error *err) {
    json_t *settings = begin(model_path), *value;
    const char *key;
    hearth_status status =
        settings ? HEARTH_OK
                 : error_set(err, HEARTH_ERROR_ARGUMENT, "the model's path is not UTF-8");
    *recipe = NULL;
    *field = "model";
    json_object_foreach((json_t *)(uintptr_t)body, key, value) {
        if (status != HEARTH_OK) break;
        *field = key;
        status = take(settings, key, value, err);
    }
    if (status == HEARTH_OK && !(*recipe = json_dumps(settings, JSON_INDENT(1))))
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a recipe");
    json_decref(settings);
    return status;
}
