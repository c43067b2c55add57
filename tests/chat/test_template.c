/* Chat templates against the texts Jinja itself renders, and against hostile templates. */
#include "testdata.h"

#include <dirent.h>
#include <string.h>

#include <jansson.h>

#include "base/mem.h"
#include "chat/template.h"

/* 2025-07-10 12:00:00 UTC, the time the golden data was made with. */
static const time_t golden_now = 1752148800;

struct tally {
    unsigned equal, refused, lenient, wrong;
};

/* Renders with the default limits; the text (mem_free it), or NULL and the error. */
static char *render(const char *source, size_t n, const json_t *context, hearth_error *err) {
    struct chat_template *t;
    struct buf out;
    char *text = NULL;
    *err = (hearth_error){.code = HEARTH_OK};
    if (chat_template_open(&t, source, n, err) != HEARTH_OK) return NULL;
    buf_init(&out, 64 << 20);
    if (chat_template_render(t, context, golden_now, NULL, &out, err) == HEARTH_OK)
        text = buf_take(&out);
    buf_release(&out);
    chat_template_close(t);
    return text;
}

static void report(struct tally *tally, const char *name, const char *which, const char *expected,
                   const char *got) {
    size_t at = 0;
    tally->wrong++;
    while (expected[at] && expected[at] == got[at])
        at++;
    size_t from = at > 60 ? at - 60 : 0;
    print_message("%s / %s differs at byte %zu\n  expected …%.120s\n  got      …%.120s\n", name,
                  which, at, expected + from, strlen(got) > from ? got + from : "");
}

/* The message of an error the template raised itself must be the same; a failure of
 * Python's own may also be accepted. */
static void check_refusal(struct tally *tally, const char *name, const char *which,
                          const char *error, const char *text, const hearth_error *err) {
    static const char raised[] = "TemplateError: ";
    bool own = strncmp(error, raised, sizeof raised - 1) == 0;
    if (own && (text || err->code != HEARTH_ERROR_ARGUMENT ||
                strcmp(err->message, error + sizeof raised - 1) != 0))
        report(tally, name, which, error, text ? text : err->message);
    else if (text)
        tally->lenient++;
    else
        tally->refused++;
}

static void check_case(struct tally *tally, const char *name, const json_t *template,
                       const json_t *item) {
    const json_t *context = json_object_get(item, "context");
    const char *which = json_string_value(json_object_get(item, "name"));
    const char *expected = json_string_value(json_object_get(item, "expected"));
    const char *error = json_string_value(json_object_get(item, "error"));
    hearth_error err;
    char *text = render(json_string_value(template), json_string_length(template), context, &err);
    if (!expected)
        check_refusal(tally, name, which, error, text, &err);
    else if (text && strcmp(text, expected) == 0)
        tally->equal++;
    else
        report(tally, name, which, expected, text ? text : err.message);
    mem_free(text);
}

/* Two cases have a NUL in an object's key, which jansson refuses: it becomes U+0001, in
 * the expected text too. */
static json_t *load(const char *path) {
    json_error_t error;
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    struct buf text;
    char block[65536];
    buf_init(&text, 64 << 20);
    for (size_t n; (n = fread(block, 1, sizeof block, file)) > 0;)
        assert_true(buf_append(&text, block, n));
    fclose(file);
    for (char *nul = text.data; (nul = strstr(nul, "u0000"));)
        nul[4] = '1';
    json_t *json = json_loadb(text.data, text.length, 0, &error);
    if (!json) fail_msg("%s: %s", path, error.text);
    buf_release(&text);
    return json;
}

static void finish(const char *what, const struct tally *tally) {
    print_message(
        "%s: %u equal, %u refused as expected, %u accepted where Python fails, %u wrong\n", what,
        tally->equal, tally->refused, tally->lenient, tally->wrong);
    assert_int_equal(tally->wrong, 0);
}

static void model_templates_render_as_in_jinja(void **state) {
    (void)state;
    const char *folder = testdata("templates/cases");
    struct tally tally = {0};
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        char path[4096];
        if (!strstr(entry->d_name, ".json")) continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        json_t *file = load(path), *item;
        size_t i;
        json_array_foreach(json_object_get(file, "cases"), i, item)
            check_case(&tally, entry->d_name, json_object_get(file, "template"), item);
        json_decref(file);
    }
    closedir(dir);
    finish("model templates", &tally);
    assert_int_equal(tally.equal, 1257);
}

static void check_list(const char *name) {
    struct tally tally = {0};
    json_t *list = load(testdata(name)), *item;
    size_t i;
    json_array_foreach(list, i, item)
        check_case(&tally, name, json_object_get(item, "template"), item);
    json_decref(list);
    finish(name, &tally);
    assert_true(tally.equal > 50);
}

static void interpreter_cases_render_as_in_jinja(void **state) {
    (void)state;
    check_list("templates/interpreter_cases.json");
}

static void end_to_end_cases_render_as_in_jinja(void **state) {
    (void)state;
    check_list("templates/e2e_cases.json");
}

