/* The trainer against a plain recount of all pairs after every merge, and its result
 * against the tokenizer that reads it. */
#include "format/scratch.h"

#include "base/buf.h"
#include "base/rng.h"
#include "token/bpe_train.h"

enum { N_BYTES = 256, SMALL_VOCAB = 420, MAX_SYMBOLS = 64 };

static const struct bpe_added added[] = {
    {"<|endoftext|>", true}, {"<|im_end|>", true}, {"<think>", false}, {"</think>", false}};

static struct bpe_train_options usual_options(size_t n_vocab) {
    return (struct bpe_train_options){.n_vocab = n_vocab,
                                      .min_count = 2,
                                      .added = added,
                                      .n_added = sizeof added / sizeof added[0],
                                      .eos = "<|im_end|>"};
}

/* A text of words from a small alphabet, so that overlapping pairs and ties abound. */
static void append_words(struct buf *text, uint64_t seed, size_t n_words) {
    static const char alphabet[] = "aaabbcde";
    struct rng rng;
    rng_seed(&rng, seed);
    for (size_t i = 0; i < n_words; i++) {
        size_t n = 1 + rng_u64(&rng) % 9;
        for (size_t k = 0; k < n; k++)
            buf_append_char(text, alphabet[rng_u64(&rng) % (sizeof alphabet - 1)]);
        buf_append_text(text, rng_u64(&rng) % 12 ? " " : "<think>\n12 ");
    }
}

static struct bpe_trainer *trained(const struct bpe_train_options *options, const char *text,
                                   size_t n) {
    struct bpe_trainer *trainer;
    hearth_error err = {0};
    assert_ok(bpe_trainer_open(&trainer, options, &err), &err);
    assert_ok(bpe_trainer_add(trainer, text, n, &err), &err);
    assert_ok(bpe_trainer_run(trainer, &err), &err);
    return trainer;
}

static struct tokenizer *reopened(const struct bpe_trainer *trainer) {
    char *json, *config;
    struct tokenizer *tokenizer;
    hearth_error err = {0};
    assert_ok(bpe_trainer_json(trainer, &json, &config, &err), &err);
    assert_ok(tokenizer_open_json(&tokenizer, json, strlen(json), config, strlen(config), &err),
              &err);
    mem_free(json);
    mem_free(config);
    return tokenizer;
}

/* ---- the oracle --------------------------------------------------------------------------- */

struct row {
    uint64_t count;
    size_t n;
    uint32_t ids[MAX_SYMBOLS];
};

struct plain_trainer {
    struct row *rows;
    size_t n_rows, n_symbols;
    char spellings[SMALL_VOCAB][MAX_SYMBOLS];
    uint64_t counts[SMALL_VOCAB][SMALL_VOCAB];
};

/* Printable characters come first in the byte alphabet, then the bytes from 0 to 32. */
static uint32_t byte_id(char c) {
    return c > ' ' ? (uint32_t)(c - '!') : 188 + (uint32_t)c;
}

static void take_rows(struct plain_trainer *p, const struct bpe_trainer *trainer) {
    p->n_rows = bpe_trainer_summary(trainer).n_distinct_words;
    p->rows = mem_calloc(p->n_rows, sizeof *p->rows);
    assert_non_null(p->rows);
    p->n_symbols = N_BYTES;
    for (int c = '\n'; c < 127; c++)
        p->spellings[byte_id((char)c)][0] = (char)c;
    for (size_t r = 0; r < p->n_rows; r++) {
        struct bpe_train_word word = bpe_trainer_word(trainer, r);
        assert_true(word.text.length < MAX_SYMBOLS);
        p->rows[r] = (struct row){.count = word.count, .n = word.text.length};
        for (size_t i = 0; i < word.text.length; i++)
            p->rows[r].ids[i] = byte_id(word.text.data[i]);
    }
}

static void count_pairs(struct plain_trainer *p) {
    memset(p->counts, 0, sizeof p->counts);
    for (size_t r = 0; r < p->n_rows; r++)
        for (size_t i = 0; i + 1 < p->rows[r].n; i++)
            p->counts[p->rows[r].ids[i]][p->rows[r].ids[i + 1]] += p->rows[r].count;
}

static bool is_token(const struct plain_trainer *p, const char *spelling) {
    for (size_t i = 0; i < p->n_symbols; i++)
        if (strcmp(p->spellings[i], spelling) == 0) return true;
    return false;
}

