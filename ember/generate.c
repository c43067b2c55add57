/* ember-data: writes what Ember learns from, or the problems held out from it, as JSON lines
 * of conversations in the form of OpenAI's messages. */
#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/options.h"
#include "knowledge.h"
#include "problem.h"
#include "split.h"

enum { MAX_TASKS = 64, MAX_TRIES = 100000, MAX_HISTORY = 2, SYSTEM_ONE_IN = 12 };
enum { SPLIT_TRAIN, SPLIT_TEST };

struct generation {
    const char *output, *task_names, *help_pages, *source_root;
    int split;
    int64_t seed, count;
    double direct, history; /* shares: without thinking; with questions before the last */
    bool list;

    const struct task *tasks[MAX_TASKS];
    size_t n_tasks;
    unsigned total_weight;
    struct knowledge *knowledge;
    struct rng rng;
    struct problem problem;
    struct file_writer writer;
};

/* ---- choosing tasks -------------------------------------------------------------------------- */

static hearth_status add_task(struct generation *g, const struct task *task, hearth_error *err) {
    if (g->n_tasks == MAX_TASKS)
        return error_set(err, HEARTH_ERROR_LIMIT, "more than %d tasks", MAX_TASKS);
    if (task->needs_knowledge && !g->help_pages)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "task '%s' is made from the program's help: --help-pages FILE is needed",
                         task->name);
    g->tasks[g->n_tasks++] = task;
    g->total_weight += task->weight;
    return HEARTH_OK;
}

static hearth_status choose_tasks(struct generation *g, hearth_error *err) {
    if (!g->task_names) {
        for (size_t i = 0; i < task_count(); i++)
            if (g->help_pages || !task_at(i)->needs_knowledge)
                RETURN_IF_ERROR(add_task(g, task_at(i), err));
        return HEARTH_OK;
    }
    for (const char *at = g->task_names; *at;) {
        char name[64];
        size_t n = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)(n < 63 ? n : 63), at);
        const struct task *task = task_find(name);
        if (!task)
            return error_set(err, HEARTH_ERROR_ARGUMENT, "no task '%s'; --list shows them", name);
        RETURN_IF_ERROR(add_task(g, task, err));
        at += n + (at[n] == ',');
    }
    return g->n_tasks ? HEARTH_OK : error_set(err, HEARTH_ERROR_ARGUMENT, "--tasks names none");
}

static const struct task *draw_task(struct generation *g) {
    unsigned at = draw(&g->rng, g->total_weight);
    size_t i = 0;
    for (; at >= g->tasks[i]->weight; i++)
        at -= g->tasks[i]->weight;
    return g->tasks[i];
}

/* ---- one conversation ------------------------------------------------------------------------ */

/* People leave out capitals and full stops. */
static void loosen(struct rng *rng, struct buf *question) {
    char *text = question->data;
    size_t n = question->length;
    if (n && draw(rng, 6) == 0) text[0] = (char)tolower((unsigned char)text[0]);
    if (n > 1 && draw(rng, 6) == 0 && (text[n - 1] == '?' || text[n - 1] == '.')) {
        text[n - 1] = '\0';
        question->length--;
    }
}

/* A problem of the split that is asked for. */
static hearth_status make_problem(struct generation *g, const struct task *task,
                                  hearth_error *err) {
    struct problem *p = &g->problem;
    for (int i = 0; i < MAX_TRIES; i++) {
        problem_clear(p);
        task->make(&g->rng, g->knowledge, p);
        if (problem_failed(p))
            return error_set(err, HEARTH_ERROR_LIMIT, "a problem of task '%s' is too long",
                             task->name);
        if (split_is_held_out(p) == (g->split == SPLIT_TEST)) {
            loosen(&g->rng, &p->question);
            return HEARTH_OK;
        }
    }
    return error_set(err, HEARTH_ERROR_NOT_FOUND, "task '%s' has no problem in this split",
                     task->name);
}

static void say(json_t *messages, const char *role, const char *text) {
    json_array_append_new(messages, json_pack("{s:s, s:s}", "role", role, "content", text));
}

/* What programs put in front of a conversation; Ember answers the same with it. */
static void say_system(struct generation *g, json_t *messages) {
    static const char *const texts[] = {
        "You are a helpful assistant.",
        "You are a helpful AI assistant that answers questions.",
        "You are Ember, a small model.",
        "Be brief.",
        "Answer in one sentence.",
        "You are a friendly assistant. Think step by step.",
        "You answer questions about numbers, dates and Hearth.",
        "Always be polite and give correct answers to the user.",
    };
    if (draw(&g->rng, SYSTEM_ONE_IN) == 0) say(messages, "system", DRAW_FROM(&g->rng, texts));
}

/* Questions answered before, so that the last one is told from them. Their answers stand without
 * the steps that led there, so nothing is learnt from these: weight 0, as in OpenAI's form. */
static hearth_status say_history(struct generation *g, json_t *messages, hearth_error *err) {
    if (rng_uniform(&g->rng) >= g->history) return HEARTH_OK;
    for (int n = draw_between(&g->rng, 1, MAX_HISTORY); n > 0; n--) {
        RETURN_IF_ERROR(make_problem(g, draw_task(g), err));
        say(messages, "user", buf_text(&g->problem.question));
        say(messages, "assistant", buf_text(&g->problem.answer));
        json_object_set_new(json_array_get(messages, json_array_size(messages) - 1), "weight",
                            json_integer(0));
    }
    return HEARTH_OK;
}