/* tests/chat/template_cases.json: the language, case by case, with Jinja's own results. */
static void the_language_is_that_of_jinja(void **state) {
    (void)state;
    struct tally tally = {0};
    char path[4096];
    const char *root = getenv("HEARTH_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/tests/chat/template_cases.json", root ? root : ".");
    json_t *file = load(path), *item;
    size_t i;
    json_array_foreach(json_object_get(file, "cases"), i, item) {
        json_object_set(item, "context", json_object_get(file, "context"));
        json_object_set(item, "name", json_object_get(item, "template"));
        check_case(&tally, "template_cases.json", json_object_get(item, "template"), item);
    }
    json_decref(file);
    finish("language", &tally);
    assert_true(tally.equal > 1000);
}

/* ---- hostile templates ---- */

static hearth_status try_template(const char *source, size_t n,
                                  const struct template_limits *limits, hearth_error *err) {
    struct chat_template *t;
    struct buf out;
    json_t *context = json_pack("{s:[i,i,i], s:s}", "l", 1, 2, 3, "s", "text");
    assert_non_null(context);
    buf_init(&out, 64 << 20);
    hearth_status status = chat_template_open(&t, source, n, err);
    if (status == HEARTH_OK) {
        status = chat_template_render(t, context, golden_now, limits, &out, err);
        chat_template_close(t);
    }
    if (status != HEARTH_OK) assert_int_equal(out.length, 0);
    buf_release(&out);
    json_decref(context);
    return status;
}

static void every_limit_ends_with_its_name(void **state) {
    (void)state;
    static const struct {
        const char *source, *message;
    } cases[] = {
        {"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
         "max_steps"},
        {"{% set l2 = [1] %}{% for x in l2 %}{% do l2.append(x) %}{% endfor %}", "max_"},
        {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "max_depth"},
        {"{% macro m() %}{{ caller() }}{% endmacro %}{% macro n() %}{% call m() %}{{ n() }}"
         "{% endcall %}{% endmacro %}{{ n() }}",
         "max_depth"},
        {"{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "max_depth"},
        {"{% set n = namespace(x='a') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}"
         "{% endfor %}",
         "max_memory_bytes"},
        {"{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = n.x + n.x %}"
         "{% endfor %}",
         "max_memory_bytes"},
        {"{{ 'ab' * 1000000000000 }}", "max_output_bytes"},
        {"{{ '%9999999d' % 1 }}{{ '%9999999d' % 1 }}", "max_output_bytes"},
        {"{{ 'x'.center(99999999999) }}", "max_output_bytes"},
        {"{{ [1]|tojson(indent=99999999999) }}", "max_output_bytes"},
        {"{% set n = namespace(x=[]) %}{% for i in range(9999) %}{% set n.x = [n.x] %}{% endfor %}"
         "{{ n.x }}",
         "max_depth"},
        {"{% set n = namespace(x=[]) %}{% for i in range(9999) %}{% set n.x = [n.x] %}{% endfor %}"
         "{{ n.x|tojson }}",
         "max_depth"},
        {"{% set n = namespace(x=[]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}"
         "{% endfor %}{{ n.x == [n.x] }}{{ n.x|tojson }}",
         "max_output_bytes"},
        {"{% set n = namespace(x=[], y=[]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}"
         "{% set n.y = [n.y, n.y] %}{% endfor %}{{ n.x == n.y }}",
         "max_steps"},
        {"{% set n = namespace(x=l) %}{% for i in range(9999) %}{% set n.x = n.x|map('string') %}"
         "{% endfor %}{{ n.x|list }}",
         "max_depth"},
        {"{% set n = namespace() %}{% set n.x = n %}{{ n }}", "max_depth"},
        {"{% set a = [1] %}{% do a.append(a) %}{{ a == [a] }}{{ a }}", "max_depth"},
        {"{% set a = [1] %}{% do a.append(a) %}{{ {(1, 2): a}|pprint }}{{ a|tojson }}",
         "max_depth"},
        {"{{ range(10**9) }}", "range too big"},
        {"{{ '{:{}}'.format(1, '9' * 30) }}", "max_output_bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hearth_error err = {.code = HEARTH_OK};
        hearth_status status = try_template(cases[i].source, strlen(cases[i].source), NULL, &err);
        if (status != HEARTH_ERROR_LIMIT || !strstr(err.message, cases[i].message))
            fail_msg("%s\n  gave %d %s", cases[i].source, (int)status, err.message);
    }
}

/* `before`, then `piece` n times, `middle`, and `after` n times. */
static hearth_status try_nested(const char *before, const char *piece, const char *middle,
                                const char *after, size_t n, hearth_error *err) {
    static const struct template_limits deep = {16 << 20, 50000000, 256 << 20, 400};
    struct buf source;
    buf_init(&source, 64 << 20);
    buf_append_text(&source, before);
    for (size_t i = 0; i < n; i++)
        buf_append_text(&source, piece);
    buf_append_text(&source, middle);
    for (size_t i = 0; i < n; i++)
        buf_append_text(&source, after);
    assert_false(source.failed);
    hearth_status status = try_template(source.data, source.length, &deep, err);
    buf_release(&source);
    return status;
}

static void deep_nesting_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *before, *piece, *middle, *after;
    } cases[] = {
        {"{{ ", "(", "1", ")"},         {"{{ ", "[", "1", "]"},
        {"{{ ", "{1:", "1", "}"},       {"{{ ", "not ", "1 }}", ""},
        {"{{ ", "- ", "1 }}", ""},      {"{{ ", "l[", "1", "]"},
        {"{{ ", "s|d(", "1", ")"},      {"{{ ", "1 if 1 else ", "1 }}", ""},
        {"", "{% if 1 %}", "", ""},     {"", "{% for x in l %}", "", "{% endfor %}"},
        {"{{ l", "[0]", " }}", ""},     {"{{ l", ".x", " }}", ""},
        {"{{ l", "()", " }}", ""},      {"{{ l", "|list", " }}", ""},
        {"{{ ", "[", "", ""},           {"{% set ", "(", "x", ")"},
        {"{{ 1 ", "is not d ", "", ""}, {"", "{% macro m() %}", "", "{% endmacro %}"},
        {"{{ 1 is in ", "[", "1", "]"},
    };
    hearth_error err;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hearth_status status = try_nested(cases[i].before, cases[i].piece, cases[i].middle,
                                          cases[i].after, 30000, &err);
        if (status != HEARTH_ERROR_LIMIT && status != HEARTH_ERROR_FORMAT)
            fail_msg("%s%s… was accepted", cases[i].before, cases[i].piece);
    }
    assert_int_equal(try_nested("{{ ", "(", "1", ")", 90, &err), HEARTH_ERROR_FORMAT);
}

