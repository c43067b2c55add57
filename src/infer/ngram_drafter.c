#include "infer/ngram_drafter.h"

#include <assert.h>

#include "base/mem.h"

enum {
    CANDIDATES = 8,   /* places compared at most, the latest first */
    LONGEST_PAST = 16 /* tokens compared at most: longer ones are as good */
};

/* A place is the index of the token after an n-gram; 0 is none. */
struct chain {
    uint32_t *heads;   /* [n_heads] the latest place of a hash */
    uint32_t *earlier; /* [capacity] the place before a place */
};

struct ngram_drafter {
    struct drafter drafter;
    uint32_t capacity, head_bits;
    uint32_t n_entered; /* places up to here are in the chains */
    struct chain chains[NGRAM_MOST];
};

/* Of the n tokens before `end`. */
static uint32_t hash_of(const struct ngram_drafter *d, const int32_t *end, uint32_t n) {
    uint64_t hash = n;
    for (uint32_t i = 1; i <= n; i++)
        hash = (hash ^ (uint32_t)end[-(int32_t)i]) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(hash >> (64 - d->head_bits));
}

/* The last place has no next token yet, so places up to n - 1 are entered. */
static void enter(struct ngram_drafter *d, const int32_t *tokens, uint32_t n) {
    for (; d->n_entered + 1 < n; d->n_entered++) {
        uint32_t place = d->n_entered + 1;
        for (uint32_t size = 1; size <= NGRAM_MOST && size <= place; size++) {
            struct chain *chain = &d->chains[size - 1];
            uint32_t *head = &chain->heads[hash_of(d, tokens + place, size)];
            chain->earlier[place] = *head;
            *head = place;
        }
    }
}

static void cut(struct drafter *drafter, const int32_t *tokens, uint32_t n) {
    struct ngram_drafter *d = (struct ngram_drafter *)drafter;
    for (; d->n_entered > 0 && d->n_entered >= n; d->n_entered--) {
        uint32_t place = d->n_entered;
        for (uint32_t size = 1; size <= NGRAM_MOST && size <= place; size++) {
            struct chain *chain = &d->chains[size - 1];
            chain->heads[hash_of(d, tokens + place, size)] = chain->earlier[place];
        }
    }
}

static uint32_t common_past(const int32_t *tokens, uint32_t place, uint32_t n) {
    uint32_t same = 0;
    while (same < LONGEST_PAST && same < place && tokens[place - 1 - same] == tokens[n - 1 - same])
        same++;
    return same;
}

/* The best place after the last `size` tokens, or 0; its common past in *longest. */
static uint32_t find(const struct ngram_drafter *d, const int32_t *tokens, uint32_t n,
                     uint32_t size, uint32_t *longest) {
    const struct chain *chain = &d->chains[size - 1];
    uint32_t best = 0, place = chain->heads[hash_of(d, tokens + n, size)];
    *longest = size - 1; /* less is a collision of the hash */
    for (uint32_t i = 0; place != 0 && i < CANDIDATES; i++, place = chain->earlier[place]) {
        uint32_t same = common_past(tokens, place, n);
        if (same <= *longest) continue;
        *longest = same;
        best = place;
    }
    return best;
}

static uint32_t confidence_of(uint32_t past) {
    if (past < 5) return past - 1;
    return past < 8 ? 4 : past < 12 ? 5 : past < LONGEST_PAST ? 6 : 7;
}

static hearth_status propose(struct drafter *drafter, const int32_t *tokens, uint32_t n,
                             const uint32_t worth[DRAFT_CONFIDENCES], struct draft *draft,
                             hearth_error *err) {
    struct ngram_drafter *d = (struct ngram_drafter *)drafter;
    uint32_t place = 0, past = 0;
    (void)err;
    assert(n <= d->capacity);
    enter(d, tokens, n);
    draft->n = 0;
    for (uint32_t size = n < NGRAM_MOST ? n : NGRAM_MOST; size > 0 && place == 0; size--)
        place = find(d, tokens, n, size, &past);
    if (place == 0) return HEARTH_OK;
    assert(place < n); /* what was entered has a next token */
    draft->confidence = confidence_of(past);
    draft->n = worth[draft->confidence];
    /* A text that repeats itself with a period shorter than the draft goes on doing so. */
    for (uint32_t i = 0, period = n - place; i < draft->n; i++)
        draft->tokens[i] = tokens[place + i % period];
    return HEARTH_OK;
}

static void close_drafter(struct drafter *drafter) {
    struct ngram_drafter *d = (struct ngram_drafter *)drafter;
    for (uint32_t i = 0; i < NGRAM_MOST; i++) {
        mem_free(d->chains[i].heads);
        mem_free(d->chains[i].earlier);
    }
    mem_free(d);
}

hearth_status ngram_drafter_open(struct drafter **drafter, uint32_t capacity, hearth_error *err) {
    *drafter = NULL;
    struct ngram_drafter *d = mem_calloc(1, sizeof *d);
    if (!d) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for prompt lookup");
    *d = (struct ngram_drafter){
        .drafter = {.propose = propose,
                    .cut = cut,
                    .close = close_drafter,
                    .chance = {0.3f, 0.45f, 0.55f, 0.6f, 0.7f, 0.8f, 0.85f, 0.9f}},
        .capacity = capacity,
        .head_bits = 8};
    while (d->head_bits < 31 && (UINT32_C(1) << d->head_bits) < capacity)
        d->head_bits++;
    for (uint32_t i = 0; i < NGRAM_MOST; i++) {
        d->chains[i].heads = mem_calloc((size_t)1 << d->head_bits, sizeof *d->chains[i].heads);
        d->chains[i].earlier = mem_calloc(capacity, sizeof *d->chains[i].earlier);
        if (d->chains[i].heads && d->chains[i].earlier) continue;
        close_drafter(&d->drafter);
        return error_set(err, HEARTH_ERROR_NO_MEMORY,
                         "no memory to look up a timeline of %u tokens", capacity);
    }
    *drafter = &d->drafter;
    return HEARTH_OK;
}
