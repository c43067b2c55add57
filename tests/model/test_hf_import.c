/* Hugging Face folders of every family, made from testdata/arch: they open to the same
 * tensors, metadata and logits as the GGUF files, and so do the files they convert to. */
#include "model/hf_cases.h"
#include "model/hf_convert.h"

/* ---- the tests -------------------------------------------------------------------- */

/* Values that went through logarithm and exponential, or lost and got back 1. */
static bool is_rounded(const char *name) {
    size_t n = strlen(name);
    return strstr(name, "norm.weight") || (n > 6 && strcmp(name + n - 6, ".ssm_a") == 0);
}

static void compare_tensor(const struct tensor *a, const struct tensor *b) {
    if (!b) {
        fail_msg("'%s' is missing", a->name);
        return;
    }
    if (a->type != b->type || a->n_dims != b->n_dims ||
        memcmp(a->dims, b->dims, sizeof a->dims) != 0)
        fail_msg("'%s' is %s [%u: %u %u %u]", a->name, elem_name(b->type), b->n_dims,
                 (unsigned)b->dims[0], (unsigned)b->dims[1], (unsigned)b->dims[2]);
    size_t n = a->size_bytes / sizeof(float);
    bool same = is_rounded(a->name) ? nmse(reverse_floats(b), reverse_floats(a), n) < 1e-12
                                    : memcmp(a->data, b->data, a->size_bytes) == 0;
    if (!same) fail_msg("'%s' differs", a->name);
}

static void assert_same_text(struct text a, struct text b) {
    assert_int_equal(a.length, b.length);
    assert_memory_equal(a.data, b.data, a.length);
}

/* Converters leave out what follows from other keys, and the made file of gpt-oss has a
 * width of dense layers, which it does not contain. */
static bool may_differ(const char *key, bool is_set) {
    static const char *const derived[] = {".attention.key_length", ".attention.value_length",
                                          ".attention.head_count_kv"};
    for (size_t i = 0; !is_set && i < sizeof derived / sizeof derived[0]; i++)
        if (strcmp(strchr(key, '.'), derived[i]) == 0) return true;
    return strcmp(key, "gpt-oss.feed_forward_length") == 0;
}

/* Every key of the file that describes the model has the same value. */
static void compare_value(const struct metadata *m, const struct meta_value *value) {
    char key[256];
    float a = 0, b = 0;
    snprintf(key, sizeof key, "%.*s", (int)value->key.length, value->key.data);
    if (strncmp(key, "general.", 8) == 0 || strncmp(key, "tokenizer.", 10) == 0) return;
    const struct meta_value *other = metadata_find(m, key);
    if (may_differ(key, other != NULL)) return;
    if (!other) {
        fail_msg("'%s' is not set", key);
        return;
    }
    if (value->type == META_ARRAY)
        for (size_t i = 0; i < value->array.count; i++)
            if (meta_array_int(&value->array, i) != meta_array_int(&other->array, i))
                fail_msg("'%s' differs at %zu", key, i);
    if (value->type == META_BOOL && value->u != other->u) fail_msg("'%s' differs", key);
    if (value->type == META_STRING) assert_same_text(value->string, other->string);
    metadata_f32(m, key, &b);
    if (value->type == META_F32)
        a = (float)value->f;
    else if (value->type == META_U32)
        a = (float)value->u;
    else
        return;
    if (fabsf(a - b) > 1e-6f * fabsf(a)) fail_msg("'%s' is %g, not %g", key, (double)b, (double)a);
}

static void compare_with_file(const struct reverse_case *c, const char *folder) {
    struct directory dir;
    struct model model;
    char name[256];
    hearth_error err = {0};
    snprintf(name, sizeof name, "arch/%s/model.gguf", c->folder);
    assert_int_equal(gguf_open(&dir, testdata(name), NULL), HEARTH_OK);
    if (model_open(&model, folder, &err) != HEARTH_OK) fail_msg("%s", err.message);
    size_t n_extra = directory_find(&model.directory, "rope_factors_long.weight") ? 2 : 0;
    assert_int_equal(model.directory.n_tensors, dir.n_tensors + n_extra);
    for (size_t i = 0; i < dir.n_tensors; i++)
        compare_tensor(&dir.tensors[i], directory_find(&model.directory, dir.tensors[i].name));
    struct text family = {"", 0};
    metadata_string(&dir.metadata, "general.architecture", &family);
    bool same_family = text_equal(family, model.config.family);
    for (size_t i = 0; same_family && i < dir.metadata.count; i++)
        compare_value(&model.directory.metadata, &dir.metadata.values[i]);
    model_close(&model);
    directory_close(&dir);
}

static void convert_folder(const char *folder, const char *file, enum elem type) {
    struct hf_import import;
    struct hf_convert convert;
    struct hf_convert_options options = {.type = type, .n_threads = 2};
    hearth_error err = {0};
    if (hf_import_open(&import, folder, &err) != HEARTH_OK ||
        hf_convert_open(&convert, &import, &options, &err) != HEARTH_OK ||
        hf_convert_write(&convert, file, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    hf_convert_close(&convert);
    hf_import_close(&import);
}

static void folder_agrees(void **state) {
    const struct reverse_case *c = *state;
    static float reference[N_TOKENS * N_VOCAB], logits[N_TOKENS * N_VOCAB];
    int32_t tokens[N_TOKENS];
    char name[512], folder[256];
    snprintf(name, sizeof name, "arch/%s/tokens.txt", c->folder);
    read_tokens(testdata(name), tokens);
    snprintf(name, sizeof name, "arch/%s/%s", c->folder, c->logits);
    read_logits(testdata(name), reference);
    folder_make(folder, sizeof folder);
    reverse_write(c, folder);
    compare_with_file(c, folder);
    snprintf(name, sizeof name, "%s/converted.gguf", folder);
    convert_folder(folder, name, ELEM_TYPES);
    compare_with_file(c, name);
    golden_logits(folder, tokens, NULL, false, logits);
    double error = nmse(logits, reference, N_TOKENS * N_VOCAB);
    print_message("%s: NMSE %.2g\n", c->folder, error);
    assert_true(error <= 1e-8);
    folder_remove(folder);
}

int main(void) {
    enum { N = sizeof cases / sizeof cases[0], M = sizeof variants / sizeof variants[0] };
    static struct CMUnitTest tests[N + M];
    for (size_t i = 0; i < N + M; i++) {
        const struct reverse_case *c = i < N ? &cases[i] : &variants[i - N];
        tests[i] = (struct CMUnitTest){c->folder, folder_agrees, NULL, NULL, (void *)(uintptr_t)c};
    }
    return _cmocka_run_group_tests("model/hf_import", tests, N + M, NULL, NULL);
}
