/* Callbacks that decide what is said: allowed tokens, words put into an answer, ends put off; and
 * prompts that are scored. */
#include "scheduling.h"

#include <math.h>

static const char tiny[] = "quantmodels/q4_0/model.gguf";
static const struct hall_options plain = {.n_ctx = HALL_CTX, .n_sequences = 3};

/* ---- words and allowed tokens ---- */

enum { MOST_SAID = 3 };

/* Says words after the tokens listed. */
struct speaker {
    struct heard heard;
    uint32_t after[MOST_SAID], n_said; /* tokens; how often words were said */
    int32_t words[MOST_SAID][4];
    bool said[MOST_HEARD];
    uint64_t allowed[8];
    unsigned refuse_after; /* questions for allowed tokens; 0: never */
    unsigned asked;
    struct scheduler_words last; /* if set, what is said instead of the end */
};

static enum scheduler_verdict speak(void *context, const struct scheduler_token *token,
                                    struct scheduler_words *words) {
    struct speaker *s = context;
    if (token->ends) {
        *words = s->last;
        s->last.n = 0;
        return SCHEDULER_SAY;
    }
    s->said[s->heard.n] = token->said;
    s->heard.tokens[s->heard.n++] = token->token;
    if (s->n_said == MOST_SAID || s->heard.n != s->after[s->n_said]) return SCHEDULER_GO_ON;
    *words = (struct scheduler_words){s->words[s->n_said++], 4};
    return SCHEDULER_SAY;
}

static bool allow(void *context, const uint64_t **allowed) {
    struct speaker *s = context;
    *allowed = s->allowed;
    return ++s->asked != s->refuse_after;
}

static void ask_speaker(struct hall *h, struct task *t, struct speaker *speaker, bool constrained) {
    struct scheduler_choice choice = {.params = &t->params, .context = speaker};
    struct scheduler_request request = request_of(t, &choice);
    hearth_error err = {0};
    request.ignore_end = speaker->last.n == 0; /* however the sampled tokens fall */
    request.callbacks.take = speak;
    if (constrained) request.callbacks.allowed = allow;
    expect_ok(scheduler_submit(h->scheduler, &request, &t->job, &err), &err);
    scheduler_finish(t->job);
}

/* The same by hand, with a session. */
static void expect_spoken(struct hall *h, const struct task *t, const struct speaker *speaker) {
    struct scene *s = &h->alone;
    struct sampler *sampler;
    struct sampler_result result;
    hearth_error err = {0};
    session_clear(s->session);
    expect_ok(sampler_open(&sampler, &t->params, s->model.config.n_vocab, &err), &err);
    for (uint32_t i = 0; i < t->n_prompt; i++)
        sampler_accept(sampler, t->prompt[i]);
    expect_ok(session_set(s->session, t->prompt, t->n_prompt, NULL, NULL, NULL, &err), &err);
    uint32_t next = 0, left = 0;
    for (uint32_t i = 0; i < t->max_tokens; i++) {
        expect_ok(
            sampler_sample(sampler, s->workspace, session_logits(s->session), NULL, &result, &err),
            &err);
        int32_t token = left > 0 ? speaker->words[next - 1][4 - left] : result.token;
        assert_int_equal(speaker->said[i], left > 0);
        assert_int_equal(speaker->heard.tokens[i], token);
        if (left > 0) left--;
        if (next < MOST_SAID && i + 1 == speaker->after[next]) next++, left = 4;
        sampler_accept(sampler, token);
        expect_ok(session_append(s->session, token, &err), &err);
    }
    sampler_close(sampler);
}

