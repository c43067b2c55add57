#include "server/tune_inspect.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/model.h"
#include "route/engine.h"
#include "token/utf8.h"
#include "train/preview.h"

enum { N_VOCAB_UNCHECKED = 0 };

struct inspection {
    struct dataset *data;
    struct engine engine;
    struct chat_template *template; /* NULL: the model has none */
    struct example_maker *maker;    /* NULL: no vocabulary */
    json_t *problems, *samples;
};

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to look at the examples");
}

/* ---- what is wrong ------------------------------------------------------------------------------
 */

static void add_problem(struct inspection *in, const struct dataset_place *place,
                        const char *message) {
    json_t *text = json_string(message); /* what is quoted may be cut within a character */
    if (!text) text = json_string("this record is not valid");
    json_t *problem = json_pack("{s:I, s:o}", "line", (json_int_t)place->line, "message", text);
    if (problem && json_array_size(in->problems) < INSPECT_PROBLEMS)
        json_array_append_new(in->problems, problem);
    else
        json_decref(problem);
}

static hearth_status count_tokens(struct inspection *in, hearth_error *err) {
    struct preview_statistics *s = mem_calloc(1, sizeof *s);
    if (!s) return no_memory(err);
    hearth_status status =
        preview_count(s, in->data, PART_TRAIN, in->maker, INSPECT_RECORDS, NULL, NULL, err);
    for (size_t i = 0; i < s->n_problems && status == HEARTH_OK; i++)
        add_problem(in, &s->problems[i].place, s->problems[i].message);
    mem_free(s);
    return status;
}

/* ---- samples ------------------------------------------------------------------------------------
 */

/* The end of the last whole character within `most` bytes. */
static size_t cut(const char *text, size_t n, size_t most) {
    if (n <= most) return n;
    while (most > 0 && ((unsigned char)text[most] & 0xC0) == 0x80)
        most--;
    return most;
}

/* A space is left where `room` is used up. */
static void add_span(json_t *spans, const char *text, size_t n, bool trained, size_t *room) {
    size_t kept = cut(text, n, *room);
    json_t *span =
        kept > 0 ? json_pack("{s:s%, s:b}", "text", text, kept, "trained", trained) : NULL;
    if (span) json_array_append_new(spans, span);
    *room = kept < n ? 0 : *room - kept;
}

static void add_sample(struct inspection *in, json_t *spans) {
    json_t *sample = json_pack("{s:o}", "spans", spans);
    if (sample) json_array_append_new(in->samples, sample);
}

static hearth_status show_tokens(struct inspection *in, const struct dataset_sample *sample,
                                 hearth_error *err) {
    struct example_list list = {0};
    struct example_outcome outcome;
    hearth_status status = example_make(in->maker, sample, &list, &outcome, err);
    for (size_t i = 0; i < list.n && i < 2 && status == HEARTH_OK; i++) {
        struct preview preview = {0};
        size_t room = INSPECT_SAMPLE_BYTES;
        json_t *spans = json_array();
        status = preview_make(&preview, in->engine.tokenizer, &list, i, err);
        for (size_t k = 0; k < preview.n_segments; k++) {
            const struct preview_segment *s = &preview.segments[k];
            add_span(spans, preview.text.data + s->begin, s->end - s->begin, s->trained, &room);
        }
        add_sample(in, spans);
        preview_release(&preview);
    }
    example_list_release(&list);
    return status;
}

/* ---- ChatML, where no vocabulary is at hand
 * ------------------------------------------------------ */

static void add_text(json_t *spans, const char *text, bool trained, size_t *room) {
    add_span(spans, text, strlen(text), trained, room);
}

static void add_turns(json_t *spans, const json_t *messages, size_t *room) {
    size_t i;
    const json_t *message;
    json_array_foreach(messages, i, message) {
        const char *role = json_string_value(json_object_get(message, "role"));
        const char *text = json_string_value(json_object_get(message, "content"));
        bool trained = role && strcmp(role, "assistant") == 0;
        add_text(spans, "<|im_start|>", false, room);
        add_text(spans, role ? role : "user", false, room);
        add_text(spans, "\n", false, room);
        add_text(spans, text ? text : "", trained, room);
        add_text(spans, "<|im_end|>", trained, room);
        add_text(spans, "\n", false, room);
    }
}

