#include "train/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

static void report(const struct trainer *t, struct train_event event) {
    event.step = t->state.step;
    event.state = &t->state;
    if (t->report) t->report(t->report_context, &event);
}

static struct ranks *ranks_of(const struct trainer *t) {
    return optimizer_settings(t->optimizer)->ranks;
}

/* Whether a batch of a step or an evaluation is this rank's. */
static bool is_mine(const struct trainer *t, uint64_t number) {
    return number % (uint64_t)ranks_count(ranks_of(t)) == (uint64_t)ranks_rank(ranks_of(t));
}

/* The loss of all ranks. */
static hearth_status add_losses(const struct trainer *t, struct train_loss *loss,
                                hearth_error *err) {
    double parts[] = {loss->sum, loss->weight, loss->margin, loss->correct};
    RETURN_IF_ERROR(ranks_add(ranks_of(t), parts, sizeof parts / sizeof *parts, err));
    *loss = (struct train_loss){parts[0], parts[1], parts[2], parts[3]};
    return HEARTH_OK;
}

/* The latest checkpoint of the folder, given; rank 0's to know. */
static hearth_status find_latest(const struct trainer *t, char **path, bool *found,
                                 hearth_error *err) {
    hearth_status status = HEARTH_OK;
    *path = NULL;
    if (ranks_rank(ranks_of(t)) == 0) status = checkpoint_latest(t->options.folder, path, err);
    *found = *path != NULL;
    RETURN_IF_ERROR(ranks_agree(ranks_of(t), status, err));
    return ranks_any(ranks_of(t), found, err);
}

/* The part of an event that every loss has. */
static struct train_event event_of(const struct trainer *t, const struct train_loss *loss) {
    bool pairs = t->objective.is_preference;
    return (struct train_event){.loss = loss->sum / loss->weight,
                                .margin = pairs ? loss->margin / loss->weight : NAN,
                                .accuracy = pairs ? loss->correct / loss->weight : NAN};
}

static hearth_status prune(struct trainer *t, hearth_error *err) {
    return checkpoint_prune(t->options.folder, t->options.keep, t->state.best_step, err);
}

hearth_status trainer_resume(struct trainer *t, bool *resumed, hearth_error *err) {
    char *path;
    bool found;
    *resumed = false;
    if (!t->options.folder) return HEARTH_OK;
    RETURN_IF_ERROR(find_latest(t, &path, &found, err));
    if (!found) return HEARTH_OK;
    snprintf(t->state.fingerprint, sizeof t->state.fingerprint, "%s", t->options.fingerprint);
    hearth_status status = checkpoint_read(path, t->optimizer, &t->state, err);
    mem_free(path);
    if (status != HEARTH_OK) return status;
    status = t->source.restore(t->source.context, t->state.source, err);
    /* A run killed between a checkpoint and its pruning has left more than is kept. */
    if (status == HEARTH_OK && ranks_rank(ranks_of(t)) == 0) status = prune(t, err);
    status = ranks_agree(ranks_of(t), status, err);
    *resumed = status == HEARTH_OK;
    return status;
}

static hearth_status write_checkpoint(struct trainer *t, const char *path, hearth_error *err) {
    bool writes = ranks_rank(ranks_of(t)) == 0;
    hearth_status made = writes ? file_make_folders(t->options.folder, err) : HEARTH_OK;
    RETURN_IF_ERROR(ranks_agree(ranks_of(t), made, err));
    hearth_status status = checkpoint_write(path, t->optimizer, &t->state, err);
    if (status == HEARTH_OK && writes) status = prune(t, err);
    return ranks_agree(ranks_of(t), status, err);
}

static hearth_status save(struct trainer *t, hearth_error *err) {
    if (!t->options.folder) return HEARTH_OK;
    char *path = checkpoint_path(t->options.folder, t->state.step);
    if (!path) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    snprintf(t->state.fingerprint, sizeof t->state.fingerprint, "%s", t->options.fingerprint);
    t->source.save(t->source.context, t->state.source);
    hearth_status status = write_checkpoint(t, path, err);
    if (status == HEARTH_OK) report(t, (struct train_event){.kind = TRAIN_SAVED, .path = path});
    mem_free(path);
    return status;
}

