#include "hub/short_names.h"

#include <string.h>
#include <strings.h>

enum { MAX_BYTES = 100 };

const struct short_name short_names[] = {
    {"deepseek-r1:1.5b", "bartowski/DeepSeek-R1-Distill-Qwen-1.5B-GGUF", false},
    {"deepseek-r1:7b", "bartowski/DeepSeek-R1-Distill-Qwen-7B-GGUF", false},
    {"deepseek-r1:8b", "bartowski/DeepSeek-R1-Distill-Llama-8B-GGUF", true},
    {"deepseek-r1:14b", "bartowski/DeepSeek-R1-Distill-Qwen-14B-GGUF", false},
    {"deepseek-r1:32b", "bartowski/DeepSeek-R1-Distill-Qwen-32B-GGUF", false},
    {"deepseek-r1:70b", "bartowski/DeepSeek-R1-Distill-Llama-70B-GGUF", false},
    {"gemma2:2b", "bartowski/gemma-2-2b-it-GGUF", false},
    {"gemma2:9b", "bartowski/gemma-2-9b-it-GGUF", true},
    {"gemma2:27b", "bartowski/gemma-2-27b-it-GGUF", false},
    {"gemma3:270m", "ggml-org/gemma-3-270m-it-GGUF", false},
    {"gemma3:1b", "ggml-org/gemma-3-1b-it-GGUF", false},
    {"gemma3:4b", "ggml-org/gemma-3-4b-it-GGUF", true},
    {"gemma3:12b", "ggml-org/gemma-3-12b-it-GGUF", false},
    {"gemma3:27b", "ggml-org/gemma-3-27b-it-GGUF", false},
    {"gpt-oss:20b", "ggml-org/gpt-oss-20b-GGUF", true},
    {"gpt-oss:120b", "ggml-org/gpt-oss-120b-GGUF", false},
    {"llama3.1:8b", "bartowski/Meta-Llama-3.1-8B-Instruct-GGUF", true},
    {"llama3.1:70b", "bartowski/Meta-Llama-3.1-70B-Instruct-GGUF", false},
    {"llama3.2:1b", "bartowski/Llama-3.2-1B-Instruct-GGUF", false},
    {"llama3.2:3b", "bartowski/Llama-3.2-3B-Instruct-GGUF", true},
    {"llama3.3:70b", "bartowski/Llama-3.3-70B-Instruct-GGUF", true},
    {"mistral:7b", "bartowski/Mistral-7B-Instruct-v0.3-GGUF", true},
    {"mistral-nemo:12b", "bartowski/Mistral-Nemo-Instruct-2407-GGUF", true},
    {"mistral-small:24b", "bartowski/Mistral-Small-24B-Instruct-2501-GGUF", true},
    {"nomic-embed-text:v1.5", "nomic-ai/nomic-embed-text-v1.5-GGUF", true},
    {"phi3.5:3.8b", "bartowski/Phi-3.5-mini-instruct-GGUF", true},
    {"phi4:14b", "bartowski/phi-4-GGUF", true},
    {"phi4-mini:3.8b", "bartowski/microsoft_Phi-4-mini-instruct-GGUF", true},
    {"qwen2.5:0.5b", "Qwen/Qwen2.5-0.5B-Instruct-GGUF", false},
    {"qwen2.5:1.5b", "Qwen/Qwen2.5-1.5B-Instruct-GGUF", false},
    {"qwen2.5:3b", "Qwen/Qwen2.5-3B-Instruct-GGUF", false},
    {"qwen2.5:7b", "Qwen/Qwen2.5-7B-Instruct-GGUF", true},
    {"qwen2.5:14b", "Qwen/Qwen2.5-14B-Instruct-GGUF", false},
    {"qwen2.5:32b", "Qwen/Qwen2.5-32B-Instruct-GGUF", false},
    {"qwen2.5-coder:1.5b", "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF", false},
    {"qwen2.5-coder:7b", "Qwen/Qwen2.5-Coder-7B-Instruct-GGUF", true},
    {"qwen3:0.6b", "Qwen/Qwen3-0.6B-GGUF", false},
    {"qwen3:1.7b", "Qwen/Qwen3-1.7B-GGUF", false},
    {"qwen3:4b", "Qwen/Qwen3-4B-GGUF", false},
    {"qwen3:8b", "Qwen/Qwen3-8B-GGUF", true},
    {"qwen3:14b", "Qwen/Qwen3-14B-GGUF", false},
    {"qwen3:30b", "Qwen/Qwen3-30B-A3B-GGUF", false},
    {"qwen3:32b", "Qwen/Qwen3-32B-GGUF", false},
    {"qwen3-coder:30b", "unsloth/Qwen3-Coder-30B-A3B-Instruct-GGUF", true},
    {"smollm2:135m", "bartowski/SmolLM2-135M-Instruct-GGUF", false},
    {"smollm2:360m", "bartowski/SmolLM2-360M-Instruct-GGUF", false},
    {"smollm2:1.7b", "bartowski/SmolLM2-1.7B-Instruct-GGUF", true},
    {"tinyllama:1.1b", "TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF", true},
};
const size_t n_short_names = sizeof short_names / sizeof *short_names;

static const struct short_name *find_exact(const char *text) {
    for (size_t i = 0; i < n_short_names; i++)
        if (strcasecmp(short_names[i].name, text) == 0) return &short_names[i];
    return NULL;
}

static const struct short_name *find_default(const char *text) {
    size_t length = strcspn(text, ":");
    if (text[length] && strcasecmp(text + length, ":latest") != 0) return NULL;
    for (size_t i = 0; i < n_short_names; i++) {
        const char *name = short_names[i].name;
        if (short_names[i].is_default && strncasecmp(name, text, length) == 0 &&
            name[length] == ':')
            return &short_names[i];
    }
    return NULL;
}

static void cut_suffix(char *text, const char *suffix) {
    size_t n = strlen(text), m = strlen(suffix);
    if (n > m && strcasecmp(text + n - m, suffix) == 0) text[n - m] = '\0';
}

const struct short_name *short_name_find(const char *text, char *quant, size_t quant_size) {
    char cut[MAX_BYTES];
    size_t length = strlen(text);
    quant[0] = '\0';
    if (length >= sizeof cut || strchr(text, '/')) return NULL;
    const struct short_name *found = find_exact(text);
    if (!found) found = find_default(text);
    if (found) return found;
    memcpy(cut, text, length + 1);
    char *colon = strchr(cut, ':'), *dash = colon ? strrchr(colon, '-') : NULL;
    if (!dash || strlen(dash + 1) >= quant_size) return NULL;
    bool is_kind = strcasecmp(dash, "-instruct") == 0 || strcasecmp(dash, "-it") == 0;
    if (!is_kind) {
        memcpy(quant, dash + 1, strlen(dash + 1) + 1);
        *dash = '\0';
    }
    cut_suffix(cut, "-instruct");
    cut_suffix(cut, "-it");
    found = find_exact(cut);
    if (!found) quant[0] = '\0';
    return found;
}
