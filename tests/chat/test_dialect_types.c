/* Hostile bodies: every value of every good body of tests/chat/dialect_requests.json replaced by
 * values of other types, and bodies that are too deep or too long. The answer is a problem that
 * names the field, never anything else. */
#include "dialect_script.h"

#include <string.h>

/* Where other types are right, too: the type's letters (b n s a o), or * for any, there and
 * below. [] stands for any element. */
static const struct exception {
    const char *path, *types;
} exceptions[] = {
    {"openai_chat:messages[].content", "sa"},
    {"openai_chat:messages[].content[].image_url", "so"},
    {"openai_chat:messages[].content[].depth", "*"},
    {"openai_chat:messages[].tool_calls[].function.arguments", "so"},
    {"openai_chat:messages[].function_call.arguments", "so"},
    {"openai_chat:guided_json", "so"},
    {"openai_chat:logit_bias[][]", "nsb"},
    {"openai_chat:chat_template_kwargs.tone", "*"},
    {"openai_chat:response_format.json_schema.schema", "b"},
    {"openai_chat:response_format.json_schema.schema.type", "*"},
    {"openai_chat:functions[].parameters.type", "*"},
    {":metadata.a", "*"},
    {":metadata.user_id", "*"},
    {":unknown", "*"},
    {":tools[].function.parameters.type", "*"},
    {":tools[].parameters.type", "*"},
    {":tools[].input_schema.type", "*"},
    {"openai_completions:prompt", "sa"},
    {"openai_completions:prompt[]", "sa"},
    {"openai_embeddings:input", "sa"},
    {"openai_embeddings:input[]", "sa"},
    {"openai_responses:input", "sa"},
    {"openai_responses:input[].content", "sa"},
    {"openai_responses:input[].output", "sa"},
    {"openai_responses:text.format.schema", "b"},
    {"openai_responses:text.format.schema.type", "*"},
    {"anthropic_messages:system", "sa"},
    {"anthropic_count:system", "sa"},
    {"anthropic_messages:messages[].content", "sa"},
    {"anthropic_messages:messages[].content[].content", "sa"},
    {"anthropic_messages:messages[].content[].input.x", "*"},
    {"anthropic_messages:messages[].content[].title", "*"},
    {"anthropic_messages:system[].cache_control.type", "*"},
    {"anthropic_messages:output_config.format.schema", "b"},
    {"anthropic_messages:output_config.format.schema.type", "*"},
    {"ollama_chat:messages[].tool_calls[].function.arguments.x", "*"},
    {"ollama_chat:format", "so"},
    {"ollama_generate:format", "so"},
    {"ollama_chat:format.type", "*"},
    {":keep_alive", "ns"},
    {"ollama_chat:think", "bs"},
    {"ollama_embed:input", "sa"},
    {"infill:samplers[]", "*"},
    {"rerank:query", "so"},
    {"rerank:documents[]", "so"},
    {"rerank:documents[].title", "*"},
    {"rerank:texts[]", "so"},
    {"rerank:rank_fields[]", "*"},
};

struct walk {
    const char *name;
    enum endpoint endpoint;
    json_t *body;
    size_t n_tried, n_wrong;
};

static char letter_of(const json_t *value) {
    if (json_is_boolean(value)) return 'b';
    if (json_is_number(value)) return 'n';
    if (json_is_string(value)) return 's';
    if (json_is_array(value)) return 'a';
    return json_is_object(value) ? 'o' : '0';
}

/* "messages[2].content" as "messages[].content". */
static void generalise(const char *path, char *out, size_t n) {
    size_t k = 0;
    for (; *path && k + 1 < n; path++)
        if (*path < '0' || *path > '9' || k == 0 || out[k - 1] != '[')
            out[k++] = *path;
        else
            while (path[1] >= '0' && path[1] <= '9')
                path++;
    out[k] = '\0';
}

static const char *allowed_types(enum endpoint endpoint, const char *path) {
    char general[512], whole[600];
    generalise(path, general, sizeof general);
    snprintf(whole, sizeof whole, "%s:%s", script_endpoint_name(endpoint), general);
    for (size_t i = 0; i < sizeof exceptions / sizeof exceptions[0]; i++) {
        const char *pattern = exceptions[i].path;
        const char *found = *pattern == ':' ? strchr(whole, ':') : whole;
        size_t n = strlen(pattern);
        if (strcmp(found, pattern) == 0) return exceptions[i].types;
        if (exceptions[i].types[0] == '*' && strncmp(found, pattern, n) == 0 &&
            (found[n] == '.' || found[n] == '['))
            return "*";
    }
    return "";
}

