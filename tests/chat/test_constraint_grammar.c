/* Grammars as written, and the tokens they allow. */
#include "constraint_cases.h"

static struct constraint_vocabulary *bytes;

/* NULL-terminated lists of texts that have the form and that have not. */
static void check(enum constraint_kind kind, const char *text, const char *const *accepted,
                  const char *const *rejected) {
    struct constraint *c = open_constraint(bytes, kind, text);
    for (; *accepted; accepted++)
        if (!holds(c, *accepted, strlen(*accepted))) fail_msg("%s: not '%s'", text, *accepted);
    for (; *rejected; rejected++)
        if (holds(c, *rejected, strlen(*rejected))) fail_msg("%s: '%s'", text, *rejected);
    constraint_close(c);
}
#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static void grammars_mean_what_they_say(void **state) {
    (void)state;
    check(CONSTRAINT_GRAMMAR, "root ::= \"a\" b?\nb ::= [b-d]{2,3} # end\n",
          LIST("a", "abb", "adcb"), LIST("", "ab", "abbbb", "aeb"));
    check(CONSTRAINT_GRAMMAR, "root ::=\n  \"x\" |\n  (\"y\"\n \"z\")+", LIST("x", "yz", "yzyz"),
          LIST("xx", "y", "yzy"));
    check(CONSTRAINT_GRAMMAR, "root ::= [^a-y\\]]\"\\x41\\u00e9\\\"\"",
          LIST("zA\xc3\xa9\"", "\xf0\x9f\x98\x80"
                               "A\xc3\xa9\""),
          LIST("aA\xc3\xa9\"", "]A\xc3\xa9\"",
               "\xff"
               "A\xc3\xa9\""));
    check(CONSTRAINT_GRAMMAR, "root ::= \"(\" root \")\" | \"\"", LIST("", "()", "((()))"),
          LIST("(", "())", ")("));
    check(CONSTRAINT_GRAMMAR, "root ::= [a-z] root | [a-z]", LIST("a", "abcdefgh"), LIST("", "A"));
    check(CONSTRAINT_GRAMMAR, "root ::= e e e\ne ::= (\"a\"? \"b\"?)*", LIST("", "abba", "bbb"),
          LIST("c"));
    check(CONSTRAINT_GRAMMAR, "root ::= \"ab\"{,2} [0-9]{3} .", LIST("123x", "abab000\xc3\xa9"),
          LIST("ababab000x", "12x", "123"));
    check(CONSTRAINT_GRAMMAR, "root ::= \"a\" | dead\ndead ::= \"b\" dead", LIST("a"), LIST("b"));
    check(CONSTRAINT_CHOICE, "[\"yes\", \"no\", \"not yet\"]", LIST("yes", "no", "not yet"),
          LIST("", "not", "yesno"));
}

static void regular_expressions_match_the_whole(void **state) {
    (void)state;
    check(CONSTRAINT_REGEX, "a|bc", LIST("a", "bc"), LIST("", "abc", "ab", "xa"));
    check(CONSTRAINT_REGEX, "^(?:ab){1,2}?(?<n>c*)$", LIST("ab", "ababcc"), LIST("", "ababab"));
    check(CONSTRAINT_REGEX, "(^a|b)c|d$", LIST("ac", "bc", "d"), LIST("c", "acd"));
    check(CONSTRAINT_REGEX, "a^b|a$b|c", LIST("c"), LIST("ab", "a"));
    check(CONSTRAINT_REGEX, "[^\\d\\-x]\\w\\s", LIST("ya ", "ya\xe2\x80\xa8"),
          LIST("5a ", "xa ", "-a "));
    check(CONSTRAINT_REGEX, "[\\]a-c^-]+", LIST("]a^-", "b"), LIST("d", ""));
    check(CONSTRAINT_REGEX, ".\\u00e9\\u{1F432}\\uD83D\\uDC32\\x41\\cA\\/",
          LIST("x\xc3\xa9\xf0\x9f\x90\xb2\xf0\x9f\x90\xb2"
               "A\x01/"),
          LIST("\n\xc3\xa9\xf0\x9f\x90\xb2\xf0\x9f\x90\xb2"
               "A\x01/"));
    check(CONSTRAINT_REGEX, "\\p{Lu}\\p{Letter}+\\P{L}", LIST("\xc3\x89t\xc3\xa9.", "Ab1"),
          LIST("ab1", "Abc"));
    check(CONSTRAINT_REGEX, "x{2}y{2,}z{,3}", LIST("xxyyz{,3}", "xxyyyz{,3}"), LIST("xxyyzzz"));
}

