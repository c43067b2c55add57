/* preview.h - what training will see, for people: the text of sequences with the trained
 * part marked, and what the records of a data set become. */
#ifndef HEARTH_TRAIN_PREVIEW_H
#define HEARTH_TRAIN_PREVIEW_H

#include "train/example.h"

/* ---- one sequence ---- */

struct preview_segment {
    size_t begin, end; /* of the text */
    bool trained;
};

struct preview {
    struct buf text;                  /* the tokens decoded, control tokens as they are spelt */
    struct preview_segment *segments; /* [n_segments], alternating, the whole text */
    size_t n_segments;
};

/* Only whole characters: of one whose bytes are partly trained, all is. */
hearth_status preview_make(struct preview *preview, const struct tokenizer *tokenizer,
                           const struct example_list *list, size_t i, hearth_error *err);
void preview_release(struct preview *preview); /* a zeroed one is fine */

/* ---- the whole ---- */

enum { PREVIEW_PROBLEMS_KEPT = 64 };

struct preview_problem {
    struct dataset_place place;
    enum example_result result;
    char message[256];
};

struct preview_statistics {
    uint64_t n_records; /* gone through */
    uint64_t n_results[N_EXAMPLE_RESULTS];
    uint64_t n_sequences, n_tokens, n_trained, n_unknown;
    uint64_t n_turns, n_hidden, n_rewritten, n_unprompted, n_end_appended; /* see example.h */
    uint32_t longest; /* tokens of a record's longest sequence, before anything was cut */
    struct dataset_place longest_place;
    struct preview_problem problems[PREVIEW_PROBLEMS_KEPT]; /* of records cut or dropped */
    size_t n_problems;                                      /* kept */
};

/* Makes the sequences of the first `max_records` records of a part (0: all).
 * HEARTH_ERROR_ARGUMENT also when more than a tenth of the tokens are unknown: the
 * tokenizer cannot express the text. `progress` may be NULL; false cancels. */
hearth_status preview_count(struct preview_statistics *s, const struct dataset *d,
                            enum dataset_part part, struct example_maker *maker,
                            uint64_t max_records,
                            bool (*progress)(void *context, uint64_t done, uint64_t total),
                            void *context, hearth_error *err);

#endif
