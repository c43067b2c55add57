/* Counts words, then lets bpe_merger.c choose the pairs. */
#include "token/bpe_train.h"

#include <string.h>

#include "base/mem.h"
#include "token/bpe_train_parts.h"
#include "token/tokenizer_parts.h"
#include "token/utf8.h"

enum { N_BYTES = 256, PROGRESS_EVERY = 64 };
/* The characters of the byte alphabet end below this. */
enum { ALPHABET_END = 0x100 + N_BYTES };

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to train a vocabulary");
}

/* ---- opening -------------------------------------------------------------------------------- */

static bool has_only_patterns(const struct pre_name *pre) {
    if (pre->word_marks) return false;
    for (size_t i = 0; i < PRE_MAX_STEPS && pre->rules->patterns[i]; i++)
        if (strcmp(pre->rules->patterns[i], PRE_DIGIT_GROUPS) == 0 ||
            strcmp(pre->rules->patterns[i], PRE_DECIMAL_GROUPS) == 0)
            return false;
    return true;
}

static hearth_status choose_rules(struct bpe_trainer *t, const char *name, hearth_error *err) {
    if (!name) name = BPE_TRAIN_DEFAULT_PRE;
    t->pre = pre_find(name, strlen(name));
    if (!t->pre)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "no pre-tokenizer '%.40s'; names are those of tokenizer.ggml.pre, such "
                         "as qwen2, llama-bpe, gpt-2, starcoder",
                         name);
    if (!has_only_patterns(t->pre))
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "pre-tokenizer '%.40s' does more than cut at patterns and cannot be "
                         "written to a tokenizer.json; qwen2 and llama-bpe can",
                         name);
    return pre_add_steps(t->pre->rules, &t->pretokenizer, err);
}

static hearth_status check_added(const struct bpe_trainer *t, struct text spelling,
                                 hearth_error *err) {
    if (spelling.length < 2 || spelling.length > BPE_TRAIN_MAX_ADDED_BYTES ||
        !utf8_valid(spelling.data, spelling.length))
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "added token '%.40s' is not UTF-8 text of 2 to %d bytes", spelling.data,
                         BPE_TRAIN_MAX_ADDED_BYTES);
    if (vocabulary_find(&t->added, spelling.data, spelling.length) >= 0)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "added token '%.40s' is given twice",
                         spelling.data);
    return HEARTH_OK;
}

static hearth_status take_added(struct bpe_trainer *t, const struct bpe_train_options *options,
                                hearth_error *err) {
    if (options->n_added > BPE_TRAIN_MAX_ADDED)
        return error_set(err, HEARTH_ERROR_LIMIT, "%zu added tokens; at most %d", options->n_added,
                         BPE_TRAIN_MAX_ADDED);
    for (size_t i = 0; i < options->n_added; i++) {
        const struct bpe_added *token = &options->added[i];
        struct text spelling = {token->spelling, strlen(token->spelling)};
        unsigned bits = token->is_control ? TOKEN_BIT_CONTROL : TOKEN_BIT_USER_DEFINED;
        RETURN_IF_ERROR(check_added(t, spelling, err));
        if (!vocabulary_add(&t->added, spelling, bits, 0)) return no_memory(err);
    }
    t->finder.leftmost = true;
    t->finder.vocabulary = &t->added;
    for (size_t i = 0; i < options->n_added; i++)
        if (!added_tokens_add(&t->finder, (int32_t)i, vocabulary_text(&t->added, i)))
            return no_memory(err);
    if (!options->eos) return HEARTH_OK;
    t->eos = vocabulary_find(&t->added, options->eos, strlen(options->eos));
    if (t->eos >= 0) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_ARGUMENT,
                     "the end token '%.40s' is not among the added tokens", options->eos);
}

/* Symbols of bytes, numbered as their characters in the byte alphabet follow one another. */
static hearth_status add_bytes(struct bpe_trainer *t, hearth_error *err) {
    for (uint32_t code = 0; code < ALPHABET_END; code++) {
        int byte = byte_alphabet_byte(code);
        if (byte < 0) continue;
        char raw = (char)byte;
        t->byte_symbol[byte] = (uint32_t)t->spellings.count;
        if (!string_table_add(&t->spellings, &raw, 1)) return no_memory(err);
    }
    return HEARTH_OK;
}

