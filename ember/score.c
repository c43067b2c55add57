/* ember-score: how many answers are right, task by task, with thinking and without.
 *
 * Reads JSON lines {"task", "expected", "answer", "thinking"}: a line that says "thinking":
 * false was answered without. A <think> block at the start of an answer is not part of it.
 * An answer is right when it is the expected text; letter case, white space and a full stop
 * at the end do not count. */
#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cli/options.h"

enum { MAX_TASKS = 256, MAX_NAME = 64 };
enum { WITHOUT, WITH, MODES };

struct tally {
    char name[MAX_NAME];
    uint64_t n[MODES], right[MODES];
};

struct scoring {
    struct tally tasks[MAX_TASKS], all;
    size_t n_tasks;
    struct buf expected, answer;
};

/* ---- one answer ------------------------------------------------------------------------------ */

static const char *after_thinking(const char *text) {
    static const char end[] = "</think>";
    const char *at = strstr(text, end);
    return at ? at + sizeof end - 1 : text;
}

/* Lower case, single spaces, nothing around, no full stop at the end. */
static void normalise(const char *text, struct buf *out) {
    bool space = false;
    buf_clear(out);
    for (; *text; text++) {
        if (isspace((unsigned char)*text)) {
            space = true;
            continue;
        }
        if (space && out->length) buf_append_char(out, ' ');
        space = false;
        buf_append_char(out, (char)tolower((unsigned char)*text));
    }
    if (out->length && out->data[out->length - 1] == '.') out->data[--out->length] = '\0';
}

static struct tally *find_tally(struct scoring *s, const char *name, hearth_error *err) {
    for (size_t i = 0; i < s->n_tasks; i++)
        if (strcmp(s->tasks[i].name, name) == 0) return &s->tasks[i];
    if (s->n_tasks == MAX_TASKS || strlen(name) >= MAX_NAME) {
        error_set(err, HEARTH_ERROR_LIMIT, "more than %d tasks, or a name of more than %d bytes",
                  MAX_TASKS, MAX_NAME - 1);
        return NULL;
    }
    struct tally *tally = &s->tasks[s->n_tasks++];
    memcpy(tally->name, name, strlen(name) + 1);
    return tally;
}

static void count(struct tally *tally, int mode, bool right) {
    tally->n[mode]++;
    tally->right[mode] += right;
}

static hearth_status score_line(struct scoring *s, const json_t *line, hearth_error *err) {
    const char *task = json_string_value(json_object_get(line, "task"));
    const char *expected = json_string_value(json_object_get(line, "expected"));
    const char *answer = json_string_value(json_object_get(line, "answer"));
    if (!task || !expected || !answer)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "\"task\", \"expected\" or \"answer\" is missing or no string");
    struct tally *tally = find_tally(s, task, err);
    if (!tally) return HEARTH_ERROR_LIMIT;
    normalise(expected, &s->expected);
    normalise(after_thinking(answer), &s->answer);
    if (s->expected.failed || s->answer.failed)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an answer");
    bool right = strcmp(buf_text(&s->expected), buf_text(&s->answer)) == 0;
    int mode = json_is_false(json_object_get(line, "thinking")) ? WITHOUT : WITH;
    count(tally, mode, right);
    count(&s->all, mode, right);
    return HEARTH_OK;
}

static hearth_status score_lines(struct scoring *s, FILE *in, hearth_error *err) {
    char *line = NULL;
    size_t capacity = 0, number = 0;
    hearth_status status = HEARTH_OK;
    for (ssize_t n; status == HEARTH_OK && (n = getline(&line, &capacity, in)) > 0;) {
        json_error_t why;
        number++;
        if (strspn(line, " \t\r\n") == (size_t)n) continue;
        json_t *object = json_loadb(line, (size_t)n, 0, &why);
        status = object ? score_line(s, object, err)
                        : error_set(err, HEARTH_ERROR_FORMAT, "not JSON: %s", why.text);
        if (status != HEARTH_OK) error_prefix(err, status, "line %zu", number);
        json_decref(object);
    }
    free(line);
    if (status == HEARTH_OK && s->all.n[WITH] + s->all.n[WITHOUT] == 0)
        return error_set(err, HEARTH_ERROR_FORMAT, "there are no predictions");
    return status;
}

