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
    uint64_t n;
    double mask_s, accept_s, worst_s;
};

static const uint64_t *timed_mask(struct constraint_state *s, struct timing *timing) {
    uint64_t begin = clock_thread_ns();
    const uint64_t *mask = constraint_allowed(s);
    double took = (double)(clock_thread_ns() - begin) * 1e-9;
    timing->mask_s += took;
    if (took > timing->worst_s) timing->worst_s = took;
    timing->n++;
    assert_non_null(mask);
    return mask;
}

static void timed_accept(struct constraint_state *s, int32_t id, struct timing *timing) {
    uint64_t begin = clock_thread_ns();
    bool ok = constraint_accept(s, id);
    timing->accept_s += (double)(clock_thread_ns() - begin) * 1e-9;
    assert_true(ok);
}

/* One answer, its ids in `ids`; returns how many. */
static size_t draw(struct constraint *c, const struct tokenizer *t, struct rng *rng,
                   int32_t ids[MOST_TOKENS], struct timing *timing) {
    struct constraint_state *s;
    size_t n = 0;
    assert_int_equal(constraint_begin(c, &s, NULL), HEARTH_OK);
    while (!constraint_must_end(s)) {
        assert_true(n < MOST_TOKENS);
        const uint64_t *mask = timed_mask(s, timing);
        if (n >= FREE_TOKENS && constraint_may_end(s)) break;
        ids[n] =
            n < FREE_TOKENS ? pick_any(mask, tokenizer_n_vocab(t), rng) : pick_closing(mask, t);
        assert_true(ids[n] >= 0);
        timed_accept(s, ids[n], timing);
        if (tokenizer_is_end_of_generation(t, ids[n])) break;
        n++;
    }
    assert_true(constraint_may_end(s));
    constraint_end(s);
    return n;
}

/* The same answer once more: everything is remembered now. */
static void repeat(struct constraint *c, const int32_t *ids, size_t n, struct timing *timing) {
    struct constraint_state *s;
    assert_int_equal(constraint_begin(c, &s, NULL), HEARTH_OK);
    for (size_t i = 0; i < n; i++) {
        assert_true(may_follow(timed_mask(s, timing), ids[i]));
        timed_accept(s, ids[i], timing);
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

static void print_timing(const char *name, size_t schema, const char *when,
                         const struct timing *t) {
    double n = t->n ? (double)t->n : 1;
    print_message("%s, schema %zu, %s: %llu tokens, %.1f us a mask (at most "
                  "%.0f), %.1f us to go on\n",
                  name, schema, when, (unsigned long long)t->n, t->mask_s * 1e6 / n,
                  t->worst_s * 1e6, t->accept_s * 1e6 / n);
}

static void check_schema(const char *name, size_t schema, const struct tokenizer *t,
                         const struct constraint_vocabulary *v,
                         const struct constraint_vocabulary *bytes) {
    static int32_t ids[MOST_TOKENS];
    bool json = schema == sizeof schemas / sizeof *schemas;
    enum constraint_kind kind = json ? CONSTRAINT_JSON : CONSTRAINT_SCHEMA;
    struct constraint *c = open_constraint(v, kind, json ? "" : schemas[schema]);
    struct constraint *again = open_constraint(bytes, kind, json ? "" : schemas[schema]);
    struct timing first = {0}, then = {0};
    struct rng rng;
    rng_seed(&rng, 7 + schema);
    for (int i = 0; i < DRAWS; i++) {
        struct buf answer;
        buf_init(&answer, 1 << 20);
        size_t n = draw(c, t, &rng, ids, &first);
        for (size_t k = 0; k < n; k++) {
            struct text piece = tokenizer_piece(t, ids[k]);
            assert_true(buf_append(&answer, piece.data, piece.length));
        }
        check_answer(again, &answer);
        repeat(c, ids, n, &then);
        buf_release(&answer);
    }
    print_timing(name, schema, "at first", &first);
    print_timing(name, schema, "again", &then);
    constraint_close(again);
    constraint_close(c);
}

static void check_vocabulary(const char *name, const struct constraint_vocabulary *bytes) {
    struct constraint_vocabulary *v;
    struct tokenizer *t = open_vocabulary(name, &v);
    for (size_t i = 0; i <= sizeof schemas / sizeof *schemas; i++)
        check_schema(name, i, t, v, bytes);
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
