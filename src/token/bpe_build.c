/* Builds the tables of bpe.c. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "token/bpe_tables.h"

enum {
    /* Longer tokens are never the result of merging scored pairs: opening would take
     * time quadratic in their length, and no vocabulary has them. */
    SCORED_MAX_TOKEN_BYTES = 512
};

static const char word_mark[] = "\xE2\x96\x81"; /* U+2581, a space as SentencePiece writes it */

void bpe_close(struct bpe *bpe) {
    if (!bpe) return;
    string_table_release(&bpe->extra);
    mem_free(bpe->merges);
    mem_free(bpe->order);
    mem_free(bpe->chars);
    mem_free(bpe->glued);
    mem_free(bpe);
}

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the tokenizer's merges");
}

static struct text symbol_text(const struct bpe *bpe, uint32_t symbol) {
    return symbol < bpe->n_vocab ? vocabulary_text(bpe->vocabulary, symbol)
                                 : string_table_get(&bpe->extra, symbol - bpe->n_vocab);
}

static uint32_t find_symbol(const struct bpe *bpe, const char *data, size_t length) {
    uint32_t id = string_table_find(&bpe->vocabulary->texts, data, length);
    if (id != STRING_NONE) return id;
    id = string_table_find(&bpe->extra, data, length);
    return id == STRING_NONE ? SYMBOL_NONE : (uint32_t)bpe->n_vocab + id;
}

/* Finds or makes the symbol; SYMBOL_NONE when memory is exhausted or `data` empty. */
static uint32_t intern(struct bpe *bpe, const char *data, size_t length) {
    uint32_t symbol = find_symbol(bpe, data, length);
    if (symbol != SYMBOL_NONE || length == 0) return symbol;
    if (!string_table_add(&bpe->extra, data, length)) return SYMBOL_NONE;
    return (uint32_t)(bpe->n_vocab + bpe->extra.count - 1);
}

static bool merges_reserve(struct bpe *bpe, size_t count) {
    size_t size = 16;
    while (size < count * 2)
        size *= 2;
    bpe->merges = mem_alloc_array(size, sizeof *bpe->merges);
    bpe->merges_size = size;
    for (size_t i = 0; bpe->merges && i < size; i++)
        bpe->merges[i].left = SYMBOL_NONE;
    return bpe->merges != NULL;
}

/* The first rank of a pair counts; later ones are ignored. */
static bool merges_insert(struct bpe *bpe, struct merge merge) {
    size_t mask = bpe->merges_size - 1, at = pair_slot(merge.left, merge.right, mask);
    for (; bpe->merges[at].left != SYMBOL_NONE; at = (at + 1) & mask)
        if (bpe->merges[at].left == merge.left && bpe->merges[at].right == merge.right)
            return false;
    bpe->merges[at] = merge;
    return true;
}

static bool merges_grow(struct bpe *bpe) {
    struct merge *old = bpe->merges;
    size_t old_size = bpe->merges_size;
    if (!merges_reserve(bpe, old_size)) {
        bpe->merges = old;
        bpe->merges_size = old_size;
        return false;
    }
    for (size_t i = 0; i < old_size; i++)
        if (old[i].left != SYMBOL_NONE) merges_insert(bpe, old[i]);
    mem_free(old);
    return true;
}

/* ---- characters ------------------------------------------------------------ */

static void add_char(struct bpe *bpe, struct text text, uint32_t symbol) {
    if (text.length == 1) {
        bpe->first[(unsigned char)text.data[0]] = symbol;
        return;
    }
    uint32_t key = char_key(text.data, text.length);
    if (key == 0) return;
    size_t mask = bpe->chars_size - 1, at = char_slot(key, mask);
    while (bpe->chars[at].key && bpe->chars[at].key != key)
        at = (at + 1) & mask;
    if (!bpe->chars[at].key) bpe->chars[at] = (struct char_symbol){key, symbol};
}

static bool is_char(struct text text) {
    return text.length > 0 && text.length <= UTF8_MAX_BYTES &&
           char_length(text.data, text.length) == text.length;
}