static void merge_rows(struct plain_trainer *p, uint32_t left, uint32_t right) {
    for (size_t r = 0; r < p->n_rows; r++) {
        struct row *row = &p->rows[r];
        size_t kept = 0;
        for (size_t i = 0; i < row->n; i++) {
            bool hit = i + 1 < row->n && row->ids[i] == left && row->ids[i + 1] == right;
            row->ids[kept++] = hit ? (uint32_t)p->n_symbols : row->ids[i];
            i += hit;
        }
        row->n = kept;
    }
}

/* One merge; false when no pair occurs twice that is no token yet. */
static bool plain_step(struct plain_trainer *p) {
    uint64_t best = 1;
    uint32_t left = 0, right = 0;
    char joined[2 * MAX_SYMBOLS];
    count_pairs(p);
    for (uint32_t a = 0; a < p->n_symbols; a++)
        for (uint32_t b = 0; b < p->n_symbols; b++) {
            if (p->counts[a][b] <= best) continue;
            snprintf(joined, sizeof joined, "%s%s", p->spellings[a], p->spellings[b]);
            if (is_token(p, joined)) continue;
            best = p->counts[a][b];
            left = a;
            right = b;
        }
    if (best < 2) return false;
    snprintf(joined, sizeof joined, "%s%s", p->spellings[left], p->spellings[right]);
    assert_true(strlen(joined) < MAX_SYMBOLS);
    memcpy(p->spellings[p->n_symbols], joined, strlen(joined) + 1);
    merge_rows(p, left, right);
    p->n_symbols++;
    return true;
}

static void every_merge_is_the_most_frequent_pair(void **state) {
    (void)state;
    struct plain_trainer *p = mem_calloc(1, sizeof *p);
    struct bpe_train_options options = usual_options(SMALL_VOCAB);
    assert_non_null(p);
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct buf text;
        struct bpe_trainer *counted;
        buf_init(&text, 1 << 20);
        append_words(&text, seed, 40 * seed);
        assert_int_equal(bpe_trainer_open(&counted, &options, NULL), HEARTH_OK);
        assert_int_equal(bpe_trainer_add(counted, text.data, text.length, NULL), HEARTH_OK);
        memset(p, 0, sizeof *p);
        take_rows(p, counted);
        while (p->n_symbols + options.n_added < SMALL_VOCAB && plain_step(p))
            continue;
        struct bpe_trainer *trainer = trained(&options, text.data, text.length);
        struct tokenizer *tokenizer = reopened(trainer);
        assert_int_equal(bpe_trainer_summary(trainer).n_merges, p->n_symbols - N_BYTES);
        for (size_t id = N_BYTES; id < p->n_symbols; id++) {
            struct text piece = tokenizer_piece(tokenizer, (int32_t)id);
            assert_int_equal(piece.length, strlen(p->spellings[id]));
            assert_memory_equal(piece.data, p->spellings[id], piece.length);
        }
        for (size_t r = 0; r < p->n_rows; r++) {
            struct bpe_train_word word = bpe_trainer_word(trainer, r);
            assert_int_equal(word.n_ids, p->rows[r].n);
            assert_memory_equal(word.ids, p->rows[r].ids, word.n_ids * sizeof *word.ids);
        }
        tokenizer_close(tokenizer);
        bpe_trainer_close(trainer);
        bpe_trainer_close(counted);
        mem_free(p->rows);
        buf_release(&text);
    }
    mem_free(p);
}

/* ---- encoding ----------------------------------------------------------------------------- */

static void check_words(const struct bpe_trainer *trainer, const struct tokenizer *tokenizer) {
    hearth_error err = {0};
    struct token_list ids = {0};
    size_t n = bpe_trainer_summary(trainer).n_distinct_words;
    for (size_t i = 0; i < n; i++) {
        struct bpe_train_word word = bpe_trainer_word(trainer, i);
        ids.count = 0;
        assert_ok(
            tokenizer_encode(tokenizer, word.text.data, word.text.length, false, true, &ids, &err),
            &err);
        assert_int_equal(ids.count, word.n_ids);
        for (size_t k = 0; k < ids.count; k++)
            assert_int_equal(ids.ids[k], word.ids[k]);
    }
    token_list_release(&ids);
}

static size_t count_added(const struct token_list *ids, const struct bpe_trainer *trainer) {
    size_t n = 0, first = N_BYTES + bpe_trainer_summary(trainer).n_merges;
    for (size_t i = 0; i < ids->count; i++)
        n += (size_t)ids->ids[i] >= first;
    return n;
}

