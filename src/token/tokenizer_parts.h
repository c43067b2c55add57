/* tokenizer_parts.h - what a tokenizer is made of; inside this room only.
 *
 * Invariants: (1) nothing but `spare` changes after tokenizer_finish; (2) every id in
 * the added-token tries, `prefix`, `suffix` and `roles` (or TOKEN_NONE) is within the
 * vocabulary; (3) exactly one model is set. */
#ifndef HEARTH_TOKEN_TOKENIZER_PARTS_H
#define HEARTH_TOKEN_TOKENIZER_PARTS_H

#include <stdatomic.h>

#include "token/added_tokens.h"
#include "token/bpe.h"
#include "token/normalize.h"
#include "token/pretokenize.h"
#include "token/tokenizer.h"
#include "token/unigram.h"
#include "token/vocabulary.h"
#include "token/wordpiece.h"

enum model_kind { MODEL_BPE, MODEL_UNIGRAM, MODEL_WORDPIECE, MODEL_WORDS };

/* How a token's spelling becomes bytes. */
enum piece_kind {
    PIECE_PLAIN,      /* as spelt */
    PIECE_BYTE_LEVEL, /* each character a byte */
    PIECE_WORD_MARKS, /* U+2581 is a space, <0xXX> a byte */
    PIECE_WORDPIECE   /* `continuation` in front joins to the word before */
};

enum {
    TOKENIZER_SPARE_SCRATCHES = 16,
    TOKENIZER_MAX_AFFIX = 16 /* special tokens before or after a sequence */
};

struct id_row {
    int32_t ids[TOKENIZER_MAX_AFFIX];
    size_t count;
};

struct tokenizer {
    struct vocabulary vocabulary;
    struct added_tokens added, added_normalized;
    struct normalizer normalizer;
    struct pretokenizer pretokenizer;
    enum model_kind model;
    struct bpe *bpe;
    struct unigram *unigram;
    struct wordpiece *wordpiece;
    bool needs_utf8;              /* bytes that are not UTF-8 become U+FFFD before anything else */
    struct id_row prefix, suffix; /* what add_special puts around */

    enum piece_kind piece_kind;
    struct string_table pieces; /* not searched: piece of id i is string i */
    bool strips_first_space;    /* decoding drops one space at the very start */
    char *continuation;         /* PIECE_WORDPIECE: "##" */
    bool word_start_marked;     /* PIECE_WORDPIECE: words begin with U+2581 instead */

    int32_t roles[TOKEN_ROLES];
    bool adds_bos, adds_eos, adds_sep, adds_space_prefix, removes_extra_spaces;
    bool lowercases, strips_accents; /* BERT */
    char gguf_model[16];             /* tokenizer.ggml.model */
    bool has_nfc;                    /* the normaliser is NFC, which `pre` does not say */
    char *pre;                       /* tokenizer.ggml.pre, or NULL: no known name */
    char *json;                      /* tokenizer.json, kept when `pre` is NULL */
    size_t json_length;
    char *charsmap; /* as in the file, for writing it again */
    size_t charsmap_length;

    _Atomic(struct scratch *) spare[TOKENIZER_SPARE_SCRATCHES];
};

/* A zeroed tokenizer with empty roles. */
struct tokenizer *tokenizer_new(hearth_error *err);
/* Derives pieces and, from the bits of the vocabulary, the added-token tries. */
hearth_status tokenizer_finish(struct tokenizer *t, hearth_error *err);
/* Marks end-of-generation tokens and finds roles by well-known spellings. */
void tokenizer_mark_ends(struct tokenizer *t);
/* Text that is not UTF-8 is rewritten into `repaired` with U+FFFD for each byte that is no
 * character; false when memory is exhausted. */
bool tokenizer_make_valid(struct text *text, struct buf *repaired);

/* sentencepiece_model.c: the rules of SentencePiece on a filled vocabulary. */
hearth_status spm_add_marks(struct tokenizer *t, hearth_error *err);
hearth_status spm_open_bpe(struct tokenizer *t, hearth_error *err);
hearth_status spm_open_unigram(struct tokenizer *t, struct text charsmap, bool mark_behind,
                               bool byte_fallback, hearth_error *err);

/* piece.c */
bool tokenizer_build_pieces(struct tokenizer *t);
bool tokenizer_append_piece(const struct tokenizer *t, int32_t id, bool is_first, struct buf *out);

#endif
