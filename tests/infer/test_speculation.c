/* Speculation never changes an answer: greedy and sampled, with good, useless and perverse
 * drafts, for families with every kind of memory, across pages, at the end of the context,
 * through shifts and stop texts. And it drafts where drafting pays. */
#include "infer/answers.h"

#include "infer/ngram_drafter.h"

/* ---- a drafter that knows, or pretends to know -------------------------------- */

/* Proposes `future` after the timeline's length, with mistakes. */
struct oracle {
    struct drafter drafter;
    const int32_t *future; /* [n_future], by position */
    uint32_t n_future;
    uint32_t n_vocab;
    unsigned mistakes; /* of 16 drafted tokens so many are wrong */
    unsigned spread;   /* how the confidence changes */
    unsigned turn;
};

static hearth_status oracle_propose(struct drafter *drafter, const int32_t *tokens, uint32_t n,
                                    const uint32_t worth[DRAFT_CONFIDENCES], struct draft *draft,
                                    hearth_error *err) {
    struct oracle *o = (struct oracle *)drafter;
    (void)tokens;
    (void)err;
    draft->confidence = o->turn * o->spread % DRAFT_CONFIDENCES;
    uint32_t most = worth[draft->confidence];
    for (draft->n = 0; draft->n < most; draft->n++) {
        uint32_t at = n + draft->n;
        bool wrong = o->turn++ * 7 % 16 < o->mistakes;
        uint32_t right = at < o->n_future ? (uint32_t)o->future[at] : at;
        draft->tokens[draft->n] = (int32_t)((right + wrong) % o->n_vocab);
    }
    o->turn++;
    return HEARTH_OK;
}

static void oracle_close(struct drafter *drafter) {
    (void)drafter;
}

static struct oracle oracle_of(const int32_t *future, uint32_t n_future, uint32_t n_vocab,
                               unsigned mistakes) {
    struct oracle o = {.drafter = {.propose = oracle_propose, .close = oracle_close},
                       .future = future,
                       .n_future = n_future,
                       .n_vocab = n_vocab,
                       .mistakes = mistakes,
                       .spread = 1};
    for (int i = 0; i < DRAFT_CONFIDENCES; i++)
        o.drafter.chance[i] = 0.8f;
    return o;
}

/* The same question, plainly and with every kind of draft, drafted whatever it costs.
 * Returns how many drafted tokens became part of the answers. */
static uint32_t expect_lossless(struct scene *s, const struct question *q, const char *what) {
    static struct answer plain, a;
    static const unsigned mistakes[] = {0, 1, 4, 16};
    uint32_t n_ctx = context_length(s->context), n_vocab = s->model.config.n_vocab;
    uint32_t accepted = 0;
    struct drafter *drafter;
    session_clear(s->session);
    ask(s, q, NULL, &plain);
    for (unsigned i = 0; i < 4; i++) {
        struct oracle o = oracle_of(plain.tokens, plain.n_tokens, n_vocab, mistakes[i]);
        struct speculation *speculation = open_speculation(&o.drafter, 5 * i, 15, n_ctx);
        for (int again = 0; again < 2; again++) {
            if (!again) session_clear(s->session);
            ask(s, q, speculation, &a);
            expect_same(what, &plain, &a);
            accepted += a.stats.n_accepted;
        }
        speculation_close(speculation);
    }
    assert_int_equal(ngram_drafter_open(&drafter, n_ctx, NULL), HEARTH_OK);
    struct speculation *speculation = open_speculation(drafter, 7, 7, n_ctx);
    ask(s, q, speculation, &a);
    expect_same(what, &plain, &a);
    speculation_close(speculation);
    return accepted;
}

static void answers_are_those_without_speculation(void **state) {
    static const char *const names[] = {stories,
                                        "arch/qwen35-dense/model.gguf",
                                        "arch/granitehybrid-dense/model.gguf",
                                        "arch/gemma3-dense/model.gguf",
                                        "quantmodels/q4_0/model.gguf",
                                        "quantmodels/q4_k_m/model.gguf"};
    static const int32_t any[] = {5, 9, 77, 5, 9, 77, 5, 9, 31, 90, 5, 9};
    (void)state;
    for (unsigned f = 0; f < sizeof names / sizeof names[0]; f++) {
        struct scene s;
        open_scene(&s, names[f], 256, 15);
        struct question q = {.prompt = f ? any : once,
                             .n = f ? 12 : 5,
                             .params = greedy(),
                             .options = {.max_tokens = 70, .ignore_end = true}};
        assert_true(expect_lossless(&s, &q, names[f]) > 70);
        for (unsigned i = f; i < (f ? f + 2 : 5); i++) { /* all chains with the first model */
            q.params = sampling(i);
            q.options.max_tokens = 45;
            assert_true(expect_lossless(&s, &q, names[f]) > 45);
        }
        close_scene(&s);
    }
}

