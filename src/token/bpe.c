/* Applies merges to a piece. Short pieces: scan for the lowest rank and close up the
 * row, all in two cache lines. Long pieces: a linked row and a heap of pairs, so that
 * a megabyte of one letter costs n log n. */
#include "token/bpe.h"

#include "base/mem.h"
#include "token/bpe_tables.h"

enum { SHORT_SYMBOLS = 40, CACHE_SLOTS = 1 << 14, CACHE_WORD_BYTES = 26, CACHE_WORD_IDS = 8 };

/* 64 bytes. The first slot whose hash matches is compared; a newer word replaces. */
struct cached_word {
    uint32_t hash;
    uint8_t length, n_ids;
    char word[CACHE_WORD_BYTES];
    int32_t ids[CACHE_WORD_IDS];
};

struct node {
    uint32_t symbol, length;
    int32_t previous, next;
};

/* Ordered by rank, then by place. */
struct candidate {
    uint64_t key; /* rank << 32 | left node */
    uint32_t left, right;
};

struct bpe_scratch {
    struct cached_word *cache;
    struct node *nodes;
    size_t nodes_capacity;
    struct candidate *heap;
    size_t heap_count, heap_capacity;
    struct buf spelling;
};

hearth_status bpe_scratch_open(struct bpe_scratch **out, hearth_error *err) {
    struct bpe_scratch *scratch = mem_calloc(1, sizeof *scratch);
    if (scratch) scratch->cache = mem_calloc(CACHE_SLOTS, sizeof *scratch->cache);
    if (!scratch || !scratch->cache) {
        bpe_scratch_close(scratch);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the tokenizer's word cache");
    }
    buf_init(&scratch->spelling, SIZE_MAX / 2);
    *out = scratch;
    return HEARTH_OK;
}

void bpe_scratch_close(struct bpe_scratch *scratch) {
    if (!scratch) return;
    mem_free(scratch->cache);
    mem_free(scratch->nodes);
    mem_free(scratch->heap);
    buf_release(&scratch->spelling);
    mem_free(scratch);
}

/* ---- characters to symbols, symbols to ids ---------------------------------- */

static uint32_t char_to_symbol(const struct bpe *bpe, const char *data, size_t length) {
    if (length == 1) return bpe->first[(unsigned char)data[0]];
    uint32_t key = char_key(data, length);
    size_t mask = bpe->chars_size - 1, at = char_slot(key, mask);
    for (; bpe->chars[at].key; at = (at + 1) & mask)
        if (bpe->chars[at].key == key) return bpe->chars[at].symbol;
    return SYMBOL_NONE;
}

static size_t next_char(const struct bpe *bpe, const char *data, size_t n, uint32_t *symbol) {
    size_t length = bpe->options.byte_level ? 1 : char_length(data, n);
    *symbol = char_to_symbol(bpe, data, length);
    return length;
}

static bool emit_unknown(const struct bpe *bpe, size_t n_chars, bool *after_unknown,
                         struct token_list *out) {
    int32_t id = bpe->options.unknown;
    if (id < 0) return true;
    for (size_t i = 0; i < n_chars; i++) {
        if (bpe->options.fuse_unknown && *after_unknown) return true;
        if (!token_list_append(out, &id, 1)) return false;
        *after_unknown = true;
    }
    return true;
}

/* A symbol that is no token: its bytes, or the unknown token. */
static bool emit_bytes(const struct bpe *bpe, const char *data, size_t n, bool *after_unknown,
                       struct token_list *out) {
    if (bpe->options.byte_level) {
        for (size_t i = 0; i < n; i++) {
            int32_t id = bpe->byte_ids[(unsigned char)data[i]];
            if (id >= 0 && !token_list_append(out, &id, 1)) return false;
        }
        return true;
    }
    for (size_t at = 0, length; at < n; at += length) {
        length = char_length(data + at, n - at);
        bool all = bpe->options.byte_fallback;
        for (size_t i = 0; all && i < length; i++)
            all = bpe->byte_ids[(unsigned char)data[at + i]] >= 0;
        if (!all && !emit_unknown(bpe, 1, after_unknown, out)) return false;
        for (size_t i = 0; all && i < length; i++)
            if (!token_list_append(out, &bpe->byte_ids[(unsigned char)data[at + i]], 1))
                return false;
        if (all) *after_unknown = false;
    }
    return true;
}

static bool emit(const struct bpe *bpe, uint32_t symbol, const char *data, size_t length,
                 bool *after_unknown, struct token_list *out) {
    if (symbol >= bpe->n_vocab) return emit_bytes(bpe, data, length, after_unknown, out);
    int32_t id = (int32_t)symbol;
    *after_unknown = false;
    return token_list_append(out, &id, 1);
}

/* ---- short pieces ------------------------------------------------------------ */

struct row {
    size_t count;
    uint32_t symbol[SHORT_SYMBOLS], length[SHORT_SYMBOLS];
    uint32_t rank[SHORT_SYMBOLS], result[SHORT_SYMBOLS]; /* of the pair (i, i + 1) */
};

