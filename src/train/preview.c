#include "train/preview.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { MAX_PREVIEW_BYTES = 256 << 20, PROGRESS_RECORDS = 64, MIN_TOKENS_TO_JUDGE = 100 };

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a preview");
}

/* ---- one sequence ---- */

/* The text that `trained` tokens added goes to the last segment, or begins one. */
static void extend(struct preview *p, size_t begin, bool trained) {
    struct preview_segment *last = p->n_segments ? &p->segments[p->n_segments - 1] : NULL;
    if (p->text.length == begin) return;
    assert(p->segments);
    if (!last || last->trained != trained) {
        last = &p->segments[p->n_segments++];
        *last = (struct preview_segment){.begin = begin, .trained = trained};
    }
    last->end = p->text.length;
}

hearth_status preview_make(struct preview *p, const struct tokenizer *tokenizer,
                           const struct example_list *list, size_t i, hearth_error *err) {
    const struct example *e = &list->items[i];
    struct token_stream stream;
    hearth_status status = HEARTH_OK;
    bool held = false; /* some bytes of an unfinished character are trained */
    *p = (struct preview){0};
    buf_init(&p->text, MAX_PREVIEW_BYTES);
    p->segments = mem_alloc_array((size_t)e->n_tokens + 1, sizeof *p->segments);
    if (!p->segments) return no_memory(err);
    token_stream_init(&stream, tokenizer, true);
    for (uint32_t k = 0; k < e->n_tokens && status == HEARTH_OK; k++) {
        size_t begin = p->text.length;
        held |= k > 0 && list->trained[e->first + k];
        status = token_stream_push(&stream, list->tokens.ids[e->first + k], &p->text, err);
        extend(p, begin, held);
        held &= stream.n_held > 0;
    }
    size_t begin = p->text.length;
    if (status == HEARTH_OK) status = token_stream_finish(&stream, &p->text, err);
    extend(p, begin, held);
    if (status == HEARTH_OK && p->text.failed) status = no_memory(err);
    if (status != HEARTH_OK) preview_release(p);
    return status;
}

void preview_release(struct preview *p) {
    buf_release(&p->text);
    mem_free(p->segments);
    *p = (struct preview){0};
}

/* ---- the whole ---- */

static void count_record(struct preview_statistics *s, const struct example_list *list,
                         const struct dataset_sample *sample,
                         const struct example_outcome *outcome) {
    s->n_records++;
    s->n_results[outcome->result]++;
    s->n_sequences += list->n;
    s->n_unknown += outcome->n_unknown;
    s->n_turns += outcome->n_turns;
    s->n_hidden += outcome->n_hidden;
    s->n_rewritten += outcome->n_rewritten;
    s->n_unprompted += outcome->n_unprompted;
    s->n_end_appended += outcome->end_appended;
    for (size_t i = 0; i < list->n; i++) {
        s->n_tokens += list->items[i].n_tokens;
        s->n_trained += list->items[i].n_trained;
    }
    if (outcome->n_tokens > s->longest) {
        s->longest = outcome->n_tokens;
        s->longest_place = sample->place;
    }
    if (outcome->result == EXAMPLE_MADE || s->n_problems == PREVIEW_PROBLEMS_KEPT) return;
    struct preview_problem *problem = &s->problems[s->n_problems++];
    problem->place = sample->place;
    problem->result = outcome->result;
    snprintf(problem->message, sizeof problem->message, "%s", outcome->message);
}

static hearth_status check_unknown(const struct preview_statistics *s, hearth_error *err) {
    if (s->n_tokens < MIN_TOKENS_TO_JUDGE || s->n_unknown * 10 <= s->n_tokens) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_ARGUMENT,
                     "the tokenizer cannot express this data: %llu of %llu tokens are unknown; "
                     "use a model whose vocabulary covers its language",
                     (unsigned long long)s->n_unknown, (unsigned long long)s->n_tokens);
}

hearth_status preview_count(struct preview_statistics *s, const struct dataset *d,
                            enum dataset_part part, struct example_maker *maker,
                            uint64_t max_records,
                            bool (*progress)(void *context, uint64_t done, uint64_t total),
                            void *context, hearth_error *err) {
    struct example_list list = {0};
    uint64_t n = dataset_count(d, part);
    hearth_status status = HEARTH_OK;
    *s = (struct preview_statistics){0};
    if (max_records && n > max_records) n = max_records;
    for (uint64_t i = 0; i < n && status == HEARTH_OK; i++) {
        struct dataset_sample sample;
        struct example_outcome outcome;
        if (progress && i % PROGRESS_RECORDS == 0 && !progress(context, i, n)) {
            status = error_set(err, HEARTH_ERROR_CANCELLED, "stopped while counting tokens");
            break;
        }
        example_list_clear(&list);
        status = dataset_read(d, part, i, &sample, err);
        if (status == HEARTH_OK) status = example_make(maker, &sample, &list, &outcome, err);
        if (status == HEARTH_OK) count_record(s, &list, &sample, &outcome);
        dataset_sample_release(&sample);
    }
    example_list_release(&list);
    return status == HEARTH_OK ? check_unknown(s, err) : status;
}
