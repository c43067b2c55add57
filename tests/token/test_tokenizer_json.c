/* tokenizer.json of every model kind, made from golden vocabularies or by hand;
 * SentencePiece models; and the way back into GGUF keys. */
#include "tokenizer_cases.h"

#include "base/buf.h"

static const char cl100k_3[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+"
    "[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
static const char cl100k_1[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+"
    "[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/* ---- helpers --------------------------------------------------------------------------- */

static struct tokenizer *open_text(const char *json, const char *config) {
    struct tokenizer *t = NULL;
    hearth_error err = {0};
    if (tokenizer_open_json(&t, json, strlen(json), config, config ? strlen(config) : 0, &err) !=
        HEARTH_OK)
        fail_msg("%s", err.message);
    return t;
}

static struct tokenizer *reopen(const struct tokenizer *t) {
    struct metadata m;
    hearth_error err = {0};
    struct tokenizer *again = NULL;
    metadata_init(&m, (size_t)1 << 30);
    if (tokenizer_to_metadata(t, &m, &err) != HEARTH_OK) fail_msg("%s", err.message);
    if (tokenizer_open(&again, &m, &err) != HEARTH_OK) fail_msg("%s", err.message);
    metadata_release(&m);
    return again;
}

static void assert_ids(const struct tokenizer *t, const char *text, bool add_special,
                       const int32_t *ids, size_t n) {
    assert_int_equal(check_ids(t, text, strlen(text), add_special, true, ids, n, 0), 0);
}

/* Encodes with t and with what becomes of it through GGUF keys. */
static void assert_ids_twice(const struct tokenizer *t, const char *text, bool add_special,
                             const int32_t *ids, size_t n) {
    assert_ids(t, text, add_special, ids, n);
    struct tokenizer *again = reopen(t);
    assert_ids(again, text, add_special, ids, n);
    tokenizer_close(again);
}

static void assert_decodes(const struct tokenizer *t, const int32_t *ids, size_t n, bool special,
                           const char *expected) {
    struct buf out;
    buf_init(&out, 1 << 16);
    assert_int_equal(tokenizer_decode(t, ids, n, special, &out, NULL), HEARTH_OK);
    assert_string_equal(buf_text(&out), expected);
    buf_release(&out);
}

#define IDS(...) (const int32_t[]){__VA_ARGS__}, sizeof((int32_t[]){__VA_ARGS__}) / 4

/* ---- from golden vocabularies ------------------------------------------------------------- */

static json_t *text_json(struct text text) {
    return json_stringn(text.data, text.length);
}

static json_t *golden_vocab(const struct metadata *m) {
    const struct meta_array *tokens = metadata_array(m, "tokenizer.ggml.tokens");
    json_t *vocab = json_object();
    for (size_t i = 0; i < tokens->count; i++) {
        char *key = mem_strndup(tokens->strings[i].data, tokens->strings[i].length);
        json_object_set_new(vocab, key, json_integer((json_int_t)i));
        mem_free(key);
    }
    return vocab;
}

static json_t *golden_merges(const struct metadata *m, bool as_pairs) {
    const struct meta_array *merges = metadata_array(m, "tokenizer.ggml.merges");
    json_t *list = json_array();
    for (size_t i = 0; merges && i < merges->count; i++) {
        struct text s = merges->strings[i];
        const char *cut = memchr(s.data + 1, ' ', s.length - 1);
        size_t n = (size_t)(cut - s.data);
        json_array_append_new(list, as_pairs
                                        ? json_pack("[s%s%]", s.data, n, cut + 1, s.length - n - 1)
                                        : text_json(s));
    }
    return list;
}

static json_t *golden_added(const struct metadata *m) {
    const struct meta_array *tokens = metadata_array(m, "tokenizer.ggml.tokens");
    const struct meta_array *kinds = metadata_array(m, "tokenizer.ggml.token_type");
    json_t *list = json_array();
    for (size_t i = 0; i < tokens->count; i++) {
        int64_t kind = meta_array_int(kinds, i);
        /* What ends generation is special in a GGUF file whatever its kind. */
        if (kind != 3 && kind != 4 && !text_equal(tokens->strings[i], "</s>")) continue;
        json_array_append_new(list, json_pack("{s:I,s:o,s:b,s:b}", "id", (json_int_t)i, "content",
                                              text_json(tokens->strings[i]), "special", kind != 4,
                                              "normalized", 0));
    }
    return list;
}

struct golden_json {
    const char *folder, *pattern, *bos, *pre;
    bool ignore_merges, as_pairs;
};

static char *make_byte_level(const struct golden_json *g) {
    struct directory dir = {0};
    open_directory(&dir, g->folder);
    json_t *split = g->pattern ? json_pack("{s:s,s:{s:s},s:s,s:b}", "type", "Split", "pattern",
                                           "Regex", g->pattern, "behavior", "Isolated", "invert", 0)
                               : NULL;
    json_t *bytes = json_pack("{s:s,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                              "use_regex", g->pattern == NULL);
    json_t *pre =
        split ? json_pack("{s:s,s:[o,o]}", "type", "Sequence", "pretokenizers", split, bytes)
              : bytes;
    json_t *post = g->bos ? json_pack("{s:s,s:[{s:{s:s}},{s:{s:s}}]}", "type", "TemplateProcessing",
                                      "single", "SpecialToken", "id", g->bos, "Sequence", "id", "A")
                          : json_null();
    json_t *root = json_pack(
        "{s:o,s:n,s:o,s:o,s:{s:s},s:{s:s,s:b,s:o,s:o}}", "added_tokens",
        golden_added(&dir.metadata), "normalizer", "pre_tokenizer", pre, "post_processor", post,
        "decoder", "type", "ByteLevel", "model", "type", "BPE", "ignore_merges", g->ignore_merges,
        "vocab", golden_vocab(&dir.metadata), "merges", golden_merges(&dir.metadata, g->as_pairs));
    assert_non_null(root);
    char *json = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    directory_close(&dir);
    return json;
}

static int check_case(const struct tokenizer *t, const char *text, size_t n, bool add_special,
                      bool parse_special, const int32_t *ids, size_t n_ids, json_t *line,
                      int n_failed) {
    (void)line;
    return check_ids(t, text, n, add_special, parse_special, ids, n_ids, n_failed);
}

static void check_pre(const struct tokenizer *t, const char *name) {
    struct metadata m;
    struct text pre = {0};
    metadata_init(&m, (size_t)1 << 30);
    assert_int_equal(tokenizer_to_metadata(t, &m, NULL), HEARTH_OK);
    assert_true(metadata_string(&m, "tokenizer.ggml.pre", &pre));
    assert_true(text_equal(pre, name));
    assert_null(metadata_find(&m, "tokenizer.huggingface.json"));
    metadata_release(&m);
}

static void golden_byte_level(void **state) {
    const struct golden_json *g = *state;
    char *json = make_byte_level(g);
    struct tokenizer *t = open_text(json, NULL);
    free(json);
    int n_failed = walk_golden(t, g->folder, check_case);
    check_pre(t, g->pre);
    struct tokenizer *again = reopen(t);
    n_failed += walk_golden(again, g->folder, check_case);
    tokenizer_close(again);
    tokenizer_close(t);
    assert_int_equal(n_failed, 0);
}

/* ---- by hand --------------------------------------------------------------------------------- */

static void json_sentencepiece_bpe(void **state) {
    (void)state;
    struct tokenizer *t = open_text(
        "{\"added_tokens\":[{\"id\":0,\"content\":\"<unk>\",\"special\":true,\"normalized\":false},"
        "{\"id\":1,\"content\":\"<s>\",\"special\":true,\"normalized\":false}],"
        "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":"
        "\"\u2581\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\" "
        "\"},\"content\":\"\u2581\"}]},"
        "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":"
        "\"<s>\"}},{\"Sequence\":{\"id\":\"A\"}}],\"special_tokens\":{\"<s>\":{\"ids\":[1]}}},"
        "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{"
        "\"String\":\"\u2581\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},"
        "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]},"
        "\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"fuse_unk\":true,\"byte_fallback\":"
        "true,\"vocab\":{\"<unk>\":0,\"<s>\":1,\"<0xC3>\":2,\"<0xA9>\":3,\"\u2581\":4,\"a\":5,"
        "\"b\":"
        "6,\"ab\":7,\"\u2581ab\":8,\"\u2581a\":9},\"merges\":[\"a b\",\"\u2581 a\",\"\u2581 "
        "ab\"]}}",
        "{\"tokenizer_class\":\"LlamaTokenizer\",\"bos_token\":{\"content\":\"<s>\"},"
        "\"add_bos_token\":true}");
    assert_ids_twice(t, "ab a\u00e9", true, IDS(1, 8, 9, 2, 3));
    assert_ids_twice(t, "<s>ab", false, IDS(1, 8));
    assert_ids_twice(t, "aXYZb", false, IDS(9, 0, 6)); /* fused unknowns */
    assert_decodes(t, IDS(1, 8, 9, 2, 3), false, "ab a\u00e9");
    assert_decodes(t, IDS(1, 8), true, "<s> ab");
    assert_true(tokenizer_adds_bos(t));
    assert_int_equal(tokenizer_role(t, TOKEN_BOS), 1);
    tokenizer_close(t);
}

static void json_unigram(void **state) {
    (void)state;
    struct tokenizer *t = open_text(
        "{\"added_tokens\":[{\"id\":0,\"content\":\"<pad>\",\"special\":true},{\"id\":1,"
        "\"content\":\"</s>\",\"special\":true}],\"normalizer\":{\"type\":\"Sequence\","
        "\"normalizers\":[{\"type\":\"NFKC\"},{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" "
        "{2,}\"},"
        "\"content\":\" \"}]},\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\u2581\","
        "\"prepend_scheme\":\"always\"},\"post_processor\":{\"type\":\"TemplateProcessing\","
        "\"single\":[{\"Sequence\":{\"id\":\"A\"}},{\"SpecialToken\":{\"id\":\"</s>\"}}],"
        "\"special_tokens\":{\"</s>\":{\"ids\":[1]}}},\"decoder\":{\"type\":\"Metaspace\","
        "\"replacement\":\"\u2581\",\"prepend_scheme\":\"always\"},\"model\":{\"type\":\"Unigram\","
        "\"unk_id\":2,\"vocab\":[[\"<pad>\",0],[\"</"
        "s>\",0],[\"<unk>\",0],[\"\u2581\",-3],[\"a\",-2],"
        "[\"b\",-2.5],[\"ab\",-3],[\"\u2581ab\",-5.5],[\"ba\",-3.2]]}}",
        NULL);
    assert_ids_twice(t, "ab  aba", true, IDS(7, 7, 4, 1)); /* -5.5 -2 against -3 -2 -3.2 */
    assert_ids_twice(t, "xyz", false, IDS(3, 2));
    assert_ids_twice(t, "\uff41", false, IDS(3, 4)); /* compatibility form */
    assert_decodes(t, IDS(7, 7, 4, 1), false, "ab aba");
    tokenizer_close(t);
}

static void json_wordpiece(void **state) {
    (void)state;
    struct tokenizer *t = open_text(
        "{\"added_tokens\":[{\"id\":0,\"content\":\"[UNK]\",\"special\":true},{\"id\":1,"
        "\"content\":\"[CLS]\",\"special\":true},{\"id\":2,\"content\":\"[SEP]\",\"special\":true}]"
        ","
        "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":"
        "true,\"strip_accents\":null,\"lowercase\":true},\"pre_tokenizer\":{\"type\":"
        "\"BertPreTokenizer\"},\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\","
        "2],"
        "\"cls\":[\"[CLS]\",1]},\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\"},\"model\":{"
        "\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\","
        "\"max_input_chars_per_word\":10,\"vocab\":{\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"un\":3,"
        "\"##aff\":4,\"##able\":5,\"!\":6,\"\u4e2d\":7,\"##a\":8}}}",
        NULL);
    assert_ids_twice(t, "Un\u00e1ffable! \u4e2d\u4e2d zz", true, IDS(1, 3, 4, 5, 6, 7, 7, 0, 2));
    assert_ids_twice(t, "unaaaaaaaaaaaa", false, IDS(0)); /* longer than ten characters */
    assert_decodes(t, IDS(3, 4, 5, 6, 3), false, "unaffable ! un");
    tokenizer_close(t);
}

static void json_words(void **state) {
    (void)state;
    struct tokenizer *t = open_text(
        "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFD\"},{\"type\":"
        "\"StripAccents\"},{\"type\":\"Lowercase\"},{\"type\":\"Strip\"}]},\"pre_tokenizer\":{"
        "\"type\":\"Whitespace\"},\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"cafe\":0,\"!\":1,"
        "\"<unk>\":2},\"unk_token\":\"<unk>\"}}",
        NULL);
    assert_ids_twice(t, " Caf\u00e9!  x ", false, IDS(0, 1, 2));
    assert_decodes(t, IDS(0, 1), false, "cafe !");
    tokenizer_close(t);
}

/* Added tokens: sides stripped, single words, precedence of the leftmost. */
static void json_added_tokens(void **state) {
    (void)state;
    struct tokenizer *t = open_text(
        "{\"added_tokens\":[{\"id\":3,\"content\":\"<l>\",\"lstrip\":true},{\"id\":4,\"content\":"
        "\"<r>\",\"rstrip\":true},{\"id\":5,\"content\":\"cat\",\"single_word\":true},{\"id\":6,"
        "\"content\":\"<x>\",\"special\":true}],\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{"
        "\"String\":\" \"},\"behavior\":\"Isolated\"},\"model\":{\"type\":\"WordLevel\",\"vocab\":{"
        "\"a\":0,\" \":1,\"?\":2},\"unk_token\":\"?\"}}",
        NULL);
    assert_ids_twice(t, "a <l> a", false, IDS(0, 3, 1, 0));
    assert_ids_twice(t, "a <r> a", false, IDS(0, 1, 4, 0));
    assert_ids_twice(t, "cat concat", false, IDS(5, 1, 2));
    assert_ids_twice(t, "a<x>", false, IDS(0, 6));
    assert_int_equal(check_ids(t, "a<x>", 4, false, false, IDS(2), 0), 0);
    tokenizer_close(t);
}

static void json_split_behaviours(void **state) {
    (void)state;
    static const struct {
        const char *behaviour;
        int32_t ids[6];
        size_t n;
    } cases[] = {{"Removed", {0, 1, 2}, 3},
                 {"Isolated", {0, 3, 1, 3, 3, 2}, 6},
                 {"MergedWithPrevious", {4, 5, 3, 2}, 4},
                 {"MergedWithNext", {0, 6, 3, 7}, 4},
                 {"Contiguous", {0, 3, 1, 8, 2}, 5}};
    for (size_t i = 0; i < 5; i++) {
        char json[800];
        snprintf(json, sizeof json,
                 "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"-\"},"
                 "\"behavior\":\"%s\"},\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"?\","
                 "\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"-\":3,\"a-\":4,\"b-\":5,\"-b\":6,\"-c\":7,"
                 "\"--\":8,\"?\":9}}}",
                 cases[i].behaviour);
        struct tokenizer *t = open_text(json, NULL);
        assert_ids_twice(t, "a-b--c", false, cases[i].ids, cases[i].n);
        tokenizer_close(t);
    }
}

/* ---- SentencePiece --------------------------------------------------------------------------- */

static void put_varint(struct buf *out, uint64_t value) {
    for (; value >= 0x80; value >>= 7)
        buf_append_char(out, (char)(value | 0x80));
    buf_append_char(out, (char)value);
}

static void put_bytes(struct buf *out, unsigned number, const void *data, size_t n) {
    put_varint(out, number << 3 | 2);
    put_varint(out, n);
    buf_append(out, data, n);
}

static void sentencepiece_model(void **state) {
    (void)state;
    struct directory dir = {0};
    open_directory(&dir, "llama-spm");
    const struct meta_array *tokens = metadata_array(&dir.metadata, "tokenizer.ggml.tokens");
    const struct meta_array *scores = metadata_array(&dir.metadata, "tokenizer.ggml.scores");
    const struct meta_array *kinds = metadata_array(&dir.metadata, "tokenizer.ggml.token_type");
    struct buf model, piece;
    buf_init(&model, 1 << 24);
    buf_init(&piece, 1 << 16);
    for (size_t i = 0; i < tokens->count; i++) {
        float score = (float)meta_array_float(scores, i);
        buf_clear(&piece);
        put_bytes(&piece, 1, tokens->strings[i].data, tokens->strings[i].length);
        put_varint(&piece, 2 << 3 | 5);
        buf_append(&piece, &score, 4);
        put_varint(&piece, 3 << 3);
        put_varint(&piece, (uint64_t)meta_array_int(kinds, i));
        put_bytes(&model, 1, piece.data, piece.length);
    }
    put_bytes(&model, 2, "\x18\x02\x98\x02\x01", 5); /* model_type BPE, byte_fallback */
    put_bytes(&model, 3, "\x20\x00", 2);             /* remove_extra_whitespaces false */
    struct tokenizer *t = NULL;
    assert_int_equal(tokenizer_open_sentencepiece(&t, model.data, model.length, NULL), HEARTH_OK);
    int n_failed = walk_golden(t, "llama-spm", check_case);
    for (size_t cut = 1; cut < 200; cut += 7) {
        struct tokenizer *none = NULL;
        assert_int_equal(
            tokenizer_open_sentencepiece(&none, model.data, model.length - cut, NULL) == HEARTH_OK,
            none != NULL);
        tokenizer_close(none);
    }
    tokenizer_close(t);
    buf_release(&model);
    buf_release(&piece);
    directory_close(&dir);
    assert_int_equal(n_failed, 0);
}

/* ---- golden vocabularies through GGUF keys ------------------------------------------------------
 */

static void golden_round_trip(void **state) {
    const char *folder = *state;
    struct tokenizer *t = open_golden(folder), *again = reopen(t);
    assert_int_equal(tokenizer_n_vocab(t), tokenizer_n_vocab(again));
    for (int role = 0; role < TOKEN_ROLES; role++)
        assert_int_equal(tokenizer_role(t, (enum token_role)role),
                         tokenizer_role(again, (enum token_role)role));
    assert_int_equal(tokenizer_adds_bos(t), tokenizer_adds_bos(again));
    tokenizer_close(t);
    int n_failed = walk_golden(again, folder, check_case);
    tokenizer_close(again);
    assert_int_equal(n_failed, 0);
}

static const struct golden_json gpt2_json = {"gpt-2", NULL, NULL, "gpt-2", false, false};
static const struct golden_json llama3_json = {"llama-bpe", cl100k_3, "<|begin_of_text|>",
                                               "llama-bpe", true,     true};
static const struct golden_json qwen2_json = {"qwen2", cl100k_1, NULL, "qwen2", false, false};

#define WITH_STATE(name, test, data)                                                               \
    { name, test, NULL, NULL, (void *)(uintptr_t)(data) }

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_STATE("gpt-2 as tokenizer.json", golden_byte_level, &gpt2_json),
        WITH_STATE("llama-bpe as tokenizer.json", golden_byte_level, &llama3_json),
        WITH_STATE("qwen2 as tokenizer.json", golden_byte_level, &qwen2_json),
        cmocka_unit_test(json_sentencepiece_bpe),
        cmocka_unit_test(json_unigram),
        cmocka_unit_test(json_wordpiece),
        cmocka_unit_test(json_words),
        cmocka_unit_test(json_added_tokens),
        cmocka_unit_test(json_split_behaviours),
        cmocka_unit_test(sentencepiece_model),
        WITH_STATE("llama-spm round trip", golden_round_trip, "llama-spm"),
        WITH_STATE("starcoder round trip", golden_round_trip, "starcoder"),
        WITH_STATE("bert-bge round trip", golden_round_trip, "bert-bge"),
        WITH_STATE("gemma-4 round trip", golden_round_trip, "gemma-4"),
        WITH_STATE("deepseek-llm round trip", golden_round_trip, "deepseek-llm"),
    };
    return cmocka_run_group_tests_name("tokenizer.json", tests, NULL, NULL);
}
