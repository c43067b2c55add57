/* Normaliser, pre-tokenizer and decoder of a tokenizer.json. */
#include <string.h>

#include "base/mem.h"
#include "token/hf_json.h"
#include "token/pre_rules.h"

static const char word_mark[] = "\xE2\x96\x81"; /* U+2581 */

static hearth_status refuse(const char *part, const json_t *object, hearth_error *err) {
    const char *type = hf_string(object, "type");
    return error_set(err, HEARTH_ERROR_UNSUPPORTED, "%s '%.40s' of tokenizer.json is not supported",
                     part, type ? type : "?");
}

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for tokenizer.json");
}

/* Reads the members of a Sequence, listed under `key`. */
static hearth_status
read_sequence(struct hf_reader *r, const json_t *object, const char *key, int depth,
              hearth_status (*read)(struct hf_reader *, const json_t *, int, hearth_error *),
              hearth_error *err) {
    if (depth >= HF_MAX_DEPTH)
        return error_set(err, HEARTH_ERROR_LIMIT, "tokenizer.json nests sequences deeper than %d",
                         HF_MAX_DEPTH);
    size_t i;
    json_t *part;
    json_array_foreach(json_object_get(object, key), i, part)
        RETURN_IF_ERROR(read(r, part, depth + 1, err));
    return HEARTH_OK;
}

/* {"String": …} or {"Regex": …}. */
struct pattern {
    struct text text;
    bool is_regex;
};

static hearth_status read_pattern(const json_t *object, struct pattern *pattern,
                                  hearth_error *err) {
    const json_t *value = json_object_get(object, "pattern");
    const json_t *regex = json_object_get(value, "Regex");
    const json_t *string = json_is_string(value) ? value : json_object_get(value, "String");
    if (!json_is_string(regex) && !json_is_string(string))
        return error_set(err, HEARTH_ERROR_FORMAT, "a '%.40s' of tokenizer.json has no pattern",
                         hf_string(object, "type") ? hf_string(object, "type") : "?");
    pattern->is_regex = json_is_string(regex);
    pattern->text = hf_text(pattern->is_regex ? regex : string);
    return HEARTH_OK;
}

/* ---- normaliser ----------------------------------------------------------------------------- */

