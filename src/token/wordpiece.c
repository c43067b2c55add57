#include "token/wordpiece.h"

#include <stdio.h>

#include "base/mem.h"
#include "token/utf8.h"

void wordpiece_close(struct wordpiece *w) {
    if (!w) return;
    trie_release(&w->trie);
    mem_free(w);
}

static uint32_t walk(const struct trie *trie, const char *text, size_t n, bool *exists) {
    uint32_t node = 0;
    *exists = true;
    for (size_t i = 0; i < n && *exists; i++) {
        node = trie_step(trie, node, (unsigned char)text[i]);
        *exists = node != 0;
    }
    return node;
}

hearth_status wordpiece_open(struct wordpiece **out, const struct vocabulary *vocabulary,
                             const char *continuation, const char *start_mark,
                             size_t max_word_chars, int32_t unknown, hearth_error *err) {
    *out = NULL;
    struct wordpiece *w = mem_calloc(1, sizeof *w);
    bool ok = w != NULL;
    for (size_t id = 0; ok && id < vocabulary_count(vocabulary); id++) {
        struct text t = vocabulary_text(vocabulary, id);
        if (t.length && t.length <= TOKEN_MAX_SEARCH_BYTES)
            ok = trie_add(&w->trie, t.data, t.length, (int32_t)id);
    }
    if (!ok) {
        wordpiece_close(w);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the vocabulary's pieces");
    }
    w->inside = walk(&w->trie, continuation, strlen(continuation), &w->has_inside);
    w->start_mark_length = strlen(start_mark);
    snprintf(w->start_mark, sizeof w->start_mark, "%s", start_mark);
    w->max_word_chars = max_word_chars;
    w->unknown = unknown;
    *out = w;
    return HEARTH_OK;
}

/* The longest token from `node` on along text; its length in *length. */
static int32_t longest(const struct wordpiece *w, uint32_t node, const char *text, size_t n,
                       size_t *length) {
    int32_t best = TOKEN_NONE;
    for (size_t i = 0; i < n; i++) {
        node = trie_step(&w->trie, node, (unsigned char)text[i]);
        if (!node) break;
        if (trie_value(&w->trie, node) < 0) continue;
        best = trie_value(&w->trie, node);
        *length = i + 1;
    }
    return best;
}

static bool is_too_long(const struct wordpiece *w, const char *word, size_t n) {
    if (n <= w->max_word_chars) return false;
    size_t chars = 0;
    for (size_t i = 0; i < n; i++)
        chars += ((unsigned char)word[i] & 0xC0) != 0x80;
    return chars > w->max_word_chars;
}

/* The first piece with the start mark: the walk goes through the mark, and a token
 * that is (a part of) the mark alone counts as well. */
static int32_t first_piece(const struct wordpiece *w, const char *word, size_t n, size_t *length) {
    if (w->start_mark_length == 0) return longest(w, 0, word, n, length);
    bool exists;
    uint32_t node = walk(&w->trie, w->start_mark, w->start_mark_length, &exists);
    if (!exists) return TOKEN_NONE;
    *length = 0;
    int32_t id = longest(w, node, word, n, length);
    return id >= 0 ? id : trie_value(&w->trie, node);
}

bool wordpiece_encode(const struct wordpiece *w, const char *word, size_t n,
                      struct token_list *out) {
    size_t before = out->count, at = 0, length = 0;
    bool spelt = n > 0 && !is_too_long(w, word, n);
    if (n == 0) return true;
    for (bool is_first = true; spelt && (at < n || is_first); is_first = false) {
        int32_t id = TOKEN_NONE;
        if (is_first)
            id = first_piece(w, word, n, &length);
        else if (w->has_inside)
            id = longest(w, w->inside, word + at, n - at, &length);
        spelt = id >= 0;
        if (spelt && !token_list_append(out, &id, 1)) return false;
        at += length;
    }
    if (spelt) return true;
    out->count = before;
    return w->unknown < 0 || token_list_append(out, &w->unknown, 1);
}