static hearth_status set_up(struct bpe_trainer *t, const struct bpe_train_options *options,
                            hearth_error *err) {
    size_t least = N_BYTES + options->n_added;
    RETURN_IF_ERROR(choose_rules(t, options->pre, err));
    RETURN_IF_ERROR(take_added(t, options, err));
    RETURN_IF_ERROR(add_bytes(t, err));
    if (options->n_vocab < least || options->n_vocab > TOKENIZER_MAX_TOKENS)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "a vocabulary of %zu tokens; 256 bytes and %zu added tokens need at "
                         "least %zu, and at most %d are possible",
                         options->n_vocab, options->n_added, least, TOKENIZER_MAX_TOKENS);
    t->merges = mem_alloc_array(options->n_vocab - least + 1, sizeof *t->merges);
    if (!t->merges) return no_memory(err);
    return regex_scratch_open(&t->regexes, err);
}

hearth_status bpe_trainer_open(struct bpe_trainer **out, const struct bpe_train_options *options,
                               hearth_error *err) {
    *out = NULL;
    struct bpe_trainer *t = mem_calloc(1, sizeof *t);
    if (!t) return no_memory(err);
    t->n_vocab = options->n_vocab;
    t->min_count = options->min_count;
    t->progress = options->progress;
    t->progress_context = options->progress_context;
    t->eos = TOKEN_NONE;
    pretokenize_scratch_init(&t->scratch);
    buf_init(&t->repaired, INT32_MAX);
    hearth_status status = set_up(t, options, err);
    if (status == HEARTH_OK)
        *out = t;
    else
        bpe_trainer_close(t);
    return status;
}

void bpe_trainer_close(struct bpe_trainer *t) {
    if (!t) return;
    vocabulary_release(&t->added);
    added_tokens_release(&t->finder);
    pretokenizer_release(&t->pretokenizer);
    pretokenize_scratch_release(&t->scratch);
    regex_scratch_close(t->regexes);
    segment_list_release(&t->segments);
    buf_release(&t->repaired);
    string_table_release(&t->texts);
    string_table_release(&t->spellings);
    mem_free(t->words);
    mem_free(t->symbols);
    mem_free(t->merges);
    mem_free(t);
}

/* ---- words ---------------------------------------------------------------------------------- */

static hearth_status add_word(struct bpe_trainer *t, const char *word, size_t n,
                              hearth_error *err) {
    if (t->texts.count == BPE_TRAIN_MAX_WORDS || t->texts.n_bytes + n > BPE_TRAIN_MAX_TOTAL_BYTES)
        return error_set(err, HEARTH_ERROR_LIMIT,
                         "the texts have more than %d different words or %d bytes of them: train "
                         "on fewer texts, or on texts rather than on data",
                         BPE_TRAIN_MAX_WORDS, BPE_TRAIN_MAX_TOTAL_BYTES);
    if (t->texts.count == t->words_capacity) {
        size_t capacity = t->words_capacity ? t->words_capacity * 2 : 1 << 10;
        struct merge_word *words = mem_realloc_array(t->words, capacity, sizeof *words);
        if (!words) return no_memory(err);
        t->words = words;
        t->words_capacity = capacity;
    }
    t->words[t->texts.count] = (struct merge_word){1, (uint32_t)t->texts.n_bytes, (uint16_t)n};
    return string_table_add(&t->texts, word, n) ? HEARTH_OK : no_memory(err);
}

static hearth_status count_word(struct bpe_trainer *t, const char *word, size_t n,
                                hearth_error *err) {
    if (n == 0) return HEARTH_OK;
    if (n > BPE_TRAIN_MAX_WORD_BYTES) {
        t->n_long_words++;
        return HEARTH_OK;
    }
    t->n_words++;
    uint32_t number = string_table_find(&t->texts, word, n);
    if (number == STRING_NONE) return add_word(t, word, n, err);
    t->words[number].count++;
    return HEARTH_OK;
}

static hearth_status count_words(struct bpe_trainer *t, struct text text, bool at_start,
                                 hearth_error *err) {
    const struct piece_list *pieces;
    t->n_bytes += text.length;
    RETURN_IF_ERROR(pretokenizer_apply(&t->pretokenizer, text, at_start, &t->scratch, t->regexes,
                                       &text, &pieces, err));
    for (size_t i = 0; i < pieces->count; i++) {
        struct piece p = pieces->items[i];
        RETURN_IF_ERROR(count_word(t, text.data + p.begin, p.end - p.begin, err));
    }
    return HEARTH_OK;
}

