/* hearth embed from end to end: a tiny encoder with a WordPiece vocabulary. */
#include "../model/tiny_model.h"

#include <jansson.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/command.h"
#include "cli/options.h"

enum { N_EMBD = 32, N_FF = 48 };

static struct tiny tiny;
static char input_path[] = "/tmp/hearth-embed-in-XXXXXX";
static char output_path[] = "/tmp/hearth-embed-out-XXXXXX";

static void add_vocabulary(struct tiny *t) {
    static const char *const first[] = {"[PAD]", "[UNK]",       "[CLS]",
                                        "[SEP]", "\u2581hello", "\u2581world"};
    static char others[TINY_VOCAB][16];
    struct text tokens[TINY_VOCAB];
    int32_t types[TINY_VOCAB];
    for (int i = 0; i < TINY_VOCAB; i++) {
        snprintf(others[i], sizeof others[i], "\u2581x%d", i);
        const char *token = i < 6 ? first[i] : others[i];
        tokens[i] = (struct text){token, strlen(token)};
        types[i] = i < 4 ? 3 : 1; /* control, normal */
    }
    struct metadata *m = &t->metadata;
    metadata_set_string(m, "tokenizer.ggml.model", "bert", 4, NULL);
    metadata_set_strings(m, "tokenizer.ggml.tokens", tokens, TINY_VOCAB, NULL);
    metadata_set_array(m, "tokenizer.ggml.token_type", META_I32, types, TINY_VOCAB, NULL);
    metadata_set_uint(m, "tokenizer.ggml.unknown_token_id", META_U32, 1, NULL);
    metadata_set_uint(m, "tokenizer.ggml.cls_token_id", META_U32, 2, NULL);
    metadata_set_uint(m, "tokenizer.ggml.bos_token_id", META_U32, 2, NULL);
    metadata_set_uint(m, "tokenizer.ggml.seperator_token_id", META_U32, 3, NULL);
}

static void add_layer(struct tiny *t, uint32_t i) {
    static const char *const square[] = {"attn_q.weight", "attn_k.weight", "attn_v.weight",
                                         "attn_output.weight"};
    for (int j = 0; j < 4; j++)
        tiny_layer(t, FILL_MATRIX, i, square[j], N_EMBD, N_EMBD, 0);
    tiny_layer(t, FILL_NORM, i, "attn_output_norm.weight", N_EMBD, 0, 0);
    tiny_layer(t, FILL_MATRIX, i, "ffn_up.weight", N_EMBD, N_FF, 0);
    tiny_layer(t, FILL_MATRIX, i, "ffn_down.weight", N_FF, N_EMBD, 0);
    tiny_layer(t, FILL_NORM, i, "layer_output_norm.weight", N_EMBD, 0, 0);
}

static int set_up(void **state) {
    (void)state;
    tiny_begin(&tiny, "bert", 5);
    tiny_u32(&tiny, "block_count", 2);
    tiny_u32(&tiny, "embedding_length", N_EMBD);
    tiny_u32(&tiny, "feed_forward_length", N_FF);
    tiny_u32(&tiny, "attention.head_count", 2);
    tiny_f32(&tiny, "attention.layer_norm_epsilon", 1e-12);
    add_vocabulary(&tiny);
    tiny_tensor(&tiny, FILL_EMBEDDING, "token_embd.weight", N_EMBD, TINY_VOCAB, 0);
    tiny_tensor(&tiny, FILL_BIAS, "position_embd.weight", N_EMBD, 256, 0);
    tiny_tensor(&tiny, FILL_NORM, "token_embd_norm.weight", N_EMBD, 0, 0);
    for (uint32_t i = 0; i < 2; i++)
        add_layer(&tiny, i);
    tiny_write(&tiny);
    close(mkstemp(input_path));
    close(mkstemp(output_path));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    remove(input_path);
    remove(output_path);
    tiny_end(&tiny);
    return 0;
}

/* Runs the command with `input` as stdin; returns what it printed (mem_free). */
static char *run(int argc, char **argv, const char *input, int *code) {
    char *text;
    size_t size;
    assert_int_equal(file_write(input_path, input, strlen(input), NULL), HEARTH_OK);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    assert_non_null(freopen(input_path, "r", stdin));
    assert_non_null(freopen(output_path, "w", stdout));
    *code = cmd_embed(argc, argv);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    assert_int_equal(file_read(output_path, 1 << 20, &text, &size, NULL), HEARTH_OK);
    return text;
}

static double check_row(const json_t *row, int n_tokens, double *first) {
    const json_t *values = json_object_get(row, "embedding");
    double squares = 0;
    assert_int_equal(json_array_size(values), N_EMBD);
    assert_int_equal(json_integer_value(json_object_get(row, "tokens")), n_tokens);
    for (size_t i = 0; i < N_EMBD; i++)
        squares += pow(json_number_value(json_array_get(values, i)), 2);
    *first = json_number_value(json_array_get(values, 0));
    return squares;
}

static void every_line_becomes_a_vector(void **state) {
    (void)state;
    char *argv[] = {"embed", "-m", tiny.path, "-t", "1"};
    double first[2];
    int code;
    char *text = run(5, argv, "hello\nhello world\n", &code), *second = strchr(text, '\n');
    assert_int_equal(code, EXIT_OK);
    assert_non_null(second);
    json_t *a = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL), *b = json_loads(second, 0, NULL);
    assert_true(fabs(check_row(a, 3, &first[0]) - 1) < 1e-5);
    assert_true(fabs(check_row(b, 4, &first[1]) - 1) < 1e-5);
    assert_true(fabs(first[0] - first[1]) > 1e-6);
    json_decref(a);
    json_decref(b);
    mem_free(text);
}

static void arguments_become_an_array(void **state) {
    (void)state;
    char *argv[] = {"embed", "-m", tiny.path, "-t", "1", "--json", "hello", "world hello world"};
    double first;
    int code;
    char *text = run(8, argv, "", &code);
    assert_int_equal(code, EXIT_OK);
    json_t *array = json_loads(text, 0, NULL);
    assert_int_equal(json_array_size(array), 2);
    assert_true(fabs(check_row(json_array_get(array, 1), 5, &first) - 1) < 1e-5);
    json_decref(array);
    mem_free(text);
}

static void a_text_too_long_is_a_failure(void **state) {
    (void)state;
    char text[256 * 6 + 1], *argv[] = {"embed", "-m", tiny.path, "-t", "1", text};
    int code;
    for (int i = 0; i < 256; i++)
        memcpy(text + i * 6, "hello ", 7);
    char *printed = run(6, argv, "", &code);
    assert_int_equal(code, EXIT_FAILED);
    assert_string_equal(printed, "");
    mem_free(printed);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_line_becomes_a_vector),
                                       cmocka_unit_test(arguments_become_an_array),
                                       cmocka_unit_test(a_text_too_long_is_a_failure)};
    return cmocka_run_group_tests_name("cli/embed", tests, set_up, tear_down);
}
