/* Conversion of Hugging Face folders: types, FP8 and MXFP4 checkpoints, texts, and what
 * is damaged or hostile. */
#include "model/hf_cases.h"
#include "model/hf_convert.h"

#include "format/fp8.h"
#include "kernels/kernels.h"
#include "kernels/quantize.h"

static char folder[256];

static int open_folder(void **state) {
    (void)state;
    folder_make(folder, sizeof folder);
    return 0;
}

static int close_folder(void **state) {
    (void)state;
    folder_remove(folder);
    return 0;
}

static const char *in_folder(const char *name) {
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static hearth_status convert(enum elem type, uint64_t max_part_bytes, hearth_error *err) {
    struct hf_import import;
    struct hf_convert c;
    struct hf_convert_options options = {
        .type = type, .n_threads = 2, .max_part_bytes = max_part_bytes};
    RETURN_IF_ERROR(hf_import_open(&import, folder, err));
    hearth_status status = hf_convert_open(&c, &import, &options, err);
    if (status == HEARTH_OK) {
        status = hf_convert_write(&c, in_folder("out.gguf"), err);
        hf_convert_close(&c);
    }
    hf_import_close(&import);
    return status;
}

static void must_convert(enum elem type, uint64_t max_part_bytes) {
    hearth_error err = {0};
    if (convert(type, max_part_bytes, &err) != HEARTH_OK) fail_msg("%s", err.message);
}

/* ---- types ----------------------------------------------------------------------- */

/* The same blocks as quantising the original rows gives. */
static void matrices_take_the_type_asked_for(void **state) {
    (void)state;
    struct directory original, made;
    reverse_write(reverse_case_named("llama-dense"), folder);
    must_convert(ELEM_Q8_0, 0);
    assert_int_equal(gguf_open(&original, testdata("arch/llama-dense/model.gguf"), NULL),
                     HEARTH_OK);
    assert_int_equal(gguf_open(&made, in_folder("out.gguf"), NULL), HEARTH_OK);
    for (size_t i = 0; i < original.n_tensors; i++) {
        const struct tensor *from = &original.tensors[i];
        const struct tensor *to = directory_find(&made, from->name);
        assert_non_null(to);
        if (from->n_dims == 1) {
            assert_int_equal(to->type, ELEM_F32);
            assert_memory_equal(to->data, from->data, from->size_bytes);
            continue;
        }
        assert_int_equal(to->type, ELEM_Q8_0);
        uint8_t *blocks = mem_alloc(to->size_bytes);
        assert_int_equal(quantize_rows(ELEM_Q8_0, reverse_floats(from), blocks, from->dims[1],
                                       from->dims[0], NULL, NULL),
                         HEARTH_OK);
        assert_memory_equal(to->data, blocks, to->size_bytes);
        mem_free(blocks);
    }
    uint32_t file_type = 0;
    struct text label;
    assert_true(metadata_u32(&made.metadata, "general.file_type", &file_type));
    assert_int_equal(file_type, 7);
    assert_true(metadata_string(&made.metadata, "general.size_label", &label));
    assert_true(text_equal(label, "279K"));
    directory_close(&made);
    directory_close(&original);
}

static void types_that_need_importance_are_refused(void **state) {
    (void)state;
    hearth_error err = {0};
    reverse_write(reverse_case_named("llama-dense"), folder);
    assert_int_equal(convert(ELEM_IQ2_XXS, 0, &err), HEARTH_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "imatrix"));
    assert_false(file_exists(in_folder("out.gguf")));
}

static void large_files_are_split(void **state) {
    (void)state;
    struct directory original, made;
    reverse_write(reverse_case_named("llama-dense"), folder);
    must_convert(ELEM_TYPES, 400000);
    assert_int_equal(gguf_open(&original, testdata("arch/llama-dense/model.gguf"), NULL),
                     HEARTH_OK);
    assert_int_equal(gguf_open(&made, in_folder("out-00001-of-00003.gguf"), NULL), HEARTH_OK);
    assert_int_equal(made.n_tensors, original.n_tensors);
    directory_close(&made);
    directory_close(&original);
}

/* ---- other element types in the folder -------------------------------------------- */

