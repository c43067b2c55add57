#include "cli/tune_samples.h"

#include <string.h>

#include "infer/generator.h"
#include "infer/prompt.h"

enum {
    TEXT_PROMPT_BYTES = 200, /* of a text, at most half of it */
    PROMPT_TOKENS = 1024,    /* longer ones are not asked */
    ANSWER_MAX_BYTES = 1 << 16,
    PRINTED_LINES = 6
};

/* ---- questions -------------------------------------------------------------------- */

static const char *content_of(const json_t *message) {
    const char *content = json_string_value(json_object_get(message, "content"));
    return content ? content : "";
}

static bool has_role(const json_t *message, const char *role) {
    const char *found = json_string_value(json_object_get(message, "role"));
    return found && strcmp(found, role) == 0;
}

/* A conversation up to the assistant's last turn. */
static json_t *question_of_messages(const json_t *messages) {
    size_t n = json_array_size(messages);
    while (n > 0 && !has_role(json_array_get(messages, n - 1), "assistant"))
        n--;
    if (n < 2 || !has_role(json_array_get(messages, n - 2), "user")) return NULL;
    const json_t *answer = json_array_get(messages, n - 1);
    json_t *asked = json_deep_copy(messages);
    while (json_array_size(asked) >= n)
        json_array_remove(asked, json_array_size(asked) - 1);
    return json_pack("{s:s, s:s, s:o}", "prompt", content_of(json_array_get(messages, n - 2)),
                     "data", content_of(answer), "messages", asked);
}

/* How many bytes of whole words are at most `most`; a text without a space has none. */
static size_t words_within(const char *text, size_t most) {
    size_t n = strnlen(text, most + 1);
    if (n <= most) return n;
    while (n > 0 && text[n] != ' ' && text[n] != '\n')
        n--;
    return n;
}

static json_t *question_of_text(const char *text) {
    size_t half = strlen(text) / 2;
    size_t n = words_within(text, half < TEXT_PROMPT_BYTES ? half : TEXT_PROMPT_BYTES);
    if (n == 0) return NULL;
    return json_pack("{s:s%, s:s%}", "prompt", text, n, "data", text + n,
                     words_within(text + n, TEXT_PROMPT_BYTES));
}

/* NULL for records of which no question can be made. */
static json_t *question_of(const struct dataset_sample *record) {
    if (record->schema == SCHEMA_TEXT) return question_of_text(json_string_value(record->text));
    return record->messages ? question_of_messages(record->messages) : NULL;
}

/* From records spread over the set; "messages" is only there until they are answered. */
static hearth_status gather(const struct tune_sampling *s, json_t *samples, hearth_error *err) {
    enum dataset_part part;
    const struct dataset *d = tuning_held_out(s->tuning, &part);
    uint64_t n = dataset_count(d, part);
    uint64_t wanted = s->n_samples < n ? s->n_samples : n;
    for (uint64_t i = 0; i < wanted; i++) {
        struct dataset_sample record = {0};
        RETURN_IF_ERROR(dataset_read(d, part, i * n / wanted, &record, err));
        json_t *question = question_of(&record);
        if (question) json_array_append_new(samples, question);
        dataset_sample_release(&record);
    }
    return HEARTH_OK;
}

/* ---- answers ---------------------------------------------------------------------- */

struct answering {
    const struct tune_sampling *sampling;
    json_t *variables; /* of the template; NULL: none */
    struct session *session;
    struct sampler *sampler;
    struct sampler_workspace *workspace;
    const struct chat_template *template;
    struct token_list prompt;
    struct buf answer;
};

bool tune_samples_think_not(const struct tuning *tuning) {
    return tuning_plan(tuning)->data.n_unprompted > 0;
}

static bool take_text(void *context, const char *text, size_t n) {
    struct answering *a = context;
    buf_append(&a->answer, text, n);
    return !a->sampling->stop || !a->sampling->stop(a->sampling->context);
}

static hearth_status tokens_of(struct answering *a, const json_t *sample, hearth_error *err) {
    const json_t *messages = json_object_get(sample, "messages");
    const json_t *prompt = json_object_get(sample, "prompt");
    const struct tokenizer *tokenizer = a->sampling->tokenizer;
    if (messages)
        return prompt_of_messages(tokenizer, a->template, messages, a->variables, NULL, &a->prompt,
                                  NULL, err);
    return prompt_of_text(tokenizer, json_string_value(prompt), json_string_length(prompt),
                          &a->prompt, err);
}

static hearth_status answer(struct answering *a, json_t *sample, const char *key,
                            hearth_error *err) {
    struct generation_options options = {
        .max_tokens = TUNE_SAMPLE_TOKENS, .on_text = take_text, .context = a};
    struct generation_stats stats = {0};
    RETURN_IF_ERROR(tokens_of(a, sample, err));
    uint32_t n = (uint32_t)a->prompt.count;
    uint32_t room = context_length(session_context(a->session));
    if (a->prompt.count + 1 >= room) return HEARTH_OK; /* the sample stays without an answer */
    buf_clear(&a->answer);
    RETURN_IF_ERROR(generate(a->session, a->sampler, a->workspace, a->sampling->tokenizer,
                             a->prompt.ids, n, &options, &stats, err));
    if (stats.end == GENERATION_CANCELLED)
        return error_set(err, HEARTH_ERROR_CANCELLED, "stopped while samples were answered");
    json_object_set_new(sample, key, json_stringn(buf_text(&a->answer), a->answer.length));
    return HEARTH_OK;
}