static void answers_end_at_the_same_place(void **state) {
    static struct answer whole;
    struct scene s;
    (void)state;
    open_scene(&s, stories, 128, 15);
    struct question q = {.prompt = once, .n = 5, .params = greedy(), .options = {.max_tokens = 80}};
    ask(&s, &q, NULL, &whole);
    for (uint32_t most = 1; most < 20; most += 3) { /* in the middle of a draft */
        q.options.max_tokens = most;
        expect_lossless(&s, &q, "token limit");
    }
    q.options.max_tokens = 80;
    for (size_t at = 3; at + 12 < whole.length; at += 23) {
        char stop[16] = {0};
        memcpy(stop, whole.text + at, 1 + at % 11);
        const char *stops[] = {stop};
        q.options.stops = stops;
        q.options.n_stops = 1;
        expect_lossless(&s, &q, "stop text");
    }
    q.options.n_stops = 0;
    for (q.stop_after = 1; q.stop_after < 30; q.stop_after += 9)
        expect_lossless(&s, &q, "cancelled");
    close_scene(&s);
}

static void the_end_of_an_answer_is_the_same(void **state) {
    struct scene s;
    (void)state;
    open_scene(&s, stories, 256, 15);
    struct question q = {.prompt = once, .n = 5, .params = sampling(5)};
    expect_lossless(&s, &q, "until the end of the answer or of the context");
    close_scene(&s);
}

static void a_full_context_ends_or_shifts_the_same(void **state) {
    static const char *const names[] = {stories, "arch/lfm2-dense/model.gguf",
                                        "arch/mistral3-dense/model.gguf"};
    (void)state;
    for (int f = 0; f < 3; f++)
        for (uint32_t n_ctx = 5; n_ctx < 60; n_ctx += 18) {
            struct scene s;
            open_scene(&s, names[f], n_ctx, 15);
            struct question q = {.prompt = once + (f > 0),
                                 .n = 5 - (f > 0),
                                 .params = greedy(),
                                 .options = {.ignore_end = true}};
            int32_t small[] = {1, 40, 41, 26};
            if (f) q.prompt = small;
            expect_lossless(&s, &q, "full context");
            q.options.max_tokens = 90;
            q.options.shift_context = true;
            q.options.keep = n_ctx % 7;
            expect_lossless(&s, &q, "shifted context");
            close_scene(&s);
        }
}

/* ---- what is drafted ------------------------------------------------------------ */

static uint32_t length_of_draft(struct speculation *s) {
    const struct draft *draft;
    hearth_error err = {0};
    expect_ok(speculation_propose(s, 15, &draft, &err), &err);
    return draft->n;
}

/* Pretends that a row costs so much of a pass. */
static void measure(struct speculation *s, double row) {
    for (uint32_t rows = 1; rows <= 16; rows++)
        speculation_measure(s, rows, 1 + row * (rows - 1));
}

static void drafts_are_as_long_as_they_pay(void **state) {
    static const struct {
        float chance;
        double row;
        uint32_t least, most;
    } cases[] = {{0.99f, 0.01, 15, 15}, {0.9f, 0, 15, 15}, {0.9f, 1, 0, 0},   {0.8f, 0.2, 2, 5},
                 {0.3f, 0.2, 1, 1},     {0.1f, 0.2, 0, 0}, {0.5f, 0.01, 4, 7}};
    int32_t same[64] = {0};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct oracle o = oracle_of(same, 64, 4, 0);
        for (int c = 0; c < DRAFT_CONFIDENCES; c++)
            o.drafter.chance[c] = cases[i].chance;
        struct speculation *s = open_speculation(&o.drafter, 0, 15, 64);
        speculation_set(s, same, 10);
        assert_int_equal(length_of_draft(s), 0); /* the time of a plain pass is not known */
        measure(s, cases[i].row);
        uint32_t n = length_of_draft(s);
        if (n < cases[i].least || n > cases[i].most) fail_msg("case %zu: %u tokens", i, n);
        speculation_close(s);
    }
}

