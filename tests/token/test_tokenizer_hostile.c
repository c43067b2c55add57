/* Damaged, absurd and malicious vocabularies and texts: an error or defined ids, and
 * never more time than the size of the input warrants. */
#include "tokenizer_cases.h"

#include "base/log.h"
#include "base/pool.h"

#define KEY "tokenizer.ggml."

static struct metadata start(const char *model) {
    struct metadata m;
    metadata_init(&m, (size_t)1 << 28);
    metadata_set_string(&m, KEY "model", model, strlen(model), NULL);
    return m;
}

static void set_list(struct metadata *m, const char *key, const char *const *items, size_t n) {
    struct text texts[64];
    assert_true(n <= 64);
    for (size_t i = 0; i < n; i++)
        texts[i] = (struct text){items[i], strlen(items[i])};
    assert_int_equal(metadata_set_strings(m, key, texts, n, NULL), HEARTH_OK);
}

#define LIST(m, key, ...)                                                                          \
    set_list(m, KEY key, (const char *const[]){__VA_ARGS__},                                       \
             sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))
#define IDS(...) (const int32_t[]){__VA_ARGS__}, sizeof((int32_t[]){__VA_ARGS__}) / 4

static struct tokenizer *open_and_release(struct metadata *m) {
    struct tokenizer *t = NULL;
    hearth_error err = {0};
    if (tokenizer_open(&t, m, &err) != HEARTH_OK) fail_msg("%s", err.message);
    metadata_release(m);
    return t;
}

static void refuses(struct metadata *m, hearth_status code, const char *part) {
    struct tokenizer *t = NULL;
    hearth_error err = {0};
    assert_int_equal(tokenizer_open(&t, m, &err), code);
    assert_null(t);
    if (!strstr(err.message, part)) fail_msg("'%s' does not say '%s'", err.message, part);
    metadata_release(m);
}

static void gives(const struct tokenizer *t, const char *text, size_t n, const int32_t *ids,
                  size_t n_ids) {
    assert_int_equal(check_ids(t, text, n, true, true, ids, n_ids, 0), 0);
}

static void no_vocabulary(void **state) {
    (void)state;
    struct metadata m = start("no_vocab");
    refuses(&m, HEARTH_ERROR_NOT_FOUND, "no vocabulary");
    metadata_init(&m, 1 << 20);
    refuses(&m, HEARTH_ERROR_NOT_FOUND, "no vocabulary");
    m = start("martian");
    refuses(&m, HEARTH_ERROR_UNSUPPORTED, "'martian'");
}

static void missing_parts(void **state) {
    (void)state;
    struct metadata m = start("llama");
    refuses(&m, HEARTH_ERROR_FORMAT, "tokens");
    m = start("gpt2");
    LIST(&m, "tokens", "a");
    refuses(&m, HEARTH_ERROR_FORMAT, "merges");
    m = start("llama");
    LIST(&m, "tokens", "a", "b");
    float score = 1;
    metadata_set_array(&m, KEY "scores", META_F32, &score, 1, NULL);
    refuses(&m, HEARTH_ERROR_FORMAT, "2 tokens but 1 scores");
    m = start("llama");
    LIST(&m, "tokens", "a", "b");
    int32_t kind = 1;
    metadata_set_array(&m, KEY "token_type", META_I32, &kind, 1, NULL);
    refuses(&m, HEARTH_ERROR_FORMAT, "token types");
    m = start("t5");
    LIST(&m, "tokens", "a");
    metadata_set_array(&m, KEY "precompiled_charsmap", META_U8, "\xFF\xFF\xFF\xFF", 5, NULL);
    refuses(&m, HEARTH_ERROR_FORMAT, "charsmap");
}

/* Ids that are outside the vocabulary count as absent. */
static void absurd_special_ids(void **state) {
    (void)state;
    struct metadata m = start("llama");
    LIST(&m, "tokens", "<unk>", "<s>", "</s>", "\u2581", "a");
    metadata_set_uint(&m, KEY "bos_token_id", META_U32, UINT32_MAX, NULL);
    metadata_set_uint(&m, KEY "eos_token_id", META_U32, 5, NULL);
    metadata_set_uint(&m, KEY "padding_token_id", META_U64, UINT64_MAX, NULL);
    struct tokenizer *t = open_and_release(&m);
    assert_int_equal(tokenizer_role(t, TOKEN_BOS), 1); /* the kind's own */
    assert_int_equal(tokenizer_role(t, TOKEN_EOS), 2);
    assert_int_equal(tokenizer_role(t, TOKEN_PAD), TOKEN_NONE);
    gives(t, "a", 1, IDS(1, 3, 4));
    tokenizer_close(t);
    m = start("llama");
    LIST(&m, "tokens", "a"); /* not even the kind's own exist */
    t = open_and_release(&m);
    assert_int_equal(tokenizer_role(t, TOKEN_BOS), TOKEN_NONE);
    gives(t, "a", 1, IDS(0, 0)); /* the space in front is unknown: id 0 */
    tokenizer_close(t);
}