static bool build_chars(struct bpe *bpe) {
    size_t n = bpe->n_vocab + bpe->extra.count, count = 0;
    for (uint32_t s = 0; s < n; s++)
        count += is_char(symbol_text(bpe, s));
    size_t size = 16;
    while (size < count * 2)
        size *= 2;
    bpe->chars = mem_calloc(size, sizeof *bpe->chars);
    bpe->chars_size = size;
    if (!bpe->chars) return false;
    for (uint32_t s = 0; s < n; s++) {
        struct text text = symbol_text(bpe, s);
        if (is_char(text) && find_symbol(bpe, text.data, text.length) == s) add_char(bpe, text, s);
    }
    return true;
}

static void build_byte_alphabet(struct bpe *bpe) {
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[UTF8_MAX_BYTES];
        size_t length = utf8_encode(byte_alphabet_char(byte), text);
        bpe->first[byte] = find_symbol(bpe, text, length);
    }
}

static void build_byte_ids(struct bpe *bpe) {
    const struct vocabulary *v = bpe->vocabulary;
    for (unsigned byte = 0; byte < 256; byte++) {
        char spelling[8];
        char raw = (char)byte;
        bpe->byte_ids[byte] = TOKEN_NONE;
        if (bpe->options.byte_level) {
            /* Only bytes the alphabet writes as one byte can be found singly. */
            if (byte < 0x80 && byte_alphabet_char(byte) == byte)
                bpe->byte_ids[byte] = vocabulary_find(v, &raw, 1);
        } else if (bpe->options.byte_fallback) {
            snprintf(spelling, sizeof spelling, "<0x%02X>", byte);
            bpe->byte_ids[byte] = vocabulary_find(v, spelling, 6);
            if (bpe->byte_ids[byte] < 0 && bpe->scored)
                bpe->byte_ids[byte] = vocabulary_find(v, &raw, 1);
        }
    }
}

/* ---- where pieces may be cut ----------------------------------------------- */

static bool glued_insert(struct bpe *bpe, uint32_t key, size_t *count) {
    if (*count * 2 >= bpe->glued_size) {
        uint32_t *old = bpe->glued;
        size_t old_size = bpe->glued_size;
        bpe->glued_size = old_size ? old_size * 2 : 64;
        bpe->glued = mem_calloc(bpe->glued_size, sizeof *bpe->glued);
        if (!bpe->glued) {
            bpe->glued = old;
            bpe->glued_size = old_size;
            return false;
        }
        *count = 0;
        for (size_t i = 0; i < old_size; i++)
            if (old[i]) glued_insert(bpe, old[i], count);
        mem_free(old);
    }
    size_t mask = bpe->glued_size - 1, at = char_slot(key, mask);
    while (bpe->glued[at] && bpe->glued[at] != key)
        at = (at + 1) & mask;
    *count += bpe->glued[at] == 0;
    bpe->glued[at] = key;
    return true;
}

/* Only results of merges count: nothing else spans two characters. */
static bool build_glued(struct bpe *bpe) {
    size_t count = 0;
    if (!glued_insert(bpe, char_key(word_mark, 3), &count)) return false;
    for (size_t m = 0; m < bpe->merges_size; m++) {
        if (bpe->merges[m].left == SYMBOL_NONE) continue;
        struct text t = symbol_text(bpe, bpe->merges[m].result);
        size_t length, previous = 0;
        for (size_t at = 0; at < t.length; at += length) {
            length = char_length(t.data + at, t.length - at);
            if (at && length == 3 && memcmp(t.data + at, word_mark, 3) == 0) {
                uint32_t key = char_key(t.data + previous, at - previous);
                if (key && !glued_insert(bpe, key, &count)) return false;
            }
            previous = at;
        }
    }
    return true;
}

/* ---- opening --------------------------------------------------------------- */

