/* The metadata of a shape, with the keys that converters write. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/shape.h"

/* ---- architecture ---------------------------------------------------------------------- */

/* Sets keys under the family's name; the first failure sticks. */
struct writer {
    struct metadata *m;
    const struct shape *shape;
    hearth_status status;
    hearth_error *err;
    char key[128];
};

static const char *family_key(struct writer *w, const char *key) {
    snprintf(w->key, sizeof w->key, "%s.%s", w->shape->family, key);
    return w->key;
}

static void put_u32(struct writer *w, const char *key, uint32_t value) {
    if (w->status == HEARTH_OK)
        w->status = metadata_set_uint(w->m, family_key(w, key), META_U32, value, w->err);
}

/* 0 stands for "absent". */
static void put_some(struct writer *w, const char *key, uint32_t value) {
    if (value) put_u32(w, key, value);
}

static void put_f32(struct writer *w, const char *key, float value) {
    if (w->status == HEARTH_OK && value != 0)
        w->status = metadata_set_float(w->m, family_key(w, key), (double)value, w->err);
}

static void put_string(struct writer *w, const char *key, const char *value) {
    if (w->status == HEARTH_OK)
        w->status = metadata_set_string(w->m, key, value, strlen(value), w->err);
}

static void put_rope(struct writer *w) {
    const struct shape *s = w->shape;
    put_u32(w, "rope.dimension_count", s->n_rot ? s->n_rot : s->d_head);
    put_f32(w, "rope.freq_base", s->rope_base);
    put_f32(w, "rope.freq_base_swa", s->rope_base_local);
    if (s->rope == SHAPE_ROPE_LINEAR || s->rope == SHAPE_ROPE_YARN) {
        put_string(w, family_key(w, "rope.scaling.type"),
                   s->rope == SHAPE_ROPE_YARN ? "yarn" : "linear");
        put_f32(w, "rope.scaling.factor", s->rope_factor);
    }
    if (s->rope == SHAPE_ROPE_LONG) put_f32(w, "rope.scaling.attn_factor", 1.1902381f);
    if (s->rope == SHAPE_ROPE_YARN || s->rope == SHAPE_ROPE_LONG)
        put_some(w, "rope.scaling.original_context_length", s->rope_original);
    if (s->traits & SHAPE_NO_ROPE && w->status == HEARTH_OK)
        w->status = metadata_set_bool(w->m, family_key(w, "rope.scaling.finetuned"), false, w->err);
    if (s->attention_every) {
        const int32_t sections[] = {11, 11, 10, 0}; /* of text, height, width; text has all alike */
        if (w->status == HEARTH_OK)
            w->status = metadata_set_array(w->m, family_key(w, "rope.dimension_sections"), META_I32,
                                           sections, 4, w->err);
    }
}

/* Hybrids say layer by layer how many key/value heads there are. */
static void put_heads(struct writer *w) {
    const struct shape *s = w->shape;
    int32_t heads[64];
    put_u32(w, "attention.head_count", s->n_head);
    put_u32(w, "attention.key_length", s->d_head);
    put_u32(w, "attention.value_length", s->d_head);
    if (s->attention_layers == 0) {
        put_u32(w, "attention.head_count_kv", s->n_head_kv);
        return;
    }
    for (uint32_t i = 0; i < s->n_layer; i++)
        heads[i] = shape_layer_kind(s, i) == SHAPE_ATTENTION ? (int32_t)s->n_head_kv : 0;
    if (w->status == HEARTH_OK)
        w->status = metadata_set_array(w->m, family_key(w, "attention.head_count_kv"), META_I32,
                                       heads, s->n_layer, w->err);
}

static void put_parts(struct writer *w) {
    const struct shape *s = w->shape;
    put_some(w, "expert_count", s->experts.n);
    put_some(w, "expert_used_count", s->experts.n_used);
    put_some(w, "expert_feed_forward_length", s->experts.n_ff);
    put_some(w, "expert_shared_feed_forward_length", s->experts.n_ff_shared);
    put_some(w, "full_attention_interval", s->attention_every);
    put_some(w, "ssm.conv_kernel", s->ssm.kernel);
    put_some(w, "ssm.state_size", s->ssm.state);
    put_some(w, "ssm.group_count", s->ssm.groups);
    put_some(w, "ssm.time_step_rank", s->ssm.heads);
    put_some(w, "ssm.inner_size", s->ssm.inner);
    put_some(w, "shortconv.l_cache", s->short_conv_kernel);
    put_some(w, "attention.sliding_window", s->window);
    put_f32(w, "embedding_scale", s->scales.embedding);
    put_f32(w, "residual_scale", s->scales.residual);
    put_f32(w, "attention.scale", s->scales.attention);
    put_f32(w, "logit_scale", s->scales.logit);
}

hearth_status shape_architecture(const struct shape *s, struct metadata *m, hearth_error *err) {
    struct writer w = {.m = m, .shape = s, .err = err};
    put_string(&w, "general.architecture", s->family);
    put_string(&w, "general.type", "model");
    put_string(&w, "general.name", s->name);
    put_u32(&w, "block_count", s->n_layer);
    put_u32(&w, "context_length", s->n_ctx);
    put_u32(&w, "embedding_length", s->n_embd);
    put_u32(&w, "feed_forward_length", s->n_ff);
    put_u32(&w, "vocab_size", s->n_vocab);
    put_f32(&w, "attention.layer_norm_rms_epsilon", s->eps);
    put_heads(&w);
    put_rope(&w);
    put_parts(&w);
    return w.status;
}