/* The batches of which each rank has one at most. */
static bool ends_round(const struct trainer *t, uint64_t number) {
    return (number + 1) % (uint64_t)ranks_count(ranks_of(t)) == 0;
}

/* A pass that others have batches for. */
static hearth_status take_part(const struct trainer *t, bool step, hearth_error *err) {
    bool shared =
        step ? optimizer_shares_passes(t->optimizer) : optimizer_shares_evaluations(t->optimizer);
    return shared && t->take_part ? t->take_part(t->take_part_context, step, err) : HEARTH_OK;
}

/* Who shares passes fails together at the end of a round, who does not at once. */
static hearth_status end_evaluation_round(const struct trainer *t, hearth_status status,
                                          bool took_part, hearth_error *err) {
    if (!optimizer_shares_evaluations(t->optimizer)) return status;
    if (!took_part) RETURN_IF_ERROR(take_part(t, false, status == HEARTH_OK ? err : NULL));
    return ranks_agree(ranks_of(t), status, err);
}

/* This rank's part of the evaluation set. */
static hearth_status evaluate_part(struct trainer *t, struct train_loss *loss, hearth_error *err) {
    static const uint8_t beginning[SOURCE_STATE_BYTES];
    const struct batch_source *set = &t->evaluation;
    hearth_status status = set->restore(set->context, beginning, err);
    bool took_part = false, ended = false;
    for (uint64_t number = 0; !ended; number++) {
        struct train_batch batch;
        if (status == HEARTH_OK) status = set->next(set->context, &batch, &ended, err);
        if (status == HEARTH_OK && is_mine(t, number)) {
            status = t->objective.evaluate(t->objective.context, &batch, loss, err);
            took_part = status == HEARTH_OK;
        }
        if (status == HEARTH_OK && !ended && !ends_round(t, number)) continue;
        RETURN_IF_ERROR(end_evaluation_round(t, status, took_part, err));
        took_part = false;
    }
    return HEARTH_OK;
}

/* The mean loss over the whole evaluation set. */
static hearth_status evaluate(struct trainer *t, hearth_error *err) {
    struct train_loss loss = {0};
    uint64_t start_ns = clock_now_ns();
    hearth_status status = evaluate_part(t, &loss, err);
    RETURN_IF_ERROR(ranks_agree(ranks_of(t), status, err));
    RETURN_IF_ERROR(add_losses(t, &loss, err));
    double mean = loss.weight > 0 ? loss.sum / loss.weight : INFINITY;
    bool best = mean < t->state.best_loss;
    t->state.stale_evaluations = best ? 0 : t->state.stale_evaluations + 1;
    if (best) {
        t->state.best_loss = mean;
        t->state.best_step = t->state.step;
    }
    struct train_event event = event_of(t, &loss);
    event.kind = TRAIN_EVALUATION;
    event.loss = mean;
    event.best = best;
    event.seconds = clock_seconds_since(start_ns);
    report(t, event);
    return HEARTH_OK;
}

/* Gradients of this rank's part of `accumulation` batches. `*lost`: of the exchange with the
 * others, which ends the run; everything else leaves it as the others have it. */
static hearth_status accumulate_part(struct trainer *t, struct train_loss *loss, uint64_t *tokens,
                                     hearth_status *lost, hearth_error *err) {
    uint64_t n = t->options.accumulation, count = (uint64_t)ranks_count(ranks_of(t));
    hearth_status status = HEARTH_OK;
    bool took_part = false;
    for (uint64_t i = 0; i < n && *lost == HEARTH_OK; i++) {
        struct train_batch batch;
        bool ended;
        if (status == HEARTH_OK) status = t->source.next(t->source.context, &batch, &ended, err);
        if (status == HEARTH_OK && is_mine(t, i)) {
            if (i + count >= n) optimizer_expect_last(t->optimizer);
            status = t->objective.step(t->objective.context, &batch, loss, err);
            took_part = status == HEARTH_OK;
        }
        if (status == HEARTH_OK) *tokens += batch.n_rows;
        t->state.batches += status == HEARTH_OK;
        if (!ends_round(t, i) && i + 1 < n) continue;
        if (!took_part) *lost = take_part(t, true, status == HEARTH_OK ? err : NULL);
        took_part = false;
    }
    return status;
}

