/* BERT and Nomic Embed folders: tiny random models, written as transformers saves them,
 * open to the tensors and settings they were made of and lower without a gap. */
#include "tiny_model.h"

#include "model/hf_reverse.h"

enum { WIDTH = 64, HIDDEN = 96, DEPTH = 2, POSITIONS = 256 };

#define LAYER "encoder.layer.#."
static const struct reverse bert[] = {
    {"token_embd.weight", "embeddings.word_embeddings.weight", AS_IS, 0, 0, NULL},
    {"position_embd.weight", "embeddings.position_embeddings.weight", AS_IS, 0, 0, NULL},
    {"token_types.weight", "embeddings.token_type_embeddings.weight", AS_IS, 0, 0, NULL},
    {"token_embd_norm.weight", "embeddings.LayerNorm.weight", AS_IS, 0, 0, NULL},
    {"token_embd_norm.bias", "embeddings.LayerNorm.bias", AS_IS, 0, 0, NULL},
    {"blk.#.attn_q.weight", LAYER "attention.self.query.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_q.bias", LAYER "attention.self.query.bias", AS_IS, 0, 0, NULL},
    {"blk.#.attn_k.weight", LAYER "attention.self.key.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_k.bias", LAYER "attention.self.key.bias", AS_IS, 0, 0, NULL},
    {"blk.#.attn_v.weight", LAYER "attention.self.value.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_v.bias", LAYER "attention.self.value.bias", AS_IS, 0, 0, NULL},
    {"blk.#.attn_output.weight", LAYER "attention.output.dense.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_output.bias", LAYER "attention.output.dense.bias", AS_IS, 0, 0, NULL},
    {"blk.#.attn_output_norm.weight", LAYER "attention.output.LayerNorm.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_output_norm.bias", LAYER "attention.output.LayerNorm.bias", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_up.weight", LAYER "intermediate.dense.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_up.bias", LAYER "intermediate.dense.bias", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_down.weight", LAYER "output.dense.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_down.bias", LAYER "output.dense.bias", AS_IS, 0, 0, NULL},
    {"blk.#.layer_output_norm.weight", LAYER "output.LayerNorm.weight", AS_IS, 0, 0, NULL},
    {"blk.#.layer_output_norm.bias", LAYER "output.LayerNorm.bias", AS_IS, 0, 0, NULL},
    {0},
};

