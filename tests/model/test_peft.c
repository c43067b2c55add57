/* PEFT folders made from testdata/lora: the same logits as the GGUF adapter; what is not
 * plain LoRA is refused by name. */
#include "model/hf_reverse.h"

#include <unistd.h>

#include "model/adapter_write.h"

/* How transformers names what the GGUF adapter changes; Q's rows are half a head apart. */
static const struct {
    const char *weight, *module;
    bool halves;
} modules[] = {
    {"attn_q", "self_attn.q_proj", true},
    {"attn_v", "self_attn.v_proj", false},
    {"ffn_down", "mlp.down_proj", false},
};
enum { RANK = 8, LAYERS = 2, HEAD = 32, N_MODULES = 3 };

static void add_module(struct reverse_out *out, const struct directory *dir, unsigned layer,
                       size_t which, float b_scale) {
    char name[256];
    snprintf(name, sizeof name, "blk.%u.%s.weight.lora_a", layer, modules[which].weight);
    const struct tensor *a = directory_find(dir, name);
    snprintf(name, sizeof name, "blk.%u.%s.weight.lora_b", layer, modules[which].weight);
    const struct tensor *b = directory_find(dir, name);
    assert_true(a && b);
    snprintf(name, sizeof name, "base_model.model.model.layers.%u.%s.lora_A.weight", layer,
             modules[which].module);
    memcpy(reverse_add(out, name, a->dims[0], RANK, 1), a->data, a->size_bytes);
    snprintf(name, sizeof name, "base_model.model.model.layers.%u.%s.lora_B.weight", layer,
             modules[which].module);
    float *to = reverse_add(out, name, RANK, b->dims[1], 1);
    memcpy(to, b->data, b->size_bytes);
    if (modules[which].halves)
        reverse_rows(to, reverse_floats(b), RANK, b->dims[1], halves_source, HEAD, 0);
    for (size_t i = 0; i < b->dims[1] * RANK; i++)
        to[i] *= b_scale;
}

/* `q_scale`: of B in the Q modules, which `config` undoes. */
static void write_peft(const char *folder, const char *config, float q_scale, float scale) {
    static struct reverse_out out;
    struct directory dir;
    char path[512];
    assert_int_equal(gguf_open(&dir, testdata("lora/adapter.gguf"), NULL), HEARTH_OK);
    for (unsigned layer = 0; layer < LAYERS; layer++)
        for (size_t i = 0; i < N_MODULES; i++)
            add_module(&out, &dir, layer, i, i == 0 ? q_scale : scale);
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
    assert_int_equal(safetensors_write(path, NULL, out.tensors, out.n, 0, NULL, NULL, NULL),
                     HEARTH_OK);
    folder_put(folder, "adapter_config.json", config);
    reverse_release(&out);
    directory_close(&dir);
}

static void model_config(struct model *model) {
    hearth_error err = {0};
    if (model_open(model, testdata("arch/llama-dense/model.gguf"), &err) != HEARTH_OK)
        fail_msg("%s", err.message);
}

