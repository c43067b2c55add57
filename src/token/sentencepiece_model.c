/* SentencePiece: its rules, and its own model files (sentencepiece_model.proto). */
#include <string.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "token/tokenizer_parts.h"

/* ---- rules ------------------------------------------------------------------------------ */

static const struct text space = {" ", 1}, word_mark = {"\xE2\x96\x81", 3};

hearth_status spm_add_marks(struct tokenizer *t, hearth_error *err) {
    t->piece_kind = PIECE_WORD_MARKS;
    t->strips_first_space = t->adds_space_prefix;
    if (t->adds_space_prefix) RETURN_IF_ERROR(normalizer_add_prepend(&t->normalizer, space, err));
    return normalizer_add_replace(&t->normalizer, space, word_mark, err);
}

hearth_status spm_open_bpe(struct tokenizer *t, hearth_error *err) {
    RETURN_IF_ERROR(spm_add_marks(t, err));
    struct bpe_options options = {.byte_fallback = true, .unknown = t->roles[TOKEN_UNK]};
    t->model = MODEL_BPE;
    return bpe_open_scored(&t->bpe, &t->vocabulary, options, err);
}

static hearth_status add_charsmap(struct tokenizer *t, struct text bytes, hearth_error *err) {
    if (bytes.length == 0) return HEARTH_OK;
    t->charsmap = mem_strndup(bytes.data, bytes.length);
    if (!t->charsmap) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a charsmap");
    t->charsmap_length = bytes.length;
    struct normalize_step step = {.kind = NORMALIZE_CHARSMAP};
    RETURN_IF_ERROR(charsmap_open(&step.charsmap, bytes.data, bytes.length, err));
    return normalizer_add(&t->normalizer, &step, err);
}

hearth_status spm_open_unigram(struct tokenizer *t, struct text charsmap, bool mark_behind,
                               bool byte_fallback, hearth_error *err) {
    RETURN_IF_ERROR(add_charsmap(t, charsmap, err));
    struct normalize_step marks = {.kind = NORMALIZE_WORD_MARKS,
                                   .left = t->adds_space_prefix && !mark_behind,
                                   .right = t->adds_space_prefix && mark_behind,
                                   .merge = t->removes_extra_spaces};
    RETURN_IF_ERROR(normalizer_add(&t->normalizer, &marks, err));
    t->model = MODEL_UNIGRAM;
    t->piece_kind = PIECE_WORD_MARKS;
    t->strips_first_space = t->adds_space_prefix && !mark_behind;
    t->needs_utf8 = true;
    return unigram_open(&t->unigram, &t->vocabulary, t->roles[TOKEN_UNK], byte_fallback, err);
}

/* ---- protocol buffers --------------------------------------------------------------------- */

enum wire { WIRE_VARINT, WIRE_FIXED64, WIRE_BYTES, WIRE_FIXED32 = 5 };

struct field {
    uint64_t number, value; /* value: of a varint or the bits of a fixed field */
    enum wire wire;
    struct text bytes;
};

static uint64_t read_varint(struct cursor *c) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = cursor_u8(c);
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80)) return value;
    }
    c->failed = true;
    return 0;
}

/* False at the end of the message, and when it is damaged (then c->failed). */
static bool next_field(struct cursor *c, struct field *f) {
    if (c->failed || cursor_left(c) == 0) return false;
    uint64_t tag = read_varint(c);
    *f = (struct field){.number = tag >> 3, .wire = (enum wire)(tag & 7)};
    switch (f->wire) {
    case WIRE_VARINT: f->value = read_varint(c); break;
    case WIRE_FIXED64: f->value = cursor_u64(c); break;
    case WIRE_FIXED32: f->value = cursor_u32(c); break;
    case WIRE_BYTES: {
        uint64_t n = read_varint(c);
        if (n > cursor_left(c))
            c->failed = true;
        else
            f->bytes = (struct text){(const char *)cursor_bytes(c, (size_t)n), (size_t)n};
        break;
    }
    default: c->failed = true;
    }
    return !c->failed;
}

/* ---- the model file -------------------------------------------------------------------------- */

enum { SPM_UNIGRAM = 1, SPM_BPE = 2 };

struct spm_spec {
    uint64_t model_type;
    int32_t unk, bos, eos, pad;
    bool byte_fallback, mark_behind;
    struct text charsmap;
};

static bool read_piece(struct tokenizer *t, struct text message, bool *damaged) {
    struct cursor c = cursor_over(message.data, message.length);
    struct field f;
    struct text piece = {"", 0};
    float score = 0;
    int64_t kind = TOKEN_KIND_NORMAL;
    while (next_field(&c, &f)) {
        uint32_t bits = (uint32_t)f.value;
        if (f.number == 1 && f.wire == WIRE_BYTES)
            piece = f.bytes;
        else if (f.number == 2 && f.wire == WIRE_FIXED32)
            memcpy(&score, &bits, sizeof score);
        else if (f.number == 3 && f.wire == WIRE_VARINT && f.value <= TOKEN_KIND_BYTE)
            kind = (int64_t)f.value;
    }
    *damaged = *damaged || c.failed;
    return vocabulary_add(&t->vocabulary, piece, vocabulary_kind_bits(kind), score);
}