static void words_are_said_as_if_chosen(void **state) {
    static struct speaker speaker;
    static struct task t;
    struct hall h;
    (void)state;
    open_hall(&h, tiny, &plain);
    for (unsigned i = 0; i < 6; i++) {
        make_task(&t, 5 + i, &h.alone, 70);
        t.max_tokens = 60;
        /* The last replaces what is left of the one before. */
        speaker = (struct speaker){
            .after = {1 + i, 9 + i * 3, 11 + i * 3},
            .words = {{7, 8, 9, 10}, {100, 101, 102, 103}, {50, 50, 50, (int32_t)(3 + i)}}};
        ask_speaker(&h, &t, &speaker, false);
        assert_int_equal(speaker.heard.result.reason, SCHEDULER_LENGTH);
        assert_int_equal(speaker.heard.n, 60);
        expect_spoken(&h, &t, &speaker);
    }
    close_hall(&h);
}

static void wrong_words_fail_one_answer(void **state) {
    static struct speaker speaker;
    static struct task t, other;
    struct hall h;
    (void)state;
    open_hall(&h, tiny, &plain);
    make_task(&other, 3, &h.alone, 20);
    submit(&h, &other);
    make_task(&t, 4, &h.alone, 20);
    t.max_tokens = 30;
    speaker = (struct speaker){.after = {5}, .words = {{1, 2, 3, 1 << 20}}};
    ask_speaker(&h, &t, &speaker, false);
    assert_int_equal(speaker.heard.result.reason, SCHEDULER_FAILED);
    assert_int_equal(speaker.heard.result.status, HEARTH_ERROR_ARGUMENT);
    assert_non_null(strstr(speaker.heard.message, "1048576"));
    assert_int_equal(speaker.heard.n, 5);
    finish(&h, &other, "beside a failing one");
    close_hall(&h);
}

static void only_allowed_tokens_are_chosen(void **state) {
    static struct speaker speaker;
    static struct task t;
    struct hall h;
    (void)state;
    open_hall(&h, tiny, &plain);
    make_task(&t, 4, &h.alone, 20);
    t.max_tokens = 40;
    speaker = (struct speaker){.allowed = {0x00f0f00000000f00}};
    ask_speaker(&h, &t, &speaker, true);
    assert_int_equal(speaker.heard.n, 40);
    assert_int_equal(speaker.asked, 40);
    for (int i = 0; i < 40; i++)
        assert_true(speaker.heard.tokens[i] < 64 &&
                    speaker.allowed[0] >> speaker.heard.tokens[i] & 1);
    speaker = (struct speaker){.allowed = {0xff00}, .refuse_after = 7};
    ask_speaker(&h, &t, &speaker, true);
    assert_int_equal(speaker.heard.n, 6);
    assert_int_equal(speaker.heard.result.status, HEARTH_ERROR_NO_MEMORY);
    speaker = (struct speaker){.after = {100}};
    ask_speaker(&h, &t, &speaker, true); /* nothing is allowed */
    assert_int_equal(speaker.heard.result.status, HEARTH_ERROR_NOT_FOUND);
    close_hall(&h);
}

/* An end that is not wanted is replaced by words; a said end ends. */
static void the_end_can_be_put_off(void **state) {
    static const int32_t words[] = {300, 301}, end[] = {2};
    static struct speaker speaker;
    static struct task t;
    struct hall h;
    (void)state;
    open_hall(&h, stories, &plain);
    make_task(&t, 4, &h.alone, 20);
    t.max_tokens = 20;
    assert_true(tokenizer_is_end_of_generation(h.alone.tokenizer, 2));
    speaker = (struct speaker){.allowed = {1 << 2}, .last = {words, 2}};
    ask_speaker(&h, &t, &speaker, true);
    assert_int_equal(speaker.heard.result.reason, SCHEDULER_ENDED);
    assert_int_equal(speaker.heard.n, 2);
    assert_memory_equal(speaker.heard.tokens, words, sizeof words);
    assert_int_equal(speaker.asked, 2);
    speaker = (struct speaker){.allowed = {1 << 2}, .last = {end, 1}};
    ask_speaker(&h, &t, &speaker, true);
    assert_int_equal(speaker.heard.result.reason, SCHEDULER_ENDED);
    assert_int_equal(speaker.heard.n, 0);
    close_hall(&h);
}

