#include "train/example.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "train/example_list.h"
#include "train/example_spans.h"

static const time_t default_now = 1735732800; /* 2025-01-01 12:00 UTC */

/* A character that no vocabulary merges with another; see encode_after. */
static const char anchor[] = "\x01";
enum { MAX_ANCHOR_IDS = 8 };

const char example_fallback_template[] =
    "{% for message in messages %}"
    "{% if message.role == 'assistant' %}{{ '### Response:\\n' }}"
    "{% elif message.role == 'user' %}{{ '### Instruction:\\n' }}"
    "{% elif message.role == 'tool' or message.role == 'function' %}{{ '### Result:\\n' }}"
    "{% endif %}{{ message.content or '' }}"
    "{% for call in message.tool_calls or [] %}{{ (call.function or call) | tojson }}{% endfor %}"
    "{{ (eos_token if message.role == 'assistant' else '') + '\\n\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}";

struct example_maker {
    struct example_options options;
    struct chat_template *fallback;
    char *bos_text, *eos_text;
    int32_t bos, eos, unknown;
    bool adds_space; /* the vocabulary puts a space in front of every text */
    int32_t anchor_ids[MAX_ANCHOR_IDS];
    size_t n_anchor;
    struct token_list work;
};

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the tokens of a record");
}

/* ---- opening ---- */

static char *text_of(const struct tokenizer *t, int32_t id) {
    struct text text = id == TOKEN_NONE ? (struct text){"", 0} : tokenizer_text(t, id);
    return mem_strndup(text.data, text.length);
}

/* How the vocabulary begins texts. */
static hearth_status probe_vocabulary(struct example_maker *m, hearth_error *err) {
    const struct tokenizer *t = m->options.tokenizer;
    RETURN_IF_ERROR(tokenizer_encode(t, "a", 1, false, false, &m->work, err));
    struct text first = m->work.count ? tokenizer_piece(t, m->work.ids[0]) : (struct text){"", 0};
    m->adds_space = first.length > 0 && first.data[0] == ' ';
    m->work.count = 0;
    RETURN_IF_ERROR(tokenizer_encode(t, anchor, 1, false, false, &m->work, err));
    m->n_anchor = m->work.count <= MAX_ANCHOR_IDS ? m->work.count : 0;
    if (m->n_anchor) memcpy(m->anchor_ids, m->work.ids, m->n_anchor * sizeof *m->anchor_ids);
    return HEARTH_OK;
}

hearth_status example_maker_open(struct example_maker **out, const struct example_options *options,
                                 hearth_error *err) {
    const struct tokenizer *t = options->tokenizer;
    *out = NULL;
    if (options->max_length == 1)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "a sequence has to have at least 2 tokens");
    struct example_maker *m = mem_calloc(1, sizeof *m);
    if (!m) return no_memory(err);
    m->options = *options;
    if (!m->options.now) m->options.now = default_now;
    m->bos = tokenizer_role(t, TOKEN_BOS);
    m->eos = tokenizer_role(t, TOKEN_EOS);
    if (m->eos == TOKEN_NONE) m->eos = tokenizer_role(t, TOKEN_EOT);
    m->unknown = tokenizer_role(t, TOKEN_UNK);
    m->bos_text = text_of(t, m->bos);
    m->eos_text = text_of(t, m->eos);
    hearth_status status = m->bos_text && m->eos_text ? probe_vocabulary(m, err) : no_memory(err);
    if (status == HEARTH_OK && !options->template) {
        status = chat_template_open(&m->fallback, example_fallback_template,
                                    strlen(example_fallback_template), err);
        m->options.template = m->fallback;
    }
    if (status == HEARTH_OK)
        *out = m;
    else
        example_maker_close(m);
    return status;
}

void example_maker_close(struct example_maker *m) {
    if (!m) return;
    chat_template_close(m->fallback);
    token_list_release(&m->work);
    mem_free(m->bos_text);
    mem_free(m->eos_text);
    mem_free(m);
}

uint32_t example_maker_max_length(const struct example_maker *m) {
    return m->options.max_length;
}

/* ---- text to tokens ---- */

/* Text that goes on after other text: the space that some vocabularies put in front of
 * every text is kept away by a character before it, whose tokens are taken off again. */