/* ---- the report -------------------------------------------------------------------------------
 */

static void print_share(const struct tally *t, int mode) {
    if (t->n[mode])
        printf("  %6.1f %% of %-7llu", 100.0 * (double)t->right[mode] / (double)t->n[mode],
               (unsigned long long)t->n[mode]);
    else
        printf("  %19s", "-       ");
}

static void print_row(const struct tally *t) {
    printf("%-14s", t->name);
    print_share(t, WITH);
    print_share(t, WITHOUT);
    putchar('\n');
}

static json_t *mode_json(const struct tally *t, int mode) {
    if (!t->n[mode]) return json_null();
    return json_pack("{s:I, s:I, s:f}", "n", (json_int_t)t->n[mode], "right",
                     (json_int_t)t->right[mode], "accuracy",
                     (double)t->right[mode] / (double)t->n[mode]);
}

static json_t *tally_json(const struct tally *t) {
    return json_pack("{s:o, s:o}", "with_thinking", mode_json(t, WITH), "without_thinking",
                     mode_json(t, WITHOUT));
}

static void print_json(const struct scoring *s) {
    json_t *tasks = json_object();
    for (size_t i = 0; i < s->n_tasks; i++)
        json_object_set_new(tasks, s->tasks[i].name, tally_json(&s->tasks[i]));
    json_t *report = json_pack("{s:o, s:o}", "tasks", tasks, "all", tally_json(&s->all));
    if (report) json_dumpf(report, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(report);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct tally *)a)->name, ((const struct tally *)b)->name);
}

static void report(struct scoring *s, bool json) {
    qsort(s->tasks, s->n_tasks, sizeof s->tasks[0], by_name);
    if (json) {
        print_json(s);
        return;
    }
    printf("%-14s  %19s  %19s\n", "task", "with thinking", "without");
    for (size_t i = 0; i < s->n_tasks; i++)
        print_row(&s->tasks[i]);
    print_row(&s->all);
}

static hearth_status score_file(struct scoring *s, const char *path, hearth_error *err) {
    FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (!in) return error_set_errno(err, "cannot open '%s'", path);
    hearth_status status = score_lines(s, in, err);
    if (in != stdin) fclose(in);
    return status == HEARTH_OK ? HEARTH_OK : error_prefix(err, status, "'%s'", path);
}

int main(int argc, char **argv) {
    bool json = false;
    const struct option_spec specs[] = {
        {.name = "json", .help = "print JSON", .type = OPTION_FLAG, .flag = &json}};
    const struct option_table table = {
        .command = "ember-score",
        .arguments = "PREDICTIONS",
        .summary = "Counts right answers in JSON lines {\"task\",\"expected\",\"answer\","
                   "\"thinking\"};\n- reads them from standard input.",
        .specs = specs,
        .n_specs = 1,
        .min_arguments = 1,
        .max_arguments = 1};
    struct option_arguments arguments;
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    struct scoring *s = mem_calloc(1, sizeof *s);
    hearth_status status = HEARTH_ERROR_NO_MEMORY;
    if (s) {
        memcpy(s->all.name, "all", sizeof "all");
        buf_init(&s->expected, (size_t)1 << 24);
        buf_init(&s->answer, (size_t)1 << 24);
        status = score_file(s, arguments.items[0], &err);
        if (status == HEARTH_OK) report(s, json);
        buf_release(&s->expected);
        buf_release(&s->answer);
    }
    if (status != HEARTH_OK) fprintf(stderr, "ember-score: %s\n", err.message);
    mem_free(s);
    return status == HEARTH_OK ? EXIT_OK : EXIT_FAILED;
}