/* Merges that make nothing new, go round, lack a part or name unknown tokens. */
static void absurd_merges(void **state) {
    (void)state;
    struct metadata m = start("gpt2");
    LIST(&m, "tokens", "a", "b", "ab", "ba", "aba", "", "c");
    LIST(&m, "merges", "a b", "ab a", "b a", "a ba", "a b", "", " ", "x", "a ", " a", "q r", "qr s",
         "aba aba", "abaaba abaaba");
    struct tokenizer *t = open_and_release(&m);
    gives(t, "abab", 4, IDS(2, 2));
    gives(t, "abaaba", 6, IDS(0, 1, 0, 0, 1, 0)); /* merged into no token: byte by byte */
    gives(t, "qrs", 3, NULL, 0);
    gives(t, "c", 1, IDS(6));
    tokenizer_close(t);
}

static void duplicate_tokens(void **state) {
    (void)state;
    struct metadata m = start("llama");
    LIST(&m, "tokens", "<unk>", "<s>", "</s>", "\u2581", "a", "a", "\u2581a", "\u2581a");
    struct tokenizer *t = open_and_release(&m);
    gives(t, "a", 1, IDS(1, 6));
    assert_true(text_equal(tokenizer_text(t, 7), "\u2581a"));
    assert_true(text_equal(tokenizer_piece(t, 7), " a"));
    tokenizer_close(t);
}

static void invalid_text(void **state) {
    (void)state;
    static const char *const folders[] = {"llama-spm", "gpt-2", "bert-bge", "gemma-4"};
    char bytes[1024];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7919 >> 3);
    for (size_t f = 0; f < 4; f++) {
        struct tokenizer *t = open_golden(folders[f]);
        struct token_list list = {0};
        for (size_t n = 0; n < sizeof bytes; n += 13) {
            list.count = 0;
            assert_int_equal(tokenizer_encode(t, bytes + n / 2, n - n / 2, true, true, &list, NULL),
                             HEARTH_OK);
            for (size_t i = 0; i < list.count; i++)
                assert_true(list.ids[i] >= 0 && (size_t)list.ids[i] < tokenizer_n_vocab(t));
        }
        token_list_release(&list);
        tokenizer_close(t);
    }
}

/* Vocabularies with byte fallback lose nothing, not even bytes that are no text. */
static void bytes_survive(void **state) {
    (void)state;
    struct tokenizer *t = open_golden("llama-spm");
    static const char bytes[] = "a\0b\xFF\xFE\xC3(\xE2\x82\xF0\x9F";
    struct token_list list = {0};
    struct buf out;
    buf_init(&out, 1 << 10);
    tokenizer_encode(t, bytes, sizeof bytes - 1, false, false, &list, NULL);
    tokenizer_decode(t, list.ids, list.count, false, &out, NULL);
    assert_int_equal(out.length, sizeof bytes - 1);
    assert_memory_equal(out.data, bytes, out.length);
    buf_release(&out);
    token_list_release(&list);
    tokenizer_close(t);
}

/* Without linear behaviour these would take hours, not a second. */
static void long_runs(void **state) {
    (void)state;
    static const char *const folders[] = {"llama-bpe", "llama-spm", "gemma-4", "deepseek-llm",
                                          "bert-bge"};
    enum { LENGTH = 300000 };
    char *text = mem_alloc(LENGTH + 1);
    for (size_t f = 0; f < 5; f++) {
        struct tokenizer *t = open_golden(folders[f]);
        for (const char *c = "a \n7"; *c; c++) {
            struct token_list list = {0};
            memset(text, *c, LENGTH);
            text[LENGTH] = 'x';
            assert_int_equal(tokenizer_encode(t, text, LENGTH + 1, false, true, &list, NULL),
                             HEARTH_OK);
            assert_true(list.count > 0 && list.count <= LENGTH + 2);
            token_list_release(&list);
        }
        tokenizer_close(t);
    }
    mem_free(text);
}

static int n_warnings;

static void count_warning(enum log_level level, const char *message, void *context) {
    (void)message, (void)context;
    n_warnings += level == LOG_WARNING;
}

static void unknown_pre(void **state) {
    (void)state;
    struct metadata m = start("gpt2");
    LIST(&m, "tokens", "a", "1", "11");
    LIST(&m, "merges", "1 1");
    metadata_set_string(&m, KEY "pre", "from-the-future", 15, NULL);
    n_warnings = 0;
    log_set_sink(count_warning, NULL, LOG_WARNING);
    struct tokenizer *t = open_and_release(&m);
    log_set_sink(NULL, NULL, LOG_WARNING);
    assert_int_equal(n_warnings, 1);
    gives(t, "a11", 3, IDS(0, 2));
    tokenizer_close(t);
}

