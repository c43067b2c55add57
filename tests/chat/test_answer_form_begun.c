/* Calls that a model begins by itself, held to the tools that were offered: every family's own
 * turns are allowed, byte by byte, and whatever else is allowed from a mark on is read as a call of
 * one of the tools with arguments of its schema. */
#include "call_writing.h"

#include "base/file.h"
#include "base/rng.h"
#include "chat/answer_form.h"

/* ---- what is allowed is a call ---- */

/* A byte of those that may follow; where one of those that end things may, often that. */
static int choose(const uint64_t *mask, struct rng *rng, bool hurries) {
    static const char ends[] = "\"'}])></|";
    int among[256 + 16], n = 0;
    bool wants_end = rng_u64(rng) % 4 == 0 || hurries;
    for (size_t i = 0; wants_end && i < sizeof ends - 1; i++)
        if (may_follow(mask, ends[i]) && (!hurries || n == 0)) among[n++] = ends[i];
    bool found = n > 0;
    for (int c = 1; !found && c < 256; c++)
        if (may_follow(mask, c)) among[n++] = c;
    return n ? among[rng_u64(rng) % (size_t)n] : -1;
}

static const json_t *parameters_of(const json_t *tools, const char *name) {
    const json_t *tool;
    size_t i;
    json_array_foreach(tools, i, tool) {
        const json_t *function = json_object_get(tool, "function");
        if (strcmp(json_string_value(json_object_get(function, "name")), name) == 0)
            return json_object_get(function, "parameters");
    }
    return NULL;
}

static void expect_valid(const struct writing *w, const json_t *tools, unsigned call) {
    const char *name = buf_text(&w->got.names[call]), *text = buf_text(&w->got.arguments[call]);
    const json_t *parameters = parameters_of(tools, name);
    json_t *arguments = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    struct constraint *schema;
    if (!parameters || !json_is_object(arguments))
        fail_msg("%s(%s) from %s", name, text, buf_text(&w->text));
    assert_int_equal(constraint_open(&schema, bytes, CONSTRAINT_SCHEMA, parameters, NULL, NULL),
                     HEARTH_OK);
    char *compact = json_dumps(arguments, JSON_COMPACT);
    if (!holds(schema, compact, strlen(compact)))
        fail_msg("%s(%s) is not of its schema, from %s", name, compact, buf_text(&w->text));
    free(compact);
    json_decref(arguments);
    constraint_close(schema);
}

/* What ends a text that stands without quotes, or "". */
static const char *end_of_text(const struct answer_form *form) {
    switch (form->call->style) {
    case CALLS_PARAMETERS: return form->call->value_close;
    case CALLS_TREE: return "]<]minimax[>[";
    case CALLS_BRACES: return "<|\"|>";
    default: return "";
    }
}

/* Anything that is allowed up to the end of the call; after some hundred bytes towards it. */
static void go_on(struct writing *w, const struct answer_form *form, uint64_t seed) {
    const char *end_tag = end_of_text(form);
    struct rng rng;
    rng_seed(&rng, seed);
    for (size_t n = 0; w->call; n++) {
        bool hurries = n > 50 * (seed % 8);
        if (hurries && constraint_may_end(w->call)) return;
        if (hurries) put_text(w, end_tag, strlen(end_tag));
        if (!w->call) return;
        int c = choose(constraint_allowed(w->call), &rng, hurries);
        if (c < 0 || n > 20000)
            fail_msg("%s: stuck after %s", answer_form_name(form), buf_text(&w->text));
        assert_true(put(w, (char)c));
    }
}

static void expect_calls(struct writing *w, const struct answer_form *form, const json_t *tools) {
    assert_int_equal(answer_reader_finish(w->reader, NULL), HEARTH_OK);
    if (w->got.n_calls == 0 || strlen(buf_text(&w->got.text)) > 0)
        fail_msg("%s reads no call in %s", answer_form_name(form), buf_text(&w->text));
    for (unsigned i = 0; i < w->got.n_calls; i++)
        expect_valid(w, tools, i);
}

