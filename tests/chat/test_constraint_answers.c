/* Answers drawn token by token from the masks of real vocabularies: they end, they parse, and they
 * have the form. */
#include "constraint_cases.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/rng.h"

enum { FREE_TOKENS = 150, MOST_TOKENS = 4000, DRAWS = 6 };

static const char *const schemas[] = {
    "{}",
    "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":20},"
    "\"age\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":150},\"tags\":{\"type\":\"array\","
    "\"items\":{\"enum\":[\"a\",\"b\\u00e9\",\"c d\"]},\"maxItems\":5},\"born\":{\"type\":"
    "\"string\",\"format\":\"date\"},\"score\":{\"type\":\"number\",\"exclusiveMinimum\":-1.5,"
    "\"maximum\":2.25}},\"required\":[\"name\",\"born\"]}",
    "{\"$ref\":\"#/$defs/tree\",\"$defs\":{\"tree\":{\"type\":\"object\",\"properties\":{"
    "\"value\":{\"type\":\"integer\",\"multipleOf\":7},\"children\":{\"type\":\"array\",\"items\":"
    "{\"$ref\":\"#/$defs/tree\"},\"maxItems\":3}},\"required\":[\"value\"]}}}",
    "{\"anyOf\":[{\"type\":\"object\",\"properties\":{\"kind\":{\"const\":\"circle\"},\"r\":{"
    "\"type\":\"number\"}},\"required\":[\"kind\",\"r\"]},{\"type\":\"object\",\"properties\":{"
    "\"kind\":{\"const\":\"box\"},\"w\":{\"type\":\"number\"},\"h\":{\"type\":\"number\"}},"
    "\"required\":[\"kind\",\"w\",\"h\"]},{\"type\":\"null\"}]}",
    "{\"type\":\"object\",\"patternProperties\":{\"^x-[a-z]{1,8}$\":{\"type\":\"string\","
    "\"pattern\":\"^[A-Z\\u00c0-\\u00d6][a-z]+( [0-9]{2,4})?$\"}},\"additionalProperties\":{"
    "\"type\":\"boolean\"},\"propertyNames\":{\"maxLength\":12}}",
    "{\"oneOf\":[{\"type\":\"string\",\"format\":\"uuid\"},{\"type\":\"array\",\"prefixItems\":[{"
    "\"type\":\"boolean\"},{\"type\":\"string\",\"format\":\"date-time\"}],\"items\":false,"
    "\"minItems\":2},{\"type\":\"integer\",\"minimum\":1000,\"maximum\":99999}]}",
};

/* ---- drawing ---- */

static int32_t pick_any(const uint64_t *mask, size_t n_vocab, struct rng *rng) {
    size_t n = 0, words = (n_vocab + 63) / 64;
    for (size_t i = 0; i < words; i++)
        n += (size_t)__builtin_popcountll(mask[i]);
    assert_true(n > 0);
    size_t pick = rng_u64(rng) % n;
    for (size_t i = 0; i < words; i++) {
        size_t here = (size_t)__builtin_popcountll(mask[i]);
        uint64_t word = mask[i];
        if (pick >= here) {
            pick -= here;
            continue;
        }
        for (; pick > 0; pick--)
            word &= word - 1;
        return (int32_t)(i * 64 + (size_t)__builtin_ctzll(word));
    }
    return -1;
}

/* What closes soonest: the first of these that may follow. */
static int32_t pick_closing(const uint64_t *mask, const struct tokenizer *t) {
    static const char *const closing[] = {"\"", "}", "]", "0", "1", "-", ":", ","};
    for (size_t i = 0; i < sizeof closing / sizeof *closing; i++) {
        int32_t id = tokenizer_find(t, closing[i], strlen(closing[i]));
        if (id >= 0 && may_follow(mask, id)) return id;
    }
    for (size_t id = 0; id < tokenizer_n_vocab(t); id++)
        if (may_follow(mask, (int32_t)id)) return (int32_t)id;
    return -1;
}