static void check_refused(enum constraint_kind kind, const char *text, hearth_status expected,
                          const char *part) {
    struct constraint *c;
    hearth_error err = {0};
    json_t *schema = kind == CONSTRAINT_CHOICE ? json_loads(text, 0, NULL) : NULL;
    assert_int_equal(constraint_open(&c, bytes, kind, schema, text, &err), expected);
    assert_null(c);
    if (!strstr(err.message, part)) fail_msg("'%s' lacks '%s'", err.message, part);
    json_decref(schema);
}

static void what_is_wrong_is_named_with_its_place(void **state) {
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"root ::= \"a", "line 1, column 10: a text without an end"},
        {"root ::= [a", "column 10: a set without an end"},
        {"root ::= (\"a\"", "'(' without ')'"},
        {"root ::= \"a\")", "')' without '('"},
        {"root ::= \"a\"\nb = \"c\"", "line 2, column 3: expected '::='"},
        {"root ::= b", "there is no rule 'b'"},
        {"a ::= \"b\"", "no rule 'root'"},
        {"root ::= \"a\"{3,2}", "expected {m}"},
        {"root ::= \"a\"{}", "expected {m}"},
        {"root ::= [z-a]", "ends before it begins"},
        {"root ::= \"\\q\"", "unknown escape '\\q'"},
        {"root ::= \"\\xg\"", "hexadecimal"},
        {"root ::= \"\\ud800\"", "U+D800"},
        {"root ::= \"\xff\"", "not UTF-8"},
        {"root ::= \"a\"\nroot ::= \"b\"", "a rule already"},
        {"root ::= \"a\" | root \"b\"", "rule 'root' begins with itself"},
        {"root ::= \"x\" a\na ::= e b\nb ::= a \"x\" | \"y\"\ne ::= \"\"", "begins with itself"},
        {"root ::= \"a\" root", "no text has the form"},
        {"", "no rule 'root'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_refused(CONSTRAINT_GRAMMAR, cases[i].text, HEARTH_ERROR_ARGUMENT, cases[i].part);
    check_refused(CONSTRAINT_GRAMMAR, "root ::= <[12]>", HEARTH_ERROR_UNSUPPORTED, "tokens");
    check_refused(CONSTRAINT_GRAMMAR, "root ::= \"a\"{99999}", HEARTH_ERROR_LIMIT, "repetitions");
    check_refused(CONSTRAINT_GRAMMAR,
                  "root ::= a{50000}\na ::= b{50000}\nb ::= [a-z]{50000} c{60000} d{60000} "
                  "e{60000}\nc::=[a]{60000}\nd::=[a]{60000}\ne::=[a]{60000} [b]{60000} [c]{60000}",
                  HEARTH_ERROR_LIMIT, "too large");
    static const struct {
        const char *text, *part;
        hearth_status status;
    } expressions[] = {
        {"a(?=b)", "byte 2: look-around", HEARTH_ERROR_UNSUPPORTED},
        {"(?<!a)b", "look-around", HEARTH_ERROR_UNSUPPORTED},
        {"(a)\\1", "byte 4: a back reference", HEARTH_ERROR_UNSUPPORTED},
        {"\\ba", "word boundary", HEARTH_ERROR_UNSUPPORTED},
        {"\\p{Script=Greek}", "property", HEARTH_ERROR_UNSUPPORTED},
        {"(?i)a", "group of this kind", HEARTH_ERROR_UNSUPPORTED},
        {"a)", "')' without '('", HEARTH_ERROR_ARGUMENT},
        {"(a", "'(' without ')'", HEARTH_ERROR_ARGUMENT},
        {"[a", "'[' without ']'", HEARTH_ERROR_ARGUMENT},
        {"*", "nothing to repeat", HEARTH_ERROR_ARGUMENT},
        {"a**", "quantifier after", HEARTH_ERROR_ARGUMENT},
        {"\\a", "unknown escape", HEARTH_ERROR_ARGUMENT},
        {"\\", "unknown escape", HEARTH_ERROR_ARGUMENT},
        {"a{3,2}", "m > n", HEARTH_ERROR_ARGUMENT},
        {"a{70000}", "repetitions", HEARTH_ERROR_LIMIT},
        {"a$b", "no text has the form", HEARTH_ERROR_ARGUMENT},
        {"^(a|b)*a(a|b){20}$", "more than", HEARTH_ERROR_LIMIT},
    };
    for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++)
        check_refused(CONSTRAINT_REGEX, expressions[i].text, expressions[i].status,
                      expressions[i].part);
    check_refused(CONSTRAINT_CHOICE, "[]", HEARTH_ERROR_ARGUMENT, "choices");
    check_refused(CONSTRAINT_CHOICE, "[\"a\", \"\"]", HEARTH_ERROR_ARGUMENT, "choice 1");
}

