#include "cli/tune_folder.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/settings_file.h"
#include "cli/tune_samples.h"

/* "model-data" without folders and extensions, in the current folder. */
char *tune_folder_default(const struct tune_command *c) {
    char name[256];
    const char *model = path_base(c->model), *data = path_base(c->data.items[0]);
    const char *colon = strchr(model, ':');
    size_t n = colon ? (size_t)(colon - model) : strcspn(model, "");
    const char *dot = strrchr(model, '.');
    if (dot && strcmp(dot, ".gguf") == 0) n = (size_t)(dot - model);
    snprintf(name, sizeof name, "%.*s-%.*s", (int)n, model, (int)strcspn(data, "."), data);
    return mem_strndup(name, strlen(name));
}

hearth_status tune_folder_write_recipe(const char *folder, const struct option_table *table,
                                       hearth_error *err) {
    static const char *const except[] = {"recipe", "output-dir", "dry-run", "json",
                                         "resume", "hosts",      NULL};
    static const char heading[] = "# The settings of this run; hearth tune --recipe repeats it.\n";
    char *path = path_join(folder, "recipe.yaml");
    if (!path) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    hearth_status status = settings_file_write(path, heading, table, except, err);
    mem_free(path);
    return status;
}

/* ---- run.json --------------------------------------------------------------------- */

static json_t *number_or_null(double number) {
    return isfinite(number) ? json_real(number) : json_null();
}

static json_t *list_data(const struct option_list *data) {
    json_t *paths = json_array();
    for (size_t i = 0; i < data->count; i++)
        json_array_append_new(paths, json_string(data->items[i]));
    return paths;
}

static const char *method_name(const struct tune_command *c) {
    if (c->method == METHOD_FULL) return "full";
    return c->decomposed ? "dora" : "lora";
}

/* What the run is made of, and what was decided. */
static json_t *describe_setting(const struct tune_run *run) {
    const struct tuning_plan *plan = tuning_plan(run->tuning);
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX_BYTES];
    dataset_digest(tuning_dataset(run->tuning), digest);
    sha256_hex(digest, hex);
    return json_pack(
        "{s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:b, s:b}", "started",
        run->started, "version", HEARTH_VERSION, "model", run->command->model, "data",
        list_data(&run->command->data), "family", run->family, "method", method_name(run->command),
        "data_sha256", hex, "records", (json_int_t)plan->n_records, "eval_records",
        (json_int_t)plan->n_eval_records, "trained_values", (json_int_t)plan->trained_values,
        "steps", (json_int_t)plan->n_steps, "rate", plan->rate, "fallback_template",
        plan->template_missing, "thinking", !tune_samples_think_not(run->tuning));
}

/* How far it came. */
static json_t *describe_course(const struct tune_run *run) {
    const struct run_state *state = tuning_state(run->tuning);
    bool evaluated = state->best_step > 0;
    return json_pack(
        "{s:s, s:s*, s:s*, s:I, s:I, s:f, s:o, s:o, s:o, s:o, s:o*, s:O*}", "state", run->state,
        "problem", run->problem, "ended", run->ended, "step", (json_int_t)state->step, "tokens",
        (json_int_t)state->tokens, "seconds", state->seconds, "loss",
        number_or_null(run->log->loss), "eval_loss", number_or_null(run->log->eval_loss),
        "best_step", evaluated ? json_integer((json_int_t)state->best_step) : json_null(),
        "best_eval_loss", evaluated ? number_or_null(state->best_loss) : json_null(), "result_step",
        run->result_step ? json_integer((json_int_t)run->result_step) : NULL, "samples",
        run->samples);
}

hearth_status tune_folder_write_run(const struct tune_run *run, hearth_error *err) {
    json_t *facts = describe_setting(run), *course = describe_course(run);
    char *text = NULL, *path = path_join(run->folder, "run.json");
    if (facts && course && json_object_update(facts, course) == 0)
        text = json_dumps(facts, JSON_INDENT(1) | JSON_REAL_PRECISION(8));
    hearth_status status = text && path
                               ? file_write(path, text, strlen(text), err)
                               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for run.json");
    mem_free(path);
    free(text);
    json_decref(course);
    json_decref(facts);
    return status;
}

/* ---- the card ----------------------------------------------------------------------- */

hearth_status tune_folder_write_card(const struct tune_run *run, hearth_error *err) {
    const struct tune_command *c = run->command;
    const struct tuning_plan *p = tuning_plan(run->tuning);
    const struct run_state *state = tuning_state(run->tuning);
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX_BYTES];
    struct buf out;
    dataset_digest(tuning_dataset(run->tuning), digest);
    sha256_hex(digest, hex);
    buf_init(&out, 1 << 16);
    buf_append_format(&out,
                      "---\nbase_model: %s\ntags: [%s]\nlibrary_name: hearth\n---\n\n# %s\n\n"
                      "%s of `%s`, trained with Hearth %s.\n\n| | |\n|---|---|\n",
                      c->model, c->method == METHOD_FULL ? "finetune" : "lora",
                      path_base(run->folder),
                      c->method == METHOD_FULL ? "A fine-tuned version" : "A low-rank adapter",
                      c->model, HEARTH_VERSION);
    for (size_t i = 0; i < c->data.count; i++)
        buf_append_format(&out, "| data | %s |\n", path_base(c->data.items[i]));
    buf_append_format(&out,
                      "| records | %" PRIu64 " trained, %" PRIu64 " held out |\n| steps | %" PRIu64
                      " of about %" PRIu64 " tokens |\n| learning rate | %.3g |\n",
                      p->n_records, p->n_eval_records, p->n_steps, p->accumulation * p->batch_rows,
                      p->rate);
    if (c->method != METHOD_FULL)
        buf_append_format(&out, "| rank, alpha | %" PRId64 ", %g |\n", c->rank, c->alpha);
    buf_append_format(&out, "| weights | of step %" PRIu64 " |\n", run->result_step);
    if (isfinite(run->log->loss))
        buf_append_format(&out, "| loss at the end | %.4f |\n", run->log->loss);
    if (state->best_step > 0)
        buf_append_format(&out, "| best evaluation loss | %.4f |\n", state->best_loss);
    buf_append_format(&out, "| SHA-256 of the data | %s |\n", hex);
    buf_append_text(&out, "\nEvery setting is in `recipe.yaml`, the course of the run in "
                          "`log.jsonl`, its figures in `run.json`.\n");
    char *path = path_join(run->folder, "README.md");
    hearth_status status = path && !out.failed
                               ? file_write(path, buf_text(&out), out.length, err)
                               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for README.md");
    mem_free(path);
    buf_release(&out);
    return status;
}