static hearth_status answer_each(struct answering *a, struct context *context, json_t *samples,
                                 const char *key, hearth_error *err) {
    struct sampler_params params = sampler_params_default();
    size_t n_vocab = context_model(context)->config.n_vocab, i;
    json_t *sample;
    params.temperature = 0;
    RETURN_IF_ERROR(session_open(&a->session, context, 0, err));
    RETURN_IF_ERROR(sampler_workspace_open(&a->workspace, n_vocab, err));
    json_array_foreach(samples, i, sample) {
        sampler_close(a->sampler);
        a->sampler = NULL;
        RETURN_IF_ERROR(sampler_open(&a->sampler, &params, n_vocab, err));
        RETURN_IF_ERROR(answer(a, sample, key, err));
    }
    return HEARTH_OK;
}

static hearth_status answer_all(const struct tune_sampling *s, const struct model *model,
                                const struct adapter_set *adapters,
                                const struct chat_template *template, json_t *samples,
                                const char *key, hearth_error *err) {
    struct answering a = {.sampling = s, .template = template};
    struct context_options options = context_defaults();
    struct context *context = NULL;
    uint32_t most = model->config.n_ctx_train;
    buf_init(&a.answer, ANSWER_MAX_BYTES);
    if (tune_samples_think_not(s->tuning)) a.variables = json_pack("{s:b}", "enable_thinking", 0);
    options.n_threads = s->n_threads;
    options.n_ctx = PROMPT_TOKENS + TUNE_SAMPLE_TOKENS;
    if (most > 0 && options.n_ctx > most) options.n_ctx = most;
    hearth_status status = context_open(&context, model, &options, err);
    if (status == HEARTH_OK && adapters) status = context_set_adapters(context, adapters, err);
    if (status == HEARTH_OK) status = answer_each(&a, context, samples, key, err);
    sampler_close(a.sampler);
    sampler_workspace_close(a.workspace);
    session_close(a.session);
    context_close(context);
    json_decref(a.variables);
    token_list_release(&a.prompt);
    buf_release(&a.answer);
    return status;
}

static hearth_status answer_twice(const struct tune_sampling *s, json_t *samples,
                                  hearth_error *err) {
    struct adapter_set set = {.items = {{&s->after->adapter, 1}}, .count = 1};
    const struct adapter_set *adapters = s->after->adapter.directory.n_tensors ? &set : NULL;
    struct chat_template *fallback = NULL;
    const struct chat_template *template = s->template;
    hearth_status status = HEARTH_OK;
    if (!template) {
        status = chat_template_open(&fallback, example_fallback_template,
                                    strlen(example_fallback_template), err);
        template = fallback;
    }
    if (status == HEARTH_OK && s->before)
        status = answer_all(s, s->before, NULL, template, samples, "before", err);
    if (status == HEARTH_OK)
        status = answer_all(s, &s->after->model, adapters, template, samples, "after", err);
    chat_template_close(fallback);
    return status;
}

hearth_status tune_samples_make(const struct tune_sampling *s, json_t **samples,
                                hearth_error *err) {
    json_t *sample;
    size_t i;
    *samples = json_array();
    if (!*samples) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for samples");
    hearth_status status = gather(s, *samples, err);
    if (status == HEARTH_OK && json_array_size(*samples) > 0)
        status = answer_twice(s, *samples, err);
    json_array_foreach(*samples, i, sample) {
        json_object_del(sample, "messages");
    }
    if (status == HEARTH_OK) return HEARTH_OK;
    json_decref(*samples);
    *samples = NULL;
    return status;
}

/* ---- printing --------------------------------------------------------------------- */

/* The first lines that are not empty, further ones indented like the first. */
static void print_part(const json_t *sample, const char *key, FILE *stream) {
    const char *text = json_string_value(json_object_get(sample, key));
    int lines = 0;
    for (size_t n; text && *text; text += n + (text[n] == '\n')) {
        n = strcspn(text, "\n");
        if (strspn(text, " \t\r") >= n) continue;
        if (++lines > PRINTED_LINES) {
            fprintf(stream, "  %-8s...\n", "");
            return;
        }
        fprintf(stream, "  %-8s", lines == 1 ? key : "");
        for (size_t i = strspn(text, " "); i < n; i++)
            fputc((unsigned char)text[i] < 0x20 ? ' ' : text[i], stream);
        fputc('\n', stream);
    }
}

void tune_samples_print(const json_t *samples, FILE *stream) {
    static const char *const parts[] = {"prompt", "data", "before", "after"};
    const json_t *sample;
    size_t i;
    json_array_foreach(samples, i, sample) {
        fprintf(stream, "sample %zu\n", i + 1);
        for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++)
            print_part(sample, parts[p], stream);
    }
}
