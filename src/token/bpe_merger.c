#include "token/bpe_merger.h"

#include "base/mem.h"

enum { PLACE_NONE = -1 };

/* A word a pair occurs in; a list per pair. */
struct place {
    uint32_t word;
    int32_t next;
};

struct pair {
    struct symbol_pair symbols;
    uint64_t count;
    int32_t places;
};

struct entry {
    uint64_t count; /* when it was put here */
    struct symbol_pair symbols;
    uint32_t pair;
};

struct bpe_merger {
    struct merge_word *words;
    size_t n_words;
    uint32_t *symbols;
    uint64_t min_count;
    struct pair *pairs;
    size_t n_pairs, pairs_capacity;
    uint32_t *index; /* open addressing by symbols: pair + 1 */
    size_t index_size;
    struct place *places;
    size_t n_places, places_capacity;
    int32_t free_places;
    struct entry *heap;
    size_t heap_count, heap_capacity;
    uint32_t taken; /* the pair bpe_merger_next gave */
};

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to count pairs of symbols");
}

/* ---- pairs by their symbols ------------------------------------------------------------- */

static size_t slot_of(struct symbol_pair s, size_t mask) {
    uint64_t h = ((uint64_t)s.left << 32 | s.right) * 0x9E3779B97F4A7C15u;
    return (size_t)(h >> 32 ^ h) & mask;
}

static bool same(struct symbol_pair a, struct symbol_pair b) {
    return a.left == b.left && a.right == b.right;
}

static bool grow_index(struct bpe_merger *m) {
    size_t size = m->index_size ? m->index_size * 2 : 1 << 12, mask = size - 1;
    uint32_t *index = mem_calloc(size, sizeof *index);
    if (!index) return false;
    for (size_t i = 0; i < m->n_pairs; i++) {
        size_t at = slot_of(m->pairs[i].symbols, mask);
        while (index[at])
            at = (at + 1) & mask;
        index[at] = (uint32_t)i + 1;
    }
    mem_free(m->index);
    m->index = index;
    m->index_size = size;
    return true;
}

static bool reserve_pair(struct bpe_merger *m) {
    if (m->n_pairs == INT32_MAX - 1) return false;
    if (2 * (m->n_pairs + 1) > m->index_size && !grow_index(m)) return false;
    if (m->n_pairs < m->pairs_capacity) return true;
    size_t capacity = m->pairs_capacity ? m->pairs_capacity * 2 : 1 << 11;
    struct pair *pairs = mem_realloc_array(m->pairs, capacity, sizeof *pairs);
    if (!pairs) return false;
    m->pairs = pairs;
    m->pairs_capacity = capacity;
    return true;
}

/* The pair of these symbols, made if there is none; NULL without memory. */
static struct pair *find_pair(struct bpe_merger *m, struct symbol_pair symbols) {
    if (!reserve_pair(m)) return NULL;
    size_t mask = m->index_size - 1, at = slot_of(symbols, mask);
    for (; m->index[at]; at = (at + 1) & mask) {
        struct pair *pair = &m->pairs[m->index[at] - 1];
        if (same(pair->symbols, symbols)) return pair;
    }
    m->index[at] = (uint32_t)m->n_pairs + 1;
    struct pair *pair = &m->pairs[m->n_pairs++];
    *pair = (struct pair){.symbols = symbols, .places = PLACE_NONE};
    return pair;
}

static int32_t new_place(struct bpe_merger *m) {
    if (m->free_places != PLACE_NONE) {
        int32_t place = m->free_places;
        m->free_places = m->places[place].next;
        return place;
    }
    if (m->n_places == INT32_MAX - 1) return PLACE_NONE;
    if (m->n_places == m->places_capacity) {
        size_t capacity = m->places_capacity ? m->places_capacity * 2 : 1 << 12;
        struct place *places = mem_realloc_array(m->places, capacity, sizeof *places);
        if (!places) return PLACE_NONE;
        m->places = places;
        m->places_capacity = capacity;
    }
    return (int32_t)m->n_places++;
}

/* One more occurrence in `word`. Words are gone through one after the other, so a word
 * that is in the list already is its head. */
static bool add_occurrence(struct bpe_merger *m, uint32_t left, uint32_t right, uint32_t word) {
    struct pair *pair = find_pair(m, (struct symbol_pair){left, right});
    if (!pair) return false;
    pair->count += m->words[word].count;
    if (pair->places != PLACE_NONE && m->places[pair->places].word == word) return true;
    int32_t place = new_place(m);
    if (place == PLACE_NONE) return false;
    m->places[place] = (struct place){word, pair->places};
    pair->places = place;
    return true;
}

static bool drop_occurrence(struct bpe_merger *m, uint32_t left, uint32_t right, uint32_t word) {
    struct pair *pair = find_pair(m, (struct symbol_pair){left, right});
    if (!pair) return false;
    pair->count -= m->words[word].count;
    return true;
}

/* ---- the heap --------------------------------------------------------------------------- */

static bool comes_before(const struct entry *a, const struct entry *b) {
    if (a->count != b->count) return a->count > b->count;
    if (a->symbols.left != b->symbols.left) return a->symbols.left < b->symbols.left;
    return a->symbols.right < b->symbols.right;
}