static void show_turns(struct inspection *in, const struct dataset_sample *sample) {
    size_t room = INSPECT_SAMPLE_BYTES;
    json_t *spans = json_array();
    const json_t *chosen = sample->chosen;
    add_turns(spans, sample->messages, &room);
    if (sample->text) add_text(spans, json_string_value(sample->text), true, &room);
    if (json_is_string(chosen))
        add_text(spans, json_string_value(chosen), true, &room);
    else
        add_turns(spans, chosen, &room);
    add_sample(in, spans);
}

/* Spread evenly over the data, the first record among them. */
static hearth_status show_samples(struct inspection *in, hearth_error *err) {
    uint64_t n = dataset_count(in->data, PART_TRAIN);
    uint64_t wanted = n < INSPECT_SAMPLES ? n : INSPECT_SAMPLES;
    hearth_status status = HEARTH_OK;
    for (uint64_t i = 0; i < wanted && status == HEARTH_OK; i++) {
        struct dataset_sample sample = {0};
        status = dataset_read(in->data, PART_TRAIN, n / wanted * i, &sample, err);
        if (status == HEARTH_OK && in->maker)
            status = show_tokens(in, &sample, err);
        else if (status == HEARTH_OK)
            show_turns(in, &sample);
        dataset_sample_release(&sample);
    }
    return status;
}

/* ---- opening
 * ------------------------------------------------------------------------------------- */

static hearth_status open_maker(struct inspection *in, const char *model, hearth_error *err) {
    struct engine_settings settings;
    struct text source;
    engine_settings_init(&settings);
    settings.model = model;
    if (!model || engine_open_vocabulary(&in->engine, &settings, NULL) != HEARTH_OK)
        return HEARTH_OK;
    if (model_chat_template(&in->engine.model, &source))
        RETURN_IF_ERROR(chat_template_open(&in->template, source.data, source.length, err));
    const struct example_options options = {
        .tokenizer = in->engine.tokenizer, .template = in->template, .n_vocab = N_VOCAB_UNCHECKED};
    return example_maker_open(&in->maker, &options, err);
}

static hearth_status look(struct inspection *in, const char *path, const char *model,
                          hearth_error *err) {
    const struct dataset_options options = {.skip_broken = true};
    const struct dataset_problem *problem;
    in->problems = json_array();
    in->samples = json_array();
    if (!in->problems || !in->samples) return no_memory(err);
    RETURN_IF_ERROR(dataset_open(&in->data, &path, 1, &options, err));
    for (size_t i = 0; (problem = dataset_problem(in->data, i)); i++)
        add_problem(in, &problem->place, problem->message);
    RETURN_IF_ERROR(open_maker(in, model, err));
    if (in->maker) RETURN_IF_ERROR(count_tokens(in, err));
    return show_samples(in, err);
}

static const char *name_of(enum dataset_schema schema) {
    static const char *const names[N_DATASET_SCHEMAS] = {[SCHEMA_AUTO] = "unknown",
                                                         [SCHEMA_ALPACA] = "Alpaca",
                                                         [SCHEMA_SHAREGPT] = "ShareGPT",
                                                         [SCHEMA_MESSAGES] = "OpenAI messages",
                                                         [SCHEMA_PAIRS] = "Prompts and completions",
                                                         [SCHEMA_PREFERENCE] = "Preference pairs",
                                                         [SCHEMA_TEXT] = "Text"};
    return names[schema];
}

hearth_status tune_inspect(const char *path, const char *model, json_t **out, hearth_error *err) {
    struct inspection in = {0};
    hearth_status status = look(&in, path, model, err);
    *out = NULL;
    if (status == HEARTH_OK) {
        *out =
            json_pack("{s:s, s:I, s:O, s:O}", "format", name_of(dataset_file(in.data, 0)->schema),
                      "n_records", (json_int_t)dataset_count(in.data, PART_TRAIN), "problems",
                      in.problems, "samples", in.samples);
        if (!*out) status = no_memory(err);
    }
    json_decref(in.problems);
    json_decref(in.samples);
    example_maker_close(in.maker);
    chat_template_close(in.template);
    engine_close(&in.engine);
    dataset_close(in.data);
    return status;
}