/* The field itself, what it holds, or what holds it: of lists of tokens another element may be the
 * first that does not fit. */
static bool names_the_field(const char *parameter, const char *path) {
    char named[512], meant[512];
    generalise(parameter, named, sizeof named);
    generalise(path, meant, sizeof meant);
    size_t n = strlen(named), m = strlen(meant);
    return n > 0 && strncmp(named, meant, n < m ? n : m) == 0;
}

static void try_value(struct walk *w, const char *path, const json_t *value, bool must_fail) {
    struct request request;
    struct dialect_problem problem;
    request_init(&request);
    bool ok = dialect_parse(w->endpoint, w->body, &request, &problem);
    /* Without the field it may be another one that is wrong. */
    bool named = json_is_null(value) || names_the_field(problem.parameter, path);
    bool wrong = ok ? must_fail : problem.http_status != 400 || !named;
    if (wrong) {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        print_message("%s (%s): %s = %s: %s '%s' %s\n", w->name, script_endpoint_name(w->endpoint),
                      path, text, ok ? "accepted" : "refused", ok ? "" : problem.parameter,
                      ok ? "" : problem.message);
        free(text);
    }
    w->n_wrong += wrong;
    w->n_tried++;
    request_release(&request);
}

static void walk_value(struct walk *w, json_t *value, const char *path);

static void replace(json_t *holder, const char *key, size_t index, const json_t *given) {
    if (key)
        json_object_set(holder, key, (json_t *)given);
    else
        json_array_set(holder, index, (json_t *)given);
}

static void walk_child(struct walk *w, json_t *holder, const char *key, size_t index,
                       const char *path) {
    static const char *const others[] = {"true", "7", "\"x\\u0000\"", "[{}]", "{\"x\":[]}", "null"};
    json_t *value = json_incref(key ? json_object_get(holder, key) : json_array_get(holder, index));
    const char *allowed = allowed_types(w->endpoint, path);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        json_t *other = json_loads(others[i], JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        char letter = letter_of(other);
        assert_non_null(other);
        if (letter != letter_of(value) && !json_is_null(value)) {
            replace(holder, key, index, other);
            try_value(w, path, other, letter != '0' && *allowed != '*' && !strchr(allowed, letter));
            replace(holder, key, index, value);
        }
        json_decref(other);
    }
    walk_value(w, value, path);
    json_decref(value);
}

static void walk_value(struct walk *w, json_t *value, const char *path) {
    char below[512];
    json_t *child;
    const char *key;
    size_t i;
    if (json_is_object(value)) {
        json_t *names = json_deep_copy(value); /* the fields are replaced while they are visited */
        json_object_foreach(names, key, child) {
            snprintf(below, sizeof below, "%s%s%s", path, *path ? "." : "", key);
            walk_child(w, value, key, 0, below);
        }
        json_decref(names);
    }
    for (i = 0; json_is_array(value) && i < json_array_size(value); i++) {
        snprintf(below, sizeof below, "%s[%zu]", path, i);
        walk_child(w, value, NULL, i, below);
    }
}

static void values_of_other_types_are_problems(void **state) {
    (void)state;
    json_t *cases = script_load("dialect_requests.json"), *item;
    size_t i, n_tried = 0, n_wrong = 0;
    json_array_foreach(cases, i, item) {
        struct walk w = {.name = json_string_value(json_object_get(item, "name")),
                         .endpoint =
                             script_endpoint(json_string_value(json_object_get(item, "endpoint"))),
                         .body = json_object_get(item, "body")};
        if (!json_object_get(item, "request")) continue;
        walk_value(&w, w.body, "");
        n_tried += w.n_tried;
        n_wrong += w.n_wrong;
    }
    assert_int_equal(n_wrong, 0);
    assert_true(n_tried > 2000);
    json_decref(cases);
}

/* ---- sizes ---- */