static hearth_status encode_after(struct example_maker *m, const char *text, size_t n,
                                  struct example_list *list, hearth_error *err) {
    const struct tokenizer *t = m->options.tokenizer;
    struct buf anchored;
    buf_init(&anchored, EXAMPLE_MAX_TEXT_BYTES + sizeof anchor);
    buf_append(&anchored, anchor, 1);
    buf_append(&anchored, text, n);
    m->work.count = 0;
    hearth_status status =
        anchored.failed
            ? no_memory(err)
            : tokenizer_encode(t, buf_text(&anchored), anchored.length, false, true, &m->work, err);
    buf_release(&anchored);
    if (status != HEARTH_OK) return status;
    if (m->work.count < m->n_anchor ||
        memcmp(m->work.ids, m->anchor_ids, m->n_anchor * sizeof *m->work.ids) != 0)
        return tokenizer_encode(t, text, n, false, true, &list->tokens, err);
    return token_list_append(&list->tokens, m->work.ids + m->n_anchor, m->work.count - m->n_anchor)
               ? HEARTH_OK
               : no_memory(err);
}

static hearth_status encode_segment(struct example_maker *m, const char *text, size_t n,
                                    size_t begin, bool trained, struct example_list *list,
                                    hearth_error *err) {
    const struct tokenizer *t = m->options.tokenizer;
    size_t from = list->tokens.count;
    bool goes_on = from > begin && !tokenizer_is_special(t, list->tokens.ids[from - 1]);
    if (n == 0) return HEARTH_OK;
    if (m->adds_space && m->n_anchor > 0 && goes_on)
        RETURN_IF_ERROR(encode_after(m, text, n, list, err));
    else
        RETURN_IF_ERROR(tokenizer_encode(t, text, n, false, true, &list->tokens, err));
    return example_list_mark(list, from, trained, err);
}

static bool is_blank(const struct tokenizer *t, int32_t id) {
    struct text piece = tokenizer_piece(t, id);
    for (size_t i = 0; i < piece.length; i++)
        if (!strchr(" \t\r\n", piece.data[i]) || piece.data[i] == '\0') return false;
    return piece.length > 0;
}

/* A turn closes with blanks and tokens that end a generation. A model stops at the first
 * of those: what follows is not trained. False: there is none. */
static bool end_turn(const struct example_maker *m, struct example_list *list, size_t from,
                     bool cut) {
    const struct tokenizer *t = m->options.tokenizer;
    size_t end = list->tokens.count, stop = 0;
    for (size_t i = end; i > from; i--) {
        int32_t id = list->tokens.ids[i - 1];
        if (tokenizer_is_end_of_generation(t, id))
            stop = i;
        else if (!is_blank(t, id) && !cut)
            break;
    }
    if (stop) memset(list->trained + stop, 0, end - stop);
    return stop > 0;
}

/* Some templates end a turn only when another message follows. */
static void end_turn_late(const struct example_maker *m, struct example_list *list, size_t from) {
    if (from < list->tokens.count &&
        tokenizer_is_end_of_generation(m->options.tokenizer, list->tokens.ids[from]))
        list->trained[from] = 1;
}

static hearth_status append_id(struct example_list *list, int32_t id, bool trained,
                               hearth_error *err) {
    size_t from = list->tokens.count;
    if (!token_list_append(&list->tokens, &id, 1)) return no_memory(err);
    return example_list_mark(list, from, trained, err);
}

static hearth_status append_bos(const struct example_maker *m, struct example_list *list,
                                hearth_error *err) {
    if (!tokenizer_adds_bos(m->options.tokenizer) || m->bos == TOKEN_NONE) return HEARTH_OK;
    return append_id(list, m->bos, false, err);
}

/* BOS stands in front once, whether the template writes it or the vocabulary wants it. */
static void drop_second_bos(const struct example_maker *m, struct example_list *list,
                            size_t begin) {
    struct token_list *tokens = &list->tokens;
    if (tokens->count < begin + 2 || m->bos == TOKEN_NONE) return;
    if (tokens->ids[begin] != m->bos || tokens->ids[begin + 1] != m->bos) return;
    size_t n = --tokens->count - begin;
    memmove(tokens->ids + begin, tokens->ids + begin + 1, n * sizeof *tokens->ids);
    memmove(list->trained + begin, list->trained + begin + 1, n);
}

