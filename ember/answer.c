/* ember-answer: a model's answers to problems, greedily, several at a time.
 *
 * Reads what ember-data wrote and writes JSON lines for ember-score, in the order of the
 * problems. An answer is the same alone or among others (context.h). */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/term.h"
#include "cli/engine_options.h"
#include "infer/prompt.h"

enum { MAX_SEQUENCES = 256, ANSWER_MAX_BYTES = 1 << 20 };
enum { THINK_BOTH, THINK_ON, THINK_OFF };

/* A problem, asked in one of the two ways. */
struct question {
    const json_t *line;
    bool thinks;
    char *answer; /* NULL: not yet */
};

struct slot {
    struct question *question; /* NULL: free */
    struct token_list prompt, answer;
};

struct answering {
    struct engine_settings settings;
    const char *output;
    int64_t n_sequences, max_tokens, limit;
    int thinking;

    struct engine engine;
    struct chat_template *template;
    json_t *lines;
    struct question *questions;
    size_t n_questions, n_asked, n_answered;
    struct slot slots[MAX_SEQUENCES];
    struct context_part parts[MAX_SEQUENCES];
    float *logits; /* [n_sequences][n_vocab] */
};

/* ---- problems -------------------------------------------------------------------------------- */

static hearth_status take_line(struct answering *a, const char *text, size_t n, hearth_error *err) {
    json_error_t why;
    json_t *line = json_loadb(text, n, 0, &why);
    if (!line) return error_set(err, HEARTH_ERROR_FORMAT, "not JSON: %s", why.text);
    json_array_append_new(a->lines, line);
    if (json_string_value(json_object_get(line, "task")) &&
        json_string_value(json_object_get(line, "expected")) &&
        json_array_size(json_object_get(line, "messages")) > 1)
        return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_FORMAT, "no line of ember-data");
}

static hearth_status read_problems(struct answering *a, const char *path, hearth_error *err) {
    char *line = NULL;
    size_t capacity = 0, number = 0;
    FILE *in = fopen(path, "re");
    if (!in) return error_set_errno(err, "cannot open '%s'", path);
    hearth_status status = HEARTH_OK;
    for (ssize_t n; status == HEARTH_OK && (n = getline(&line, &capacity, in)) > 0;) {
        if (a->limit && (int64_t)number == a->limit) break;
        status = take_line(a, line, (size_t)n, err);
        number++;
    }
    free(line);
    fclose(in);
    if (status != HEARTH_OK) return error_prefix(err, status, "'%s', line %zu", path, number);
    if (number) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_FORMAT, "'%s' has no problems", path);
}

static hearth_status make_questions(struct answering *a, hearth_error *err) {
    size_t n = json_array_size(a->lines);
    a->questions = mem_calloc(2 * n, sizeof *a->questions);
    if (!a->questions) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for problems");
    for (size_t i = 0; i < n; i++) {
        const json_t *line = json_array_get(a->lines, i);
        if (a->thinking != THINK_OFF)
            a->questions[a->n_questions++] = (struct question){.line = line, .thinks = true};
        if (a->thinking != THINK_ON)
            a->questions[a->n_questions++] = (struct question){.line = line, .thinks = false};
    }
    return HEARTH_OK;
}

/* ---- answering ------------------------------------------------------------------------------- */

/* The conversation without its last message, which is the answer. */
static hearth_status ask(struct answering *a, struct slot *slot, struct question *question,
                         hearth_error *err) {
    json_t *messages = json_copy(json_object_get(question->line, "messages"));
    json_t *variables = json_pack("{s:b}", "enable_thinking", (int)question->thinks);
    slot->question = question;
    slot->answer.count = 0;
    hearth_status status = HEARTH_ERROR_NO_MEMORY;
    if (messages && variables) {
        json_array_remove(messages, json_array_size(messages) - 1);
        status = prompt_of_messages(a->engine.tokenizer, a->template, messages, variables, NULL,
                                    &slot->prompt, NULL, err);
    }
    json_decref(messages);
    json_decref(variables);
    uint32_t room = context_length(a->engine.context);
    if (status == HEARTH_OK && slot->prompt.count >= room)
        return error_set(err, HEARTH_ERROR_LIMIT, "a prompt of %zu tokens; the context has %u",
                         slot->prompt.count, room);
    return status;
}