static void agrees(const char *folder, const char *logits_name, float scale) {
    static float reference[N_TOKENS * N_VOCAB], logits[N_TOKENS * N_VOCAB];
    int32_t tokens[N_TOKENS];
    struct model model;
    struct adapter adapter;
    hearth_error err = {0};
    read_tokens(testdata("lora/tokens.txt"), tokens);
    read_logits(testdata(logits_name), reference);
    model_config(&model);
    if (adapter_open(&adapter, folder, &model.config, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    struct adapter_set set = {.items = {{&adapter, scale}}, .count = 1};
    golden_logits(testdata("arch/llama-dense/model.gguf"), tokens, &set, false, logits);
    double error = nmse(logits, reference, N_TOKENS * N_VOCAB);
    print_message("scale %g: NMSE %.2g\n", (double)scale, error);
    assert_true(error <= 1e-8);
    adapter_close(&adapter);
    model_close(&model);
}

#define CONFIG(more) "{\"peft_type\": \"LORA\", \"r\": 8, \"bias\": \"none\", " more "}"

static void plain_lora_agrees(void **state) {
    (void)state;
    char folder[256];
    folder_make(folder, sizeof folder);
    write_peft(folder, CONFIG("\"lora_alpha\": 16, \"use_dora\": false, \"modules_to_save\": null"),
               1, 1);
    agrees(folder, "lora/adapter_logits_scale1.0.f32", 1.0f);
    agrees(folder, "lora/adapter_logits_scale0.5.f32", 0.5f);
    folder_remove(folder);
}

/* alpha / sqrt(8) instead of alpha / 8: B is made smaller to match. */
static void rank_stabilised_lora_agrees(void **state) {
    (void)state;
    char folder[256];
    float smaller = 1.0f / sqrtf(8.0f);
    folder_make(folder, sizeof folder);
    write_peft(folder, CONFIG("\"lora_alpha\": 16, \"use_rslora\": true"), smaller, smaller);
    agrees(folder, "lora/adapter_logits_scale1.0.f32", 1.0f);
    folder_remove(folder);
}

static void alpha_of_one_module_agrees(void **state) {
    (void)state;
    char folder[256];
    folder_make(folder, sizeof folder);
    write_peft(folder, CONFIG("\"lora_alpha\": 16, \"alpha_pattern\": {\"self_attn.q_proj\": 32}"),
               0.5f, 1);
    agrees(folder, "lora/adapter_logits_scale1.0.f32", 1.0f);
    folder_remove(folder);
}

static void refused(const char *config, const char *part) {
    struct model model;
    struct adapter adapter;
    char folder[256];
    hearth_error err = {0};
    folder_make(folder, sizeof folder);
    write_peft(folder, config, 1, 1);
    model_config(&model);
    assert_int_not_equal(adapter_open(&adapter, folder, &model.config, &err), HEARTH_OK);
    if (!strstr(err.message, part)) fail_msg("'%s' does not contain '%s'", err.message, part);
    model_close(&model);
    folder_remove(folder);
}

static void other_kinds_are_refused_by_name(void **state) {
    (void)state;
    refused(CONFIG("\"lora_alpha\": 16, \"use_dora\": true"), "0 of 6 layers");
    refused(CONFIG("\"lora_alpha\": 16, \"modules_to_save\": [\"lm_head\"]"), "modules_to_save");
    refused("{\"peft_type\": \"IA3\"}", "IA3");
    refused("{\"peft_type\": \"LORA\", \"bias\": \"all\", \"lora_alpha\": 1}", "bias");
    refused(CONFIG("\"lora_alpha\": \"16\""), "lora_alpha");
    refused(CONFIG("\"lora_alpha\": -1e300"), "lora_alpha");
}

static void put_tensor(const char *folder, const char *name, uint64_t cols, uint64_t rows) {
    static struct reverse_out out;
    char path[512];
    memset(reverse_add(&out, name, cols, rows, 1), 0, cols * rows * sizeof(float));
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
    assert_int_equal(safetensors_write(path, NULL, out.tensors, out.n, 0, NULL, NULL, NULL),
                     HEARTH_OK);
    reverse_release(&out);
}

static void stray_tensors_are_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *tensor, *part;
    } strays[] = {
        {"base_model.model.lm_head.lora_A.weight", "lm_head"},
        {"base_model.model.model.embed_tokens.lora_embedding_A", "lora_embedding_A"},
        {"base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight", "layer 9"},
        {"base_model.model.model.layers.0.mlp.experts.1.up_proj.lora_A.weight", "experts"},
        {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", "lora_b"},
    };
    for (size_t i = 0; i < sizeof strays / sizeof strays[0]; i++) {
        struct model model;
        struct adapter adapter;
        char folder[256];
        hearth_error err = {0};
        folder_make(folder, sizeof folder);
        folder_put(folder, "adapter_config.json", CONFIG("\"lora_alpha\": 16"));
        put_tensor(folder, strays[i].tensor, 128, 8);
        model_config(&model);
        assert_int_not_equal(adapter_open(&adapter, folder, &model.config, &err), HEARTH_OK);
        if (!strstr(err.message, strays[i].part))
            fail_msg("'%s' does not contain '%s'", err.message, strays[i].part);
        model_close(&model);
        folder_remove(folder);
    }
}

static void same_adapters(const struct adapter *a, const struct adapter *b) {
    assert_int_equal(a->directory.n_tensors, b->directory.n_tensors);
    assert_memory_equal(&a->alpha, &b->alpha, sizeof a->alpha);
    for (size_t i = 0; i < a->directory.n_tensors; i++) {
        const struct tensor *x = &a->directory.tensors[i];
        const struct tensor *y = directory_find(&b->directory, x->name);
        assert_non_null(y);
        assert_memory_equal(x->dims, y->dims, sizeof x->dims);
        assert_memory_equal(x->data, y->data, x->size_bytes);
    }
}

/* Written in either form and read again, an adapter is the same; the folder is the one that
 * transformers would have saved. */
static void written_adapters_are_the_same(void **state) {
    (void)state;
    char folder[256], path[512], reference[256];
    struct model model;
    struct adapter adapter, again;
    struct adapter_facts facts = {.base_name = "some/base", .name = "mine", .dropout = 0.05};
    model_config(&model);
    assert_int_equal(adapter_open(&adapter, testdata("lora/adapter.gguf"), &model.config, NULL),
                     HEARTH_OK);
    folder_make(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/a.gguf", folder);
    assert_int_equal(adapter_write_gguf(path, &adapter, &model.config, &facts, NULL), HEARTH_OK);
    assert_int_equal(adapter_open(&again, path, &model.config, NULL), HEARTH_OK);
    same_adapters(&adapter, &again);
    adapter_close(&again);
    unlink(path);
    assert_int_equal(adapter_write_peft(folder, &adapter, &model.config, &facts, NULL), HEARTH_OK);
    assert_int_equal(adapter_open(&again, folder, &model.config, NULL), HEARTH_OK);
    same_adapters(&adapter, &again);
    adapter_close(&again);

    folder_make(reference, sizeof reference);
    write_peft(reference, CONFIG("\"lora_alpha\": 16"), 1, 1);
    struct directory ours, theirs;
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
    assert_int_equal(safetensors_open(&ours, path, NULL), HEARTH_OK);
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", reference);
    assert_int_equal(safetensors_open(&theirs, path, NULL), HEARTH_OK);
    for (size_t i = 0; i < theirs.n_tensors; i++) {
        const struct tensor *t = directory_find(&ours, theirs.tensors[i].name);
        assert_non_null(t);
        assert_memory_equal(t->data, theirs.tensors[i].data, t->size_bytes);
    }
    directory_close(&ours);
    directory_close(&theirs);
    adapter_close(&adapter);
    model_close(&model);
    folder_remove(folder);
    folder_remove(reference);
}

static void fused_weights_are_refused_by_name(void **state) {
    (void)state;
    char folder[256];
    struct model model;
    hearth_error err = {0};
    static float values[64];
    struct tensor tensor = {.name = "blk.0.attn_nothing.weight.lora_a",
                            .type = ELEM_F32,
                            .n_dims = 2,
                            .dims = {8, 8, 1, 1},
                            .data = (const uint8_t *)values,
                            .size_bytes = sizeof values};
    struct adapter adapter = {.directory = {.tensors = &tensor, .n_tensors = 1}, .alpha = 8};
    model_config(&model);
    folder_make(folder, sizeof folder);
    assert_int_equal(
        adapter_write_peft(folder, &adapter, &model.config, &(struct adapter_facts){0}, &err),
        HEARTH_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "attn_nothing"));
    model_close(&model);
    folder_remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_lora_agrees),
        cmocka_unit_test(rank_stabilised_lora_agrees),
        cmocka_unit_test(alpha_of_one_module_agrees),
        cmocka_unit_test(other_kinds_are_refused_by_name),
        cmocka_unit_test(stray_tensors_are_refused_by_name),
        cmocka_unit_test(written_adapters_are_the_same),
        cmocka_unit_test(fused_weights_are_refused_by_name),
    };
    return cmocka_run_group_tests_name("model/peft", tests, NULL, NULL);
}