/* The rest of the rendering after the last turn teaches nothing. */
static hearth_status close_conversation(struct example_maker *m, struct example_list *list,
                                        size_t begin, bool ended, struct example_outcome *outcome,
                                        hearth_error *err) {
    if (!ended && m->eos != TOKEN_NONE) {
        outcome->end_appended = true;
        return append_id(list, m->eos, true, err);
    }
    while (list->tokens.count > begin && !list->trained[list->tokens.count - 1])
        list->tokens.count--;
    return HEARTH_OK;
}

static hearth_status encode_conversation(struct example_maker *m,
                                         const struct rendered_conversation *r,
                                         struct example_list *list, struct example_outcome *outcome,
                                         hearth_error *err) {
    size_t begin = list->tokens.count, from = begin, at = 0;
    const char *text = buf_text(&r->text);
    bool ended = true;
    RETURN_IF_ERROR(append_bos(m, list, err));
    for (size_t i = 0; i < r->n_spans; i++) {
        struct text_span span = r->spans[i];
        RETURN_IF_ERROR(encode_segment(m, text + at, span.begin - at, begin,
                                       m->options.train_prompts, list, err));
        if (i == 0) drop_second_bos(m, list, begin);
        if (!ended) end_turn_late(m, list, from);
        from = list->tokens.count;
        RETURN_IF_ERROR(
            encode_segment(m, text + span.begin, span.end - span.begin, begin, true, list, err));
        ended = end_turn(m, list, from, span.cut);
        from = list->tokens.count;
        at = span.end;
    }
    return close_conversation(m, list, begin, ended, outcome, err);
}

/* ---- records ---- */

static void drop(struct example_outcome *outcome, enum example_result result, const char *why) {
    outcome->result = result;
    snprintf(outcome->message, sizeof outcome->message, "%.255s", why);
}

/* What the vocabulary could not say, and what the model could not read. */
static hearth_status check_ids(const struct example_maker *m, const struct example_list *list,
                               size_t begin, struct example_outcome *outcome, hearth_error *err) {
    for (size_t i = begin; i < list->tokens.count; i++) {
        int32_t id = list->tokens.ids[i];
        outcome->n_unknown += m->unknown != TOKEN_NONE && id == m->unknown;
        if (m->options.n_vocab && (uint32_t)id >= m->options.n_vocab) {
            struct text text = tokenizer_text(m->options.tokenizer, id);
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "the tokenizer does not fit the model: it makes token %d ('%.*s'), "
                             "but the model has %u",
                             id, (int)(text.length < 40 ? text.length : 40), text.data,
                             m->options.n_vocab);
        }
    }
    return HEARTH_OK;
}

/* Makes a sequence of the tokens from `begin` on, cut where it has to be. */
static hearth_status finish(struct example_maker *m, struct example_list *list, size_t begin,
                            enum example_kind kind, struct example_outcome *outcome,
                            hearth_error *err) {
    char why[128];
    uint32_t limit = m->options.max_length;
    size_t n = list->tokens.count - begin;
    RETURN_IF_ERROR(check_ids(m, list, begin, outcome, err));
    outcome->n_tokens += (uint32_t)n;
    bool too_long = limit && n > limit;
    if (too_long) {
        snprintf(why, sizeof why, "%zu tokens, %u fit: the end is cut off", n, limit);
        drop(outcome, EXAMPLE_TRUNCATED, why);
        n = limit;
        list->tokens.count = begin + n;
    }
    if (too_long && m->options.too_long == TOO_LONG_DROP) {
        snprintf(why, sizeof why, "%u tokens, %u fit", outcome->n_tokens, limit);
        drop(outcome, EXAMPLE_TOO_LONG, why);
        return HEARTH_OK;
    }
    RETURN_IF_ERROR(example_list_push(list, begin, (uint32_t)n, kind, err));
    if (list->items[list->n - 1].n_trained > 0) return HEARTH_OK;
    list->n--;
    if (!too_long) {
        drop(outcome, EXAMPLE_UNTRAINED, "the template shows no answer of the assistant");
        return HEARTH_OK;
    }
    snprintf(why, sizeof why, "%u tokens, %u fit: no answer would be left", outcome->n_tokens,
             limit);
    drop(outcome, EXAMPLE_TOO_LONG, why);
    return HEARTH_OK;
}