static void expect_problem(enum endpoint endpoint, const json_t *body, const char *parameter) {
    struct request request;
    struct dialect_problem problem;
    request_init(&request);
    assert_false(dialect_parse(endpoint, body, &request, &problem));
    assert_int_equal(problem.http_status, 400);
    assert_string_equal(problem.parameter, parameter);
    request_release(&request);
}

static json_t *repeated(json_t *value, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append(list, value);
    json_decref(value);
    return list;
}

static void bodies_are_bounded(void **state) {
    (void)state;
    json_t *body = json_object(), *deep = json_array();
    json_t *hi = json_pack("[{s:s, s:s}]", "role", "user", "content", "Hi");
    for (int i = 0; i < 1000; i++)
        deep = json_pack("[o]", deep);
    json_object_set_new(body, "metadata", deep);
    json_object_set(body, "messages", hi);
    expect_problem(ENDPOINT_OPENAI_CHAT, body, "");
    json_object_clear(body);
    json_object_set_new(body, "messages", repeated(json_incref(json_array_get(hi, 0)), 65537));
    expect_problem(ENDPOINT_OPENAI_CHAT, body, "messages");
    expect_problem(ENDPOINT_OLLAMA_CHAT, body, "messages");
    expect_problem(ENDPOINT_ANTHROPIC_MESSAGES, body, "messages");
    json_object_set(body, "messages", hi);
    json_object_set_new(body, "tools", repeated(json_object(), 1025));
    expect_problem(ENDPOINT_OPENAI_CHAT, body, "tools");
    json_object_clear(body);
    json_object_set_new(body, "prompt", repeated(json_string("a"), 2049));
    expect_problem(ENDPOINT_OPENAI_COMPLETIONS, body, "prompt");
    json_object_set_new(body, "prompt", repeated(json_integer(1), (1 << 21) + 1));
    expect_problem(ENDPOINT_OPENAI_COMPLETIONS, body, "prompt");
    json_object_clear(body);
    json_object_set_new(body, "input", repeated(json_object(), 65537));
    expect_problem(ENDPOINT_OPENAI_RESPONSES, body, "input");
    json_decref(hi);
    json_decref(body);
}

static void bodies_are_objects(void **state) {
    static const char *const bodies[] = {"null", "[]", "7", "\"x\"", "true"};
    (void)state;
    for (int endpoint = 0; endpoint < ENDPOINT_COUNT; endpoint++) {
        for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
            json_t *body = json_loads(bodies[i], JSON_DECODE_ANY, NULL);
            expect_problem((enum endpoint)endpoint, body, "");
            json_decref(body);
        }
        expect_problem((enum endpoint)endpoint, NULL, "");
    }
}

/* What is repeated of the body is cut, here within a character; the error is JSON nevertheless. */
static void long_words_are_cut(void **state) {
    static const enum endpoint endpoints[] = {ENDPOINT_OPENAI_CHAT, ENDPOINT_ANTHROPIC_MESSAGES,
                                              ENDPOINT_OLLAMA_CHAT};
    struct request request;
    struct dialect_problem problem;
    char word[400] = "x";
    struct buf out;
    (void)state;
    for (size_t i = 1; i + 2 < sizeof word; i += 2)
        memcpy(word + i, "\xC3\xA9", 3);
    json_t *body = json_pack("{s:[{s:s, s:s}]}", "messages", "role", word, "content", "Hi");
    assert_non_null(body);
    for (size_t i = 0; i < sizeof endpoints / sizeof endpoints[0]; i++) {
        request_init(&request);
        buf_init(&out, 4096);
        assert_false(dialect_parse(endpoints[i], body, &request, &problem));
        assert_string_equal(problem.parameter, "messages[0].role");
        dialect_put_problem(endpoints[i], &problem, &out);
        json_t *error = json_loads(buf_text(&out), 0, NULL);
        assert_non_null(error);
        json_decref(error);
        buf_release(&out);
        request_release(&request);
    }
    json_decref(body);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_other_types_are_problems),
        cmocka_unit_test(bodies_are_bounded),
        cmocka_unit_test(bodies_are_objects),
        cmocka_unit_test(long_words_are_cut),
    };
    return cmocka_run_group_tests_name("chat/dialect_types", tests, NULL, NULL);
}
