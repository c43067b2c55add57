/* Decoding: token by token never splits a character and adds up to the whole text. */
#include "tokenizer_cases.h"

#include "base/buf.h"
#include "token/utf8.h"

static void push_all(const struct tokenizer *t, const int32_t *ids, size_t n, struct buf *out) {
    struct token_stream stream;
    token_stream_init(&stream, t, true);
    for (size_t i = 0; i < n; i++) {
        size_t before = out->length;
        assert_int_equal(token_stream_push(&stream, ids[i], out, NULL), HEARTH_OK);
        if (!utf8_valid(buf_text(out) + before, out->length - before))
            fail_msg("token %zu (id %d) gives part of a character", i, (int)ids[i]);
    }
    assert_int_equal(token_stream_finish(&stream, out, NULL), HEARTH_OK);
}

/* The stream equals the whole text wherever that is UTF-8; without added spaces the
 * whole text is the input itself. */
static int check_case(const struct tokenizer *t, const char *text, size_t n, bool add_special,
                      bool parse_special, const int32_t *ids, size_t n_ids, json_t *line,
                      int n_failed) {
    (void)add_special, (void)parse_special, (void)line;
    struct buf whole, streamed;
    buf_init(&whole, 1 << 20);
    buf_init(&streamed, 1 << 20);
    assert_int_equal(tokenizer_decode(t, ids, n_ids, true, &whole, NULL), HEARTH_OK);
    push_all(t, ids, n_ids, &streamed);
    assert_true(utf8_valid(buf_text(&streamed), streamed.length));
    bool ok = !utf8_valid(buf_text(&whole), whole.length) ||
              (whole.length == streamed.length &&
               memcmp(buf_text(&whole), buf_text(&streamed), whole.length) == 0);
    (void)text, (void)n;
    if (!ok && n_failed < 5) print_message("  '%s' streams as '%s'\n", whole.data, streamed.data);
    buf_release(&whole);
    buf_release(&streamed);
    return !ok;
}

/* Byte-level vocabularies give back the text itself. */
static int check_identity(const struct tokenizer *t, const char *text, size_t n, bool add_special,
                          bool parse_special, const int32_t *ids, size_t n_ids, json_t *line,
                          int n_failed) {
    (void)parse_special, (void)line;
    if (add_special) return 0;
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_int_equal(tokenizer_decode(t, ids, n_ids, true, &out, NULL), HEARTH_OK);
    bool ok = out.length == n && memcmp(buf_text(&out), text, n) == 0;
    if (!ok && n_failed < 5) print_message("  '%s' comes back as '%s'\n", text, buf_text(&out));
    buf_release(&out);
    return !ok;
}

static void stream_vocabulary(void **state) {
    struct tokenizer *t = open_golden(*state);
    int n_failed = walk_golden(t, *state, check_case);
    tokenizer_close(t);
    assert_int_equal(n_failed, 0);
}

static void decode_vocabulary(void **state) {
    struct tokenizer *t = open_golden(*state);
    int n_failed = walk_golden(t, *state, check_identity);
    tokenizer_close(t);
    assert_int_equal(n_failed, 0);
}

/* The bytes of U+1F600, one token each, then what is no character. */
static void stream_bytes(void **state) {
    (void)state;
    struct tokenizer *t = open_golden("llama-spm");
    struct token_stream stream;
    struct buf out;
    buf_init(&out, 1 << 10);
    token_stream_init(&stream, t, false);
    static const char *const bytes[] = {"<0xF0>", "<0x9F>", "<0x98>", "<0x80>"};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(out.length, 0);
        assert_int_equal(token_stream_push(&stream, tokenizer_find(t, bytes[i], 6), &out, NULL),
                         HEARTH_OK);
    }
    assert_string_equal(buf_text(&out), "\U0001F600");
    buf_clear(&out);
    token_stream_push(&stream, tokenizer_find(t, "<0xF0>", 6), &out, NULL);
    token_stream_push(&stream, tokenizer_find(t, "a", 1), &out, NULL);
    token_stream_push(&stream, tokenizer_find(t, "<0xE2>", 6), &out, NULL);
    assert_string_equal(buf_text(&out), "\uFFFDa");
    token_stream_finish(&stream, &out, NULL);
    assert_string_equal(buf_text(&out), "\uFFFDa\uFFFD");
    hearth_error err = {0};
    assert_int_equal(token_stream_push(&stream, 32000, &out, &err), HEARTH_ERROR_ARGUMENT);
    assert_int_equal(token_stream_push(&stream, -1, &out, &err), HEARTH_ERROR_ARGUMENT);
    buf_release(&out);
    tokenizer_close(t);
}

