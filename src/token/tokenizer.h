/* tokenizer.h - text to token ids and back.
 *
 * One tokenizer is one pipeline, whatever file it came from:
 *
 *   text → split at added tokens → normalise → split into words → model → ids
 *
 * where the model is byte-pair encoding (Sennrich et al. 2016, "Neural Machine
 * Translation of Rare Words with Subword Units"; byte-level as in GPT-2, or over
 * characters with byte fallback as in SentencePiece), unigram (Kudo 2018,
 * "Subword Regularization"), WordPiece (Schuster & Nakajima 2012) or whole words.
 *
 * A tokenizer is immutable after opening and may be used by many threads at once.
 * Ids run from 0 to n_vocab - 1; TOKEN_NONE means "there is no such token". */
#ifndef HEARTH_TOKEN_TOKENIZER_H
#define HEARTH_TOKEN_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "format/metadata.h"

struct tokenizer;

enum {
    TOKEN_NONE = -1,
    TOKENIZER_MAX_TEXT_BYTES = 1 << 30, /* one call of tokenizer_encode */
    TOKENIZER_MAX_TOKENS = 1 << 24,
    TOKENIZER_MAX_MERGES = 1 << 25
};

/* ---- opening --------------------------------------------------------------- */

/* From the keys tokenizer.ggml.* of a GGUF file (models llama, gpt2, gemma4, t5,
 * bert). Borrows nothing: `metadata` may go afterwards. HEARTH_ERROR_NOT_FOUND when
 * the file has no vocabulary (key absent, "none" or "no_vocab"). */
hearth_status tokenizer_open(struct tokenizer **t, const struct metadata *metadata,
                             hearth_error *err);

/* From the text of a Hugging Face tokenizer.json and, for the special tokens, of the
 * tokenizer_config.json beside it (NULL: there is none). Borrows nothing. A component
 * Hearth cannot follow exactly is HEARTH_ERROR_UNSUPPORTED with its name. */
hearth_status tokenizer_open_json(struct tokenizer **t, const char *tokenizer_json,
                                  size_t tokenizer_json_bytes, const char *tokenizer_config_json,
                                  size_t tokenizer_config_json_bytes, hearth_error *err);

/* From a SentencePiece tokenizer.model (a serialised ModelProto), BPE or unigram. */
hearth_status tokenizer_open_sentencepiece(struct tokenizer **t, const void *model_proto,
                                           size_t model_proto_bytes, hearth_error *err);

void tokenizer_close(struct tokenizer *t); /* NULL is fine */

/* ---- text to ids ----------------------------------------------------------- */

/* Zeroed is empty. */
struct token_list {
    int32_t *ids;
    size_t count, capacity;
};

void token_list_release(struct token_list *list);
bool token_list_append(struct token_list *list, const int32_t *ids, size_t count);

/* Appends the ids of `text` (n bytes, any bytes) to `out`; on failure `out` is as it
 * was. `add_special` adds what the model expects around a sequence (BOS, EOS, CLS …);
 * `parse_special` recognises control tokens written in the text: true for templates,
 * false for what users type. Bytes that are not UTF-8 go through byte fallback where
 * the vocabulary has it, and count as U+FFFD elsewhere. */
hearth_status tokenizer_encode(const struct tokenizer *t, const char *text, size_t n,
                               bool add_special, bool parse_special, struct token_list *out,
                               hearth_error *err);

/* ---- ids to text ----------------------------------------------------------- */

/* Appends the text of the ids to `out`. `special` renders control tokens too. The
 * result is exactly the bytes of the pieces: no "cleaning" of spaces. An id outside
 * the vocabulary is HEARTH_ERROR_ARGUMENT. */
hearth_status tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n,
                               bool special, struct buf *out, hearth_error *err);

/* Decodes one id at a time. Only whole UTF-8 characters are appended; the bytes of
 * an unfinished one are held back until the ids that complete it arrive. Bytes that
 * can never become a character come out as U+FFFD. Held by the caller, owns nothing,
 * borrows the tokenizer. Vocabularies that put a space in front of every text lose it again at
 * the first id; set `started` to keep it, when the ids continue a text. */
struct token_stream {
    const struct tokenizer *tokenizer;
    bool special, started;
    uint8_t n_held;
    char held[4];
};

void token_stream_init(struct token_stream *stream, const struct tokenizer *t, bool special);
hearth_status token_stream_push(struct token_stream *stream, int32_t id, struct buf *out,
                                hearth_error *err);
/* Appends U+FFFD for an unfinished character; the stream is as new afterwards. */
hearth_status token_stream_finish(struct token_stream *stream, struct buf *out, hearth_error *err);

/* ---- the vocabulary -------------------------------------------------------- */

enum token_role {
    TOKEN_BOS,
    TOKEN_EOS,
    TOKEN_EOT, /* end of a turn */
    TOKEN_EOM, /* end of a message, the turn goes on */
    TOKEN_UNK,
    TOKEN_SEP,
    TOKEN_PAD,
    TOKEN_MASK,
    TOKEN_FIM_PREFIX,
    TOKEN_FIM_SUFFIX,
    TOKEN_FIM_MIDDLE,
    TOKEN_FIM_PAD,
    TOKEN_FIM_REPO,
    TOKEN_FIM_FILE,
    TOKEN_ROLES
};

size_t tokenizer_n_vocab(const struct tokenizer *t);
int32_t tokenizer_role(const struct tokenizer *t, enum token_role role); /* or TOKEN_NONE */

/* The token as the vocabulary spells it ("▁the", "Ġthe", "<0x0A>"), and the raw bytes
 * it stands for (" the", "\n"; control tokens as spelt). Borrowed; empty outside. */
struct text tokenizer_text(const struct tokenizer *t, int32_t id);
struct text tokenizer_piece(const struct tokenizer *t, int32_t id);

/* The id whose spelling is exactly this, or TOKEN_NONE. */
int32_t tokenizer_find(const struct tokenizer *t, const char *text, size_t n);

bool tokenizer_is_special(const struct tokenizer *t, int32_t id); /* control or unknown */
/* Generation ends here: the declared EOS, EOT, EOM and well-known control tokens. */
bool tokenizer_is_end_of_generation(const struct tokenizer *t, int32_t id);
bool tokenizer_adds_bos(const struct tokenizer *t); /* what add_special does */
bool tokenizer_adds_eos(const struct tokenizer *t);

/* Sets the keys tokenizer.ggml.* (model, pre, tokens, token_type, scores, merges,
 * special ids, add_* …) from which tokenizer_open makes an equal tokenizer. Where no
 * known `pre` name has the same rules, the tokenizer.json itself is kept in
 * tokenizer.huggingface.json, which tokenizer_open prefers. Everything is copied. */
hearth_status tokenizer_to_metadata(const struct tokenizer *t, struct metadata *m,
                                    hearth_error *err);

#endif
