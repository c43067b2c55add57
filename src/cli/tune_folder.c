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
    static const char *const except[] = {"recipe", "dry-run", "json", "resume", NULL};
    static const char heading[] = "# The settings of this run; hearth tune --recipe repeats it.\n";
    char *path = path_join(folder, "recipe.yaml");
    if (!path) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    hearth_status status = settings_file_write(path, heading, table, except, err);
    mem_free(path);
    return status;
}

const char *tune_end_name(enum train_end end) {
    return end == TRAIN_FINISHED ? "finished" : end == TRAIN_STALE ? "early stop" : "stopped";
}

hearth_status tune_folder_write_run(const struct tune_run *run, const char *state,
                                    hearth_error *err) {
    const struct tuning_plan *plan = tuning_plan(run->tuning);
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX_BYTES];
    dataset_digest(tuning_dataset(run->tuning), digest);
    sha256_hex(digest, hex);
    json_t *facts = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:o, s:o, s:s}", "state", state,
        "model", run->command->model, "family", run->family, "method",
        run->command->method == METHOD_FULL ? "full" : "lora", "data_sha256", hex, "records",
        (json_int_t)plan->n_records, "eval_records", (json_int_t)plan->n_eval_records, "steps",
        (json_int_t)plan->n_steps, "tokens", (json_int_t)run->log->tokens, "trained_values",
        (json_int_t)plan->trained_values, "seconds", run->log->seconds, "loss",
        run->log->tokens ? json_real(run->log->loss) : json_null(), "eval_loss",
        isnan(run->log->eval_loss) ? json_null() : json_real(run->log->eval_loss), "version",
        HEARTH_VERSION);
    char *text = facts ? json_dumps(facts, JSON_INDENT(1) | JSON_REAL_PRECISION(8)) : NULL;
    char *path = path_join(run->folder, "run.json");
    hearth_status status = text && path
                               ? file_write(path, text, strlen(text), err)
                               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for run.json");
    mem_free(path);
    free(text);
    json_decref(facts);
    return status;
}

/* ---- results ---------------------------------------------------------------------- */

static hearth_status write_card(const struct tune_run *run, hearth_error *err) {
    const struct tune_command *c = run->command;
    const struct tuning_plan *p = tuning_plan(run->tuning);
    struct buf out;
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
    if (c->method == METHOD_LORA)
        buf_append_format(&out, "| rank, alpha | %" PRId64 ", %g |\n", c->rank, c->alpha);
    buf_append_format(&out, "| loss at the end | %.4f |\n", run->log->loss);
    if (!isnan(run->log->eval_loss))
        buf_append_format(&out, "| evaluation loss | %.4f |\n", run->log->eval_loss);
    buf_append_text(&out, "\nEvery setting is in `recipe.yaml`, the course of the run in "
                          "`log.jsonl`, a digest of the data in `run.json`.\n");
    char *path = path_join(run->folder, "README.md");
    hearth_status status = path && !out.failed
                               ? file_write(path, buf_text(&out), out.length, err)
                               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for README.md");
    mem_free(path);
    buf_release(&out);
    return status;
}

static hearth_status write_adapter(const struct tune_run *run, hearth_error *err) {
    struct adapter_facts facts = {.base_name = run->command->model, .name = path_base(run->folder)};
    char *gguf = path_join(run->folder, "adapter.gguf"), *peft = path_join(run->folder, "adapter");
    hearth_error problem = {0};
    hearth_status status = gguf && peft
                               ? tuning_write_adapter(run->tuning, gguf, NULL, &facts, err)
                               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    if (status == HEARTH_OK &&
        tuning_write_adapter(run->tuning, NULL, peft, &facts, &problem) != HEARTH_OK)
        fprintf(stderr, "hearth: no PEFT folder was written: %s\n", problem.message);
    mem_free(gguf);
    mem_free(peft);
    return status;
}

hearth_status tune_folder_write_result(const struct tune_run *run, hearth_error *err) {
    if (run->end == TRAIN_STOPPED) return HEARTH_OK;
    if (run->command->method == METHOD_LORA) {
        RETURN_IF_ERROR(write_adapter(run, err));
    } else {
        char *path = path_join(run->folder, "model.gguf");
        if (!path) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
        hearth_status status = tuning_write_model(run->tuning, path, err);
        mem_free(path);
        if (status != HEARTH_OK) return status;
    }
    return write_card(run, err);
}