/* The space in front of every text goes again; a stream that continues keeps it. */
static void first_space(void **state) {
    (void)state;
    struct tokenizer *t = open_golden("llama-spm");
    int32_t hello = tokenizer_find(t, "\u2581Hello", 8), ids[2] = {1, hello};
    struct buf out;
    buf_init(&out, 1 << 10);
    tokenizer_decode(t, ids, 2, false, &out, NULL);
    assert_string_equal(buf_text(&out), "Hello");
    struct token_stream stream;
    token_stream_init(&stream, t, false);
    stream.started = true;
    buf_clear(&out);
    token_stream_push(&stream, hello, &out, NULL);
    assert_string_equal(buf_text(&out), " Hello");
    buf_release(&out);
    tokenizer_close(t);
}

/* What is declared or well known to end a generation does, and what looks alike not. */
static void ends_and_roles(void **state) {
    (void)state;
    struct tokenizer *t = open_golden("llama-bpe");
    assert_true(tokenizer_is_end_of_generation(t, tokenizer_find(t, "<|eot_id|>", 10)));
    assert_true(tokenizer_is_end_of_generation(t, tokenizer_find(t, "<|end_of_text|>", 15)));
    assert_false(tokenizer_is_end_of_generation(t, tokenizer_find(t, "<|begin_of_text|>", 17)));
    assert_false(tokenizer_is_end_of_generation(t, -1));
    assert_false(tokenizer_is_end_of_generation(t, INT32_MAX));
    assert_true(tokenizer_is_special(t, tokenizer_find(t, "<|eot_id|>", 10)));
    assert_false(tokenizer_is_special(t, 0));
    assert_int_equal(tokenizer_role(t, TOKEN_BOS), tokenizer_find(t, "<|begin_of_text|>", 17));
    assert_int_equal(tokenizer_role(t, TOKEN_EOT), tokenizer_find(t, "<|eot_id|>", 10));
    assert_true(tokenizer_adds_bos(t));
    assert_true(text_equal(tokenizer_piece(t, tokenizer_find(t, "\u0120the", 5)), " the"));
    assert_int_equal(tokenizer_piece(t, -5).length, 0);
    tokenizer_close(t);
}

int main(void) {
    static const char *const exact[] = {"gpt-2", "llama-bpe", "qwen2", "deepseek-llm", "starcoder"};
    struct CMUnitTest tests[N_GOLDEN_VOCABULARIES + 8];
    int n = 0;
    for (int i = 0; i < N_GOLDEN_VOCABULARIES; i++)
        tests[n++] =
            (struct CMUnitTest){.name = golden_vocabularies[i],
                                .test_func = stream_vocabulary,
                                .initial_state = (void *)(uintptr_t)golden_vocabularies[i]};
    for (int i = 0; i < 5; i++)
        tests[n++] = (struct CMUnitTest){.name = exact[i],
                                         .test_func = decode_vocabulary,
                                         .initial_state = (void *)(uintptr_t)exact[i]};
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(stream_bytes);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(first_space);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(ends_and_roles);
    assert_int_equal(n, N_GOLDEN_VOCABULARIES + 8);
    return cmocka_run_group_tests_name("token streams", tests, NULL, NULL);
}