hearth_status shape_metadata(const struct shape *s, struct metadata *m, hearth_error *err) {
    char name[96];
    struct shape named = *s;
    snprintf(name, sizeof name, "%s (random weights)", s->name);
    named.name = name;
    RETURN_IF_ERROR(shape_architecture(&named, m, err));
    return shape_vocabulary(s->n_vocab, m, err);
}

/* ---- vocabulary -------------------------------------------------------------------------- */

enum { TOKEN_NORMAL = 1, TOKEN_CONTROL = 3, TOKEN_MAX_TEXT = 24 };

static const char chat_template[] =
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}";

/* Pairs of tokens that become one, in this order. U+0120 stands for a space. */
static const char *const merges[] = {"Ġ t", "h e", "i n", "Ġ a", "r e", "o n", "Ġt he", "e r",
                                     "Ġ s", "a t", "Ġ w", "o r", "e n", "Ġ o", "i s",   "e d"};
enum { N_MERGES = sizeof merges / sizeof merges[0] };

/* The character that stands for a byte in byte-level BPE (GPT-2): printable ones for
 * themselves, the others are moved to U+0100 and up, in order. */
static uint32_t byte_character(unsigned byte) {
    unsigned moved = 0;
    for (unsigned b = 0; b <= byte; b++) {
        bool plain = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        if (b == byte && plain) return byte;
        if (!plain) moved++;
    }
    return 0x100 + moved - 1;
}

static void byte_token(unsigned byte, char text[TOKEN_MAX_TEXT]) {
    uint32_t c = byte_character(byte);
    if (c < 0x80)
        snprintf(text, TOKEN_MAX_TEXT, "%c", (int)c);
    else
        snprintf(text, TOKEN_MAX_TEXT, "%c%c", (int)(0xC0 | c >> 6), (int)(0x80 | (c & 0x3F)));
}

static void merged_token(const char *merge, char text[TOKEN_MAX_TEXT]) {
    const char *space = strchr(merge, ' ');
    snprintf(text, TOKEN_MAX_TEXT, "%.*s%s", (int)(space - merge), merge, space + 1);
}

static int32_t make_token(uint32_t id, uint32_t n_vocab, char text[TOKEN_MAX_TEXT]) {
    if (id + 2 >= n_vocab) {
        snprintf(text, TOKEN_MAX_TEXT, id + 1 == n_vocab ? "<|end|>" : "<|begin|>");
        return TOKEN_CONTROL;
    }
    if (id < 256)
        byte_token(id, text);
    else if (id < 256 + N_MERGES)
        merged_token(merges[id - 256], text);
    else
        snprintf(text, TOKEN_MAX_TEXT, "<fill_%u>", id);
    return TOKEN_NORMAL;
}

static hearth_status set_tokens(struct metadata *m, uint32_t n_vocab, char *texts,
                                struct text *tokens, int32_t *types, hearth_error *err) {
    for (uint32_t id = 0; id < n_vocab; id++) {
        char *text = texts + (size_t)id * TOKEN_MAX_TEXT;
        types[id] = make_token(id, n_vocab, text);
        tokens[id] = (struct text){text, strlen(text)};
    }
    RETURN_IF_ERROR(metadata_set_strings(m, "tokenizer.ggml.tokens", tokens, n_vocab, err));
    return metadata_set_array(m, "tokenizer.ggml.token_type", META_I32, types, n_vocab, err);
}

static hearth_status set_settings(struct metadata *m, uint32_t n_vocab, hearth_error *err) {
    struct text lines[N_MERGES];
    for (size_t i = 0; i < N_MERGES; i++)
        lines[i] = (struct text){merges[i], strlen(merges[i])};
    RETURN_IF_ERROR(metadata_set_strings(m, "tokenizer.ggml.merges", lines, N_MERGES, err));
    RETURN_IF_ERROR(
        metadata_set_uint(m, "tokenizer.ggml.bos_token_id", META_U32, n_vocab - 2, err));
    RETURN_IF_ERROR(
        metadata_set_uint(m, "tokenizer.ggml.eos_token_id", META_U32, n_vocab - 1, err));
    RETURN_IF_ERROR(metadata_set_bool(m, "tokenizer.ggml.add_bos_token", true, err));
    return metadata_set_string(m, "tokenizer.chat_template", chat_template,
                               sizeof chat_template - 1, err);
}

hearth_status shape_vocabulary(uint32_t n_vocab, struct metadata *m, hearth_error *err) {
    if (n_vocab < SHAPE_LEAST_VOCAB)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "a vocabulary of %u tokens; at least %d",
                         n_vocab, SHAPE_LEAST_VOCAB);
    RETURN_IF_ERROR(metadata_set_string(m, "tokenizer.ggml.model", "gpt2", 4, err));
    RETURN_IF_ERROR(metadata_set_string(m, "tokenizer.ggml.pre", "gpt-2", 5, err));
    char *texts = mem_alloc_array(n_vocab, TOKEN_MAX_TEXT);
    struct text *tokens = mem_alloc_array(n_vocab, sizeof *tokens);
    int32_t *types = mem_alloc_array(n_vocab, sizeof *types);
    hearth_status status =
        error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %u tokens", n_vocab);
    if (texts && tokens && types) status = set_tokens(m, n_vocab, texts, tokens, types, err);
    mem_free(types);
    mem_free(tokens);
    mem_free(texts);
    if (status != HEARTH_OK) return status;
    return set_settings(m, n_vocab, err);
}
