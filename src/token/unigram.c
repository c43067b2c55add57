#include "token/unigram.h"

#include <float.h>
#include <stdio.h>

#include "base/mem.h"
#include "token/utf8.h"

static const double unknown_penalty = 10;

void unigram_close(struct unigram *u) {
    if (!u) return;
    trie_release(&u->trie);
    mem_free(u);
}

void unigram_scratch_release(struct unigram_scratch *scratch) {
    mem_free(scratch->places);
    *scratch = (struct unigram_scratch){0};
}

static bool add_tokens(struct unigram *u) {
    const struct vocabulary *v = u->vocabulary;
    double lowest = DBL_MAX;
    for (size_t id = 0; id < vocabulary_count(v); id++) {
        struct text t = vocabulary_text(v, id);
        double score = (double)v->scores[id];
        if (v->bits[id] & TOKEN_BIT_NORMAL && score < lowest) lowest = score;
        bool is_matched =
            v->bits[id] & (TOKEN_BIT_NORMAL | TOKEN_BIT_USER_DEFINED | TOKEN_BIT_UNUSED);
        if (is_matched && t.length && t.length <= TOKEN_MAX_SEARCH_BYTES && score == score &&
            !trie_add(&u->trie, t.data, t.length, (int32_t)id))
            return false;
    }
    u->unknown_score = (lowest == DBL_MAX ? 0 : lowest) - unknown_penalty;
    return true;
}

hearth_status unigram_open(struct unigram **out, const struct vocabulary *vocabulary,
                           int32_t unknown, bool byte_fallback, hearth_error *err) {
    *out = NULL;
    struct unigram *u = mem_calloc(1, sizeof *u);
    if (u) u->vocabulary = vocabulary;
    if (!u || !add_tokens(u)) {
        unigram_close(u);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the vocabulary's pieces");
    }
    u->unknown = unknown;
    u->byte_fallback = byte_fallback;
    for (unsigned byte = 0; byte < 256; byte++) {
        char spelling[8];
        snprintf(spelling, sizeof spelling, "<0x%02X>", byte);
        u->byte_ids[byte] = vocabulary_find(vocabulary, spelling, 6);
        u->byte_fallback = u->byte_fallback && u->byte_ids[byte] >= 0;
    }
    *out = u;
    return HEARTH_OK;
}

static void offer(struct unigram_place *place, double score, size_t from, int32_t id) {
    if (score > place->score) *place = (struct unigram_place){score, (uint32_t)from, id};
}

static size_t char_length(const char *text, size_t n) {
    size_t length = utf8_lead_length((unsigned char)text[0]);
    return length < n ? length : n;
}

/* Extends the best way to `at` by every token that begins there. */
static void extend(const struct unigram *u, struct unigram_place *places, const char *text,
                   size_t at, size_t n, size_t length) {
    double base = places[at].score;
    bool covered = false;
    uint32_t node = 0;
    for (size_t end = at; end < n;) {
        node = trie_step(&u->trie, node, (unsigned char)text[end++]);
        if (!node) break;
        int32_t id = trie_value(&u->trie, node);
        if (id < 0) continue;
        covered = covered || end - at == length;
        bool is_free = u->vocabulary->bits[id] & TOKEN_BIT_USER_DEFINED;
        offer(&places[end], base + (is_free ? 0 : (double)u->vocabulary->scores[id]), at, id);
    }
    if (!covered) offer(&places[at + length], base + u->unknown_score, at, TOKEN_NONE);
}

static bool emit_unknown(const struct unigram *u, const char *text, size_t n, bool *after_unknown,
                         struct token_list *out) {
    if (u->byte_fallback) {
        for (size_t i = 0; i < n; i++)
            if (!token_list_append(out, &u->byte_ids[(unsigned char)text[i]], 1)) return false;
        return true;
    }
    bool repeats = *after_unknown;
    *after_unknown = true;
    return repeats || u->unknown < 0 || token_list_append(out, &u->unknown, 1);
}

/* Appends the ids of the best way. */
static bool emit_best(const struct unigram *u, struct unigram_place *places, const char *text,
                      size_t n, struct token_list *out) {
    /* The chain backwards becomes a chain forwards: `from` now holds where a piece ends. */
    uint32_t end = (uint32_t)n;
    struct unigram_place here = places[n];
    while (end > 0) {
        uint32_t begin = here.from;
        int32_t id = here.id;
        here = places[begin];
        places[begin].from = end;
        places[begin].id = id;
        end = begin;
    }
    bool after_unknown = false;
    for (uint32_t at = 0; at < n; at = places[at].from) {
        int32_t id = places[at].id;
        if (id < 0 || id == u->unknown) {
            if (!emit_unknown(u, text + at, places[at].from - at, &after_unknown, out))
                return false;
            continue;
        }
        after_unknown = false;
        if (!token_list_append(out, &id, 1)) return false;
    }
    return true;
}

bool unigram_encode(const struct unigram *u, struct unigram_scratch *s, const char *text, size_t n,
                    struct token_list *out) {
    if (n == 0) return true;
    if (n + 1 > s->capacity) {
        struct unigram_place *places = mem_realloc_array(s->places, n + 1, sizeof *places);
        if (!places) return false;
        s->places = places;
        s->capacity = n + 1;
    }
    s->places[0] = (struct unigram_place){0, 0, TOKEN_NONE};
    for (size_t i = 1; i <= n; i++)
        s->places[i] = (struct unigram_place){-DBL_MAX, 0, TOKEN_NONE};
    for (size_t at = 0, length; at < n; at += length) {
        length = char_length(text + at, n - at);
        if (s->places[at].score > -DBL_MAX) extend(u, s->places, text, at, n, length);
    }
    return emit_best(u, s->places, text, n, out);
}
