#include "token/added_tokens.h"

#include <stdlib.h>

#include "base/mem.h"
#include "token/unicode_class.h"
#include "token/utf8.h"

void segment_list_release(struct segment_list *list) {
    mem_free(list->items);
    *list = (struct segment_list){0};
}

bool segment_list_append(struct segment_list *list, struct segment segment) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 16;
        struct segment *items = mem_realloc_array(list->items, capacity, sizeof *items);
        if (!items) return false;
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = segment;
    return true;
}

void added_tokens_release(struct added_tokens *added) {
    trie_release(&added->trie);
    *added = (struct added_tokens){0};
}

bool added_tokens_add(struct added_tokens *added, int32_t id, struct text spelling) {
    if (spelling.length == 0 || spelling.length > TOKEN_MAX_SEARCH_BYTES) return true;
    added->starts[(unsigned char)spelling.data[0]] = true;
    return trie_add(&added->trie, spelling.data, spelling.length, id);
}

struct match {
    size_t length;
    int32_t id;
};

/* The longest token at text[0 .. n) that may be used; length 0: none. */
static struct match longest_at(const struct added_tokens *added, const char *text, size_t n,
                               bool parse_special) {
    struct match best = {0, TOKEN_NONE};
    uint32_t node = 0;
    for (size_t i = 0; i < n; i++) {
        node = trie_step(&added->trie, node, (unsigned char)text[i]);
        if (!node) break;
        int32_t id = trie_value(&added->trie, node);
        if (id < 0) continue;
        bool is_special = added->vocabulary->bits[id] & (TOKEN_BIT_CONTROL | TOKEN_BIT_UNKNOWN);
        if (is_special && !parse_special) continue;
        best = (struct match){i + 1, id};
    }
    return best;
}

/* ---- leftmost, longest -------------------------------------------------------- */

static size_t spaces_before(const char *text, size_t least, size_t at) {
    while (at > least) {
        size_t begin = at - 1;
        while (begin > least && ((unsigned char)text[begin] & 0xC0) == 0x80)
            begin--;
        uint32_t code;
        utf8_next(text + begin, at - begin, &code);
        if (!unicode_is_space(code)) break;
        at = begin;
    }
    return at;
}

static size_t spaces_after(const char *text, size_t at, size_t n) {
    while (at < n) {
        uint32_t code;
        size_t length = utf8_next(text + at, n - at, &code);
        if (!unicode_is_space(code)) break;
        at += length;
    }
    return at;
}

static bool stands_alone(const char *text, size_t n, size_t begin, size_t end) {
    uint32_t code;
    if (begin) {
        size_t before = begin - 1;
        while (before && ((unsigned char)text[before] & 0xC0) == 0x80)
            before--;
        utf8_next(text + before, begin - before, &code);
        if (unicode_is_word(code)) return false;
    }
    if (end == n) return true;
    utf8_next(text + end, n - end, &code);
    return !unicode_is_word(code);
}

static bool split_leftmost(const struct added_tokens *added, const char *text, size_t n,
                           bool parse_special, struct segment_list *out) {
    size_t done = 0;
    for (size_t at = 0; at < n;) {
        struct match match = {0, TOKEN_NONE};
        if (added->starts[(unsigned char)text[at]])
            match = longest_at(added, text + at, n - at, parse_special);
        if (match.length == 0) {
            at++;
            continue;
        }
        unsigned bits = added->vocabulary->bits[match.id];
        size_t begin = at, end = at + match.length;
        at = end;
        if (bits & TOKEN_BIT_SINGLE_WORD && !stands_alone(text, n, begin, end)) continue;
        if (bits & TOKEN_BIT_LSTRIP) begin = spaces_before(text, done, begin);
        if (bits & TOKEN_BIT_RSTRIP) end = spaces_after(text, end, n);
        if (begin > done && !segment_list_append(out, (struct segment){done, begin, TOKEN_NONE}))
            return false;
        if (!segment_list_append(out, (struct segment){begin, end, match.id})) return false;
        done = end;
        at = end;
    }
    return done == n || segment_list_append(out, (struct segment){done, n, TOKEN_NONE});
}

/* ---- longest first -------------------------------------------------------------- */

/* The best token at each place, in a heap: longer first, then lower id, then place. */
struct claim {
    uint64_t key; /* ~length << 32 | id */
    size_t at;
};

struct claims {
    struct claim *heap;
    size_t count, capacity;
    unsigned char *taken; /* per byte of the text */
};

static bool claim_before(struct claim a, struct claim b) {
    return a.key < b.key || (a.key == b.key && a.at < b.at);
}