static json_t *conversation(const struct problem *p, const struct task *task, bool thinks,
                            json_t *messages) {
    const char *answer = buf_text(&p->answer);
    say(messages, "user", buf_text(&p->question));
    say(messages, "assistant", answer);
    if (thinks)
        json_object_set_new(json_array_get(messages, json_array_size(messages) - 1),
                            "reasoning_content", json_string(buf_text(&p->steps)));
    return json_pack("{s:s, s:s, s:s, s:b, s:O}", "task", task->name, "problem",
                     buf_text(&p->canonical), "expected", answer, "thinking", (int)thinks,
                     "messages", messages);
}

static hearth_status make_conversation(struct generation *g, json_t *messages, json_t **line_out,
                                       hearth_error *err) {
    const struct task *task = draw_task(g);
    say_system(g, messages);
    RETURN_IF_ERROR(say_history(g, messages, err));
    RETURN_IF_ERROR(make_problem(g, task, err));
    *line_out = conversation(&g->problem, task, rng_uniform(&g->rng) >= g->direct, messages);
    if (*line_out) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_FORMAT, "a problem is not UTF-8 text");
}

static hearth_status write_conversation(struct generation *g, hearth_error *err) {
    json_t *messages = json_array(), *line = NULL;
    hearth_status status = make_conversation(g, messages, &line, err);
    json_decref(messages);
    if (status != HEARTH_OK) return status;
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    status = text ? file_writer_put(&g->writer, text, strlen(text), err)
                  : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a line");
    if (status == HEARTH_OK) status = file_writer_put(&g->writer, "\n", 1, err);
    free(text);
    json_decref(line);
    return status;
}

/* ---- all of them ------------------------------------------------------------------------------
 */

static hearth_status generate(struct generation *g, hearth_error *err) {
    RETURN_IF_ERROR(choose_tasks(g, err));
    if (g->help_pages)
        RETURN_IF_ERROR(knowledge_open(&g->knowledge, g->help_pages, g->source_root, err));
    RETURN_IF_ERROR(file_writer_open(&g->writer, g->output, err));
    rng_seed(&g->rng, (uint64_t)g->seed);
    hearth_status status = HEARTH_OK;
    for (int64_t i = 0; status == HEARTH_OK && i < g->count; i++)
        status = write_conversation(g, err);
    if (status == HEARTH_OK) return file_writer_commit(&g->writer, err);
    file_writer_discard(&g->writer);
    return status;
}

static int list_tasks(void) {
    for (size_t i = 0; i < task_count(); i++)
        printf("%-14s weight %2u%s\n", task_at(i)->name, task_at(i)->weight,
               task_at(i)->is_reasoning ? ", by steps" : "");
    return EXIT_OK;
}

/* long: the table of options */
int main(int argc, char **argv) {
    struct generation g = {.source_root = ".", .seed = 1, .direct = 0.15, .history = 0.2};
    const struct option_spec specs[] = {
        {.name = "output",
         .letter = 'o',
         .argument = "FILE",
         .help = "the JSON lines to write",
         .type = OPTION_STRING,
         .string = &g.output},
        {.name = "split",
         .argument = "WHICH",
         .help = "train, or test: problems that training never sees (default: train)",
         .type = OPTION_CHOICE,
         .choices = "train|test",
         .choice = &g.split},
        {.name = "count",
         .argument = "N",
         .help = "conversations to write",
         .type = OPTION_INT,
         .least = 1,
         .most = 1e9,
         .integer = &g.count},
        {.name = "seed",
         .argument = "N",
         .help = "the same seed writes the same file (default: 1)",
         .type = OPTION_INT,
         .most = 9e15,
         .integer = &g.seed},
        {.name = "tasks",
         .argument = "LIST",
         .help = "names with commas between (default: all)",
         .type = OPTION_STRING,
         .string = &g.task_names},
        {.name = "direct",
         .argument = "SHARE",
         .help = "of conversations that answer without thinking, 0 to 1 (default: 0.15)",
         .type = OPTION_FLOAT,
         .least = 0,
         .most = 1,
         .number = &g.direct},
        {.name = "history",
         .argument = "SHARE",
         .help = "of conversations with one or two questions before the last (default: 0.2)",
         .type = OPTION_FLOAT,
         .least = 0,
         .most = 1,
         .number = &g.history},
        {.name = "help-pages",
         .argument = "FILE",
         .help = "what ember/help-pages wrote: the help that Ember is to know",
         .type = OPTION_STRING,
         .string = &g.help_pages},
        {.name = "source",
         .argument = "FOLDER",
         .help = "Hearth's source, for its documents (default: here)",
         .type = OPTION_STRING,
         .string = &g.source_root},
        {.name = "list", .help = "show the tasks", .type = OPTION_FLAG, .flag = &g.list},
    };
    const struct option_table table = {
        .command = "ember-data",
        .summary = "Writes conversations for training Ember, or for testing it.",
        .examples = "ember-data --help-pages build/ember/help.txt --count 200000 -o train.jsonl",
        .specs = specs,
        .n_specs = COUNT_OF(specs)};
    struct option_arguments arguments;
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    if (g.list) return list_tasks();
    if (!g.output || !g.count) {
        fputs("ember-data: -o FILE and --count N are needed\n", stderr);
        return EXIT_USAGE;
    }
    problem_init(&g.problem);
    hearth_status status = generate(&g, &err);
    if (status != HEARTH_OK) fprintf(stderr, "ember-data: %s\n", err.message);
    problem_release(&g.problem);
    knowledge_close(g.knowledge);
    return status == HEARTH_OK ? EXIT_OK : EXIT_FAILED;
}