static hearth_status make_conversation(struct example_maker *m, const struct dataset_sample *sample,
                                       const json_t *messages, size_t first, bool only_last,
                                       enum example_kind kind, struct example_list *list,
                                       struct example_outcome *outcome, hearth_error *err) {
    struct rendered_conversation r;
    hearth_error problem = {0};
    const struct dialogue dialogue = {.messages = messages,
                                      .tools = sample->tools,
                                      .variables = sample->variables ? sample->variables
                                                                     : m->options.variables,
                                      .bos_text = m->bos_text,
                                      .eos_text = m->eos_text,
                                      .now = m->options.now};
    size_t begin = list->tokens.count;
    hearth_status status =
        spans_render(&r, m->options.template, &dialogue, first, only_last, &problem);
    if (status == HEARTH_ERROR_NO_MEMORY) return error_set(err, status, "%s", problem.message);
    if (status != HEARTH_OK) {
        drop(outcome, EXAMPLE_REFUSED, problem.message);
        return HEARTH_OK;
    }
    outcome->n_turns += r.n_turns;
    outcome->n_hidden += r.n_hidden;
    outcome->n_rewritten += r.n_rewritten;
    outcome->n_unprompted += r.n_unprompted;
    status = encode_conversation(m, &r, list, outcome, err);
    spans_release(&r);
    return status == HEARTH_OK ? finish(m, list, begin, kind, outcome, err) : status;
}

static bool was_made(const struct example_outcome *outcome) {
    return outcome->result == EXAMPLE_MADE || outcome->result == EXAMPLE_TRUNCATED;
}

static hearth_status encode_text(struct example_maker *m, const json_t *text, bool begins,
                                 bool ends, struct example_list *list, hearth_error *err) {
    if (begins) RETURN_IF_ERROR(append_bos(m, list, err));
    size_t from = list->tokens.count;
    RETURN_IF_ERROR(tokenizer_encode(m->options.tokenizer, json_string_value(text),
                                     json_string_length(text), false, false, &list->tokens, err));
    RETURN_IF_ERROR(example_list_mark(list, from, true, err));
    return ends && m->eos != TOKEN_NONE ? append_id(list, m->eos, true, err) : HEARTH_OK;
}

/* A text becomes as many windows as it needs; each begins with the last token of the one
 * before, so that every token is predicted once. */
static hearth_status make_text(struct example_maker *m, const struct dataset_sample *sample,
                               struct example_list *list, struct example_outcome *outcome,
                               hearth_error *err) {
    size_t begin = list->tokens.count, limit = m->options.max_length, made = list->n;
    RETURN_IF_ERROR(
        encode_text(m, sample->text, sample->text_begins, sample->text_ends, list, err));
    RETURN_IF_ERROR(check_ids(m, list, begin, outcome, err));
    size_t end = list->tokens.count;
    outcome->n_tokens = (uint32_t)(end - begin);
    if (!limit) limit = end - begin;
    for (size_t at = begin; at + 1 < end; at += limit - 1) {
        size_t n = end - at < limit ? end - at : limit;
        RETURN_IF_ERROR(example_list_push(list, at, (uint32_t)n, EXAMPLE_PLAIN, err));
    }
    if (list->n == made) drop(outcome, EXAMPLE_UNTRAINED, "the text is empty");
    return HEARTH_OK;
}

/* ---- preference ---- */

/* Both have the same prompt: what is before the first trained token of either, as far as
 * they agree. */
static void share_prompt(const struct example_list *list) {
    struct example *a = &list->items[list->n - 2], *b = &list->items[list->n - 1];
    const int32_t *x = list->tokens.ids + a->first, *y = list->tokens.ids + b->first;
    uint32_t n = a->n_prompt < b->n_prompt ? a->n_prompt : b->n_prompt, same = 0;
    while (same < n && x[same] == y[same])
        same++;
    a->n_prompt = b->n_prompt = same;
}

static hearth_status make_answer(struct example_maker *m, const struct dataset_sample *sample,
                                 const json_t *answer, enum example_kind kind,
                                 struct example_list *list, struct example_outcome *outcome,
                                 hearth_error *err) {
    size_t i, first = json_array_size(sample->messages);
    json_t *message, *messages = json_copy(sample->messages);
    bool ok = messages != NULL;
    json_array_foreach(answer, i, message) {
        ok = ok && json_array_append(messages, message) == 0;
    }
    hearth_status status =
        ok ? make_conversation(m, sample, messages, first, true, kind, list, outcome, err)
           : no_memory(err);
    json_decref(messages);
    return status;
}