static bool claim_push(struct claims *c, struct match match, size_t place) {
    if (c->count == c->capacity) {
        size_t capacity = c->capacity ? c->capacity * 2 : 32;
        struct claim *heap = mem_realloc_array(c->heap, capacity, sizeof *heap);
        if (!heap) return false;
        c->heap = heap;
        c->capacity = capacity;
    }
    struct claim claim = {
        (uint64_t)(UINT32_MAX - (uint32_t)match.length) << 32 | (uint32_t)match.id, place};
    size_t at = c->count++;
    for (; at && claim_before(claim, c->heap[(at - 1) / 2]); at = (at - 1) / 2)
        c->heap[at] = c->heap[(at - 1) / 2];
    c->heap[at] = claim;
    return true;
}

static struct claim claim_pop(struct claims *c) {
    struct claim top = c->heap[0], last = c->heap[--c->count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < c->count; at = child) {
        if (child + 1 < c->count && claim_before(c->heap[child + 1], c->heap[child])) child++;
        if (!claim_before(c->heap[child], last)) break;
        c->heap[at] = c->heap[child];
    }
    c->heap[at] = last;
    return top;
}

static bool is_ascii_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Takes the token's bytes and the white space its bits ask for. */
static struct segment take(const struct added_tokens *added, struct claims *c, const char *text,
                           size_t n, struct match match, size_t at) {
    struct segment s = {at, at + match.length, match.id};
    unsigned bits = added->vocabulary->bits[match.id];
    if (bits & TOKEN_BIT_LSTRIP)
        while (s.begin && !c->taken[s.begin - 1] && is_ascii_space(text[s.begin - 1]))
            s.begin--;
    if (bits & TOKEN_BIT_RSTRIP)
        while (s.end < n && !c->taken[s.end] && is_ascii_space(text[s.end]))
            s.end++;
    memset(c->taken + s.begin, 1, s.end - s.begin);
    return s;
}

/* Accepts claims in order; what is taken was at least as long, so it covers an end
 * of a claim it overlaps. A claim cut short at its end may be met by a shorter token. */
static bool settle(const struct added_tokens *added, struct claims *c, const char *text, size_t n,
                   bool parse_special, struct segment_list *accepted) {
    while (c->count) {
        struct claim claim = claim_pop(c);
        if (c->taken[claim.at]) continue;
        struct match match = {UINT32_MAX - (claim.key >> 32), (int32_t)(claim.key & UINT32_MAX)};
        if (!c->taken[claim.at + match.length - 1]) {
            if (!segment_list_append(accepted, take(added, c, text, n, match, claim.at)))
                return false;
            continue;
        }
        size_t left = 1;
        while (!c->taken[claim.at + left])
            left++;
        match = longest_at(added, text + claim.at, left, parse_special);
        if (match.length && !claim_push(c, match, claim.at)) return false;
    }
    return true;
}

static int compare_places(const void *a, const void *b) {
    const struct segment *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

static bool fill_gaps(struct segment_list *accepted, size_t n, struct segment_list *out) {
    if (accepted->count)
        qsort(accepted->items, accepted->count, sizeof *accepted->items, compare_places);
    size_t done = 0;
    for (size_t i = 0; i < accepted->count; i++) {
        struct segment s = accepted->items[i];
        if (s.begin > done &&
            !segment_list_append(out, (struct segment){done, s.begin, TOKEN_NONE}))
            return false;
        if (!segment_list_append(out, s)) return false;
        done = s.end;
    }
    return done == n || segment_list_append(out, (struct segment){done, n, TOKEN_NONE});
}

static bool split_longest_first(const struct added_tokens *added, const char *text, size_t n,
                                bool parse_special, struct segment_list *out) {
    struct claims claims = {0};
    struct segment_list accepted = {0};
    bool ok = true;
    for (size_t at = 0; ok && at < n; at++) {
        if (!added->starts[(unsigned char)text[at]]) continue;
        struct match match = longest_at(added, text + at, n - at, parse_special);
        if (match.length) ok = claim_push(&claims, match, at);
    }
    if (ok && claims.count) {
        claims.taken = mem_calloc(n, 1);
        ok = claims.taken && settle(added, &claims, text, n, parse_special, &accepted);
    }
    ok = ok && fill_gaps(&accepted, n, out);
    mem_free(claims.heap);
    mem_free(claims.taken);
    segment_list_release(&accepted);
    return ok;
}

bool added_tokens_split(const struct added_tokens *added, const char *text, size_t n,
                        bool parse_special, struct segment_list *out) {
    return added->leftmost ? split_leftmost(added, text, n, parse_special, out)
                           : split_longest_first(added, text, n, parse_special, out);
}
