#include "model/family.h"

static const struct family families[] = {
    {"baichuan", baichuan_configure},
    {"bert", bert_configure},
    {"chatglm", chatglm_configure},
    {"cohere2", cohere2_configure},
    {"command-r", command_r_configure},
    {"deepseek2", deepseek2_configure},
    {"ernie4_5", ernie4_5_configure},
    {"ernie4_5-moe", ernie4_5_moe_configure},
    {"exaone", exaone_configure},
    {"exaone4", exaone4_configure},
    {"falcon", falcon_configure},
    {"gemma", gemma_configure},
    {"gemma-embedding", gemma_embedding_configure},
    {"gemma2", gemma2_configure},
    {"gemma3", gemma3_configure},
    {"gemma4", gemma4_configure},
    {"glm4", glm4_configure},
    {"glm4moe", glm4moe_configure},
    {"gpt-oss", gpt_oss_configure},
    {"gpt2", gpt2_configure},
    {"granite", granite_configure},
    {"granitehybrid", granite_hybrid_configure},
    {"granitemoe", granite_configure},
    {"hunyuan-dense", hunyuan_dense_configure},
    {"internlm2", llama_configure},
    {"jina-bert-v3", jina_bert_v3_configure},
    {"lfm2", lfm2_configure},
    {"lfm2moe", lfm2_configure},
    {"llama", llama_configure},
    {"minicpm", minicpm_configure},
    {"mistral3", mistral3_configure},
    {"nemotron_h", nemotron_h_configure},
    {"nemotron_h_moe", nemotron_h_configure},
    {"nomic-bert", nomic_bert_configure},
    {"nomic-bert-moe", nomic_bert_moe_configure},
    {"olmo", olmo_configure},
    {"olmo2", olmo2_configure},
    {"olmoe", olmoe_configure},
    {"phi2", phi2_configure},
    {"phi3", phi3_configure},
    {"qwen2", qwen2_configure},
    {"qwen2moe", qwen2moe_configure},
    {"qwen2vl", qwen2_configure},
    {"qwen3", qwen3_configure},
    {"qwen35", qwen35_configure},
    {"qwen35moe", qwen35_configure},
    {"qwen3moe", qwen3_configure},
    {"qwen3next", qwen3next_configure},
    {"qwen3vl", qwen3_configure},
    {"qwen3vlmoe", qwen3_configure},
    {"seed_oss", seed_oss_configure},
    {"smollm3", smollm3_configure},
    {"stablelm", stablelm_configure},
    {"starcoder2", starcoder2_configure},
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