/* Every name in the table opens and cuts a text that has something of everything. */
static void every_pre(void **state) {
    (void)state;
    static const char *const pres[] = {
        "default",   "gpt-2",      "llama-bpe", "qwen2",          "qwen35",     "deepseek-llm",
        "starcoder", "falcon",     "gpt-4o",    "tekken",         "dbrx",       "bloom",
        "minicpm5",  "jais-2",     "ufakzeka",  "laguna",         "seed-coder", "bailingmoe",
        "viking",    "exaone-moe", "spark2_5",  "afmoe",          "youtu",      "tiny_aya",
        "kimi-k2",   "superbpe",   "chameleon", "deepseek-coder", "glm4",       "deepseek-v3"};
    static const char text[] = "It's 1234567 \u00c9t\u00e9s, HelloWorld's \u4e2d\u6587 \u0e01\u0e02"
                               "\t\n\n  x \U0001F600\u0301 a  b \u3000 \"quoted\"(x)_y";
    for (size_t i = 0; i < sizeof pres / sizeof *pres; i++) {
        struct metadata m;
        struct directory dir = {0};
        hearth_error err = {0};
        open_directory(&dir, "gpt-2");
        metadata_init(&m, (size_t)1 << 28);
        for (size_t k = 0; k < dir.metadata.count; k++)
            if (!text_equal(dir.metadata.values[k].key, KEY "pre"))
                metadata_add(&m, &dir.metadata.values[k], NULL);
        metadata_set_string(&m, KEY "pre", pres[i], strlen(pres[i]), NULL);
        struct tokenizer *t = NULL;
        struct token_list list = {0};
        struct buf out;
        buf_init(&out, 1 << 12);
        n_warnings = 0;
        log_set_sink(count_warning, NULL, LOG_WARNING);
        if (tokenizer_open(&t, &m, &err) != HEARTH_OK) fail_msg("%s: %s", pres[i], err.message);
        log_set_sink(NULL, NULL, LOG_WARNING);
        assert_int_equal(n_warnings, 0);
        assert_int_equal(tokenizer_encode(t, text, sizeof text - 1, false, false, &list, NULL),
                         HEARTH_OK);
        tokenizer_decode(t, list.ids, list.count, true, &out, NULL);
        assert_string_equal(buf_text(&out), text); /* no byte is lost by cutting */
        buf_release(&out);
        token_list_release(&list);
        tokenizer_close(t);
        metadata_release(&m);
        directory_close(&dir);
    }
}

static void refuses_json(const char *json, hearth_status code, const char *part) {
    struct tokenizer *t = NULL;
    hearth_error err = {0};
    assert_int_equal(tokenizer_open_json(&t, json, strlen(json), NULL, 0, &err), code);
    if (!strstr(err.message, part)) fail_msg("'%s' does not say '%s'", err.message, part);
}

#define MODEL "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}"

static void bad_json(void **state) {
    (void)state;
    refuses_json("", HEARTH_ERROR_FORMAT, "not JSON");
    refuses_json("[]", HEARTH_ERROR_FORMAT, "not an object");
    refuses_json("{}", HEARTH_ERROR_FORMAT, "vocab");
    refuses_json("{\"model\":{\"vocab\":{\"a\":-1}}}", HEARTH_ERROR_FORMAT, "id");
    refuses_json("{\"model\":{\"vocab\":{\"a\":16000000}}}", HEARTH_ERROR_LIMIT, "16000000");
    refuses_json("{\"model\":{\"vocab\":{\"a\":0},\"type\":\"LSTM\"}}", HEARTH_ERROR_UNSUPPORTED,
                 "LSTM");
    refuses_json("{\"model\":{\"vocab\":{\"a\":0},\"type\":\"Unigram\"}}", HEARTH_ERROR_FORMAT,
                 "wrong form");
    refuses_json("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"ab\"]}}",
                 HEARTH_ERROR_FORMAT, "merge 0");
    refuses_json("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],"
                 "\"end_of_word_suffix\":\"</w>\"}}",
                 HEARTH_ERROR_UNSUPPORTED, "end_of_word_suffix");
    refuses_json("{\"normalizer\":{\"type\":\"Rot13\"}," MODEL "}", HEARTH_ERROR_UNSUPPORTED,
                 "Rot13");
    refuses_json("{\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}," MODEL "}",
                 HEARTH_ERROR_UNSUPPORTED, "UnicodeScripts");
    refuses_json("{\"decoder\":{\"type\":\"CTC\"}," MODEL "}", HEARTH_ERROR_UNSUPPORTED, "CTC");
    refuses_json("{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},"
                 "\"behavior\":\"Isolated\"}," MODEL "}",
                 HEARTH_ERROR_FORMAT, "does not compile");
    refuses_json("{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[a&&b]\"},"
                 "\"behavior\":\"Isolated\"}," MODEL "}",
                 HEARTH_ERROR_UNSUPPORTED, "&&");
    refuses_json("{\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"x\",1],\"cls\":"
                 "[\"y\",2]}," MODEL "}",
                 HEARTH_ERROR_FORMAT, "post-processor");
}

