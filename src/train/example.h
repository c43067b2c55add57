/* example.h - from a record to the tokens of sequences, and which of them are trained.
 *
 *   conversations  the model's own chat template writes them; trained is what the assistant
 *                  wrote, tool calls and the token that ends its turn included (see
 *                  example_spans.h). Text is cut where the assistant begins and ends before
 *                  it becomes tokens, because that is where a model is given its prompt.
 *   texts          every token is trained; documents end with EOS and, when they are longer
 *                  than a sequence may be, are cut into windows that overlap by one token
 *   preference     two sequences, the chosen and the rejected one, with the same prompt;
 *                  two texts without a prompt are trained from where they differ
 *
 * A model without a template gets example_fallback_template, which whoever exports the
 * tuned model should put into it. Nothing depends on the clock: templates that print the
 * date see options.now. A maker is used by one thread. */
#ifndef HEARTH_TRAIN_EXAMPLE_H
#define HEARTH_TRAIN_EXAMPLE_H

#include "chat/template.h"
#include "token/tokenizer.h"
#include "train/dataset.h"

/* "### Instruction:", "### Response:" and the end-of-text token, as Jinja. */
extern const char example_fallback_template[];

enum example_turns { TRAIN_ALL_TURNS, TRAIN_LAST_TURN };
enum example_too_long {
    TOO_LONG_TRUNCATE, /* the end is cut off; dropped when nothing trained is left */
    TOO_LONG_DROP
};

struct example_options { /* borrowed pointers */
    const struct tokenizer *tokenizer;
    const struct chat_template *template; /* NULL: the fallback */
    const json_t *variables;              /* of the template (enable_thinking, …), or NULL */
    uint32_t max_length;                  /* tokens of a sequence, at least 2; 0: any */
    uint32_t n_vocab;                     /* rows of the model's embedding; 0: not checked */
    enum example_turns turns;
    enum example_too_long too_long;
    bool train_prompts; /* of conversations too: every token */
    time_t now;         /* 0: 2025-01-01 12:00 UTC */
};

struct example_maker;

hearth_status example_maker_open(struct example_maker **m, const struct example_options *options,
                                 hearth_error *err);
void example_maker_close(struct example_maker *m); /* NULL is fine */
uint32_t example_maker_max_length(const struct example_maker *m);

/* ---- sequences ---- */

enum example_kind { EXAMPLE_PLAIN, EXAMPLE_CHOSEN, EXAMPLE_REJECTED };

struct example {
    size_t first; /* of its tokens in the list */
    uint32_t n_tokens, n_trained;
    uint32_t n_prompt;      /* tokens before the first trained one; of a pair: the same ones */
    enum example_kind kind; /* a rejected one follows its chosen one */
};

/* Zeroed is empty. */
struct example_list {
    struct token_list tokens;
    uint8_t *trained; /* [tokens.count]: 1 where the token is predicted and counts */
    struct example *items;
    size_t n, capacity, trained_capacity;
};

void example_list_clear(struct example_list *list); /* keeps the memory */
void example_list_release(struct example_list *list);

/* ---- records ---- */

enum example_result {
    EXAMPLE_MADE,
    EXAMPLE_TRUNCATED, /* made, its end cut off */
    EXAMPLE_TOO_LONG,  /* dropped: longer than max_length, or no answer left after the cut */
    EXAMPLE_REFUSED,   /* dropped: the template does not take this conversation */
    EXAMPLE_UNTRAINED, /* dropped: nothing to train in it */
    N_EXAMPLE_RESULTS
};

struct example_outcome {
    enum example_result result;
    uint32_t n_tokens; /* before anything was cut */
    uint32_t n_unknown;
    unsigned n_turns, n_hidden, n_rewritten, n_unprompted; /* see example_spans.h */
    bool end_appended; /* the template does not end the last turn: EOS was added */
    char message[256]; /* why, unless MADE */
};

/* Appends the record's sequences. What is wrong with the record is in *outcome; an error is
 * HEARTH_ERROR_NO_MEMORY, HEARTH_ERROR_LIMIT or, for ids that the model does not have,
 * HEARTH_ERROR_ARGUMENT; then the list is as it was. */
hearth_status example_make(struct example_maker *m, const struct dataset_sample *sample,
                           struct example_list *list, struct example_outcome *outcome,
                           hearth_error *err);

#endif
