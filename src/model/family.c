#include "model/family.h"

static const struct family families[] = {
    {"bert", bert_configure},
    {"deepseek2", deepseek2_configure},
    {"gemma2", gemma2_configure},
    {"gemma3", gemma3_configure},
    {"gemma4", gemma4_configure},
    {"gpt-oss", gpt_oss_configure},
    {"gpt2", gpt2_configure},
    {"granite", granite_configure},
    {"granitehybrid", granite_hybrid_configure},
    {"granitemoe", granite_configure},
    {"lfm2", lfm2_configure},
    {"lfm2moe", lfm2_configure},
    {"llama", llama_configure},
    {"minicpm", minicpm_configure},
    {"mistral3", mistral3_configure},
    {"nemotron_h", nemotron_h_configure},
    {"nemotron_h_moe", nemotron_h_configure},
    {"nomic-bert", nomic_bert_configure},
    {"olmo2", olmo2_configure},
    {"olmoe", olmoe_configure},
    {"phi3", phi3_configure},
    {"qwen2", qwen2_configure},
    {"qwen3", qwen3_configure},
    {"qwen35", qwen35_configure},
    {"qwen35moe", qwen35_configure},
    {"qwen3moe", qwen3_configure},
    {"smollm3", smollm3_configure},
};

enum { N_FAMILIES = sizeof families / sizeof families[0] };

const struct family *family_find(struct text name) {
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (text_equal(name, families[i].name)) return &families[i];
    return NULL;
}

size_t family_count(void) {
    return N_FAMILIES;
}

const struct family *family_at(size_t i) {
    return &families[i];
}