/* Every word, and the text as a whole, in as many tokens as the trainer left. */
static void check_encoding(const struct bpe_trainer *trainer, const struct tokenizer *tokenizer,
                           const char *text, size_t n) {
    hearth_error err = {0};
    struct token_list ids = {0};
    struct buf back;
    check_words(trainer, tokenizer);
    assert_ok(tokenizer_encode(tokenizer, text, n, false, true, &ids, &err), &err);
    assert_int_equal(ids.count - count_added(&ids, trainer), bpe_trainer_summary(trainer).n_tokens);
    buf_init(&back, n + 1);
    assert_ok(tokenizer_decode(tokenizer, ids.ids, ids.count, true, &back, &err), &err);
    assert_int_equal(back.length, n);
    assert_memory_equal(back.data, text, n);
    buf_release(&back);
    token_list_release(&ids);
}

/* The same tokenizer by way of GGUF's keys. */
static struct tokenizer *through_metadata(const struct tokenizer *tokenizer) {
    struct metadata m;
    struct tokenizer *again;
    hearth_error err = {0};
    metadata_init(&m, 1 << 26);
    assert_ok(tokenizer_to_metadata(tokenizer, &m, &err), &err);
    assert_null(metadata_find(&m, "tokenizer.huggingface.json"));
    assert_ok(tokenizer_open(&again, &m, &err), &err);
    metadata_release(&m);
    return again;
}

static void encoding_cuts_as_training_did(void **state) {
    static const char *const rules[] = {"qwen2", "llama-bpe", "gpt-2", "starcoder"};
    char *text;
    size_t n;
    (void)state;
    assert_int_equal(
        file_read(testdata("text/tinyshakespeare/input.txt"), 1 << 24, &text, &n, NULL), HEARTH_OK);
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        struct bpe_train_options options = usual_options(2000);
        options.pre = rules[i];
        struct bpe_trainer *trainer = trained(&options, text, n);
        struct tokenizer *tokenizer = reopened(trainer), *again = through_metadata(tokenizer);
        assert_int_equal(tokenizer_n_vocab(tokenizer), 2000);
        check_encoding(trainer, tokenizer, text, n);
        check_encoding(trainer, again, text, n);
        tokenizer_close(again);
        tokenizer_close(tokenizer);
        bpe_trainer_close(trainer);
    }
    mem_free(text);
}

static void added_tokens_are_whole_and_ordered(void **state) {
    static const char text[] =
        "<think>a a a</think>1234<|im_end|>\xff\xc3\xa9\n<|im_end|> <think> <|im_end|>";
    struct bpe_train_options options = usual_options(270);
    (void)state;
    struct bpe_trainer *trainer = trained(&options, text, sizeof text - 1);
    struct tokenizer *tokenizer = reopened(trainer);
    int32_t first = (int32_t)(N_BYTES + bpe_trainer_summary(trainer).n_merges);
    for (int32_t i = 0; i < 4; i++)
        assert_int_equal(tokenizer_find(tokenizer, added[i].spelling, strlen(added[i].spelling)),
                         first + i);
    assert_int_equal(tokenizer_role(tokenizer, TOKEN_EOS), first + 1);
    assert_true(tokenizer_is_end_of_generation(tokenizer, first + 1));
    assert_true(tokenizer_is_special(tokenizer, first));
    assert_false(tokenizer_is_special(tokenizer, first + 2));
    check_words(trainer, tokenizer);
    for (int digit = '0'; digit <= '4'; digit++) /* digits are never merged */
        assert_int_equal(tokenizer_piece(tokenizer, (int32_t)byte_id((char)digit)).length, 1);
    for (int32_t id = N_BYTES; id < first; id++) {
        struct text piece = tokenizer_piece(tokenizer, id);
        assert_null(memchr(piece.data, '1', piece.length));
        assert_null(memchr(piece.data, '<', piece.length));
    }
    tokenizer_close(tokenizer);
    bpe_trainer_close(trainer);
}