static hearth_status finish(struct answering *a, uint32_t sequence, hearth_error *err) {
    struct slot *slot = &a->slots[sequence];
    struct buf text;
    buf_init(&text, ANSWER_MAX_BYTES);
    hearth_status status = tokenizer_decode(a->engine.tokenizer, slot->answer.ids,
                                            slot->answer.count, false, &text, err);
    if (status == HEARTH_OK && !(slot->question->answer = mem_strdup(buf_text(&text))))
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an answer");
    buf_release(&text);
    slot->question = NULL;
    context_sequence_truncate(a->engine.context, sequence, 0);
    a->n_answered++;
    return status;
}

static int32_t likeliest(const float *logits, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return (int32_t)best;
}

/* Free sequences get the next questions; each sequence in use is one part of the batch. */
static hearth_status gather(struct answering *a, size_t *n_parts, hearth_error *err) {
    *n_parts = 0;
    for (uint32_t i = 0; i < (uint32_t)a->n_sequences; i++) {
        struct slot *slot = &a->slots[i];
        if (!slot->question && a->n_asked < a->n_questions)
            RETURN_IF_ERROR(ask(a, slot, &a->questions[a->n_asked++], err));
        if (!slot->question) continue;
        bool begins = slot->answer.count == 0;
        a->parts[(*n_parts)++] = (struct context_part){
            .sequence = i,
            .tokens = begins ? slot->prompt.ids : &slot->answer.ids[slot->answer.count - 1],
            .n_tokens = begins ? (uint32_t)slot->prompt.count : 1,
            .last_logits = true,
            .prompt = begins};
    }
    return HEARTH_OK;
}

static hearth_status extend(struct answering *a, uint32_t sequence, int32_t token,
                            hearth_error *err) {
    struct slot *slot = &a->slots[sequence];
    const struct context *context = a->engine.context;
    if (tokenizer_is_end_of_generation(a->engine.tokenizer, token)) return finish(a, sequence, err);
    if (!token_list_append(&slot->answer, &token, 1))
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an answer");
    if ((int64_t)slot->answer.count < a->max_tokens &&
        context_sequence_length(context, sequence) < context_length(context))
        return HEARTH_OK;
    return finish(a, sequence, err);
}