/* ---- scores ---- */

struct scorer {
    struct heard heard;
    float logprobs[HALL_CTX];
    struct sampler_prob top[HALL_CTX];
    uint32_t n;
};

static void note_score(void *context, const struct scheduler_token *token) {
    struct scorer *s = context;
    assert_int_equal(token->n_top, 2);
    assert_true(token->top[0].logprob >= token->top[1].logprob);
    s->top[s->n] = token->top[0];
    s->logprobs[s->n++] = token->logprob;
}

static void submit_scored(struct hall *h, struct task *t, struct scorer *scorer) {
    struct scheduler_choice choice = {.params = &t->params, .context = scorer};
    struct scheduler_request request = request_of(t, &choice);
    hearth_error err = {0};
    *scorer = (struct scorer){0};
    request.callbacks.score = note_score;
    t->params.n_probs = 2;
    expect_ok(scheduler_submit(h->scheduler, &request, &t->job, &err), &err);
}

static void expect_scores(struct hall *h, const struct task *t, const struct scorer *scorer) {
    struct context *context = h->alone.context;
    uint32_t n_vocab = h->alone.model.config.n_vocab;
    float *rows = mem_alloc_array((size_t)t->n_prompt * n_vocab, sizeof *rows);
    struct context_part part = {
        .tokens = t->prompt, .n_tokens = t->n_prompt, .all_logits = true, .prompt = true};
    hearth_error err = {0};
    session_clear(h->alone.session);
    expect_ok(context_decode(context, &part, 1, rows, &err), &err);
    assert_int_equal(scorer->n, t->n_prompt - 1);
    for (uint32_t i = 0; i + 1 < t->n_prompt; i++) {
        const float *row = rows + (size_t)i * n_vocab;
        double total = 0;
        for (uint32_t v = 0; v < n_vocab; v++)
            total += exp((double)row[v]);
        double wanted = (double)row[t->prompt[i + 1]] - log(total);
        assert_true(fabs(wanted - (double)scorer->logprobs[i]) < 1e-4);
        for (uint32_t v = 0; v < n_vocab; v++)
            assert_true(row[v] <= row[scorer->top[i].token]);
    }
    context_sequence_truncate(context, 0, 0);
    mem_free(rows);
}

/* Each token once and in order, also of prompts that were computed before, that are longer than
 * a pass scores, or that lose their pages on the way. */
static void prompts_are_scored(void **state) {
    static struct scorer scorers[8];
    static struct task t[8];
    (void)state;
    for (uint32_t n_pages = 0; n_pages <= 9; n_pages += 9) {
        struct hall h;
        open_hall(&h, tiny,
                  &(struct hall_options){.n_ctx = HALL_CTX, .n_sequences = 4, .n_pages = n_pages});
        for (unsigned i = 0; i < 8; i++) {
            make_task(&t[i], 3 * (i % 4), &h.alone, 150);
            t[i].n_prompt += i % 2 * 75;
            t[i].priority = (int32_t)(i / 2);
            submit_scored(&h, &t[i], &scorers[i]);
        }
        for (unsigned i = 0; i < 8; i++) {
            scheduler_finish(t[i].job);
            expect_as_alone(&h, &t[i], "scored", &t[i].params, &scorers[i].heard);
            expect_scores(&h, &t[i], &scorers[i]);
            assert_int_equal(scorers[i].heard.result.n_reused, 0);
        }
        close_hall(&h);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_said_as_if_chosen),
        cmocka_unit_test(wrong_words_fail_one_answer),
        cmocka_unit_test(only_allowed_tokens_are_chosen),
        cmocka_unit_test(the_end_can_be_put_off),
        cmocka_unit_test(prompts_are_scored),
    };
    int failed = cmocka_run_group_tests_name("infer/scheduler_tokens", tests, NULL, NULL);
    hall_drafting = &lookup;
    return failed +
           cmocka_run_group_tests_name("infer/scheduler_tokens, drafting", tests, NULL, NULL);
}