static uint32_t length_beside(struct speculation *s, uint32_t rows, uint32_t n_answers) {
    const struct draft *draft;
    hearth_error err = {0};
    expect_ok(speculation_propose_beside(s, rows, n_answers, 15, &draft, &err), &err);
    return draft->n;
}

/* Where rows cost a little, a draft makes one answer sooner and all others later: the more of them
 * there are, the less is drafted. Rows that cost nothing are drafted for everyone. */
static void many_answers_draft_less(void **state) {
    int32_t same[64] = {0};
    (void)state;
    for (int free = 0; free < 2; free++) {
        struct pass_times times = {0};
        const struct speculation_options options = {.max_draft = 15, .times = &times};
        struct oracle o = oracle_of(same, 64, 4, 0);
        struct speculation *s;
        hearth_error err = {0};
        uint32_t before = 15;
        for (int c = 0; c < DRAFT_CONFIDENCES; c++)
            o.drafter.chance[c] = 0.5f;
        for (uint32_t rows = 1; rows <= PASS_TIMES_ROWS; rows++)
            pass_times_measure(&times, rows, 1 + (free ? 0 : 0.03) * (rows - 1));
        expect_ok(speculation_open(&s, &o.drafter, &options, 64, &err), &err);
        speculation_set(s, same, 10);
        for (uint32_t n = 1; n <= 32; n *= 2) {
            uint32_t now = length_beside(s, n, n);
            assert_true(free ? now == 15 : now <= before);
            if (n == 1) assert_true(now > 2);
            before = now;
        }
        assert_int_equal(before, free ? 15 : 0);
        assert_int_equal(length_beside(s, PASS_TIMES_ROWS - 3, 1), 3);
        assert_int_equal(length_beside(s, PASS_TIMES_ROWS, 1), 0);
        /* Of longer passes nothing is known: each row costs as much as the others. */
        assert_in_range(length_beside(s, PASS_TIMES_ROWS + 1, 2), 1, 15);
        assert_int_equal(length_beside(s, PASS_TIMES_ROWS + 1, PASS_TIMES_ROWS + 1), 0);
        speculation_close(s);
    }
}

static void times_of_passes_are_of_late(void **state) {
    struct pass_times times = {0};
    (void)state;
    assert_false(pass_times_know(&times, 1));
    pass_times_measure(&times, 4, 1);
    pass_times_measure(&times, 8, 3);
    pass_times_measure(&times, PASS_TIMES_ROWS + 1, 100);
    assert_true(pass_times_know(&times, 4) && !pass_times_know(&times, 5));
    assert_false(pass_times_know(&times, PASS_TIMES_ROWS + 1));
    assert_true(pass_times_estimate(&times, 6) == 2);
    assert_true(pass_times_estimate(&times, 9) > 3 && pass_times_estimate(&times, 3) < 1);
    pass_times_measure(&times, 4, 2); /* longer counts less than shorter */
    float longer = pass_times_estimate(&times, 4);
    pass_times_measure(&times, 8, 2);
    assert_true(longer < 1.5f && pass_times_estimate(&times, 8) == 2.5f);
    for (int i = 0; i < 1000; i++)
        pass_times_measure(&times, 8, 5);
    assert_false(pass_times_know(&times, 4));
    pass_times_measure(&times, 4, 4);
    assert_true(pass_times_estimate(&times, 4) == 4);
}

/* Drafts that are refused grow shorter and end, those accepted grow longer again. */
static void drafts_follow_what_was_accepted(void **state) {
    int32_t same[512] = {0};
    (void)state;
    struct oracle o = oracle_of(same, 512, 4, 0);
    o.spread = 0;
    struct speculation *s = open_speculation(&o.drafter, 0, 15, 512);
    speculation_set(s, same, 10);
    measure(s, 0.2);
    uint32_t first = length_of_draft(s), last = first;
    for (int i = 0; i < 60; i++) {
        speculation_push(s, 3); /* is not what was drafted */
        last = length_of_draft(s);
        assert_true(last <= first);
    }
    assert_int_equal(last, 0);
    for (int i = 0; i < 400; i++) {
        speculation_set(s, same, 10);
        last = length_of_draft(s);
        measure(s, 0.2); /* times count for a while only */
        for (uint32_t j = 0; j < last; j++)
            speculation_push(s, 0);
    }
    assert_true(last > first);
    speculation_close(s);
}