static hearth_status accumulate(struct trainer *t, struct train_loss *loss, uint64_t *tokens,
                                hearth_error *err) {
    hearth_status lost = HEARTH_OK, status = accumulate_part(t, loss, tokens, &lost, err);
    if (lost == HEARTH_OK)
        lost = optimizer_sum_gradients(t->optimizer, status == HEARTH_OK ? err : NULL);
    if (lost != HEARTH_OK) return lost;
    RETURN_IF_ERROR(ranks_agree(ranks_of(t), status, err));
    RETURN_IF_ERROR(add_losses(t, loss, err));
    if (!isfinite(loss->sum))
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "the loss of step %" PRIu64 " is not finite: the weights are as before; "
                         "lower the learning rate, or look for broken examples",
                         t->state.step + 1);
    if (!(loss->weight > 0))
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "step %" PRIu64 " has no trained token: every row of its batches is "
                         "masked; look at the data with 'hearth data'",
                         t->state.step + 1);
    return HEARTH_OK;
}

static hearth_status step(struct trainer *t, hearth_error *err) {
    struct train_loss loss = {0};
    uint64_t start_ns = clock_now_ns();
    float rate = schedule_rate(&t->options.schedule, t->state.step);
    double norm;
    uint64_t tokens = 0;
    hearth_status status = accumulate(t, &loss, &tokens, err);
    if (status != HEARTH_OK) {
        optimizer_clear_gradients(t->optimizer, NULL);
        return status;
    }
    RETURN_IF_ERROR(optimizer_step(t->optimizer, rate, (float)(1 / loss.weight), &norm, err));
    double seconds = clock_seconds_since(start_ns);
    t->state.step++;
    t->state.tokens += tokens;
    t->state.seconds += seconds;
    struct train_event event = event_of(t, &loss);
    event.kind = TRAIN_STEP;
    event.rate = (double)rate;
    event.norm = norm;
    event.tokens = tokens;
    event.seconds = seconds;
    report(t, event);
    return HEARTH_OK;
}

static bool is_due(uint64_t every, uint64_t now) {
    return every != 0 && now % every == 0;
}

static bool is_stale(const struct trainer *t) {
    return t->options.patience && t->state.stale_evaluations >= t->options.patience;
}

/* Whether the run ends before its last step. */
static hearth_status ends_early(const struct trainer *t, enum train_end *end, bool *ends,
                                hearth_error *err) {
    bool stop = t->options.stop && t->options.stop(t->options.stop_context);
    RETURN_IF_ERROR(ranks_any(ranks_of(t), &stop, err));
    if (is_stale(t))
        *end = TRAIN_STALE;
    else if (stop)
        *end = TRAIN_STOPPED;
    *ends = *end != TRAIN_FINISHED;
    return HEARTH_OK;
}

/* A step and what is due after it. */
static hearth_status advance(struct trainer *t, enum train_end *end, bool *ends,
                             hearth_error *err) {
    const struct trainer_options *o = &t->options;
    RETURN_IF_ERROR(step(t, err));
    uint64_t now = t->state.step;
    bool last = now == o->schedule.n_steps;
    if (t->evaluation.next && (last || is_due(o->evaluate_every, now)))
        RETURN_IF_ERROR(evaluate(t, err));
    bool best = t->evaluation.next && t->state.best_step == now;
    *ends = last;
    if (!last) RETURN_IF_ERROR(ends_early(t, end, ends, err));
    return *ends || best || is_due(o->save_every, now) ? save(t, err) : HEARTH_OK;
}

hearth_status trainer_run(struct trainer *t, enum train_end *end, hearth_error *err) {
    if (t->state.step == 0) t->state.best_loss = INFINITY;
    bool ends = t->state.step >= t->options.schedule.n_steps;
    *end = TRAIN_FINISHED;
    if (!ends) RETURN_IF_ERROR(ends_early(t, end, &ends, err));
    while (!ends)
        RETURN_IF_ERROR(advance(t, end, &ends, err));
    return HEARTH_OK;
}