struct timing {
    uint64_t n, first_n; /* masks, and those of first answers */
    double total_s, first_s;
};

static void draw(struct constraint *c, const struct tokenizer *t, struct rng *rng,
                 struct buf *answer, struct timing *timing, bool first) {
    struct constraint_state *s;
    assert_int_equal(constraint_begin(c, &s, NULL), HEARTH_OK);
    for (int n = 0; !constraint_must_end(s); n++) {
        assert_true(n < MOST_TOKENS);
        uint64_t begin = clock_thread_ns();
        const uint64_t *mask = constraint_allowed(s);
        double took = (double)(clock_thread_ns() - begin) * 1e-9;
        *(first ? &timing->first_s : &timing->total_s) += took;
        ++*(first ? &timing->first_n : &timing->n);
        assert_non_null(mask);
        if (n >= FREE_TOKENS && constraint_may_end(s)) break;
        int32_t id =
            n < FREE_TOKENS ? pick_any(mask, tokenizer_n_vocab(t), rng) : pick_closing(mask, t);
        assert_true(id >= 0 && constraint_accept(s, id));
        if (tokenizer_is_end_of_generation(t, id)) break;
        struct text piece = tokenizer_piece(t, id);
        assert_true(buf_append(answer, piece.data, piece.length));
    }
    assert_true(constraint_may_end(s));
    constraint_end(s);
}

static void check_answer(struct constraint *c, const struct buf *answer) {
    json_error_t error;
    json_t *value = json_loadb(answer->data, answer->length,
                               JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    /* A NUL in a name is JSON, but not jansson's. */
    if (!value && !strstr(answer->data, "\\u0000"))
        fail_msg("%s: %.*s", error.text, (int)answer->length, answer->data);
    assert_true(holds(c, answer->data, answer->length));
    json_decref(value);
}

static void check_vocabulary(const char *name, const struct constraint_vocabulary *bytes) {
    struct constraint_vocabulary *v;
    struct tokenizer *t = open_vocabulary(name, &v);
    struct rng rng;
    rng_seed(&rng, 7);
    for (size_t i = 0; i <= sizeof schemas / sizeof *schemas; i++) {
        bool json = i == sizeof schemas / sizeof *schemas;
        enum constraint_kind kind = json ? CONSTRAINT_JSON : CONSTRAINT_SCHEMA;
        struct constraint *c = open_constraint(v, kind, json ? "" : schemas[i]);
        struct constraint *again = open_constraint(bytes, kind, json ? "" : schemas[i]);
        struct timing timing = {0};
        size_t n_bytes = 0;
        for (int n = 0; n < DRAWS; n++) {
            struct buf answer;
            buf_init(&answer, 1 << 20);
            draw(c, t, &rng, &answer, &timing, n < DRAWS / 2);
            check_answer(again, &answer);
            n_bytes += answer.length;
            buf_release(&answer);
        }
        print_message("%s, schema %zu: %zu bytes; %.1f us a mask at first, then %.1f us\n", name, i,
                      n_bytes, timing.first_s * 1e6 / (double)timing.first_n,
                      timing.total_s * 1e6 / (double)(timing.n ? timing.n : 1));
        constraint_close(again);
        constraint_close(c);
    }
    constraint_vocabulary_close(v);
    tokenizer_close(t);
}

static void drawn_answers_end_parse_and_have_the_form(void **state) {
    (void)state;
    static const char *const names[] = {"gpt-2", "llama-spm", "llama-bpe"};
    struct constraint_vocabulary *bytes = byte_vocabulary();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_vocabulary(names[i], bytes);
    constraint_vocabulary_close(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drawn_answers_end_parse_and_have_the_form),
    };
    return cmocka_run_group_tests_name("chat/constraint_answers", tests, NULL, NULL);
}