/* Rewrites the folder's tensors; `change` may replace type and data of each. */
typedef void tensor_change(struct reverse_out *out, const struct tensor *t);

static void rewrite(const char *model, tensor_change *change) {
    static struct reverse_out before, after;
    struct directory dir;
    const struct reverse_case *c = reverse_case_named(model);
    reverse_collect(&before, c, &dir);
    for (size_t i = 0; i < before.n; i++)
        change(&after, &before.tensors[i]);
    hearth_error err = {0};
    if (safetensors_write(in_folder("model.safetensors"), NULL, after.tensors, after.n, 0, NULL,
                          NULL, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    folder_put(folder, "config.json", c->config);
    reverse_release(&before);
    reverse_release(&after);
    directory_close(&dir);
}

static void keep(struct reverse_out *out, const struct tensor *t) {
    memcpy(reverse_add(out, t->name, t->dims[0], t->dims[1], t->dims[2]), t->data, t->size_bytes);
}

static void to_bf16(struct reverse_out *out, const struct tensor *t) {
    keep(out, t);
    struct tensor *made = &out->tensors[out->n - 1];
    uint16_t *halves = (uint16_t *)(uintptr_t)made->data;
    for (size_t i = 0; i < t->size_bytes / 4; i++)
        halves[i] = f32_to_bf16(reverse_floats(t)[i]);
    made->type = ELEM_BF16;
    made->size_bytes /= 2;
}

static void vectors_of_bf16_folders_become_f32(void **state) {
    (void)state;
    struct model model;
    hearth_error err = {0};
    rewrite("qwen35-dense", to_bf16);
    if (model_open(&model, folder, &err) != HEARTH_OK) fail_msg("%s", err.message);
    const struct directory *dir = &model.directory;
    assert_int_equal(directory_find(dir, "blk.0.attn_qkv.weight")->type, ELEM_BF16);
    assert_int_equal(directory_find(dir, "blk.0.ssm_out.weight")->type, ELEM_BF16);
    assert_int_equal(directory_find(dir, "blk.0.ssm_conv1d.weight")->type, ELEM_F32);
    assert_int_equal(directory_find(dir, "blk.0.ssm_dt.bias")->type, ELEM_F32);
    assert_int_equal(directory_find(dir, "blk.0.attn_norm.weight")->type, ELEM_F32);
    model_close(&model);
    static float logits[N_TOKENS * N_VOCAB], reference[N_TOKENS * N_VOCAB];
    int32_t tokens[N_TOKENS];
    read_tokens(testdata("arch/qwen35-dense/tokens.txt"), tokens);
    read_logits(testdata("arch/qwen35-dense/logits.f32"), reference);
    golden_logits(folder, tokens, NULL, false, logits);
    double error = nmse(logits, reference, N_TOKENS * N_VOCAB);
    print_message("bf16 weights: NMSE %.2g\n", error);
    assert_true(error < 1e-2 && error > 1e-9);
}

/* Matrices as F8_E4M3 with one scale for each block of 128 x 128. */
static void to_fp8(struct reverse_out *out, const struct tensor *t) {
    enum { BLOCK = 128 };
    char name[256];
    keep(out, t);
    if (t->n_dims != 2 || !strstr(t->name, "_proj")) return;
    struct tensor *made = &out->tensors[out->n - 1];
    uint8_t *bytes = (uint8_t *)(uintptr_t)made->data;
    uint64_t cols = t->dims[0], n = t->size_bytes / 4;
    for (uint64_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(i * 7 % 0x7f | (i % 3 ? 0x80 : 0));
    made->type = ELEM_I8;
    made->dtype = DTYPE_F8_E4M3;
    made->size_bytes = n;
    snprintf(name, sizeof name, "%s_scale_inv", t->name);
    uint64_t wide = (cols + BLOCK - 1) / BLOCK, high = (t->dims[1] + BLOCK - 1) / BLOCK;
    float *scales = reverse_add(out, name, wide, high, 1);
    out->tensors[out->n - 1].n_dims = 2;
    for (uint64_t i = 0; i < wide * high; i++)
        scales[i] = 0.01f * (float)(i + 1);
}

static void fp8_weights_become_bf16(void **state) {
    (void)state;
    struct model model;
    hearth_error err = {0};
    rewrite("llama-dense", to_fp8);
    if (model_open(&model, folder, &err) != HEARTH_OK) fail_msg("%s", err.message);
    const struct tensor *down = directory_find(&model.directory, "blk.0.ffn_down.weight");
    assert_int_equal(down->type, ELEM_BF16);
    const uint16_t *values = (const uint16_t *)(const void *)down->data;
    for (uint64_t r = 0; r < 128; r++)
        for (uint64_t c = 0; c < 192; c++) {
            uint64_t i = r * 192 + c;
            uint8_t q = (uint8_t)(i * 7 % 0x7f | (i % 3 ? 0x80 : 0));
            float wanted = f8_e4m3_to_f32(q) * 0.01f * (float)(c / 128 + 1);
            assert_int_equal(values[i], f32_to_bf16(wanted));
        }
    /* Rows move after they were expanded: row 1 of Q is row 16 of the folder's. */
    const struct tensor *q = directory_find(&model.directory, "blk.0.attn_q.weight");
    values = (const uint16_t *)(const void *)q->data;
    for (uint64_t c = 0; c < 128; c++) {
        uint64_t i = 16 * 128 + c;
        uint8_t byte = (uint8_t)(i * 7 % 0x7f | (i % 3 ? 0x80 : 0));
        assert_int_equal(values[128 + c], f32_to_bf16(f8_e4m3_to_f32(byte) * 0.01f));
    }
    model_close(&model);
}

/* gpt-oss as it is published: packed experts [E, rows, groups, 16] and their scales. */
static void to_mxfp4(struct reverse_out *out, const struct tensor *t) {
    size_t n = strlen(t->name);
    bool packed = strcmp(t->name + n - 5, "_proj") == 0 && strstr(t->name, "experts");
    if (!packed) {
        keep(out, t);
        return;
    }
    char name[256];
    uint64_t rows = t->dims[0], groups = t->dims[1] / 32, experts_ = t->dims[2];
    snprintf(name, sizeof name, "%s_blocks", t->name);
    uint64_t count = rows * groups * experts_;
    uint8_t *bytes = (uint8_t *)reverse_add(out, name, 16, groups, rows * experts_);
    struct tensor *made = &out->tensors[out->n - 1];
    for (uint64_t i = 0; i < count * 16; i++)
        bytes[i] = (uint8_t)(i * 37 + i / 251);
    *made = (struct tensor){.name = made->name,
                            .type = ELEM_I8,
                            .dtype = DTYPE_U8,
                            .n_dims = 4,
                            .dims = {16, groups, rows, experts_},
                            .data = made->data,
                            .size_bytes = count * 16};
    snprintf(name, sizeof name, "%s_scales", t->name);
    bytes = (uint8_t *)reverse_add(out, name, groups, rows, experts_);
    made = &out->tensors[out->n - 1];
    for (uint64_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(120 + i % 5);
    made->type = ELEM_I8;
    made->dtype = DTYPE_U8;
    made->size_bytes = count;
}

/* Value `c` of row `r` of expert `e`, from the packed bytes as they are defined. */
static float packed_value(uint64_t e, uint64_t r, uint64_t c, uint64_t rows, uint64_t groups) {
    uint64_t group = (e * rows + r) * groups + c / 32, i = group * 16 + c % 32 / 2;
    uint8_t byte = (uint8_t)(i * 37 + i / 251);
    return f4_to_f32(c % 2 ? byte >> 4 : byte & 15) * ldexpf(1.0f, (int)(120 + group % 5) - 127);
}

static void check_packed(const struct directory *dir, const char *name, uint64_t all_rows,
                         uint64_t first, uint64_t stride) {
    const struct tensor *t = directory_find(dir, name);
    static float row[4096];
    assert_int_equal(t->type, ELEM_MXFP4);
    size_t bytes = elem_row_bytes(ELEM_MXFP4, t->dims[0]);
    for (uint64_t e = 0; e < t->dims[2]; e++)
        for (uint64_t r = 0; r < t->dims[1]; r++) {
            kernels_for(CPU_SCALAR)
                ->dequantize[ELEM_MXFP4](t->data + (e * t->dims[1] + r) * bytes, row, t->dims[0]);
            for (uint64_t c = 0; c < t->dims[0]; c++)
                assert_true(row[c] ==
                            packed_value(e, first + r * stride, c, all_rows, t->dims[0] / 32));
        }
}

static void mxfp4_experts_are_repacked(void **state) {
    (void)state;
    struct model model;
    hearth_error err = {0};
    rewrite("gpt-oss-moe", to_mxfp4);
    if (model_open(&model, folder, &err) != HEARTH_OK) fail_msg("%s", err.message);
    check_packed(&model.directory, "blk.1.ffn_gate_exps.weight", 128, 0, 2);
    check_packed(&model.directory, "blk.1.ffn_up_exps.weight", 128, 1, 2);
    check_packed(&model.directory, "blk.1.ffn_down_exps.weight", 128, 0, 1);
    model_close(&model);
    must_convert(ELEM_Q8_0, 0);
    struct directory made;
    assert_int_equal(gguf_open(&made, in_folder("out.gguf"), NULL), HEARTH_OK);
    check_packed(&made, "blk.0.ffn_up_exps.weight", 128, 1, 2);
    assert_int_equal(directory_find(&made, "blk.0.attn_q.weight")->type, ELEM_Q8_0);
    directory_close(&made);
}

/* ---- texts ------------------------------------------------------------------------- */

static void texts_become_metadata(void **state) {
    (void)state;
    struct model model;
    struct text text;
    uint32_t id;
    float number;
    hearth_error err = {0};
    reverse_write(reverse_case_named("llama-dense"), folder);
    folder_put(folder, "generation_config.json",
               "{\"temperature\": 0.6, \"top_p\": 0.9, \"top_k\": 50, \"bos_token_id\": 1, "
               "\"eos_token_id\": [2, 7]}");
    folder_put(folder, "chat_template.jinja", "{{ messages }}");
    folder_put(folder, "README.md",
               "---\nlicense: apache-2.0\nlanguage:\n- en\n- 'de'\ntags: [chat, small]\n"
               "base_model:\n  - someone/Tiny-1B\nother: {\n---\n# Title\nlicense: none\n");
    if (model_open(&model, folder, &err) != HEARTH_OK) fail_msg("%s", err.message);
    const struct metadata *m = &model.directory.metadata;
    assert_true(model_chat_template(&model, &text) && text_equal(text, "{{ messages }}"));
    assert_true(metadata_string(m, "general.license", &text) && text_equal(text, "apache-2.0"));
    assert_true(metadata_string(m, "general.base_model.0.name", &text) &&
                text_equal(text, "Tiny-1B"));
    const struct meta_array *languages = metadata_array(m, "general.languages");
    assert_true(languages && languages->count == 2 && text_equal(languages->strings[1], "de"));
    assert_int_equal(metadata_array(m, "general.tags")->count, 2);
    assert_true(metadata_f32(m, "general.sampling.temp", &number) && number == 0.6f);
    assert_true(metadata_u32(m, "general.sampling.top_k", &id) && id == 50);
    assert_true(metadata_u32(m, "tokenizer.ggml.bos_token_id", &id) && id == 1);
    assert_true(metadata_u32(m, "tokenizer.ggml.eos_token_id", &id) && id == 2);
    assert_true(metadata_u32(m, "tokenizer.ggml.eot_token_id", &id) && id == 7);
    model_close(&model);
}

static void vocabularies_fit_the_embedding(void **state) {
    (void)state;
    struct model model;
    hearth_error err = {0};
    reverse_write(reverse_case_named("qwen2-dense"), folder);
    folder_put(folder, "tokenizer.json",
               "{\"version\": \"1.0\", \"added_tokens\": [], \"normalizer\": null, "
               "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
               "\"trim_offsets\": true, \"use_regex\": true}, \"post_processor\": null, "
               "\"decoder\": {\"type\": \"ByteLevel\"}, \"model\": {\"type\": \"BPE\", "
               "\"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, \"merges\": [\"a b\"]}}");
    if (model_open(&model, folder, &err) != HEARTH_OK) fail_msg("%s", err.message);
    const struct meta_array *tokens =
        metadata_array(&model.directory.metadata, "tokenizer.ggml.tokens");
    assert_non_null(tokens);
    assert_int_equal(tokens->count, N_VOCAB);
    assert_true(text_equal(tokens->strings[2], "ab"));
    assert_true(text_equal(tokens->strings[127], "[PAD127]"));
    assert_int_equal(metadata_array(&model.directory.metadata, "tokenizer.ggml.token_type")->count,
                     N_VOCAB);
    model_close(&model);
}

/* ---- damage -------------------------------------------------------------------------- */

static void fails_with(const char *part) {
    struct model model;
    hearth_error err = {0};
    if (model_open(&model, folder, &err) == HEARTH_OK) fail_msg("opened despite '%s'", part);
    if (!strstr(err.message, part)) fail_msg("'%s' does not contain '%s'", err.message, part);
}

/* Puts `change` in front of the configuration's keys; of repeated keys the last counts,
 * so `without` is renamed. */
static void change_config(const char *model, const char *without, const char *change) {
    char config[4096];
    const char *original = reverse_case_named(model)->config;
    const char *at = without ? strstr(original, without) : NULL;
    assert_true(!without || at);
    if (at)
        snprintf(config, sizeof config, "{%s%.*sx%s", change, (int)(at + 1 - original - 1),
                 original + 1, at + 1);
    else
        snprintf(config, sizeof config, "{%s%s", change, original + 1);
    folder_put(folder, "config.json", config);
}

static void hostile_configurations_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *without, *change, *part;
    } changes[] = {
        {"\"architectures\"", "\"architectures\": [\"LlamaForCausalLN\"], ", "LlamaForCausalLM"},
        {"\"architectures\"", "\"architectures\": [\"Zzzzzzzz\"], ", "not supported"},
        {"\"hidden_size\"", "\"hidden_size\": \"128\", ", "hidden_size"},
        {"\"hidden_size\"", "\"hidden_size\": -128, ", "hidden_size"},
        {"\"hidden_size\"", "\"hidden_size\": 1e300, ", "hidden_size"},
        {"\"hidden_size\"", "\"hidden_size\": 127.5, ", "hidden_size"},
        {"\"hidden_size\"", "\"hidden_size\": 256, ", "token_embd"},
        {"\"hidden_size\"", "", "embedding_length"},
        {"\"num_hidden_layers\"", "\"num_hidden_layers\": 4000000000, ", "block_count"},
        {"\"num_hidden_layers\"", "\"num_hidden_layers\": 0, ", "block_count"},
        {"\"num_hidden_layers\"", "\"num_hidden_layers\": 3, ", "layers.2."},
        {"\"num_attention_heads\"", "\"num_attention_heads\": 0, ", "head"},
        {"\"head_dim\"", "\"head_dim\": 4294967295, ", "wide"},
        {"\"rope_theta\"", "\"rope_theta\": [], ", "rope_theta"},
        {NULL, "\"quantization_config\": {\"quant_method\": \"gptq\"}, ", "gptq"},
        {NULL, "\"rope_scaling\": {\"rope_type\": \"sideways\"}, ", "sideways"},
        {NULL, "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 0}, ", "llama3"},
        {NULL,
         "\"rope_scaling\": {\"rope_type\": \"longrope\", \"long_factor\": [1], "
         "\"short_factor\": [1]}, ",
         "longrope"},
        {NULL, "\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": true}, ", "factor"},
    };
    reverse_write(reverse_case_named("llama-dense"), folder);
    folder_put(folder, "config.json", "{\"architectures\": [7], \"model_type\": 3}");
    fails_with("neither 'architectures' nor 'model_type'");
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        change_config("llama-dense", changes[i].without, changes[i].change);
        if (strcmp(changes[i].part, "token_embd") != 0) {
            fails_with(changes[i].part);
            continue;
        }
        struct model model; /* shapes are checked when the recipe is lowered */
        struct context *context;
        struct context_options options = context_defaults();
        hearth_error err = {0};
        assert_int_equal(model_open(&model, folder, &err), HEARTH_OK);
        assert_int_not_equal(context_open(&context, &model, &options, &err), HEARTH_OK);
        assert_non_null(strstr(err.message, "token_embd"));
        model_close(&model);
    }
}

static void drop_k(struct reverse_out *out, const struct tensor *t) {
    if (!strstr(t->name, "1.self_attn.o_proj")) keep(out, t);
}

static void lose_an_expert(struct reverse_out *out, const struct tensor *t) {
    if (!strstr(t->name, "layers.1.block_sparse_moe.experts.2.w1")) keep(out, t);
}

static void add_stranger(struct reverse_out *out, const struct tensor *t) {
    keep(out, t);
    if (strcmp(t->name, "model.norm.weight") == 0)
        memset(reverse_add(out, "model.layers.0.self_attn.gate_proj.weight", 8, 8, 1), 0, 256);
}

static void lose_the_head(struct reverse_out *out, const struct tensor *t) {
    if (strcmp(t->name, "lm_head.weight") != 0) keep(out, t);
}

static void narrow_q(struct reverse_out *out, const struct tensor *t) {
    keep(out, t);
    if (strstr(t->name, "1.self_attn.q_proj")) {
        out->tensors[out->n - 1].dims[1] = 100;
        out->tensors[out->n - 1].size_bytes = 100 * 128 * 4;
    }
}

static void missing_and_stray_tensors_are_named(void **state) {
    (void)state;
    rewrite("phi3-dense", drop_k);
    fails_with("layers.1.self_attn.o_proj.weight");
    rewrite("llama-moe", lose_an_expert);
    fails_with("layers.1.block_sparse_moe.experts.2.w1.weight");
    rewrite("llama-dense", add_stranger);
    fails_with("model.layers.0.self_attn.gate_proj.weight");
    rewrite("llama-dense", lose_the_head);
    change_config("llama-dense", NULL, "\"tie_word_embeddings\": false, ");
    fails_with("lm_head.weight");
    rewrite("llama-dense", narrow_q);
    fails_with("model.layers.1.self_attn.q_proj.weight");
}

/* Whichever allocation fails, opening fails cleanly or not at all. */
static void allocation_failures_are_survived(void **state) {
    (void)state;
    static const char *const models[] = {"llama-moe", "llama3-ropefreqs-dense", "deepseek2-moe"};
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        reverse_write(reverse_case_named(models[i]), folder);
        folder_put(folder, "generation_config.json", "{\"eos_token_id\": [2, 7], \"top_k\": 3}");
        folder_put(folder, "chat_template.jinja", "{{ messages }}");
        for (uint64_t n = 1;; n++) {
            struct model model;
            hearth_error err = {0};
            mem_fail_after(n);
            hearth_status status = model_open(&model, folder, &err);
            bool pending = mem_fail_pending();
            mem_fail_after(0);
            if (status == HEARTH_OK)
                model_close(&model);
            else
                assert_true(err.message[0] != '\0');
            if (pending) {
                assert_int_equal(status, HEARTH_OK);
                break;
            }
        }
        for (uint64_t n = 1; i == 0; n++) {
            hearth_error err = {0};
            mem_fail_after(n);
            hearth_status status = convert(ELEM_Q8_0, 0, &err);
            bool pending = mem_fail_pending();
            mem_fail_after(0);
            if (status != HEARTH_OK)
                assert_false(file_exists(in_folder("out.gguf")));
            else
                remove(in_folder("out.gguf"));
            if (pending) break;
        }
    }
}

int main(void) {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, open_folder, close_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(matrices_take_the_type_asked_for),
        IN_FOLDER(types_that_need_importance_are_refused),
        IN_FOLDER(large_files_are_split),
        IN_FOLDER(vectors_of_bf16_folders_become_f32),
        IN_FOLDER(fp8_weights_become_bf16),
        IN_FOLDER(mxfp4_experts_are_repacked),
        IN_FOLDER(texts_become_metadata),
        IN_FOLDER(vocabularies_fit_the_embedding),
        IN_FOLDER(hostile_configurations_are_refused),
        IN_FOLDER(missing_and_stray_tensors_are_named),
        IN_FOLDER(allocation_failures_are_survived),
    };
    return cmocka_run_group_tests_name("model/hf_convert", tests, NULL, NULL);
}
