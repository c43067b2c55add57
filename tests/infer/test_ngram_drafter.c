/* Prompt lookup against its definition, found by comparing everything with everything,
 * while the timeline grows and is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "infer/ngram_drafter.h"

enum { CAPACITY = 600, LONGEST = 16, CANDIDATES = 8 };

static const uint32_t all_worth[DRAFT_CONFIDENCES] = {5, 6, 7, 8, 9, 10, 11, 12};

static struct draft propose(struct drafter *drafter, const int32_t *tokens, uint32_t n) {
    struct draft draft;
    hearth_error err = {0};
    assert_int_equal(drafter->propose(drafter, tokens, n, all_worth, &draft, &err), HEARTH_OK);
    return draft;
}

static uint32_t common_past(const int32_t *tokens, uint32_t place, uint32_t n) {
    uint32_t same = 0;
    while (same < LONGEST && same < place && tokens[place - 1 - same] == tokens[n - 1 - same])
        same++;
    return same;
}

/* Of the latest places with the longest n-gram that occurs at all: the longest past. */
static uint32_t expected_place(const int32_t *tokens, uint32_t n, uint32_t *past) {
    for (uint32_t size = NGRAM_MOST; size > 0; size--) {
        uint32_t best = 0, seen = 0;
        for (uint32_t place = n - 1; place > 0 && seen < CANDIDATES; place--) {
            uint32_t same = common_past(tokens, place, n);
            if (same < size) continue;
            seen++;
            if (best && same <= *past) continue;
            best = place;
            *past = same;
        }
        if (best) return best;
    }
    return 0;
}

static void expect_defined(struct drafter *drafter, const int32_t *tokens, uint32_t n) {
    uint32_t past = 0, place = expected_place(tokens, n, &past);
    struct draft draft = propose(drafter, tokens, n);
    if (place == 0) {
        assert_int_equal(draft.n, 0);
        return;
    }
    assert_true(draft.confidence < DRAFT_CONFIDENCES);
    assert_int_equal(draft.confidence < 4, past < 5);
    if (past < 5) assert_int_equal(draft.confidence, past - 1);
    if (past == LONGEST) assert_int_equal(draft.confidence, DRAFT_CONFIDENCES - 1);
    assert_int_equal(draft.n, all_worth[draft.confidence]);
    for (uint32_t i = 0; i < draft.n; i++)
        assert_int_equal(draft.tokens[i],
                         place + i < n ? tokens[place + i] : draft.tokens[i - (n - place)]);
}

static void drafts_follow_the_longest_latest_match(void **state) {
    int32_t tokens[CAPACITY];
    struct rng rng;
    (void)state;
    rng_seed(&rng, 5);
    for (unsigned vocabulary = 2; vocabulary < 300; vocabulary *= 3) {
        struct drafter *drafter;
        assert_int_equal(ngram_drafter_open(&drafter, CAPACITY, NULL), HEARTH_OK);
        for (uint32_t n = 1; n <= CAPACITY; n++) {
            bool copy = n > 40 && rng_u64(&rng) % 4;
            tokens[n - 1] = copy ? tokens[n - 30] : (int32_t)(rng_u64(&rng) % vocabulary);
            if (rng_u64(&rng) % 3 == 0) continue; /* not every token is asked about */
            expect_defined(drafter, tokens, n);
            if (rng_u64(&rng) % 40) continue;
            n -= (uint32_t)(rng_u64(&rng) % n);
            drafter->cut(drafter, tokens, n);
            expect_defined(drafter, tokens, n);
        }
        drafter->cut(drafter, tokens, 0);
        for (uint32_t n = 1; n < 50; n++) {
            tokens[n - 1] = (int32_t)(n * n % 7);
            expect_defined(drafter, tokens, n);
        }
        drafter->close(drafter);
    }
}

static void nothing_is_proposed_where_it_is_worth_nothing(void **state) {
    static const uint32_t worth[DRAFT_CONFIDENCES] = {[2] = 3};
    static const int32_t tokens[] = {1, 2, 3, 4, 1, 2, 3, 5, 2, 3, 9, 3};
    struct drafter *drafter;
    struct draft draft;
    (void)state;
    assert_int_equal(ngram_drafter_open(&drafter, CAPACITY, NULL), HEARTH_OK);
    drafter->propose(drafter, tokens, 7, worth, &draft, NULL); /* 1 2 3: a past of three */
    assert_int_equal(draft.n, 3);
    assert_int_equal(draft.tokens[0], 4);
    drafter->propose(drafter, tokens, 8, worth, &draft, NULL); /* 5: never before */
    assert_int_equal(draft.n, 0);
    drafter->propose(drafter, tokens, 10, worth, &draft, NULL); /* 2 3: of two */
    assert_int_equal(draft.n, 0);
    drafter->close(drafter);
}

static void every_failed_allocation_is_reported(void **state) {
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct drafter *drafter;
        mem_fail_after(n);
        hearth_status status = ngram_drafter_open(&drafter, CAPACITY, NULL);
        bool pending = mem_fail_pending();
        mem_fail_after(0);
        assert_int_equal(status, pending ? HEARTH_OK : HEARTH_ERROR_NO_MEMORY);
        if (pending)
            drafter->close(drafter);
        else
            assert_null(drafter);
        if (pending) break;
        assert_true(n < 100);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drafts_follow_the_longest_latest_match),
        cmocka_unit_test(nothing_is_proposed_where_it_is_worth_nothing),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("infer/ngram_drafter", tests, NULL, NULL);
}