static void write_anything(const struct answer_form *form, const json_t *tools,
                           struct constraint *calls, const char *beginning, uint64_t seed) {
    struct writing w;
    begin(&w, form, tools, calls);
    assert_int_equal(put_text(&w, beginning, strlen(beginning)), strlen(beginning));
    go_on(&w, form, seed);
    expect_calls(&w, form, tools);
    end(&w);
}

/* The same of answers that must be calls. */
static void check_required(const struct answer_form *form, const json_t *tools) {
    struct constraint *calls;
    json_t *schemas;
    char *grammar;
    hearth_error err = {0};
    assert_true(answer_form_tool_grammar(form, tools, false, &grammar, &schemas));
    if (constraint_open(&calls, bytes, CONSTRAINT_GRAMMAR, schemas, grammar, &err) != HEARTH_OK)
        fail_msg("%s: %s", answer_form_name(form), err.message);
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct writing w;
        begin(&w, form, tools, calls);
        assert_int_equal(constraint_begin(calls, &w.call, NULL), HEARTH_OK);
        go_on(&w, form, seed);
        expect_calls(&w, form, tools);
        end(&w);
    }
    constraint_close(calls);
    json_decref(schemas);
    mem_free(grammar);
}

static const char *beginning_of(const char *mark) {
    if (strcmp(mark, "\"name\":") == 0) return "{\"name\":";
    if (strcmp(mark, "to=functions.") == 0) return "<|channel|>commentary to=functions.";
    return mark;
}

static void check_anything(const struct answer_form *form) {
    const char *marks[ANSWER_MARKS_MAX];
    json_t *tools = json_loads(tools_text, 0, NULL);
    struct constraint *calls = calls_of(form, tools, false);
    size_t n = answer_form_call_marks(form, marks);
    assert_non_null(calls);
    for (size_t i = 0; i < n; i++)
        for (uint64_t seed = 1; seed <= 12; seed++)
            write_anything(form, tools, calls, beginning_of(marks[i]), seed);
    check_required(form, tools);
    constraint_close(calls);
    json_decref(tools);
}

/* ---- families' own turns ---- */

struct tally {
    unsigned families, turns, calls, refusals;
};

/* After the turn's first `n` bytes, which are inside a call, none of these may come. */
static void check_refused(const struct answer_form *form, const json_t *tools,
                          struct constraint *calls, const char *turn, size_t n, const char *refused,
                          struct tally *tally) {
    struct writing w;
    begin(&w, form, tools, calls);
    if (form->call->style == CALLS_CHANNEL) put_text(&w, "<|start|>assistant ", 19);
    assert_int_equal(put_text(&w, turn, n), n);
    assert_non_null(w.call);
    for (const char *c = refused; *c; c++)
        if (put(&w, *c)) fail_msg("%s: '%s' may follow", answer_form_name(form), buf_text(&w.text));
    tally->refusals++;
    end(&w);
}

/* Another tool's name, and what is no number where one must be. */
static void check_refusals(const struct answer_form *form, const json_t *tools,
                           struct constraint *calls, const char *turn, struct tally *tally) {
    const char *name = strstr(turn, "get_weather"), *days = strstr(turn, "days");
    const char *number = days ? strchr(days, '2') : NULL;
    if (!name || !number) return;
    check_refused(form, tools, calls, turn, (size_t)(name - turn), "qxz1", tally);
    check_refused(form, tools, calls, turn, (size_t)(name - turn) + 4, "_zx", tally);
    check_refused(form, tools, calls, turn, (size_t)(number - turn), "qt\"'{[<", tally);
}

/* The text of the last assistant's turn that calls the tool, in a golden rendering, from a place
 * that no call begins before. */
static const char *turn_of(const char *rendering, const struct answer_form *form,
                           const char *user) {
    const char *marks[ANSWER_MARKS_MAX], *first = NULL;
    size_t n = answer_form_call_marks(form, marks);
    for (const char *at = strstr(rendering, user); at; at = strstr(at + 1, user))
        rendering = at + strlen(user);
    for (size_t i = 0; i < n; i++) {
        const char *at = strstr(rendering, beginning_of(marks[i]));
        if (!at) at = strstr(rendering, marks[i]);
        if (at && (!first || at < first)) first = at;
    }
    return first;
}