static hearth_status answer_all(struct answering *a, hearth_error *err) {
    size_t n_vocab = a->engine.model.config.n_vocab, n_parts;
    struct progress progress;
    progress_begin(&progress, stderr, "answers", a->n_questions, false);
    while (a->n_answered < a->n_questions) {
        RETURN_IF_ERROR(gather(a, &n_parts, err));
        RETURN_IF_ERROR(context_decode(a->engine.context, a->parts, n_parts, a->logits, err));
        for (size_t i = 0; i < n_parts; i++) {
            int32_t token = likeliest(a->logits + i * n_vocab, n_vocab);
            RETURN_IF_ERROR(extend(a, a->parts[i].sequence, token, err));
        }
        progress_update(&progress, a->n_answered);
    }
    progress_end(&progress, a->n_answered);
    return HEARTH_OK;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static hearth_status write_answers(const struct answering *a, hearth_error *err) {
    struct file_writer writer;
    RETURN_IF_ERROR(file_writer_open(&writer, a->output, err));
    hearth_status status = HEARTH_OK;
    for (size_t i = 0; status == HEARTH_OK && i < a->n_questions; i++) {
        const struct question *q = &a->questions[i];
        const json_t *messages = json_object_get(q->line, "messages");
        const json_t *user = json_array_get(messages, json_array_size(messages) - 2);
        json_t *line = json_pack(
            "{s:O, s:O, s:O, s:s, s:b}", "task", json_object_get(q->line, "task"), "question",
            json_object_get(user, "content"), "expected", json_object_get(q->line, "expected"),
            "answer", q->answer, "thinking", (int)q->thinks);
        char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
        status = text ? file_writer_put(&writer, text, strlen(text), err)
                      : error_set(err, HEARTH_ERROR_FORMAT, "answer %zu is no UTF-8 text", i + 1);
        if (status == HEARTH_OK) status = file_writer_put(&writer, "\n", 1, err);
        free(text);
        json_decref(line);
    }
    if (status == HEARTH_OK) return file_writer_commit(&writer, err);
    file_writer_discard(&writer);
    return status;
}

static hearth_status open_model(struct answering *a, hearth_error *err) {
    struct context_options options = context_defaults();
    struct text source;
    options.n_sequences = (uint32_t)a->n_sequences;
    RETURN_IF_ERROR(engine_open(&a->engine, &a->settings, options, err));
    RETURN_IF_ERROR(engine_need_tokenizer(&a->engine, err));
    if (!model_chat_template(&a->engine.model, &source))
        return error_set(err, HEARTH_ERROR_UNSUPPORTED, "'%s' has no chat template",
                         a->settings.model);
    a->logits =
        mem_alloc_array((size_t)a->n_sequences * a->engine.model.config.n_vocab, sizeof *a->logits);
    if (!a->logits) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for logits");
    return chat_template_open(&a->template, source.data, source.length, err);
}

static hearth_status answer_file(struct answering *a, const char *path, hearth_error *err) {
    RETURN_IF_ERROR(read_problems(a, path, err));
    RETURN_IF_ERROR(make_questions(a, err));
    RETURN_IF_ERROR(open_model(a, err));
    RETURN_IF_ERROR(answer_all(a, err));
    return write_answers(a, err);
}

static void release(struct answering *a) {
    for (size_t i = 0; i < a->n_questions; i++)
        mem_free(a->questions[i].answer);
    for (size_t i = 0; i < MAX_SEQUENCES; i++) {
        token_list_release(&a->slots[i].prompt);
        token_list_release(&a->slots[i].answer);
    }
    mem_free(a->questions);
    mem_free(a->logits);
    json_decref(a->lines);
    chat_template_close(a->template);
    engine_close(&a->engine);
}

/* long: the table of options */
static size_t answer_specs(struct answering *a, struct option_spec *specs) {
    size_t n = engine_specs(&a->settings, specs);
    const struct option_spec own[] = {
        {.type = OPTION_HEADING, .help = "Answers"},
        {.name = "output",
         .letter = 'o',
         .argument = "FILE",
         .help = "the JSON lines to write",
         .type = OPTION_STRING,
         .string = &a->output},
        {.name = "thinking",
         .argument = "WHEN",
         .help = "ask with thinking, without, or both (default: both)",
         .type = OPTION_CHOICE,
         .choices = "both|on|off",
         .choice = &a->thinking},
        {.name = "limit",
         .argument = "N",
         .help = "only the first N problems",
         .type = OPTION_INT,
         .most = 1e9,
         .integer = &a->limit},
        {.name = "n-predict",
         .letter = 'n',
         .argument = "N",
         .help = "most tokens of an answer (default: 480)",
         .type = OPTION_INT,
         .least = 1,
         .most = 1 << 20,
         .integer = &a->max_tokens},
        {.name = "sequences",
         .argument = "N",
         .help = "answered together (default: 32)",
         .type = OPTION_INT,
         .least = 1,
         .most = MAX_SEQUENCES,
         .integer = &a->n_sequences},
    };
    memcpy(specs + n, own, sizeof own);
    return n + sizeof own / sizeof own[0];
}

int main(int argc, char **argv) {
    struct option_spec specs[ENGINE_SPECS + 6];
    struct answering *a = mem_calloc(1, sizeof *a);
    if (!a) return EXIT_FAILED;
    a->n_sequences = 32;
    a->max_tokens = 480;
    a->lines = json_array();
    const struct option_table table = {
        .command = "ember-answer",
        .arguments = "PROBLEMS",
        .summary = "Writes a model's answers to problems that ember-data made, for ember-score.",
        .examples = "ember-answer -m ember -o answers.jsonl test.jsonl",
        .specs = specs,
        .n_specs = answer_specs(a, specs),
        .min_arguments = 1,
        .max_arguments = 1};
    struct option_arguments arguments;
    int code;
    hearth_error err = {0};
    hearth_status status = HEARTH_OK;
    if (options_begin(&table, argc, argv, &arguments, &code)) {
        if (!a->output || !a->settings.model)
            status = error_set(&err, HEARTH_ERROR_ARGUMENT, "-m MODEL and -o FILE are needed");
        else
            status = answer_file(a, arguments.items[0], &err);
        code = status == HEARTH_OK ? EXIT_OK : EXIT_FAILED;
        if (status != HEARTH_OK) fprintf(stderr, "ember-answer: %s\n", err.message);
    }
    release(a);
    mem_free(a);
    return code;
}