static void deep_and_ambiguous_texts_stay_bounded(void **state) {
    (void)state;
    static const char *const grammars[] = {
        "root ::= \"(\" root \")\" | \"x\"",
        "root ::= \"(\" root x | \"(\" root y | \"x\"\nx ::= \")\" | \"!\"\ny ::= \")\"",
        "root ::= \"(\" (root root | root root root)? | \"x\"",
    };
    char text[4000];
    memset(text, '(', sizeof text);
    for (size_t i = 0; i < sizeof grammars / sizeof *grammars; i++) {
        struct constraint *c = open_constraint(bytes, CONSTRAINT_GRAMMAR, grammars[i]);
        struct constraint_state *s;
        assert_int_equal(constraint_begin(c, &s, NULL), HEARTH_OK);
        size_t n = 0;
        while (n < sizeof text && constraint_accept_text(s, text, 1))
            n++;
        assert_true(n >= 8);
        assert_non_null(constraint_allowed(s));
        constraint_end(s);
        constraint_close(c);
    }
}

static void nesting_stops_where_it_can_still_be_closed(void **state) {
    (void)state;
    struct constraint *c =
        open_constraint(bytes, CONSTRAINT_GRAMMAR, "root ::= \"(\" root \")\" | \"x\"");
    struct constraint_state *s;
    assert_int_equal(constraint_begin(c, &s, NULL), HEARTH_OK);
    size_t n = 0;
    while (n < 10000 && constraint_accept_text(s, "(", 1))
        n++;
    assert_in_range(n, 200, 300);
    assert_true(constraint_accept_text(s, "x", 1));
    for (; n > 0; n--)
        assert_true(constraint_accept_text(s, ")", 1));
    assert_true(constraint_must_end(s));
    constraint_end(s);
    constraint_close(c);
}

/* A mask that was found at small depth is not taken where nothing deeper may be opened. */
static void masks_know_how_deep_they_are(void **state) {
    (void)state;
    struct constraint *c =
        open_constraint(bytes, CONSTRAINT_GRAMMAR, "root ::= \"(\" root \")\" | \"x\"");
    struct constraint_state *s;
    assert_int_equal(constraint_begin(c, &s, NULL), HEARTH_OK);
    for (int n = 0; n < 1000 && may_follow(constraint_allowed(s), '('); n++)
        assert_true(constraint_accept(s, '('));
    assert_false(constraint_accept(s, '('));
    assert_true(may_follow(constraint_allowed(s), 'x'));
    constraint_end(s);
    constraint_close(c);
}

static const struct {
    enum constraint_kind kind;
    const char *text;
} starved[] = {
    {CONSTRAINT_GRAMMAR, "root ::= (\"a\" | b){2,9}\nb ::= [^x]* \"(\" root \")\""},
    {CONSTRAINT_REGEX, "^(a|b)*\\p{Lu}{2,4}$"},
    {CONSTRAINT_SCHEMA,
     "{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[\"x\",1,[2]]},\"b\":{\"oneOf\":[{"
     "\"type\":\"string\",\"pattern\":\"^a+$\",\"minLength\":2},{\"minimum\":-3,\"multipleOf\":0.5,"
     "\"type\":\"number\"}]},\"c\":{\"$ref\":\"#\"}},\"patternProperties\":{\"^x\":{\"items\":{"
     "\"not\":{\"const\":3}},\"contains\":true}},\"additionalProperties\":{\"format\":\"ipv4\"},"
     "\"propertyNames\":{\"maxLength\":3},\"required\":[\"a\"]}"},
};

/* With the n-th allocation failing, for every n: an error, and everything given back. */
static void running_out_of_memory_is_told(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof starved / sizeof *starved; i++) {
        json_t *schema = json_loads(starved[i].text, 0, NULL);
        bool failed = true;
        for (uint64_t n = 1; failed; n++) {
            struct constraint *c = NULL;
            struct constraint_state *s = NULL;
            mem_fail_after(n);
            bool ok = constraint_open(&c, bytes, starved[i].kind, schema, starved[i].text, NULL) ==
                          HEARTH_OK &&
                      constraint_begin(c, &s, NULL) == HEARTH_OK && constraint_allowed(s);
            failed = !mem_fail_pending();
            mem_fail_after(0);
            assert_true(ok || failed);
            constraint_end(s);
            constraint_close(c);
        }
        json_decref(schema);
    }
}

static void ends_are_told(void **state) {
    (void)state;
    struct constraint *c = open_constraint(bytes, CONSTRAINT_GRAMMAR, "root ::= \"a\" \"b\"?");
    struct constraint_state *s;
    assert_int_equal(constraint_begin(c, &s, NULL), HEARTH_OK);
    assert_false(constraint_may_end(s));
    assert_false(constraint_accept(s, 256));
    assert_false(may_follow(constraint_allowed(s), 256));
    assert_true(constraint_accept(s, 'a'));
    assert_false(constraint_accept(s, 'a'));
    assert_true(constraint_may_end(s) && !constraint_must_end(s));
    const uint64_t *mask = constraint_allowed(s);
    assert_true(may_follow(mask, 256) && may_follow(mask, 'b') && !may_follow(mask, 'a'));
    assert_true(constraint_accept(s, 'b'));
    assert_true(constraint_must_end(s));
    assert_true(constraint_accept(s, 256));
    assert_false(constraint_accept(s, 'b'));
    assert_false(constraint_accept(s, -1));
    assert_false(constraint_accept(s, 257));
    constraint_end(s);
    constraint_close(c);
}