static int base64_value(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool decode_base64(struct text in, struct buf *out) {
    uint32_t bits = 0;
    unsigned n_bits = 0;
    for (size_t i = 0; i < in.length && in.data[i] != '='; i++) {
        int value = base64_value(in.data[i]);
        if (value < 0) return false;
        bits = (bits << 6 | (uint32_t)value) & 0xFFFFFF;
        n_bits += 6;
        if (n_bits < 8) continue;
        n_bits -= 8;
        buf_append_char(out, (char)(bits >> n_bits));
    }
    return !out->failed;
}

static hearth_status read_precompiled(struct hf_reader *r, const json_t *object,
                                      hearth_error *err) {
    const json_t *map = json_object_get(object, "precompiled_charsmap");
    if (!json_is_string(map) || json_string_length(map) == 0) return HEARTH_OK;
    struct buf bytes;
    buf_init(&bytes, HF_MAX_JSON_BYTES);
    struct normalize_step step = {.kind = NORMALIZE_CHARSMAP};
    hearth_status status = HEARTH_OK;
    if (!decode_base64(hf_text(map), &bytes))
        status = error_set(err, HEARTH_ERROR_FORMAT, "the precompiled charsmap is not base64");
    if (status == HEARTH_OK)
        status = charsmap_open(&step.charsmap, buf_text(&bytes), bytes.length, err);
    if (status == HEARTH_OK) status = normalizer_add(&r->t->normalizer, &step, err);
    buf_release(&bytes);
    return status;
}

static hearth_status read_replace(struct hf_reader *r, const json_t *object, hearth_error *err) {
    struct pattern pattern;
    struct text content = hf_text(json_object_get(object, "content"));
    RETURN_IF_ERROR(read_pattern(object, &pattern, err));
    if (!pattern.is_regex) {
        bool is_mark = text_equal(pattern.text, " ") && text_equal(content, word_mark);
        if (is_mark)
            r->replaces_spaces = true;
        else
            r->other_normal = true;
        return normalizer_add_replace(&r->t->normalizer, pattern.text, content, err);
    }
    r->other_normal = true;
    struct normalize_step step = {.kind = NORMALIZE_REPLACE_REGEX,
                                  .to = mem_strndup(content.data, content.length),
                                  .to_length = content.length};
    hearth_status status = step.to ? HEARTH_OK : no_memory(err);
    if (status == HEARTH_OK)
        status = regex_open(&step.regex, pattern.text.data, pattern.text.length, err);
    if (status == HEARTH_OK) return normalizer_add(&r->t->normalizer, &step, err);
    normalize_step_release(&step);
    return status;
}

static hearth_status read_prepend(struct hf_reader *r, const json_t *object, hearth_error *err) {
    struct text prefix = hf_text(json_object_get(object, "prepend"));
    if (text_equal(prefix, word_mark) && !r->replaces_spaces)
        r->prepends_mark = true;
    else
        r->other_normal = true;
    return normalizer_add_prepend(&r->t->normalizer, prefix, err);
}

static struct normalize_step bert_step(const json_t *object) {
    bool lowercase = hf_bool(object, "lowercase", true);
    return (struct normalize_step){.kind = NORMALIZE_BERT,
                                   .clean = hf_bool(object, "clean_text", true),
                                   .cjk = hf_bool(object, "handle_chinese_chars", true),
                                   .lowercase = lowercase,
                                   .strip_accents = hf_bool(object, "strip_accents", lowercase)};
}

hearth_status hf_read_normalizer(struct hf_reader *r, const json_t *object, int depth,
                                 hearth_error *err) {
    static const struct {
        const char *type;
        enum normalize_kind kind;
    } simple[] = {{"NFC", NORMALIZE_NFC},
                  {"NFD", NORMALIZE_NFD},
                  {"NFKC", NORMALIZE_NFKC},
                  {"NFKD", NORMALIZE_NFKD},
                  {"Lowercase", NORMALIZE_LOWERCASE},
                  {"StripAccents", NORMALIZE_STRIP_ACCENTS},
                  {"Nmt", NORMALIZE_NMT},
                  {"Strip", NORMALIZE_STRIP}};
    if (!json_is_object(object)) return HEARTH_OK;
    if (hf_type_is(object, "Sequence"))
        return read_sequence(r, object, "normalizers", depth, hf_read_normalizer, err);
    if (hf_type_is(object, "Replace")) return read_replace(r, object, err);
    if (hf_type_is(object, "Prepend")) return read_prepend(r, object, err);
    if (hf_type_is(object, "NFC") && r->t->normalizer.count == 0)
        r->nfc = true;
    else
        r->other_normal = true;
    if (hf_type_is(object, "Precompiled")) return read_precompiled(r, object, err);
    struct normalize_step step = bert_step(object);
    if (hf_type_is(object, "BertNormalizer")) return normalizer_add(&r->t->normalizer, &step, err);
    for (size_t i = 0; i < sizeof simple / sizeof *simple; i++) {
        if (!hf_type_is(object, simple[i].type)) continue;
        step = (struct normalize_step){.kind = simple[i].kind,
                                       .left = hf_bool(object, "strip_left", true),
                                       .right = hf_bool(object, "strip_right", true)};
        return normalizer_add(&r->t->normalizer, &step, err);
    }
    return refuse("normaliser", object, err);
}

/* ---- pre-tokenizer ----------------------------------------------------------------------------
 */

static hearth_status read_behaviour(const json_t *object, enum split_behaviour fallback,
                                    enum split_behaviour *behaviour, hearth_error *err) {
    static const char *const names[] = {"Isolated", "Removed", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"};
    const char *name = hf_string(object, "behavior");
    *behaviour = fallback;
    if (!name) return HEARTH_OK;
    for (int i = 0; i < 5; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *behaviour = (enum split_behaviour)i;
        return HEARTH_OK;
    }
    return error_set(err, HEARTH_ERROR_FORMAT, "tokenizer.json: behaviour '%.40s' is not known",
                     name);
}

static void note_pattern(struct hf_reader *r, const char *pattern) {
    if (r->n_patterns < sizeof r->patterns / sizeof *r->patterns)
        r->patterns[r->n_patterns++] = pattern;
    else
        r->other_cuts = true;
}

static hearth_status add_literal(struct hf_reader *r, struct split_step *step, struct text literal,
                                 hearth_error *err) {
    step->literal = mem_strndup(literal.data, literal.length);
    step->literal_length = literal.length;
    if (!step->literal) return no_memory(err);
    return pretokenizer_add(&r->t->pretokenizer, step, err);
}

static hearth_status read_split(struct hf_reader *r, const json_t *object, hearth_error *err) {
    struct pattern pattern;
    struct split_step step = {.kind = SPLIT_REGEX, .invert = hf_bool(object, "invert", false)};
    RETURN_IF_ERROR(read_pattern(object, &pattern, err));
    RETURN_IF_ERROR(read_behaviour(object, SPLIT_ISOLATED, &step.behaviour, err));
    if (!pattern.is_regex && r->replaces_spaces && text_equal(pattern.text, " "))
        return HEARTH_OK; /* the normaliser has left no space to cut at */
    bool keeps_all =
        step.behaviour == SPLIT_ISOLATED || (step.behaviour == SPLIT_REMOVED && step.invert);
    if (keeps_all && pattern.is_regex)
        note_pattern(r, pattern.text.data);
    else
        r->other_cuts = true;
    if (!pattern.is_regex) {
        step.kind = SPLIT_LITERAL;
        return add_literal(r, &step, pattern.text, err);
    }
    RETURN_IF_ERROR(regex_open(&step.regex, pattern.text.data, pattern.text.length, err));
    return pretokenizer_add(&r->t->pretokenizer, &step, err);
}

static hearth_status read_byte_level(struct hf_reader *r, const json_t *object, hearth_error *err) {
    r->byte_level = true;
    if (hf_bool(object, "add_prefix_space", true)) {
        struct split_step step = {.kind = SPLIT_PREFIX_SPACE};
        r->other_cuts = true;
        RETURN_IF_ERROR(pretokenizer_add(&r->t->pretokenizer, &step, err));
    }
    if (!hf_bool(object, "use_regex", true)) return HEARTH_OK;
    note_pattern(r, pre_find("gpt-2", 5)->rules->patterns[0]);
    return pretokenizer_add_regex(&r->t->pretokenizer, r->patterns[r->n_patterns - 1], err);
}

static hearth_status read_metaspace(struct hf_reader *r, const json_t *object, hearth_error *err) {
    struct split_step step = {.kind = SPLIT_METASPACE, .behaviour = SPLIT_MERGED_WITH_NEXT};
    const char *scheme = hf_string(object, "prepend_scheme");
    struct text mark = hf_text(json_object_get(object, "replacement"));
    if (mark.length == 0) mark = (struct text){word_mark, 3};
    if (scheme && strcmp(scheme, "first") == 0)
        step.prepend = SPLIT_PREPEND_FIRST;
    else if (scheme && strcmp(scheme, "never") == 0)
        step.prepend = SPLIT_PREPEND_NEVER;
    else if (!scheme && !hf_bool(object, "add_prefix_space", true))
        step.prepend = SPLIT_PREPEND_NEVER;
    step.cut = hf_bool(object, "split", true);
    r->other_cuts = true;
    r->t->adds_space_prefix = step.prepend != SPLIT_PREPEND_NEVER;
    return add_literal(r, &step, mark, err);
}

static hearth_status read_digits(struct hf_reader *r, const json_t *object, hearth_error *err) {
    bool single = hf_bool(object, "individual_digits", false);
    struct split_step step = {.kind = single ? SPLIT_NUMBER : SPLIT_NUMBERS,
                              .behaviour = single ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS};
    note_pattern(r, single ? "\\p{N}" : "\\p{N}+");
    return pretokenizer_add(&r->t->pretokenizer, &step, err);
}

static hearth_status read_words(struct hf_reader *r, hearth_error *err) {
    static const char words[] = "\\w+|[^\\w\\s]+";
    struct split_step step = {.kind = SPLIT_REGEX, .behaviour = SPLIT_REMOVED, .invert = true};
    RETURN_IF_ERROR(regex_open(&step.regex, words, sizeof words - 1, err));
    return pretokenizer_add(&r->t->pretokenizer, &step, err);
}

/* Cuts that GGUF's names never mean. */
static hearth_status read_other_cut(struct hf_reader *r, const json_t *object, hearth_error *err) {
    struct split_step step = {0};
    r->other_cuts = true;
    if (hf_type_is(object, "Whitespace")) return read_words(r, err);
    if (hf_type_is(object, "WhitespaceSplit")) {
        step = (struct split_step){.kind = SPLIT_SPACE, .behaviour = SPLIT_REMOVED};
    } else if (hf_type_is(object, "BertPreTokenizer")) {
        step.kind = SPLIT_BERT;
    } else if (hf_type_is(object, "Punctuation")) {
        step.kind = SPLIT_PUNCTUATION;
        RETURN_IF_ERROR(read_behaviour(object, SPLIT_ISOLATED, &step.behaviour, err));
    } else if (hf_type_is(object, "CharDelimiterSplit")) {
        step = (struct split_step){.kind = SPLIT_LITERAL, .behaviour = SPLIT_REMOVED};
        return add_literal(r, &step, hf_text(json_object_get(object, "delimiter")), err);
    } else {
        return refuse("pre-tokenizer", object, err);
    }
    return pretokenizer_add(&r->t->pretokenizer, &step, err);
}

hearth_status hf_read_pretokenizer(struct hf_reader *r, const json_t *object, int depth,
                                   hearth_error *err) {
    if (!json_is_object(object)) return HEARTH_OK;
    if (hf_type_is(object, "Sequence"))
        return read_sequence(r, object, "pretokenizers", depth, hf_read_pretokenizer, err);
    if (r->byte_level) /* what comes after it would see the byte alphabet, not the text */
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "a pre-tokenizer after ByteLevel is not supported");
    if (hf_type_is(object, "Split")) return read_split(r, object, err);
    if (hf_type_is(object, "ByteLevel")) return read_byte_level(r, object, err);
    if (hf_type_is(object, "Metaspace")) return read_metaspace(r, object, err);
    if (hf_type_is(object, "Digits")) return read_digits(r, object, err);
    return read_other_cut(r, object, err);
}

/* ---- decoder ------------------------------------------------------------------------------------
 */

static hearth_status set_continuation(struct tokenizer *t, const char *prefix, hearth_error *err) {
    t->piece_kind = PIECE_WORDPIECE;
    mem_free(t->continuation);
    t->continuation = mem_strdup(prefix);
    return t->continuation ? HEARTH_OK : no_memory(err);
}

static hearth_status read_decoder_replace(struct hf_reader *r, const json_t *object,
                                          hearth_error *err) {
    struct pattern pattern;
    RETURN_IF_ERROR(read_pattern(object, &pattern, err));
    if (pattern.is_regex || !text_equal(pattern.text, word_mark) ||
        !text_equal(hf_text(json_object_get(object, "content")), " "))
        return refuse("decoder", object, err);
    r->t->piece_kind = PIECE_WORD_MARKS;
    return HEARTH_OK;
}

static hearth_status read_decoder_strip(struct hf_reader *r, const json_t *object,
                                        hearth_error *err) {
    json_int_t start = json_integer_value(json_object_get(object, "start"));
    json_int_t stop = json_integer_value(json_object_get(object, "stop"));
    if (start > 1 || start < 0 || stop != 0 ||
        !text_equal(hf_text(json_object_get(object, "content")), " "))
        return refuse("decoder", object, err);
    r->t->strips_first_space = start == 1;
    return HEARTH_OK;
}

hearth_status hf_read_decoder(struct hf_reader *r, const json_t *object, int depth,
                              hearth_error *err) {
    struct tokenizer *t = r->t;
    if (!json_is_object(object)) return set_continuation(t, "", err); /* words, spaces between */
    if (hf_type_is(object, "Sequence"))
        return read_sequence(r, object, "decoders", depth, hf_read_decoder, err);
    if (hf_type_is(object, "Fuse") || hf_type_is(object, "ByteFallback")) return HEARTH_OK;
    if (hf_type_is(object, "Replace")) return read_decoder_replace(r, object, err);
    if (hf_type_is(object, "Strip")) return read_decoder_strip(r, object, err);
    if (hf_type_is(object, "ByteLevel")) {
        t->piece_kind = PIECE_BYTE_LEVEL;
        return HEARTH_OK;
    }
    if (hf_type_is(object, "Metaspace")) {
        const char *scheme = hf_string(object, "prepend_scheme");
        t->piece_kind = PIECE_WORD_MARKS;
        t->strips_first_space =
            scheme ? strcmp(scheme, "never") != 0 : hf_bool(object, "add_prefix_space", true);
        return HEARTH_OK;
    }
    if (hf_type_is(object, "WordPiece")) {
        const char *prefix = hf_string(object, "prefix");
        return set_continuation(t, prefix ? prefix : "##", err);
    }
    return refuse("decoder", object, err);
}