/* A pattern that explores exponentially many ways gives up with an error. */
static void runaway_pattern(void **state) {
    (void)state;
    static const char json[] =
        "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?:a|aa|a?a)+$b\"},"
        "\"behavior\":\"Isolated\"}," MODEL "}";
    struct tokenizer *t = NULL;
    struct token_list list = {0};
    hearth_error err = {0};
    char text[200];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = 'b';
    assert_int_equal(tokenizer_open_json(&t, json, sizeof json - 1, NULL, 0, NULL), HEARTH_OK);
    assert_int_equal(tokenizer_encode(t, text, sizeof text, false, false, &list, &err),
                     HEARTH_ERROR_LIMIT);
    assert_int_equal(list.count, 0);
    token_list_release(&list);
    tokenizer_close(t);
}

/* Whichever allocation fails, opening and encoding end with an error and no leak. */
static void failing_memory(void **state) {
    (void)state;
    static const char json[] =
        "{\"added_tokens\":[{\"id\":3,\"content\":\"<s>\",\"special\":true}],\"normalizer\":{"
        "\"type\":\"NFC\"},\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"decoder\":{\"type\":"
        "\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},"
        "\"merges\":[\"a b\"]}}";
    bool reached_end = false;
    for (uint64_t n = 1; !reached_end && n < 10000; n++) {
        struct tokenizer *t = NULL;
        struct token_list list = {0};
        mem_fail_after(n);
        hearth_status status = tokenizer_open_json(&t, json, sizeof json - 1, NULL, 0, NULL);
        if (status == HEARTH_OK)
            status = tokenizer_encode(t, "ab<s>ab", 7, true, true, &list, NULL);
        reached_end = mem_fail_pending();
        mem_fail_after(0);
        if (reached_end)
            assert_int_equal(status, HEARTH_OK);
        else
            assert_int_not_equal(status, HEARTH_OK);
        token_list_release(&list);
        tokenizer_close(t);
    }
    assert_true(reached_end);
}

struct shared_work {
    const struct tokenizer *t;
    const char *text;
    size_t n;
    struct token_list expected;
    int n_wrong[8];
};

static void encode_repeatedly(void *context, unsigned thread, unsigned n_threads) {
    (void)n_threads;
    struct shared_work *w = context;
    for (int i = 0; i < 20; i++) {
        struct token_list list = {0};
        tokenizer_encode(w->t, w->text, w->n, true, true, &list, NULL);
        w->n_wrong[thread] += !same_ids(&list, w->expected.ids, w->expected.count);
        token_list_release(&list);
    }
}

/* One tokenizer, many threads: everybody gets the same ids. */
static void many_threads(void **state) {
    (void)state;
    char *text;
    size_t n;
    assert_int_equal(
        file_read(golden_path("llama-bpe", "vocab.gguf.inp"), 1 << 24, &text, &n, NULL), HEARTH_OK);
    struct tokenizer *t = open_golden("llama-bpe");
    struct shared_work work = {.t = t, .text = text, .n = n};
    struct pool *pool;
    assert_int_equal(pool_open(&pool, 4, NULL), HEARTH_OK);
    tokenizer_encode(t, text, n, true, true, &work.expected, NULL);
    pool_run(pool, encode_repeatedly, &work);
    for (int i = 0; i < 4; i++)
        assert_int_equal(work.n_wrong[i], 0);
    pool_close(pool);
    token_list_release(&work.expected);
    tokenizer_close(t);
    mem_free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_vocabulary),      cmocka_unit_test(missing_parts),
        cmocka_unit_test(absurd_special_ids), cmocka_unit_test(absurd_merges),
        cmocka_unit_test(duplicate_tokens),   cmocka_unit_test(invalid_text),
        cmocka_unit_test(bytes_survive),      cmocka_unit_test(long_runs),
        cmocka_unit_test(unknown_pre),        cmocka_unit_test(every_pre),
        cmocka_unit_test(bad_json),           cmocka_unit_test(runaway_pattern),
        cmocka_unit_test(failing_memory),     cmocka_unit_test(many_threads),
    };
    return cmocka_run_group_tests_name("hostile vocabularies", tests, NULL, NULL);
}
