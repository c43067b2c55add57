#include "server/run_course.h"

#include <math.h>
#include <stdlib.h>

enum { MEAN_STEPS = 20 };

void run_course_put(json_t *event, struct buf *out) {
    char *text = event ? json_dumps(event, JSON_COMPACT | JSON_REAL_PRECISION(8)) : NULL;
    if (text) buf_append_format(out, "data: %s\n\n", text);
    free(text);
    json_decref(event);
}

static double number(const json_t *line, const char *key) {
    double value = json_number_value(json_object_get(line, key));
    return isfinite(value) ? value : 0;
}

static void take_step(struct run_course *c, const json_t *line) {
    double seconds = number(line, "seconds"), tokens = number(line, "tokens");
    double weight = 1.0 / (double)(c->step < MEAN_STEPS ? c->step + 1 : MEAN_STEPS);
    double memory = number(line, "memory");
    if (c->seconds_per_step <= 0) weight = 1;
    c->seconds_per_step += weight * (seconds - c->seconds_per_step);
    c->step = (uint64_t)json_integer_value(json_object_get(line, "step"));
    c->loss = number(line, "loss");
    c->rate = number(line, "rate");
    c->tokens_per_second = seconds > 0 ? tokens / seconds : 0;
    c->memory_bytes = memory > 0 && memory < 1e18 ? (uint64_t)memory : 0;
}

static json_t *step_event(const struct run_course *c) {
    uint64_t left = c->steps > c->step ? c->steps - c->step : 0;
    return json_pack("{s:I, s:I, s:f, s:f, s:f, s:I, s:f}", "step", (json_int_t)c->step, "steps",
                     (json_int_t)c->steps, "loss", c->loss, "rate", c->rate, "tokens_per_second",
                     c->tokens_per_second, "memory_bytes", (json_int_t)c->memory_bytes,
                     "seconds_left", (double)left * c->seconds_per_step);
}

static void put_evaluation(const struct run_course *c, const json_t *line, struct buf *out) {
    json_t *event = step_event(c);
    if (c->step == 0) { /* before the first step there is nothing that it could belong to */
        json_decref(event);
        return;
    }
    json_object_set_new(event, "eval_loss", json_real(number(line, "eval_loss")));
    run_course_put(event, out);
}

/* On the way there is one answer only. */
static void put_sample(json_t *line, struct buf *out) {
    json_t *sample = json_object_get(line, "sample");
    if (!json_is_object(sample) || !json_is_string(json_object_get(sample, "prompt"))) return;
    if (!json_object_get(sample, "before") && json_object_get(sample, "after")) {
        json_object_set(sample, "text", json_object_get(sample, "after"));
        json_object_del(sample, "after");
        json_object_set(sample, "step", json_object_get(line, "step"));
    }
    run_course_put(json_pack("{s:O}", "sample", sample), out);
}

void run_course_take(struct run_course *c, const char *text, size_t n, struct buf *out) {
    json_t *line = n <= RUN_COURSE_LINE_BYTES ? json_loadb(text, n, 0, NULL) : NULL;
    if (json_object_get(line, "sample")) {
        put_sample(line, out);
    } else if (json_is_number(json_object_get(line, "eval_loss"))) {
        put_evaluation(c, line, out);
    } else if (json_is_number(json_object_get(line, "loss"))) {
        take_step(c, line);
        run_course_put(step_event(c), out);
    }
    json_decref(line);
}