static void texts_in_any_order_give_the_same_vocabulary(void **state) {
    struct bpe_train_options options = usual_options(SMALL_VOCAB);
    char *json[2], *config;
    (void)state;
    for (int turn = 0; turn < 2; turn++) {
        struct bpe_trainer *trainer;
        assert_int_equal(bpe_trainer_open(&trainer, &options, NULL), HEARTH_OK);
        for (int i = 0; i < 5; i++) {
            struct buf text;
            buf_init(&text, 1 << 20);
            append_words(&text, turn ? 5 - (uint64_t)i : 1 + (uint64_t)i, 50);
            assert_int_equal(bpe_trainer_add(trainer, text.data, text.length, NULL), HEARTH_OK);
            buf_release(&text);
        }
        assert_int_equal(bpe_trainer_run(trainer, NULL), HEARTH_OK);
        assert_int_equal(bpe_trainer_json(trainer, &json[turn], &config, NULL), HEARTH_OK);
        mem_free(config);
        bpe_trainer_close(trainer);
    }
    assert_string_equal(json[0], json[1]);
    mem_free(json[0]);
    mem_free(json[1]);
}

/* ---- refusals and limits ------------------------------------------------------------------ */

static void bad_options_are_refused(void **state) {
    struct bpe_trainer *trainer;
    hearth_error err = {0};
    struct bpe_train_options options = usual_options(259);
    (void)state;
    assert_int_equal(bpe_trainer_open(&trainer, &options, &err), HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, "at least 260");
    options = usual_options(400);
    options.pre = "no-such-rules";
    assert_int_equal(bpe_trainer_open(&trainer, &options, &err), HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, "qwen2");
    options.pre = "superbpe"; /* counts digits from the right */
    assert_int_equal(bpe_trainer_open(&trainer, &options, &err), HEARTH_ERROR_UNSUPPORTED);
    options = usual_options(400);
    options.eos = "</s>";
    assert_int_equal(bpe_trainer_open(&trainer, &options, &err), HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, "</s>");
    static const struct bpe_added twice[] = {{"<s>", true}, {"<s>", false}};
    options = (struct bpe_train_options){.n_vocab = 300, .added = twice, .n_added = 2};
    assert_int_equal(bpe_trainer_open(&trainer, &options, &err), HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, "twice");
    options.n_added = 0;
    assert_int_equal(bpe_trainer_open(&trainer, &options, &err), HEARTH_OK);
    assert_int_equal(bpe_trainer_run(trainer, &err), HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, "no text");
    bpe_trainer_close(trainer);
}

static void long_words_are_passed_over(void **state) {
    struct bpe_train_options options = usual_options(300);
    char text[BPE_TRAIN_MAX_WORD_BYTES + 4];
    (void)state;
    memset(text, 'x', sizeof text);
    memcpy(text, "a b", 3);
    text[3] = '\n';
    struct bpe_trainer *trainer = trained(&options, text, sizeof text);
    assert_int_equal(bpe_trainer_summary(trainer).n_long_words, 0);
    bpe_trainer_close(trainer);
    text[3] = 'x';
    trainer = trained(&options, text, sizeof text);
    assert_int_equal(bpe_trainer_summary(trainer).n_long_words, 1);
    assert_int_equal(bpe_trainer_summary(trainer).n_merges, 0);
    bpe_trainer_close(trainer);
}

static hearth_status train_once(char **json, char **config) {
    static const char text[] = "the cat sat on the mat, the cat <think>sat</think>";
    struct bpe_trainer *trainer;
    struct bpe_train_options options = usual_options(300);
    RETURN_IF_ERROR(bpe_trainer_open(&trainer, &options, NULL));
    hearth_status status = bpe_trainer_add(trainer, text, sizeof text - 1, NULL);
    if (status == HEARTH_OK) status = bpe_trainer_run(trainer, NULL);
    if (status == HEARTH_OK) status = bpe_trainer_json(trainer, json, config, NULL);
    bpe_trainer_close(trainer);
    return status;
}

static void any_allocation_may_fail(void **state) {
    char *json = NULL, *config = NULL;
    uint64_t n = 1;
    (void)state;
    for (bool done = false; !done; n++) {
        mem_fail_after(n);
        hearth_status status = train_once(&json, &config);
        done = mem_fail_pending();
        mem_fail_after(0);
        assert_int_equal(status, done ? HEARTH_OK : HEARTH_ERROR_NO_MEMORY);
    }
    assert_true(n > 20);
    mem_free(json);
    mem_free(config);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_merge_is_the_most_frequent_pair),
        cmocka_unit_test(encoding_cuts_as_training_did),
        cmocka_unit_test(added_tokens_are_whole_and_ordered),
        cmocka_unit_test(texts_in_any_order_give_the_same_vocabulary),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(long_words_are_passed_over),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("token/bpe_train", tests, NULL, NULL);
}
