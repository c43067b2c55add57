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

/* The part of an event that every loss has. */
static struct train_event event_of(const struct trainer *t, const struct train_loss *loss) {
    bool pairs = t->objective.is_preference;
    return (struct train_event){.loss = loss->sum / loss->weight,
                                .margin = pairs ? loss->margin / loss->weight : NAN,
                                .accuracy = pairs ? loss->correct / loss->weight : NAN};
}

static bool stop_wanted(const struct trainer *t) {
    return t->options.stop && t->options.stop(t->options.stop_context);
}

hearth_status trainer_resume(struct trainer *t, bool *resumed, hearth_error *err) {
    char *path;
    *resumed = false;
    if (!t->options.folder) return HEARTH_OK;
    RETURN_IF_ERROR(checkpoint_latest(t->options.folder, &path, err));
    if (!path) return HEARTH_OK;
    snprintf(t->state.fingerprint, sizeof t->state.fingerprint, "%s", t->options.fingerprint);
    hearth_status status = checkpoint_read(path, t->optimizer, &t->state, err);
    mem_free(path);
    if (status == HEARTH_OK) status = t->source.restore(t->source.context, t->state.source, err);
    *resumed = status == HEARTH_OK;
    return status;
}

static hearth_status save(struct trainer *t, hearth_error *err) {
    if (!t->options.folder) return HEARTH_OK;
    RETURN_IF_ERROR(file_make_folders(t->options.folder, err));
    char *path = checkpoint_path(t->options.folder, t->state.step);
    if (!path) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    snprintf(t->state.fingerprint, sizeof t->state.fingerprint, "%s", t->options.fingerprint);
    t->source.save(t->source.context, t->state.source);
    hearth_status status = checkpoint_write(path, t->optimizer, &t->state, err);
    if (status == HEARTH_OK)
        status = checkpoint_prune(t->options.folder, t->options.keep, t->state.best_step, err);
    if (status == HEARTH_OK) report(t, (struct train_event){.kind = TRAIN_SAVED, .path = path});
    mem_free(path);
    return status;
}

/* The mean loss over the whole evaluation set. */
static hearth_status evaluate(struct trainer *t, hearth_error *err) {
    static const uint8_t beginning[SOURCE_STATE_BYTES];
    const struct batch_source *set = &t->evaluation;
    struct train_loss loss = {0};
    struct train_batch batch;
    uint64_t start_ns = clock_now_ns();
    RETURN_IF_ERROR(set->restore(set->context, beginning, err));
    for (bool ended = false; !ended;) {
        RETURN_IF_ERROR(set->next(set->context, &batch, &ended, err));
        RETURN_IF_ERROR(t->objective.evaluate(t->objective.context, &batch, &loss, err));
    }
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

/* Gradients of `accumulation` batches. */
static hearth_status accumulate(struct trainer *t, struct train_loss *loss, uint64_t *tokens,
                                hearth_error *err) {
    for (uint64_t i = 0; i < t->options.accumulation; i++) {
        struct train_batch batch;
        bool ended;
        RETURN_IF_ERROR(t->source.next(t->source.context, &batch, &ended, err));
        RETURN_IF_ERROR(t->objective.step(t->objective.context, &batch, loss, err));
        t->state.batches++;
        *tokens += batch.n_rows;
    }
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
        optimizer_clear_gradients(t->optimizer);
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
static bool ends_early(const struct trainer *t, enum train_end *end) {
    if (is_stale(t))
        *end = TRAIN_STALE;
    else if (stop_wanted(t))
        *end = TRAIN_STOPPED;
    return *end != TRAIN_FINISHED;
}

/* A step and what is due after it. */
static hearth_status advance(struct trainer *t, enum train_end *end, hearth_error *err) {
    const struct trainer_options *o = &t->options;
    RETURN_IF_ERROR(step(t, err));
    uint64_t now = t->state.step;
    bool last = now == o->schedule.n_steps;
    if (t->evaluation.next && (last || is_due(o->evaluate_every, now)))
        RETURN_IF_ERROR(evaluate(t, err));
    bool best = t->evaluation.next && t->state.best_step == now;
    if (last || best || is_due(o->save_every, now) || ends_early(t, end)) return save(t, err);
    return HEARTH_OK;
}

hearth_status trainer_run(struct trainer *t, enum train_end *end, hearth_error *err) {
    if (t->state.step == 0) t->state.best_loss = INFINITY;
    *end = TRAIN_FINISHED;
    while (t->state.step < t->options.schedule.n_steps && !ends_early(t, end))
        RETURN_IF_ERROR(advance(t, end, err));
    return HEARTH_OK;
}
