/* Constraints as they are used: calls of published functions, and documents of published parser
 * tests in JSON mode. */
#include "constraint_cases.h"

#include <dirent.h>

#include "base/file.h"

static struct constraint_vocabulary *bytes;

static bool accepts_value(struct constraint *c, const json_t *value) {
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    assert_non_null(text);
    bool ok = holds(c, text, strlen(text));
    free(text);
    return ok;
}

/* ---- calls (bfcl_v4) ---- */

/* The data set names some types after Python's. */
static void translate(json_t *schema) {
    static const char *const names[][2] = {
        {"dict", "object"}, {"float", "number"}, {"tuple", "array"}, {"any", NULL}};
    const char *key, *type = json_string_value(json_object_get(schema, "type"));
    json_t *value;
    if (!schema) return;
    for (size_t i = 0; type && i < sizeof names / sizeof *names; i++) {
        if (strcmp(type, names[i][0]) != 0) continue;
        if (names[i][1])
            json_object_set_new(schema, "type", json_string(names[i][1]));
        else
            json_object_del(schema, "type");
        break;
    }
    json_object_foreach(json_object_get(schema, "properties"), key, value) {
        translate(value);
    }
    translate(json_object_get(schema, "items"));
}

static json_t *answer_of(const json_t *expected, const json_t *schema, bool whole);

/* One of the alternatives, as the schema shapes it; NULL: left out, as an alternative that is ""
 * allows. `whole`: nothing is left out that need not be. */
static json_t *pick(const json_t *alternatives, const json_t *schema, bool whole) {
    const json_t *one, *first = NULL;
    bool optional = false;
    size_t i;
    json_array_foreach(alternatives, i, one) {
        bool empty = json_is_string(one) && json_string_length(one) == 0;
        optional |= empty;
        if (!empty && !first) first = one;
    }
    return first && (whole || !optional) ? answer_of(first, schema, whole) : NULL;
}

/* Members of objects are lists of alternatives again; members come in the order of the schema. */
static json_t *answer_of(const json_t *expected, const json_t *schema, bool whole) {
    json_t *properties = json_object_get(schema, "properties"), *value, *answer;
    const json_t *item;
    const char *key;
    size_t i;
    if (json_is_array(expected)) {
        answer = json_array();
        json_array_foreach(expected, i, item) {
            json_array_append_new(answer, answer_of(item, json_object_get(schema, "items"), whole));
        }
        return answer;
    }
    if (!json_is_object(expected) || !properties) return json_deep_copy(expected);
    answer = json_object();
    json_object_foreach(properties, key, value) {
        json_t *picked = pick(json_object_get(expected, key), value, whole);
        if (picked) json_object_set_new(answer, key, picked);
    }
    return answer;
}

struct tally {
    unsigned schemas, calls, accepted;
};

static void check_call(const json_t *call, const json_t *functions, struct constraint **constraints,
                       struct tally *t) {
    const json_t *function;
    size_t i;
    json_array_foreach(functions, i, function) {
        const char *name = json_string_value(json_object_get(function, "name"));
        const json_t *arguments = json_object_get(call, name);
        if (!arguments) continue;
        json_t *parameters = json_object_get(function, "parameters");
        json_t *answer = answer_of(arguments, parameters, true);
        json_t *shorter = answer_of(arguments, parameters, false);
        bool ok = accepts_value(constraints[i], answer) || accepts_value(constraints[i], shorter);
        t->calls++;
        t->accepted += ok;
        if (!ok && getenv("HEARTH_CONSTRAINT_SAY")) {
            char *text = json_dumps(answer, JSON_COMPACT);
            print_message("%s %s\n", name, text);
            free(text);
        }
        json_decref(answer);
        json_decref(shorter);
        return;
    }
}

static void check_line(json_t *question, const json_t *answer, struct tally *t) {
    struct constraint *constraints[64] = {NULL};
    json_t *functions = json_object_get(question, "function"), *function;
    const json_t *call;
    size_t i;
    if (!functions || json_array_size(functions) > 64) return;
    json_array_foreach(functions, i, function) {
        hearth_error err = {0};
        json_t *parameters = json_object_get(function, "parameters");
        translate(parameters);
        if (constraint_open(&constraints[i], bytes, CONSTRAINT_SCHEMA, parameters, NULL, &err) !=
            HEARTH_OK)
            fail_msg("%s: %s", json_string_value(json_object_get(question, "id")), err.message);
        t->schemas++;
    }
    json_array_foreach(json_object_get(answer, "ground_truth"), i, call) {
        if (json_is_object(call)) check_call(call, functions, constraints, t);
    }
    for (i = 0; i < json_array_size(functions); i++)
        constraint_close(constraints[i]);
}