static void rate_pair(const struct bpe *bpe, struct row *row, size_t i) {
    row->rank[i] = RANK_NONE;
    if (i + 1 >= row->count) return;
    const struct merge *merge = bpe_find_merge(bpe, row->symbol[i], row->symbol[i + 1]);
    if (!merge) return;
    row->rank[i] = merge->rank;
    row->result[i] = merge->result;
}

static void close_up(uint32_t *array, size_t at, size_t count) {
    memmove(array + at, array + at + 1, (count - at - 1) * sizeof *array);
}

static bool encode_short(const struct bpe *bpe, struct row *row, const char *piece,
                         struct token_list *out) {
    for (size_t i = 0; i < row->count; i++)
        rate_pair(bpe, row, i);
    for (;;) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < row->count; i++)
            if (row->rank[i] < row->rank[best]) best = i;
        if (row->count < 2 || row->rank[best] == RANK_NONE) break;
        row->symbol[best] = row->result[best];
        row->length[best] += row->length[best + 1];
        close_up(row->symbol, best + 1, row->count);
        close_up(row->length, best + 1, row->count);
        close_up(row->rank, best + 1, row->count);
        close_up(row->result, best + 1, row->count);
        row->count--;
        rate_pair(bpe, row, best);
        if (best) rate_pair(bpe, row, best - 1);
    }
    bool after_unknown = false;
    for (size_t i = 0, at = 0; i < row->count; at += row->length[i++])
        if (!emit(bpe, row->symbol[i], piece + at, row->length[i], &after_unknown, out))
            return false;
    return true;
}

/* ---- long pieces ------------------------------------------------------------- */

static bool heap_push(struct bpe_scratch *s, struct candidate c) {
    if (s->heap_count == s->heap_capacity) {
        size_t capacity = s->heap_capacity ? s->heap_capacity * 2 : 256;
        struct candidate *heap = mem_realloc_array(s->heap, capacity, sizeof *heap);
        if (!heap) return false;
        s->heap = heap;
        s->heap_capacity = capacity;
    }
    size_t at = s->heap_count++;
    for (; at && s->heap[(at - 1) / 2].key > c.key; at = (at - 1) / 2)
        s->heap[at] = s->heap[(at - 1) / 2];
    s->heap[at] = c;
    return true;
}

static struct candidate heap_pop(struct bpe_scratch *s) {
    struct candidate top = s->heap[0], last = s->heap[--s->heap_count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < s->heap_count; at = child) {
        if (child + 1 < s->heap_count && s->heap[child + 1].key < s->heap[child].key) child++;
        if (s->heap[child].key >= last.key) break;
        s->heap[at] = s->heap[child];
    }
    s->heap[at] = last;
    return top;
}

static bool push_pair(const struct bpe *bpe, struct bpe_scratch *s, int32_t left) {
    if (left < 0 || s->nodes[left].next < 0) return true;
    uint32_t a = s->nodes[left].symbol, b = s->nodes[s->nodes[left].next].symbol;
    const struct merge *merge = bpe_find_merge(bpe, a, b);
    if (!merge) return true;
    return heap_push(s, (struct candidate){(uint64_t)merge->rank << 32 | (uint32_t)left, a, b});
}

static bool split_nodes(const struct bpe *bpe, struct bpe_scratch *s, const char *piece, size_t n) {
    if (n > s->nodes_capacity) {
        struct node *nodes = mem_realloc_array(s->nodes, n, sizeof *nodes);
        if (!nodes) return false;
        s->nodes = nodes;
        s->nodes_capacity = n;
    }
    int32_t count = 0;
    for (size_t at = 0; at < n; count++) {
        struct node *node = &s->nodes[count];
        size_t length = next_char(bpe, piece + at, n - at, &node->symbol);
        node->length = (uint32_t)length;
        node->previous = count - 1;
        at += length;
        node->next = at < n ? count + 1 : -1;
    }
    s->heap_count = 0;
    for (int32_t i = 0; i < count; i++)
        if (!push_pair(bpe, s, i)) return false;
    return true;
}

/* A candidate is stale when its left node is gone or either symbol has changed. A
 * merged node's symbol becomes SYMBOL_NONE and its length 0. */
static bool is_current(const struct bpe_scratch *s, struct candidate c, int32_t left) {
    const struct node *node = &s->nodes[left];
    return node->length && node->symbol == c.left && node->next >= 0 &&
           s->nodes[node->next].symbol == c.right;
}

static bool encode_long(const struct bpe *bpe, struct bpe_scratch *s, const char *piece, size_t n,
                        struct token_list *out) {
    if (!split_nodes(bpe, s, piece, n)) return false;
    while (s->heap_count) {
        struct candidate c = heap_pop(s);
        int32_t left = (int32_t)(c.key & UINT32_MAX);
        if (!is_current(s, c, left)) continue;
        struct node *a = &s->nodes[left], *b = &s->nodes[a->next];
        a->symbol = bpe_find_merge(bpe, c.left, c.right)->result;
        a->length += b->length;
        b->length = 0;
        b->symbol = SYMBOL_NONE;
        a->next = b->next;
        if (b->next >= 0) s->nodes[b->next].previous = left;
        if (!push_pair(bpe, s, a->previous) || !push_pair(bpe, s, left)) return false;
    }
    bool after_unknown = false;
    size_t at = 0;
    for (int32_t i = 0; i >= 0; i = s->nodes[i].next) {
        const struct node *node = &s->nodes[i];
        if (!emit(bpe, node->symbol, piece + at, node->length, &after_unknown, out)) return false;
        at += node->length;
    }
    return true;
}