static void read_trainer(struct spm_spec *spec, struct text message, bool *damaged) {
    struct cursor c = cursor_over(message.data, message.length);
    struct field f;
    while (next_field(&c, &f)) {
        if (f.wire != WIRE_VARINT) continue;
        int32_t id = (int32_t)(uint32_t)f.value;
        switch (f.number) {
        case 3: spec->model_type = f.value; break;
        case 24: spec->mark_behind = f.value != 0; break;
        case 35: spec->byte_fallback = f.value != 0; break;
        case 40: spec->unk = id; break;
        case 41: spec->bos = id; break;
        case 42: spec->eos = id; break;
        case 43: spec->pad = id; break;
        default: break;
        }
    }
    *damaged = *damaged || c.failed;
}

static void read_normalizer(struct tokenizer *t, struct spm_spec *spec, struct text message,
                            bool *damaged) {
    struct cursor c = cursor_over(message.data, message.length);
    struct field f;
    while (next_field(&c, &f)) {
        if (f.number == 2 && f.wire == WIRE_BYTES) spec->charsmap = f.bytes;
        if (f.number == 3 && f.wire == WIRE_VARINT) t->adds_space_prefix = f.value != 0;
        if (f.number == 4 && f.wire == WIRE_VARINT) t->removes_extra_spaces = f.value != 0;
    }
    *damaged = *damaged || c.failed;
}

static hearth_status read_model(struct tokenizer *t, struct spm_spec *spec, const void *data,
                                size_t n, hearth_error *err) {
    struct cursor c = cursor_over(data, n);
    struct field f;
    bool damaged = false;
    while (next_field(&c, &f)) {
        if (f.wire != WIRE_BYTES) continue;
        if (f.number == 1) {
            if (vocabulary_count(&t->vocabulary) == TOKENIZER_MAX_TOKENS)
                return error_set(err, HEARTH_ERROR_LIMIT, "tokenizer.model has more than %d pieces",
                                 TOKENIZER_MAX_TOKENS);
            if (!read_piece(t, f.bytes, &damaged))
                return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the vocabulary");
        } else if (f.number == 2) {
            read_trainer(spec, f.bytes, &damaged);
        } else if (f.number == 3) {
            read_normalizer(t, spec, f.bytes, &damaged);
        }
    }
    if (c.failed || damaged || vocabulary_count(&t->vocabulary) == 0)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "tokenizer.model is damaged or no SentencePiece model: stopped at byte "
                         "%zu of %zu with %zu pieces",
                         c.position, n, vocabulary_count(&t->vocabulary));
    return HEARTH_OK;
}

static void set_role(struct tokenizer *t, enum token_role role, int32_t id) {
    if (id >= 0 && (size_t)id < vocabulary_count(&t->vocabulary)) t->roles[role] = id;
}

static hearth_status open_model(struct tokenizer *t, const void *data, size_t n,
                                hearth_error *err) {
    struct spm_spec spec = {.model_type = SPM_UNIGRAM, .bos = 1, .eos = 2, .pad = -1};
    t->adds_space_prefix = t->removes_extra_spaces = true; /* the format's defaults */
    RETURN_IF_ERROR(read_model(t, &spec, data, n, err));
    set_role(t, TOKEN_UNK, spec.unk);
    set_role(t, TOKEN_BOS, spec.bos);
    set_role(t, TOKEN_EOS, spec.eos);
    set_role(t, TOKEN_PAD, spec.pad);
    tokenizer_mark_ends(t);
    if (spec.model_type == SPM_BPE) {
        memcpy(t->gguf_model, "llama", 6);
        t->adds_bos = t->roles[TOKEN_BOS] >= 0;
        RETURN_IF_ERROR(spm_open_bpe(t, err));
    } else if (spec.model_type == SPM_UNIGRAM) {
        memcpy(t->gguf_model, "t5", 3);
        t->adds_eos = t->roles[TOKEN_EOS] >= 0;
        RETURN_IF_ERROR(
            spm_open_unigram(t, spec.charsmap, spec.mark_behind, spec.byte_fallback, err));
    } else {
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "SentencePiece model type %llu is not supported, only unigram and BPE",
                         (unsigned long long)spec.model_type);
    }
    if (t->adds_bos) t->prefix.ids[t->prefix.count++] = t->roles[TOKEN_BOS];
    if (t->adds_eos) t->suffix.ids[t->suffix.count++] = t->roles[TOKEN_EOS];
    return tokenizer_finish(t, err);
}

hearth_status tokenizer_open_sentencepiece(struct tokenizer **out, const void *model_proto,
                                           size_t model_proto_bytes, hearth_error *err) {
    *out = NULL;
    struct tokenizer *t = tokenizer_new(err);
    if (!t) return HEARTH_ERROR_NO_MEMORY;
    hearth_status status = open_model(t, model_proto, model_proto_bytes, err);
    if (status == HEARTH_OK)
        *out = t;
    else
        tokenizer_close(t);
    return status;
}