static void repetitions_are_drafted_and_accepted(void **state) {
    static struct answer a;
    static const struct sampler_bias always = {.token = 9, .bias = 1e4f};
    struct scene s;
    struct drafter *drafter;
    (void)state;
    open_scene(&s, stories, 128, 15);
    assert_int_equal(ngram_drafter_open(&drafter, 128, NULL), HEARTH_OK);
    struct speculation *speculation = open_speculation(drafter, 4, 15, 128);
    struct question q = {.prompt = once,
                         .n = 5,
                         .params = greedy(),
                         .options = {.max_tokens = 101, .ignore_end = true}};
    q.params.logit_bias = &always;
    q.params.n_logit_bias = 1;
    ask(&s, &q, speculation, &a);
    /* The first two are computed plainly, and each draft brings one more by itself. */
    assert_true(a.stats.n_accepted >= 98 * 4 / 5 && a.stats.n_accepted == a.stats.n_drafted);
    speculation_close(speculation);
    close_scene(&s);
}

static void failures_leave_the_session_usable(void **state) {
    static const char *const names[] = {stories, "arch/qwen35-dense/model.gguf"};
    (void)state;
    for (int f = 0; f < 2; f++) {
        struct scene s;
        hearth_error err = {0};
        uint32_t n;
        const int32_t good[] = {7, 8, 9}, bad[] = {7, 1 << 20};
        open_scene(&s, names[f], 32, 3);
        expect_ok(session_set(s.session, good, 3, NULL, NULL, NULL, &err), &err);
        assert_int_equal(session_append_drafts(s.session, 4, bad, 2, &err), HEARTH_ERROR_ARGUMENT);
        assert_int_equal(session_append_drafts(s.session, 4, good, 4, &err), HEARTH_ERROR_LIMIT);
        session_tokens(s.session, &n);
        assert_int_equal(n, 3);
        expect_ok(session_append_drafts(s.session, 4, good, 3, &err), &err);
        assert_true(session_is_ahead(s.session, 7));
        assert_false(session_is_ahead(s.session, 8));
        assert_int_equal(session_append(s.session, 1 << 20, &err), HEARTH_ERROR_ARGUMENT);
        session_tokens(s.session, &n);
        assert_int_equal(n, 4);
        assert_int_equal(context_sequence_length(s.context, 0), 4);
        assert_true(session_go_back(s.session, 3));
        assert_int_equal(session_go_back(s.session, 2), f == 0);
        assert_int_equal(context_sequence_length(s.context, 0), f == 0 ? 2 : 0);
        close_scene(&s);
    }
}

static void every_failed_allocation_is_reported(void **state) {
    (void)state;
    for (uint64_t n = 1;; n++) {
        const struct speculation_options options = {.max_draft = 4};
        struct oracle o = oracle_of(NULL, 0, 4, 0);
        struct speculation *speculation;
        mem_fail_after(n);
        hearth_status status = speculation_open(&speculation, &o.drafter, &options, 10, NULL);
        bool pending = mem_fail_pending();
        mem_fail_after(0);
        assert_int_equal(status, pending ? HEARTH_OK : HEARTH_ERROR_NO_MEMORY);
        if (!pending) assert_null(speculation);
        speculation_close(speculation);
        if (pending) break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_those_without_speculation),
        cmocka_unit_test(answers_end_at_the_same_place),
        cmocka_unit_test(the_end_of_an_answer_is_the_same),
        cmocka_unit_test(a_full_context_ends_or_shifts_the_same),
        cmocka_unit_test(drafts_are_as_long_as_they_pay),
        cmocka_unit_test(many_answers_draft_less),
        cmocka_unit_test(times_of_passes_are_of_late),
        cmocka_unit_test(drafts_follow_what_was_accepted),
        cmocka_unit_test(repetitions_are_drafted_and_accepted),
        cmocka_unit_test(failures_leave_the_session_usable),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("infer/speculation", tests, NULL, NULL);
}