/* Two texts without a prompt differ from some token on; that is what is trained. */
static hearth_status make_two_texts(struct example_maker *m, const struct dataset_sample *sample,
                                    struct example_list *list, struct example_outcome *outcome,
                                    hearth_error *err) {
    size_t a = list->tokens.count, same = 0;
    RETURN_IF_ERROR(encode_text(m, sample->chosen, true, true, list, err));
    size_t b = list->tokens.count;
    RETURN_IF_ERROR(encode_text(m, sample->rejected, true, true, list, err));
    size_t n_a = b - a, n_b = list->tokens.count - b, limit = m->options.max_length;
    const int32_t *ids = list->tokens.ids;
    while (same < n_a && same < n_b && ids[a + same] == ids[b + same])
        same++;
    memset(list->trained + a, 0, same);
    memset(list->trained + b, 0, same);
    RETURN_IF_ERROR(check_ids(m, list, a, outcome, err));
    outcome->n_tokens = (uint32_t)(n_a + n_b);
    if (limit && (n_a > limit || n_b > limit)) {
        bool lost = m->options.too_long == TOO_LONG_DROP || same + 1 >= limit;
        drop(outcome, lost ? EXAMPLE_TOO_LONG : EXAMPLE_TRUNCATED,
             "one of the texts is longer than a sequence may be");
        if (lost) return HEARTH_OK;
        if (n_a > limit) n_a = limit;
        if (n_b > limit) n_b = limit;
    }
    RETURN_IF_ERROR(example_list_push(list, a, (uint32_t)n_a, EXAMPLE_CHOSEN, err));
    return example_list_push(list, b, (uint32_t)n_b, EXAMPLE_REJECTED, err);
}

static hearth_status make_pair(struct example_maker *m, const struct dataset_sample *sample,
                               struct example_list *list, struct example_outcome *outcome,
                               hearth_error *err) {
    if (!sample->messages) {
        RETURN_IF_ERROR(make_two_texts(m, sample, list, outcome, err));
    } else {
        RETURN_IF_ERROR(make_answer(m, sample, sample->chosen, EXAMPLE_CHOSEN, list, outcome, err));
        if (!was_made(outcome)) return HEARTH_OK;
        RETURN_IF_ERROR(
            make_answer(m, sample, sample->rejected, EXAMPLE_REJECTED, list, outcome, err));
    }
    if (!was_made(outcome)) return HEARTH_OK;
    share_prompt(list);
    const struct example *a = &list->items[list->n - 2], *b = a + 1;
    if (a->n_tokens == b->n_tokens &&
        memcmp(list->tokens.ids + a->first, list->tokens.ids + b->first,
               a->n_tokens * sizeof *list->tokens.ids) == 0)
        drop(outcome, outcome->result == EXAMPLE_TRUNCATED ? EXAMPLE_TOO_LONG : EXAMPLE_UNTRAINED,
             "both answers become the same tokens");
    return HEARTH_OK;
}

hearth_status example_make(struct example_maker *m, const struct dataset_sample *sample,
                           struct example_list *list, struct example_outcome *outcome,
                           hearth_error *err) {
    size_t n_items = list->n, n_tokens = list->tokens.count;
    hearth_status status;
    *outcome = (struct example_outcome){.result = EXAMPLE_MADE};
    if (sample->schema == SCHEMA_TEXT)
        status = make_text(m, sample, list, outcome, err);
    else if (sample->schema == SCHEMA_PREFERENCE)
        status = make_pair(m, sample, list, outcome, err);
    else
        status =
            make_conversation(m, sample, sample->messages, 0, m->options.turns == TRAIN_LAST_TURN,
                              EXAMPLE_PLAIN, list, outcome, err);
    if (status == HEARTH_OK && was_made(outcome)) return status;
    list->n = n_items;
    list->tokens.count = n_tokens;
    if (status == HEARTH_OK) return status;
    return error_prefix(err, status, "%s:%llu", sample->place.file ? sample->place.file : "record",
                        (unsigned long long)sample->place.line);
}