static hearth_status begin(struct bpe **out, const struct vocabulary *vocabulary,
                           struct bpe_options options, hearth_error *err) {
    struct bpe *bpe = mem_calloc(1, sizeof *bpe);
    if (!bpe) return no_memory(err);
    bpe->vocabulary = vocabulary;
    bpe->options = options;
    bpe->n_vocab = vocabulary_count(vocabulary);
    for (size_t i = 0; i < bpe->n_vocab; i++)
        if (vocabulary_text(vocabulary, i).length > bpe->max_token_bytes)
            bpe->max_token_bytes = vocabulary_text(vocabulary, i).length;
    for (unsigned i = 0; i < 256; i++)
        bpe->first[i] = SYMBOL_NONE;
    *out = bpe;
    return HEARTH_OK;
}

static bool finish(struct bpe *bpe) {
    if (bpe->options.byte_level)
        build_byte_alphabet(bpe);
    else if (!build_chars(bpe) || !build_glued(bpe))
        return false;
    build_byte_ids(bpe);
    bool falls_back = true;
    for (unsigned byte = 0; byte < 256; byte++)
        falls_back = falls_back && bpe->byte_ids[byte] >= 0;
    /* A run of unknown characters that is to be fused may go on across a cut. */
    bpe->may_cut = !bpe->options.byte_level && (falls_back || !bpe->options.fuse_unknown);
    return true;
}

static hearth_status add_merges(struct bpe *bpe, const struct merge_pair *pairs, size_t count,
                                hearth_error *err) {
    struct buf joined;
    buf_init(&joined, SIZE_MAX / 2);
    bool ok = merges_reserve(bpe, count);
    bpe->order = ok ? mem_alloc_array(count, sizeof *bpe->order) : NULL;
    ok = ok && bpe->order;
    for (size_t i = 0; ok && i < count; i++) {
        struct text l = pairs[i].left, r = pairs[i].right;
        if (l.length == 0 || r.length == 0) {
            bpe->order[i][0] = bpe->order[i][1] = SYMBOL_NONE;
            continue;
        }
        buf_clear(&joined);
        struct merge merge = {.rank = (uint32_t)i};
        ok = buf_append(&joined, l.data, l.length) && buf_append(&joined, r.data, r.length);
        merge.left = ok ? intern(bpe, l.data, l.length) : SYMBOL_NONE;
        merge.right = ok ? intern(bpe, r.data, r.length) : SYMBOL_NONE;
        merge.result = ok ? intern(bpe, joined.data, joined.length) : SYMBOL_NONE;
        ok = ok && merge.left != SYMBOL_NONE && merge.right != SYMBOL_NONE &&
             merge.result != SYMBOL_NONE;
        if (!ok) break;
        bpe->order[i][0] = merge.left;
        bpe->order[i][1] = merge.right;
        merges_insert(bpe, merge);
    }
    buf_release(&joined);
    bpe->n_merges = count;
    return ok ? HEARTH_OK : no_memory(err);
}

hearth_status bpe_open(struct bpe **out, const struct vocabulary *vocabulary,
                       const struct merge_pair *merges, size_t n_merges, struct bpe_options options,
                       hearth_error *err) {
    *out = NULL;
    if (n_merges > TOKENIZER_MAX_MERGES)
        return error_set(err, HEARTH_ERROR_LIMIT, "tokenizer has %zu merges, at most %d are read",
                         n_merges, TOKENIZER_MAX_MERGES);
    struct bpe *bpe;
    RETURN_IF_ERROR(begin(&bpe, vocabulary, options, err));
    hearth_status status = add_merges(bpe, merges, n_merges, err);
    if (status == HEARTH_OK && !finish(bpe)) status = no_memory(err);
    if (status == HEARTH_OK)
        *out = bpe;
    else
        bpe_close(bpe);
    return status;
}

static float ordered_score(float score) {
    return score == score ? score : -3.4e38f; /* not a number: last */
}