hearth_status bpe_trainer_add(struct bpe_trainer *t, const char *data, size_t n,
                              hearth_error *err) {
    struct text text = {n ? data : "", n};
    if (t->is_run)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "the vocabulary is trained already");
    if (n > TOKENIZER_MAX_TEXT_BYTES)
        return error_set(err, HEARTH_ERROR_LIMIT, "text has %zu bytes, at most %d are read", n,
                         TOKENIZER_MAX_TEXT_BYTES);
    if (!tokenizer_make_valid(&text, &t->repaired)) return no_memory(err);
    t->segments.count = 0;
    if (!added_tokens_split(&t->finder, text.data, text.length, true, &t->segments))
        return no_memory(err);
    for (size_t i = 0; i < t->segments.count; i++) {
        struct segment s = t->segments.items[i];
        struct text part = {text.data + s.begin, s.end - s.begin};
        if (s.id < 0) RETURN_IF_ERROR(count_words(t, part, s.begin == 0, err));
    }
    return HEARTH_OK;
}

/* ---- merges --------------------------------------------------------------------------------- */

static hearth_status spell_words(struct bpe_trainer *t, hearth_error *err) {
    t->symbols = mem_alloc_array(t->texts.n_bytes + 1, sizeof *t->symbols);
    if (!t->symbols) return no_memory(err);
    for (size_t i = 0; i < t->texts.n_bytes; i++)
        t->symbols[i] = t->byte_symbol[(unsigned char)t->texts.bytes[i]];
    return HEARTH_OK;
}

/* The pair's two spellings one after the other; its length, 0 when it is a token already. */
static size_t join(const struct bpe_trainer *t, struct symbol_pair pair,
                   char joined[BPE_TRAIN_MAX_WORD_BYTES]) {
    struct text left = string_table_get(&t->spellings, pair.left);
    struct text right = string_table_get(&t->spellings, pair.right);
    size_t n = left.length + right.length;
    memcpy(joined, left.data, left.length);
    memcpy(joined + left.length, right.data, right.length);
    return string_table_find(&t->spellings, joined, n) == STRING_NONE ? n : 0;
}

static hearth_status learn(struct bpe_trainer *t, struct bpe_merger *merger, hearth_error *err) {
    size_t wanted = t->n_vocab - N_BYTES - vocabulary_count(&t->added);
    struct symbol_pair pair;
    while (t->n_merges < wanted && bpe_merger_next(merger, &pair)) {
        char joined[BPE_TRAIN_MAX_WORD_BYTES];
        size_t n = join(t, pair, joined);
        if (n == 0) continue;
        uint32_t symbol = (uint32_t)t->spellings.count;
        if (!string_table_add(&t->spellings, joined, n)) return no_memory(err);
        t->merges[t->n_merges++] = pair;
        RETURN_IF_ERROR(bpe_merger_apply(merger, symbol, err));
        if (t->progress && t->n_merges % PROGRESS_EVERY == 0)
            t->progress(t->progress_context, t->n_merges, wanted);
    }
    return HEARTH_OK;
}

hearth_status bpe_trainer_run(struct bpe_trainer *t, hearth_error *err) {
    if (t->texts.count == 0)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "there is no text to learn from");
    if (t->is_run)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "the vocabulary is trained already");
    t->is_run = true;
    struct bpe_merger *merger = NULL;
    hearth_status status = spell_words(t, err);
    if (status == HEARTH_OK)
        status = bpe_merger_open(&merger, t->words, t->texts.count, t->symbols, t->min_count, err);
    if (status == HEARTH_OK) status = learn(t, merger, err);
    bpe_merger_close(merger);
    return status;
}

/* ---- what came of it ------------------------------------------------------------------------ */

struct bpe_train_summary bpe_trainer_summary(const struct bpe_trainer *t) {
    struct bpe_train_summary s = {.n_vocab = t->spellings.count + vocabulary_count(&t->added),
                                  .n_merges = t->n_merges,
                                  .n_distinct_words = t->texts.count,
                                  .n_long_words = t->n_long_words,
                                  .n_bytes = t->n_bytes,
                                  .n_words = t->n_words};
    for (size_t i = 0; i < t->texts.count; i++)
        s.n_tokens += t->words[i].count * t->words[i].length;
    return s;
}

struct bpe_train_word bpe_trainer_word(const struct bpe_trainer *t, size_t i) {
    return (struct bpe_train_word){.text = string_table_get(&t->texts, i),
                                   .count = t->words[i].count,
                                   .ids = t->symbols ? t->symbols + t->words[i].begin : NULL,
                                   .n_ids = t->symbols ? t->words[i].length : 0};
}