static const json_t *calling_message(const json_t *context, const char **user) {
    const json_t *message;
    size_t i;
    json_array_foreach(json_object_get(context, "messages"), i, message) {
        const char *role = json_string_value(json_object_get(message, "role"));
        if (role && strcmp(role, "user") == 0)
            *user = json_string_value(json_object_get(message, "content"));
        if (json_object_get(message, "tool_calls")) return message;
    }
    return NULL;
}

/* Some messages have arguments that the tool does not name, or that are a text, which some
 * templates write as it is. */
static bool is_of_its_schema(const json_t *context, const json_t *message) {
    json_t *call, *value;
    size_t i;
    json_array_foreach(json_object_get(message, "tool_calls"), i, call) {
        const json_t *function = json_object_get(call, "function");
        const char *name = json_string_value(json_object_get(function, "name")), *key;
        json_t *arguments = json_object_get(function, "arguments");
        const json_t *properties =
            json_object_get(parameters_of(json_object_get(context, "tools"), name), "properties");
        if (!json_is_object(arguments)) return false;
        json_object_foreach(arguments, key, value) {
            if (!json_object_get(properties, key)) return false;
        }
    }
    return true;
}

/* The turn is allowed up to the end of its last call. */
static void check_turn(const struct answer_form *form, const json_t *context, const char *text,
                       const char *name, struct tally *tally) {
    const json_t *tools = json_object_get(context, "tools");
    struct constraint *calls = calls_of(form, tools, false);
    struct writing w;
    begin(&w, form, tools, calls);
    if (form->call->style == CALLS_CHANNEL) put_text(&w, "<|start|>assistant ", 19);
    size_t n = strlen(text), done = put_text(&w, text, n);
    if (done < n && w.call)
        fail_msg("%s: not allowed in '%.*s': '%.20s'", name, (int)done, text, text + done);
    assert_true(w.n_ended > 0);
    tally->turns++;
    tally->calls += w.got.n_calls;
    check_refusals(form, tools, calls, text, tally);
    end(&w);
    constraint_close(calls);
}

static void check_cases(const struct answer_form *form, const json_t *file, const char *name,
                        struct tally *tally) {
    const json_t *item;
    size_t i;
    json_array_foreach(json_object_get(file, "cases"), i, item) {
        const json_t *context = json_object_get(item, "context");
        const char *rendering = json_string_value(json_object_get(item, "expected")), *user = NULL;
        const json_t *message = calling_message(context, &user);
        if (!rendering || !message || !is_of_its_schema(context, message) || !user ||
            !json_is_array(json_object_get(context, "tools")))
            continue;
        const char *turn = turn_of(rendering, form, user);
        if (turn) check_turn(form, context, turn, name, tally);
    }
}

static void check_template(const char *path, const char *name, struct tally *tally) {
    struct answer_form *form;
    char *text;
    size_t n;
    assert_int_equal(file_read(path, 64 << 20, &text, &n, NULL), HEARTH_OK);
    json_t *file = json_loadb(text, n, JSON_ALLOW_NUL, NULL);
    const char *source = json_string_value(json_object_get(file, "template"));
    assert_int_equal(answer_form_open(&form, source, NULL), HEARTH_OK);
    if (answer_form_calls_tools(form)) {
        tally->families++;
        check_anything(form);
        check_cases(form, file, name, tally);
    }
    answer_form_close(form);
    json_decref(file);
    mem_free(text);
}

static void every_family_holds_its_calls(void **state) {
    (void)state;
    const char *folder = testdata("templates/cases");
    struct tally tally = {0};
    char **names;
    size_t n;
    assert_int_equal(file_list(folder, &names, &n, NULL), HEARTH_OK);
    for (size_t i = 0; i < n; i++) {
        if (!strstr(names[i], ".json")) continue;
        char *path = path_join(folder, names[i]);
        check_template(path, names[i], &tally);
        mem_free(path);
    }
    file_names_free(names, n);
    print_message("%u templates, %u turns with %u calls, %u times refused\n", tally.families,
                  tally.turns, tally.calls, tally.refusals);
    assert_true(tally.families > 40 && tally.turns > 100 && tally.refusals > 200);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_holds_its_calls),
    };
    return cmocka_run_group_tests_name("chat/answer_form_begun", tests, open_bytes, close_bytes);
}