static int compare_scores_down(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

/* ranks[id]: how many different scores are higher than that of token id. */
static bool rank_scores(const struct bpe *bpe, uint32_t *ranks) {
    size_t n = bpe->n_vocab, distinct = 0;
    float *sorted = mem_alloc_array(n, sizeof *sorted);
    if (!sorted) return false;
    for (size_t i = 0; i < n; i++)
        sorted[i] = ordered_score(bpe->vocabulary->scores[i]);
    qsort(sorted, n, sizeof *sorted, compare_scores_down);
    for (size_t i = 0; i < n; i++)
        if (distinct == 0 || sorted[i] < sorted[distinct - 1]) sorted[distinct++] = sorted[i];
    for (size_t i = 0; i < n; i++) {
        float score = ordered_score(bpe->vocabulary->scores[i]);
        size_t low = 0, high = distinct;
        while (high - low > 1) {
            size_t middle = (low + high) / 2;
            if (sorted[middle] >= score)
                low = middle;
            else
                high = middle;
        }
        ranks[i] = (uint32_t)low;
    }
    mem_free(sorted);
    return true;
}

/* A half of a token can be a symbol when it is a token or a single character. */
static uint32_t half_symbol(struct bpe *bpe, const char *data, size_t length, bool *ok) {
    uint32_t symbol = find_symbol(bpe, data, length);
    if (symbol != SYMBOL_NONE || !is_char((struct text){data, length})) return symbol;
    symbol = intern(bpe, data, length);
    *ok = symbol != SYMBOL_NONE;
    return symbol;
}

static bool add_splits(struct bpe *bpe, uint32_t id, uint32_t rank) {
    struct text t = vocabulary_text(bpe->vocabulary, id);
    if (t.length > SCORED_MAX_TOKEN_BYTES ||
        string_table_find(&bpe->vocabulary->texts, t.data, t.length) != id)
        return true;
    bool ok = true;
    for (size_t at = t.length ? char_length(t.data, t.length) : 0; ok && at < t.length;
         at += char_length(t.data + at, t.length - at)) {
        struct merge merge = {.rank = rank, .result = id};
        merge.left = half_symbol(bpe, t.data, at, &ok);
        if (!ok || merge.left == SYMBOL_NONE) continue;
        merge.right = half_symbol(bpe, t.data + at, t.length - at, &ok);
        if (!ok || merge.right == SYMBOL_NONE) continue;
        bpe->n_merges += merges_insert(bpe, merge);
        if (bpe->n_merges * 2 > bpe->merges_size) ok = merges_grow(bpe);
    }
    return ok;
}

hearth_status bpe_open_scored(struct bpe **out, const struct vocabulary *vocabulary,
                              struct bpe_options options, hearth_error *err) {
    *out = NULL;
    struct bpe *bpe;
    RETURN_IF_ERROR(begin(&bpe, vocabulary, options, err));
    bpe->scored = true;
    uint32_t *ranks = mem_alloc_array(bpe->n_vocab, sizeof *ranks);
    bool ok = ranks && rank_scores(bpe, ranks) && merges_reserve(bpe, bpe->n_vocab * 2);
    for (uint32_t id = 0; ok && id < bpe->n_vocab; id++)
        ok = add_splits(bpe, id, ranks[id]);
    mem_free(ranks);
    ok = ok && finish(bpe);
    if (!ok) {
        bpe_close(bpe);
        return no_memory(err);
    }
    *out = bpe;
    return HEARTH_OK;
}

bool bpe_merge_at(const struct bpe *bpe, size_t i, struct text *left, struct text *right) {
    if (!bpe->order || i >= bpe->n_merges) return false;
    struct text none = {"", 0};
    *left = bpe->order[i][0] == SYMBOL_NONE ? none : symbol_text(bpe, bpe->order[i][0]);
    *right = bpe->order[i][1] == SYMBOL_NONE ? none : symbol_text(bpe, bpe->order[i][1]);
    return true;
}

size_t bpe_n_merges(const struct bpe *bpe) {
    return bpe->n_merges;
}

bool bpe_is_scored(const struct bpe *bpe) {
    return bpe->scored;
}

struct bpe_options bpe_get_options(const struct bpe *bpe) {
    return bpe->options;
}
