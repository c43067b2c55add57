/* bpe_tables.h - what bpe_build.c makes and bpe.c reads. */
#ifndef HEARTH_TOKEN_BPE_TABLES_H
#define HEARTH_TOKEN_BPE_TABLES_H

#include "token/bpe.h"
#include "token/utf8.h"

#define SYMBOL_NONE UINT32_MAX
#define RANK_NONE UINT32_MAX

struct merge {
    uint32_t left, right, rank, result;
};

struct char_symbol {
    uint32_t key, symbol; /* the character's bytes, little-endian; 0 is free */
};

struct bpe {
    const struct vocabulary *vocabulary;
    struct bpe_options options;
    bool scored, may_cut; /* pieces may be cut before U+2581, see `glued` */
    size_t n_vocab, max_token_bytes;
    struct string_table extra; /* symbols n_vocab and up */
    struct merge *merges;      /* open addressing by (left, right); left SYMBOL_NONE is free */
    size_t merges_size, n_merges;
    uint32_t (*order)[2];      /* merge number → symbols; NULL for scored models */
    uint32_t first[256];       /* symbol of a one-byte character (or of a byte) */
    struct char_symbol *chars; /* longer characters, open addressing */
    size_t chars_size;
    int32_t byte_ids[256]; /* the token a byte falls back to */
    /* Characters c for which some symbol holds c directly before U+2581. A piece may
     * be cut before any other U+2581: no merge can cross there. Open addressing. */
    uint32_t *glued;
    size_t glued_size;
};

static inline size_t pair_slot(uint32_t left, uint32_t right, size_t mask) {
    uint64_t h = ((uint64_t)left << 32 | right) * 0x9E3779B97F4A7C15u;
    return (size_t)(h >> 32 ^ h) & mask;
}

static inline const struct merge *bpe_find_merge(const struct bpe *bpe, uint32_t left,
                                                 uint32_t right) {
    size_t mask = bpe->merges_size - 1, at = pair_slot(left, right, mask);
    for (; bpe->merges[at].left != SYMBOL_NONE; at = (at + 1) & mask)
        if (bpe->merges[at].left == left && bpe->merges[at].right == right) return &bpe->merges[at];
    return NULL;
}

static inline uint32_t char_key(const char *data, size_t length) {
    uint32_t key = 0;
    for (size_t i = 0; i < length; i++)
        key |= (uint32_t)(unsigned char)data[i] << (8 * i);
    return key;
}

static inline size_t char_slot(uint32_t key, size_t mask) {
    return (key * 0x9E3779B1u >> 7) & mask;
}

/* The character at data, by its first byte alone, so that any bytes can be cut up. */
static inline size_t char_length(const char *data, size_t n) {
    size_t length = utf8_lead_length((unsigned char)data[0]);
    return length < n ? length : n;
}

#endif