static void check_case_texts(struct constraint *c, const json_t *texts, bool expected,
                             const char *name) {
    const json_t *text;
    size_t i;
    json_array_foreach(texts, i, text) {
        if (holds(c, json_string_value(text), json_string_length(text)) != expected)
            fail_msg("%s: wrong about '%s'", name, json_string_value(text));
    }
}

static void golden_cases_have_the_right_verdicts(void **state) {
    (void)state;
    json_t *cases = json_load_file(testdata("structured/grammar/cases.json"), 0, NULL), *one;
    size_t i;
    assert_int_equal(json_array_size(cases), 30);
    json_array_foreach(cases, i, one) {
        const char *name = json_string_value(json_object_get(one, "name"));
        const char *text = json_string_value(json_object_get(one, "grammar"));
        if (!text) text = json_string_value(json_object_get(one, "llamacpp_gbnf"));
        struct constraint *c = open_constraint(bytes, CONSTRAINT_GRAMMAR, text);
        check_case_texts(c, json_object_get(one, "accept"), true, name);
        check_case_texts(c, json_object_get(one, "reject"), false, name);
        constraint_close(c);
    }
    json_decref(cases);
}

/* The masks along a text allow just those tokens that, tried one by one, are accepted. */
static void check_masks(struct constraint *c, const struct tokenizer *t, const char *text) {
    for (size_t n = 0; n <= strlen(text); n++) {
        struct constraint_state *s;
        assert_int_equal(constraint_begin(c, &s, NULL), HEARTH_OK);
        assert_true(constraint_accept_text(s, text, n));
        const uint64_t *mask = constraint_allowed(s);
        for (size_t id = n * 7 % 50; id < tokenizer_n_vocab(t); id += 50) {
            struct text piece = tokenizer_piece(t, (int32_t)id);
            struct constraint_state *other;
            assert_int_equal(constraint_begin(c, &other, NULL), HEARTH_OK);
            assert_true(constraint_accept_text(other, text, n));
            bool special = tokenizer_is_special(t, (int32_t)id);
            bool end = tokenizer_is_end_of_generation(t, (int32_t)id);
            bool allowed = end ? constraint_may_end(other)
                               : !special && piece.length > 0 &&
                                     constraint_accept_text(other, piece.data, piece.length);
            if (may_follow(mask, (int32_t)id) != allowed)
                fail_msg("after '%.*s', token %zu '%.*s'", (int)n, text, id, (int)piece.length,
                         piece.data);
            constraint_end(other);
        }
        constraint_end(s);
    }
}

static void masks_agree_with_trying_each_token(void **state) {
    (void)state;
    static const char nested[] = "root ::= \"[\" (item (\",\" \" \"? item)*)? \"]\"\n"
                                 "item ::= root | \"\\\"\" [^\"\\\\]* \"\\\"\" | [0-9]+\n";
    static const char *const names[] = {"gpt-2", "llama-spm"};
    for (size_t i = 0; i < 2; i++) {
        struct constraint_vocabulary *v;
        struct tokenizer *t = open_vocabulary(names[i], &v);
        struct constraint *c = open_constraint(v, CONSTRAINT_GRAMMAR, nested);
        check_masks(c, t, "[[1, [[\"a \xc3\xa9\"]]],23]");
        constraint_close(c);
        constraint_vocabulary_close(v);
        tokenizer_close(t);
    }
}

static int open_bytes(void **state) {
    (void)state;
    bytes = byte_vocabulary();
    return 0;
}

static int close_bytes(void **state) {
    (void)state;
    constraint_vocabulary_close(bytes);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grammars_mean_what_they_say),
        cmocka_unit_test(regular_expressions_match_the_whole),
        cmocka_unit_test(what_is_wrong_is_named_with_its_place),
        cmocka_unit_test(deep_and_ambiguous_texts_stay_bounded),
        cmocka_unit_test(nesting_stops_where_it_can_still_be_closed),
        cmocka_unit_test(masks_know_how_deep_they_are),
        cmocka_unit_test(running_out_of_memory_is_told),
        cmocka_unit_test(ends_are_told),
        cmocka_unit_test(golden_cases_have_the_right_verdicts),
        cmocka_unit_test(masks_agree_with_trying_each_token),
    };
    return cmocka_run_group_tests_name("chat/constraint_grammar", tests, open_bytes, close_bytes);
}