/* ---- pieces ------------------------------------------------------------------ */

/* The token a whole piece is spelt as, or TOKEN_NONE; false when memory is exhausted. */
static bool find_whole(const struct bpe *bpe, struct bpe_scratch *s, const char *piece, size_t n,
                       int32_t *id) {
    *id = TOKEN_NONE;
    if (n > bpe->max_token_bytes) return true;
    if (!bpe->options.byte_level) {
        *id = vocabulary_find(bpe->vocabulary, piece, n);
        return true;
    }
    buf_clear(&s->spelling);
    for (size_t i = 0; i < n; i++) {
        char text[UTF8_MAX_BYTES];
        size_t length = utf8_encode(byte_alphabet_char((unsigned char)piece[i]), text);
        if (!buf_append(&s->spelling, text, length)) return false;
    }
    *id = vocabulary_find(bpe->vocabulary, s->spelling.data, s->spelling.length);
    return true;
}

static bool merge_word(const struct bpe *bpe, struct bpe_scratch *s, const char *word, size_t n,
                       struct token_list *out) {
    struct row row;
    row.count = 0;
    size_t at = 0;
    for (; at < n && row.count < SHORT_SYMBOLS; row.count++) {
        size_t length = next_char(bpe, word + at, n - at, &row.symbol[row.count]);
        row.length[row.count] = (uint32_t)length;
        at += length;
    }
    return at == n ? encode_short(bpe, &row, word, out) : encode_long(bpe, s, word, n, out);
}

/* `whole`: the word is a whole piece, so it may be looked up as one token. */
static bool encode_word(const struct bpe *bpe, struct bpe_scratch *s, const char *word, size_t n,
                        bool whole, struct token_list *out) {
    uint64_t hash = string_hash(word, n) + whole;
    struct cached_word *slot = &s->cache[hash & (CACHE_SLOTS - 1)];
    uint32_t check = (uint32_t)(hash >> 32) | 1; /* never 0: zeroed slots are free */
    bool cacheable = n <= CACHE_WORD_BYTES;
    if (cacheable && slot->hash == check && slot->length == n && memcmp(slot->word, word, n) == 0)
        return token_list_append(out, slot->ids, slot->n_ids);
    size_t before = out->count;
    int32_t id = TOKEN_NONE;
    if (whole && !find_whole(bpe, s, word, n, &id)) return false;
    if (id >= 0 ? !token_list_append(out, &id, 1) : !merge_word(bpe, s, word, n, out)) return false;
    if (cacheable && out->count - before <= CACHE_WORD_IDS) {
        slot->hash = check;
        slot->length = (uint8_t)n;
        slot->n_ids = (uint8_t)(out->count - before);
        memcpy(slot->word, word, n);
        if (slot->n_ids) memcpy(slot->ids, out->ids + before, slot->n_ids * sizeof *slot->ids);
    }
    return true;
}

/* May the piece be cut between the character before and the U+2581 at `at`? */
static bool may_cut(const struct bpe *bpe, const char *piece, size_t previous, size_t at) {
    uint32_t key = char_key(piece + previous, at - previous);
    if (key == 0) return false;
    size_t mask = bpe->glued_size - 1, slot = char_slot(key, mask);
    for (; bpe->glued[slot]; slot = (slot + 1) & mask)
        if (bpe->glued[slot] == key) return false;
    return true;
}

static size_t word_length(const struct bpe *bpe, const char *piece, size_t n) {
    size_t previous = 0, at = char_length(piece, n);
    while (at < n) {
        size_t length = char_length(piece + at, n - at);
        if (length == 3 && memcmp(piece + at, "\xE2\x96\x81", 3) == 0 &&
            may_cut(bpe, piece, previous, at))
            return at;
        previous = at;
        at += length;
    }
    return n;
}

static bool only_newlines(const char *piece, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (piece[i] != '\n') return false;
    return true;
}

bool bpe_encode(const struct bpe *bpe, struct bpe_scratch *s, const char *piece, size_t n,
                struct token_list *out) {
    if (n == 0) return true;
    bool whole =
        bpe->options.ignore_merges || (bpe->options.whole_newlines && only_newlines(piece, n));
    if (!bpe->may_cut) return encode_word(bpe, s, piece, n, whole, out);
    if (whole) {
        int32_t id;
        if (!find_whole(bpe, s, piece, n, &id)) return false;
        if (id >= 0) return token_list_append(out, &id, 1);
    }
    for (size_t at = 0; at < n;) {
        size_t length = word_length(bpe, piece + at, n - at);
        if (!encode_word(bpe, s, piece + at, length, false, out)) return false;
        at += length;
    }
    return true;
}
