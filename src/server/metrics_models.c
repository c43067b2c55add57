#include "server/metrics_models.h"

#include <inttypes.h>

/* Those of vLLM's server have its names and its label. */
static const struct family {
    const char *name, *type, *label, *fact, *help;
} families[] = {
    {"hearth_scheduler_answers_running", "gauge", "model", "running", "Answers that are computed"},
    {"hearth_scheduler_answers_waiting", "gauge", "model", "waiting",
     "Answers that wait for a place or for pages"},
    {"hearth_scheduler_passes_total", "counter", "model", "passes", "Passes through the model"},
    {"hearth_scheduler_rows_total", "counter", "model", "rows",
     "Tokens computed in these passes: rows per pass are the batch size"},
    {"hearth_scheduler_prompt_tokens_total", "counter", "model", "prompt_tokens",
     "Tokens of prompts"},
    {"hearth_scheduler_reused_tokens_total", "counter", "model", "reused_tokens",
     "Tokens of prompts found computed"},
    {"hearth_scheduler_generated_tokens_total", "counter", "model", "generated_tokens",
     "Tokens of answers"},
    {"hearth_scheduler_preemptions_total", "counter", "model", "preempted",
     "Answers that were made to wait again"},
    {"hearth_scheduler_recomputed_tokens_total", "counter", "model", "recomputed_tokens",
     "Tokens computed again for them"},
    {"hearth_kv_pages", "gauge", "model", "pages", "Pages of keys and values"},
    {"hearth_kv_pages_free", "gauge", "model", "free_pages", "Of these free"},
    {"hearth_kv_pages_kept", "gauge", "model", "kept_pages",
     "Of these kept for prompts to come, and free when needed"},
    {"vllm:num_requests_running", "gauge", "model_name", "running", "Answers that are computed"},
    {"vllm:num_requests_waiting", "gauge", "model_name", "waiting", "Answers that wait"},
};

void metrics_put_label(struct buf *out, const char *value) {
    for (; *value; value++)
        if (*value == '\n')
            buf_append_text(out, "\\n");
        else {
            if (*value == '"' || *value == '\\') buf_append_char(out, '\\');
            buf_append_char(out, *value);
        }
}

static void put_head(struct buf *out, const char *name, const char *type, const char *help) {
    buf_append_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_name(struct buf *out, const char *name, const char *label, const json_t *model) {
    const char *value = json_string_value(json_object_get(model, "name"));
    buf_append_format(out, "%s{%s=\"", name, label);
    metrics_put_label(out, value ? value : "");
    buf_append_text(out, "\"} ");
}

static void put_family(const struct family *family, const json_t *models, struct buf *out) {
    size_t i;
    const json_t *model;
    put_head(out, family->name, family->type, family->help);
    json_array_foreach(models, i, model) {
        const json_t *fact = json_object_get(json_object_get(model, "scheduler"), family->fact);
        if (!json_is_integer(fact)) continue;
        put_name(out, family->name, family->label, model);
        buf_append_format(out, "%" JSON_INTEGER_FORMAT "\n", json_integer_value(fact));
    }
}

static double number_of(const json_t *scheduler, const char *name) {
    return (double)json_integer_value(json_object_get(scheduler, name));
}

/* Pages that answers hold, of all. */
static void put_use(const char *name, const char *label, const json_t *models, struct buf *out) {
    size_t i;
    const json_t *model;
    put_head(out, name, "gauge", "Pages that answers hold, of all: 0 to 1");
    json_array_foreach(models, i, model) {
        const json_t *scheduler = json_object_get(model, "scheduler");
        double pages = number_of(scheduler, "pages"),
               idle = number_of(scheduler, "free_pages") + number_of(scheduler, "kept_pages");
        if (pages <= 0) continue;
        put_name(out, name, label, model);
        buf_append_format(out, "%.6g\n", idle < pages ? (pages - idle) / pages : 0.0);
    }
}

void metrics_put_models(const json_t *models, struct buf *out) {
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        put_family(&families[i], models, out);
    put_use("hearth_kv_use_ratio", "model", models, out);
    put_use("vllm:kv_cache_usage_perc", "model_name", models, out);
}