static json_t *next_line(FILE *file) {
    char *line = NULL;
    size_t capacity = 0;
    ssize_t n = getline(&line, &capacity, file);
    json_t *value = n > 0 ? json_loadb(line, (size_t)n, JSON_ALLOW_NUL, NULL) : NULL;
    free(line);
    return value;
}

static void check_category(const char *name, struct tally *t) {
    char path[128];
    snprintf(path, sizeof path, "structured/bfcl_v4/BFCL_v4_%s.json", name);
    FILE *questions = fopen(testdata(path), "r");
    snprintf(path, sizeof path, "structured/bfcl_v4/possible_answer/BFCL_v4_%s.json", name);
    FILE *answers = strcmp(name, "irrelevance") == 0 ? NULL : fopen(testdata(path), "r");
    assert_non_null(questions);
    for (json_t *question; (question = next_line(questions));) {
        json_t *answer = answers ? next_line(answers) : NULL;
        if (answer)
            assert_string_equal(json_string_value(json_object_get(question, "id")),
                                json_string_value(json_object_get(answer, "id")));
        check_line(question, answer, t);
        json_decref(question);
        json_decref(answer);
    }
    fclose(questions);
    if (answers) fclose(answers);
}

static void published_functions_compile_and_their_calls_are_accepted(void **state) {
    (void)state;
    static const char *const names[] = {"simple_python", "live_simple", "live_parallel",
                                        "multiple",      "parallel",    "parallel_multiple",
                                        "irrelevance"};
    struct tally t = {0};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_category(names[i], &t);
    print_message("%u schemas compiled; %u of %u calls accepted\n", t.schemas, t.accepted, t.calls);
    /* Four expected calls are not of their own functions' types, or lack what these require. */
    assert_true(t.schemas > 1000 && t.accepted + 4 >= t.calls);
}

/* ---- JSON mode (JSONTestSuite) ---- */

static bool is_json_object(const char *text, size_t n) {
    json_t *value = json_loadb(text, n, JSON_ALLOW_NUL, NULL);
    bool object = json_is_object(value) || strstr(text, "\\u0000"); /* jansson wants none */
    json_decref(value);
    return object;
}

/* Text of a document as the only member of an object, which JSON mode asks for. */
static void check_document(struct constraint *c, const char *name, const char *text, size_t n,
                           unsigned *accepted) {
    char *wrapped = mem_alloc(n + 8);
    assert_non_null(wrapped);
    memcpy(wrapped, "{\"a\":", 5);
    memcpy(wrapped + 5, text, n);
    memcpy(wrapped + 5 + n, "}", 2);
    bool whole = holds(c, text, n), inside = holds(c, wrapped, n + 6);
    if (name[0] == 'n' && (whole || inside)) fail_msg("%s is no JSON", name);
    if (whole && !is_json_object(text, n)) fail_msg("%s is no object", name);
    if (name[0] == 'y' && inside) ++*accepted;
    if (name[0] == 'y' && !inside && getenv("HEARTH_CONSTRAINT_SAY"))
        print_message("narrower: %s\n", name);
    mem_free(wrapped);
}

static void json_mode_accepts_json_and_nothing_else(void **state) {
    (void)state;
    struct constraint *c = open_constraint(bytes, CONSTRAINT_JSON, "");
    const char *folder = testdata("structured/JSONTestSuite/test_parsing");
    unsigned n_documents = 0, accepted = 0, good = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        char path[4096], *text;
        size_t n;
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        assert_int_equal(file_read(path, 1 << 20, &text, &n, NULL), HEARTH_OK);
        check_document(c, entry->d_name, text, n, &accepted);
        good += entry->d_name[0] == 'y';
        n_documents++;
        mem_free(text);
    }
    closedir(dir);
    constraint_close(c);
    print_message("%u documents; %u of %u good ones accepted as they are spaced\n", n_documents,
                  accepted, good);
    assert_true(n_documents > 300 && accepted >= good - 1);
}

static int open_bytes(void **state) {
    (void)state;
    bytes = byte_vocabulary();
    return 0;
}

static int close_bytes(void **state) {
    (void)state;
    constraint_vocabulary_close(bytes);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_functions_compile_and_their_calls_are_accepted),
        cmocka_unit_test(json_mode_accepts_json_and_nothing_else),
    };
    return cmocka_run_group_tests_name("chat/constraint_calls", tests, open_bytes, close_bytes);
}
