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
    else if (text) tally->lenient++;
    else tally->refused++;
}

static void check_case(struct tally *tally, const char *name, const json_t *template,
                       const json_t *item) {
    const json_t *context = json_object_get(item, "context");
    const char *which = json_string_value(json_object_get(item, "name"));
    const char *expected = json_string_value(json_object_get(item, "expected"));
    const char *error = json_string_value(json_object_get(item, "error"));
    hearth_error err;
    char *text = render(json_string_value(template), json_string_length(template), context, &err);
    if (!expected) check_refusal(tally, name, which, error, text, &err);
    else if (text && strcmp(text, expected) == 0) tally->equal++;
    else report(tally, name, which, expected, text ? text : err.message);
    mem_free(text);
}

static json_t *load(const char *path) {
    json_error_t error;
    json_t *json = json_load_file(path, 0, &error);
    if (!json) fail_msg("%s: %s", path, error.text);
    return json;
}

static void finish(const char *what, const struct tally *tally) {
    print_message("%s: %u equal, %u refused as expected, %u accepted where Python fails, %u wrong\n",
                  what, tally->equal, tally->refused, tally->lenient, tally->wrong);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model_templates_render_as_in_jinja),
        cmocka_unit_test(interpreter_cases_render_as_in_jinja),
        cmocka_unit_test(end_to_end_cases_render_as_in_jinja),
    };
    return cmocka_run_group_tests_name("chat/template", tests, NULL, NULL);
}