#define NOMIC "encoder.layers.#."
static const struct reverse nomic[] = {
    {"token_embd.weight", "embeddings.word_embeddings.weight", AS_IS, 0, 0, NULL},
    {"token_types.weight", "embeddings.token_type_embeddings.weight", AS_IS, 0, 0, NULL},
    {"token_embd_norm.weight", "emb_ln.weight", AS_IS, 0, 0, NULL},
    {"token_embd_norm.bias", "emb_ln.bias", AS_IS, 0, 0, NULL},
    {"blk.#.attn_qkv.weight", NOMIC "attn.Wqkv.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_output.weight", NOMIC "attn.out_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_output_norm.weight", NOMIC "norm1.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_output_norm.bias", NOMIC "norm1.bias", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_up.weight", NOMIC "mlp.fc11.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_gate.weight", NOMIC "mlp.fc12.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_down.weight", NOMIC "mlp.fc2.weight", AS_IS, 0, 0, NULL},
    {"blk.#.layer_output_norm.weight", NOMIC "norm2.weight", AS_IS, 0, 0, NULL},
    {"blk.#.layer_output_norm.bias", NOMIC "norm2.bias", AS_IS, 0, 0, NULL},
    {0},
};

static const struct reverse_case bert_case = {
    "bert",
    NULL,
    "{\"architectures\": [\"BertModel\"], \"model_type\": \"bert\", \"vocab_size\": 128, "
    "\"max_position_embeddings\": 256, \"hidden_size\": 64, \"intermediate_size\": 96, "
    "\"num_attention_heads\": 4, \"num_hidden_layers\": 2, \"layer_norm_eps\": 1e-12, "
    "\"type_vocab_size\": 2}",
    {bert}};

static const struct reverse_case nomic_case = {
    "nomic-bert",
    NULL,
    "{\"architectures\": [\"NomicBertModel\"], \"model_type\": \"nomic_bert\", \"vocab_size\": "
    "128, \"n_positions\": 256, \"n_embd\": 64, \"n_inner\": 96, \"n_head\": 4, \"n_layer\": 2, "
    "\"layer_norm_epsilon\": 1e-12, \"rotary_emb_base\": 1000, \"type_vocab_size\": 2}",
    {nomic}};

/* One tensor for each row of the table, of the shape its name has. */
static void add_tensor(struct tiny *t, const char *name) {
    bool vector = strstr(name, "norm") || strstr(name, ".bias");
    uint64_t in = strstr(name, "ffn_down") ? HIDDEN : WIDTH, out = WIDTH;
    if (strstr(name, "ffn_up") || strstr(name, "ffn_gate")) out = HIDDEN;
    if (strstr(name, "attn_qkv")) out = 3 * WIDTH;
    if (strstr(name, "token_embd.")) out = TINY_VOCAB;
    if (strstr(name, "position_embd")) out = POSITIONS;
    if (strstr(name, "token_types")) out = 2;
    tiny_tensor(t, vector ? FILL_NORM : FILL_MATRIX, name, vector ? out : in, vector ? 0 : out, 0);
}

static void make(struct tiny *t, const struct reverse_case *c) {
    char name[256];
    tiny_begin(t, c->folder, 7);
    for (unsigned layer = 0; layer < DEPTH; layer++)
        for (const struct reverse *r = c->tables[0]; r->gguf; r++) {
            if (!strchr(r->gguf, '#') && layer > 0) continue;
            reverse_name(name, r->gguf, layer, 0);
            add_tensor(t, name);
        }
    tiny_write(t);
}

static void compare(const char *folder, const struct directory *dir) {
    struct model model;
    struct context *context = NULL;
    struct context_options options = context_defaults();
    static float embedding[WIDTH];
    hearth_error err = {0};
    if (model_open(&model, folder, &err) != HEARTH_OK) fail_msg("%s", err.message);
    assert_int_equal(model.directory.n_tensors, dir->n_tensors);
    for (size_t i = 0; i < dir->n_tensors; i++) {
        const struct tensor *a = &dir->tensors[i];
        const struct tensor *b = directory_find(&model.directory, a->name);
        assert_true(b && b->type == ELEM_F32 && b->size_bytes == a->size_bytes);
        assert_memory_equal(a->dims, b->dims, sizeof a->dims);
        assert_memory_equal(a->data, b->data, a->size_bytes);
    }
    assert_true(model.config.embeds && !model.config.causal);
    assert_int_equal(model.config.n_layer, DEPTH);
    assert_true(model.config.norm_eps == 1e-12f);
    assert_int_equal(model.config.pool, POOL_FIRST);
    if (context_open(&context, &model, &options, &err) != HEARTH_OK) fail_msg("%s", err.message);
    if (context_embed(context, 0, tiny_tokens(), 16, embedding, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    context_close(context);
    model_close(&model);
}

static void encoder_opens(void **state) {
    const struct reverse_case *c = *state;
    static struct tiny t;
    static struct reverse_out out;
    struct directory dir;
    char folder[256], path[512];
    hearth_error err = {0};
    make(&t, c);
    if (gguf_open(&dir, t.path, &err) != HEARTH_OK) fail_msg("%s", err.message);
    for (size_t i = 0; i < dir.n_tensors; i++)
        reverse_tensor(&out, c, &dir, &dir.tensors[i]);
    folder_make(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    assert_int_equal(safetensors_write(path, NULL, out.tensors, out.n, 0, NULL, NULL, NULL),
                     HEARTH_OK);
    folder_put(folder, "config.json", c->config);
    snprintf(path, sizeof path, "%s/1_Pooling", folder);
    assert_int_equal(file_make_folders(path, NULL), HEARTH_OK);
    folder_put(folder, "1_Pooling/config.json", "{\"pooling_mode_cls_token\": true}");
    compare(folder, &dir);
    folder_remove(path);
    folder_remove(folder);
    reverse_release(&out);
    directory_close(&dir);
    tiny_end(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        {"bert", encoder_opens, NULL, NULL, (void *)(uintptr_t)&bert_case},
        {"nomic-bert", encoder_opens, NULL, NULL, (void *)(uintptr_t)&nomic_case},
    };
    return cmocka_run_group_tests_name("model/hf_encoders", tests, NULL, NULL);
}
