/* Which family a folder belongs to. */
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "model/hf_import.h"

static const struct hf_family *const families[] = {
    &llama_hf,      &qwen2_hf,          &qwen3_hf,
    &qwen3_moe_hf,  &gemma2_hf,         &gemma3_hf,
    &phi3_hf,       &smollm3_hf,        &olmo2_hf,
    &olmoe_hf,      &granite_hf,        &granite_moe_hf,
    &gpt2_hf,       &mistral3_hf,       &lfm2_hf,
    &lfm2_moe_hf,   &granite_hybrid_hf, &nemotron_h_hf,
    &qwen35_hf,     &qwen35_moe_hf,     &gpt_oss_hf,
    &deepseek2_hf,  &minicpm_hf,        &bert_hf,
    &nomic_bert_hf, &nemotron_h_moe_hf, &granite_hybrid_moe_hf,
};
enum { N_FAMILIES = sizeof families / sizeof families[0], MAX_NAMES = 128, NAME_BYTES = 64 };

/* Whether `word` is one of the words of `list`. */
static bool has_word(const char *list, const char *word) {
    size_t n = strlen(word);
    for (const char *at = list; n && at && (at = strstr(at, word)) != NULL; at += n)
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0')) return true;
    return false;
}

/* The architecture nearest to an unknown one, with the family it belongs to. */
static hearth_status fail_unknown(struct hf_config *c, const char *given) {
    static const char advice[] = "'hearth show --families' lists what is supported";
    char names[MAX_NAMES][NAME_BYTES];
    const char *list[MAX_NAMES];
    size_t n = 0;
    for (size_t i = 0; i < N_FAMILIES; i++)
        for (const char *at = families[i]->architectures; *at && n < MAX_NAMES; n++) {
            size_t length = strcspn(at, " ");
            snprintf(names[n], NAME_BYTES, "%.*s", (int)length, at);
            list[n] = names[n];
            at += length + (at[length] == ' ');
        }
    const char *nearest = nearest_name(given, list, n);
    if (nearest)
        hf_fail(c, HEARTH_ERROR_UNSUPPORTED,
                "architecture '%.60s' is not supported; the nearest that is: '%s'", given, nearest);
    else
        hf_fail(c, HEARTH_ERROR_UNSUPPORTED, "architecture '%.60s' is not supported; %s", given,
                advice);
    return c->status;
}

const struct hf_family *hf_family_of(struct hf_config *c) {
    const json_t *list = json_object_get(c->root, "architectures");
    const char *name = json_string_value(json_array_get(list, 0));
    const char *type = json_string_value(json_object_get(c->text, "model_type"));
    for (size_t i = 0; i < N_FAMILIES; i++) {
        const struct hf_family *f = families[i];
        bool named =
            name ? has_word(f->architectures, name) : type && has_word(f->model_types, type);
        if (named && (!f->is || f->is(c))) return f;
    }
    if (name || type)
        fail_unknown(c, name ? name : type);
    else
        hf_fail(c, HEARTH_ERROR_FORMAT,
                "config.json has neither 'architectures' nor 'model_type': not a language model");
    return NULL;
}

/* Families that differ by their experts only are listed without them first. */
const struct hf_family *hf_family_named(const char *name, bool has_experts) {
    const struct hf_family *found = NULL;
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (strcmp(families[i]->name, name) == 0 && (!found || has_experts)) found = families[i];
    return found;
}

size_t hf_family_rules(const struct hf_family *family, const struct hf_rule *rules[HF_MAX_RULES]) {
    size_t n = 0;
    for (int g = 0; g < HF_MAX_GROUPS && family->rules[g]; g++)
        for (const struct hf_rule *rule = family->rules[g]; rule->from && n < HF_MAX_RULES; rule++)
            rules[n++] = rule;
    return n;
}