static void sift_down(struct bpe_merger *m, struct entry entry) {
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < m->heap_count; at = child) {
        if (child + 1 < m->heap_count && comes_before(&m->heap[child + 1], &m->heap[child]))
            child++;
        if (!comes_before(&m->heap[child], &entry)) break;
        m->heap[at] = m->heap[child];
    }
    m->heap[at] = entry;
}

static void remove_top(struct bpe_merger *m) {
    struct entry last = m->heap[--m->heap_count];
    if (m->heap_count) sift_down(m, last);
}

static bool push(struct bpe_merger *m, uint32_t number) {
    const struct pair *pair = &m->pairs[number];
    if (pair->count < m->min_count) return true;
    if (m->heap_count == m->heap_capacity) {
        size_t capacity = m->heap_capacity ? m->heap_capacity * 2 : 1 << 11;
        struct entry *heap = mem_realloc_array(m->heap, capacity, sizeof *heap);
        if (!heap) return false;
        m->heap = heap;
        m->heap_capacity = capacity;
    }
    struct entry entry = {pair->count, pair->symbols, number};
    size_t at = m->heap_count++;
    for (; at && comes_before(&entry, &m->heap[(at - 1) / 2]); at = (at - 1) / 2)
        m->heap[at] = m->heap[(at - 1) / 2];
    m->heap[at] = entry;
    return true;
}

static bool push_from(struct bpe_merger *m, size_t first) {
    for (size_t i = first; i < m->n_pairs; i++)
        if (!push(m, (uint32_t)i)) return false;
    return true;
}

bool bpe_merger_next(struct bpe_merger *m, struct symbol_pair *pair) {
    while (m->heap_count) {
        struct entry top = m->heap[0];
        uint64_t count = m->pairs[top.pair].count;
        if (count == top.count) {
            remove_top(m);
            m->taken = top.pair;
            *pair = top.symbols;
            return true;
        }
        top.count = count;
        if (count < m->min_count)
            remove_top(m);
        else
            sift_down(m, top);
    }
    return false;
}

/* ---- merging ---------------------------------------------------------------------------- */

/* Replaces the pair in one word from left to right; the row so far (`kept` symbols) and
 * what is left of it are always the word as it is now. */
static bool merge_in_word(struct bpe_merger *m, uint32_t number, struct symbol_pair pair,
                          uint32_t symbol) {
    struct merge_word *word = &m->words[number];
    uint32_t *row = m->symbols + word->begin;
    uint16_t kept = 0, n = word->length;
    bool ok = true;
    for (uint16_t i = 0; i < n; i++) {
        if (i + 1 >= n || row[i] != pair.left || row[i + 1] != pair.right) {
            row[kept++] = row[i];
            continue;
        }
        if (kept)
            ok = ok && drop_occurrence(m, row[kept - 1], pair.left, number) &&
                 add_occurrence(m, row[kept - 1], symbol, number);
        if (i + 2 < n)
            ok = ok && drop_occurrence(m, pair.right, row[i + 2], number) &&
                 add_occurrence(m, symbol, row[i + 2], number);
        row[kept++] = symbol;
        i++;
    }
    word->length = kept;
    return ok;
}

hearth_status bpe_merger_apply(struct bpe_merger *m, uint32_t symbol, hearth_error *err) {
    struct symbol_pair symbols = m->pairs[m->taken].symbols;
    size_t first_new = m->n_pairs;
    int32_t place = m->pairs[m->taken].places;
    m->pairs[m->taken].places = PLACE_NONE;
    while (place != PLACE_NONE) {
        struct place here = m->places[place];
        m->places[place].next = m->free_places;
        m->free_places = place;
        if (!merge_in_word(m, here.word, symbols, symbol)) return no_memory(err);
        place = here.next;
    }
    m->pairs[m->taken].count = 0;
    return push_from(m, first_new) ? HEARTH_OK : no_memory(err);
}

/* ---- opening ---------------------------------------------------------------------------- */

static bool count_all(struct bpe_merger *m) {
    for (size_t w = 0; w < m->n_words; w++) {
        const uint32_t *row = m->symbols + m->words[w].begin;
        for (uint16_t i = 0; i + 1 < m->words[w].length; i++)
            if (!add_occurrence(m, row[i], row[i + 1], (uint32_t)w)) return false;
    }
    return push_from(m, 0);
}

hearth_status bpe_merger_open(struct bpe_merger **out, struct merge_word *words, size_t n_words,
                              uint32_t *symbols, uint64_t min_count, hearth_error *err) {
    struct bpe_merger *m = mem_calloc(1, sizeof *m);
    *out = m;
    if (!m) return no_memory(err);
    m->words = words;
    m->n_words = n_words;
    m->symbols = symbols;
    m->min_count = min_count ? min_count : 1;
    m->free_places = PLACE_NONE;
    return count_all(m) ? HEARTH_OK : no_memory(err);
}

void bpe_merger_close(struct bpe_merger *m) {
    if (!m) return;
    mem_free(m->pairs);
    mem_free(m->index);
    mem_free(m->places);
    mem_free(m->heap);
    mem_free(m);
}