static void long_chains_are_not_deep(void **state) {
    (void)state;
    hearth_error err;
    assert_int_equal(try_nested("{{ 0", " + 1", " }}", "", 50000, &err), HEARTH_OK);
    assert_int_equal(try_nested("{{ ''", " ~ s", " }}", "", 50000, &err), HEARTH_OK);
    assert_int_equal(try_nested("{{ 1", " and 1", " }}", "", 50000, &err), HEARTH_OK);
    assert_int_equal(try_nested("{% if 0 %}", "{% elif 0 %}", "{% endif %}", "", 50000, &err),
                     HEARTH_OK);
    assert_int_equal(try_nested("{% set n = namespace(x='') %}{% for i in range(90000) %}"
                                "{% set n.x = n.x + 'some text' %}{% endfor %}{{ n.x|length }}",
                                "", "", "", 0, &err),
                     HEARTH_OK);
}

static void errors_say_where(void **state) {
    (void)state;
    static const struct {
        const char *source, *message;
        hearth_status status;
    } cases[] = {
        {"a\n  {{ 1 + }}", "template line 2 column 10: expected an expression, found '}}'",
         HEARTH_ERROR_FORMAT},
        {"\n\n{{ none.x.y }}", "template line 3: 'None' has no attribute 'x'", HEARTH_ERROR_FORMAT},
        {"{% include 'x' %}", "not supported", HEARTH_ERROR_UNSUPPORTED},
        {"{{ raise_exception('no ' ~ s) }}", "no text", HEARTH_ERROR_ARGUMENT},
        {"{% if 1 %}\n\nx", "template ends inside the block of line 1: expected 'elif'",
         HEARTH_ERROR_FORMAT},
        {"\xff", "not UTF-8", HEARTH_ERROR_FORMAT},
        {"{{ l|random }}", "reproducible", HEARTH_ERROR_FORMAT},
        {"{{ 9223372036854775807 + 1 }}", "64 bits", HEARTH_ERROR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hearth_error err = {.code = HEARTH_OK};
        assert_int_equal(try_template(cases[i].source, strlen(cases[i].source), NULL, &err),
                         cases[i].status);
        if (!strstr(err.message, cases[i].message))
            fail_msg("%s\n  gave %s", cases[i].source, err.message);
    }
}

static void every_failed_allocation_is_reported(void **state) {
    (void)state;
    static const char source[] =
        "{% macro m(a) %}{{ a|upper }}{% endmacro %}{% for x in l|sort %}{{ m(x) }}{{ x|tojson }}"
        "{% endfor %}{{ 'x' * 100000 }}{{ {'a': [1, 2]} }}";
    hearth_status status = HEARTH_ERROR_NO_MEMORY;
    for (uint64_t n = 1; status != HEARTH_OK; n++) {
        hearth_error err = {.code = HEARTH_OK};
        assert_true(n < 1000);
        mem_fail_after(n);
        status = try_template(source, sizeof source - 1, NULL, &err);
        if (mem_fail_pending()) break;
        assert_int_not_equal(status, HEARTH_OK);
    }
    mem_fail_after(0);
    assert_int_equal(status, HEARTH_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model_templates_render_as_in_jinja),
        cmocka_unit_test(interpreter_cases_render_as_in_jinja),
        cmocka_unit_test(end_to_end_cases_render_as_in_jinja),
        cmocka_unit_test(the_language_is_that_of_jinja),
        cmocka_unit_test(every_limit_ends_with_its_name),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(long_chains_are_not_deep),
        cmocka_unit_test(errors_say_where),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("chat/template", tests, NULL, NULL);
}
