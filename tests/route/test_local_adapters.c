/* Requests with adapters of their own: by name, by number, in place of the model; what is on by
 * default; and what cannot be. */
#include "collected.h"

#include <string.h>

#include "base/mem.h"
#include "format/scratch.h"
#include "model/adapter_write.h"
#include "model/random_adapter.h"
#include "route/local_adapters.h"
#include "route/local_backend.h"

static const char model_name[] = "models/stories260K/stories260K.gguf";

static struct backend *backend;

static void write_adapter(const char *name, const struct random_adapter_shape *shape) {
    struct model model;
    struct random_adapter adapter;
    struct adapter_facts facts = {.name = name};
    hearth_error err = {0};
    assert_int_equal(model_open(&model, testdata(model_name), &err), HEARTH_OK);
    random_adapter_open(&adapter, &model, shape);
    hearth_status status =
        shape->decomposed
            ? adapter_write_peft(scratch(name), &adapter.adapter, &model.config, &facts, &err)
            : adapter_write_gguf(scratch(name), &adapter.adapter, &model.config, &facts, &err);
    if (status != HEARTH_OK) fail_msg("%s", err.message);
    random_adapter_close(&adapter);
    model_close(&model);
}

static struct engine_settings engine_with(const char *const *adapters, size_t n) {
    struct engine_settings engine;
    engine_settings_init(&engine);
    engine.n_threads = 1;
    engine.n_ctx = 256;
    engine.model = testdata(model_name);
    for (size_t i = 0; i < n; i++)
        engine.adapters.items[engine.adapters.count++] = adapters[i];
    return engine;
}

/* Three adapters, of which the first is on. */
static int set_up(void **state) {
    static char items[3][320];
    const char *adapters[] = {items[0], items[1], items[2]};
    struct local_backend_settings settings = {.name = "stories"};
    hearth_error err = {0};
    if (scratch_open(state) != 0) return -1;
    write_adapter("pirate.gguf", &(struct random_adapter_shape){.seed = 1, .rank = 4});
    write_adapter("legal.gguf", &(struct random_adapter_shape){.seed = 2, .rank = 8});
    write_adapter("folder", &(struct random_adapter_shape){
                                .seed = 3, .rank = 2, .decomposed = true, .stem = ".attn_"});
    snprintf(items[0], sizeof items[0], "%s:0.5", scratch("pirate.gguf"));
    snprintf(items[1], sizeof items[1], "%s:0", scratch("legal.gguf"));
    snprintf(items[2], sizeof items[2], "%s:0", scratch("folder"));
    drafting_settings_init(&settings.drafting);
    settings.engine = engine_with(adapters, 3);
    if (local_backend_open(&backend, &settings, &err) != HEARTH_OK) fail_msg("%s", err.message);
    return 0;
}

static int tear_down(void **state) {
    backend_close(backend);
    remove(scratch("folder/adapter_model.safetensors"));
    remove(scratch("folder/adapter_config.json"));
    remove(scratch("folder"));
    return scratch_close(state);
}

/* Takes the array. */
static void ask(struct request *r, const char *model, json_t *adapters) {
    request_init(r);
    r->kind = REQUEST_TEXT;
    r->model = model ? mem_strdup(model) : NULL;
    r->inputs = json_pack("[s]", "Once upon a time there was a little girl. One day she");
    r->sampling = json_pack("{s:f}", "temperature", 0.0);
    r->max_tokens = 16;
    r->adapters = adapters;
}

static void answer(const char *model, json_t *adapters, char text[512]) {
    struct request r;
    struct collected c;
    ask(&r, model, adapters);
    collected_run(&c, backend, &r);
    if (c.failed != HEARTH_OK) fail_msg("%s", c.message);
    snprintf(text, 512, "%s", buf_text(&c.text[0]));
    collected_release(&c);
    request_release(&r);
}

static void expect_same(const char *what, const char *model, json_t *adapters,
                        const char *expected) {
    char text[512];
    answer(model, adapters, text);
    if (strcmp(text, expected) != 0) fail_msg("%s: '%s', not '%s'", what, text, expected);
}

static void requests_choose(void **state) {
    char none[512], pirate[512], half[512], legal[512], both[512], folder[512];
    (void)state;
    answer(NULL, json_array(), none);
    answer(NULL, json_pack("[{s:s, s:f}]", "name", "pirate", "scale", 1.0), pirate);
    answer(NULL, json_pack("[{s:s}]", "name", "pirate"), half);
    answer(NULL, json_pack("[{s:s}]", "name", "legal"), legal);
    answer(NULL, json_pack("[{s:s}, {s:s}]", "name", "legal", "name", "pirate"), both);
    answer(NULL, json_pack("[{s:s}]", "name", "folder"), folder);
    const char *texts[] = {none, pirate, half, legal, both, folder};
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(texts[i], texts[j]);
    expect_same("what is on", NULL, NULL, half);
    expect_same("the model's own name", "stories", NULL, half);
    expect_same("a number", NULL, json_pack("[{s:s, s:i}]", "name", "1", "scale", 1), legal);
    expect_same("off", NULL, json_pack("[{s:s, s:f}]", "name", "pirate", "scale", 0.0), none);
    expect_same("as the model", "legal", NULL, legal);
    expect_same("of the model", "stories:legal", NULL, legal);
    expect_same("both at once", "stories:legal", json_pack("[{s:s}]", "name", "folder"), folder);
}

static void expect_refused(const char *model, json_t *adapters, hearth_status status,
                           const char *what) {
    struct request r;
    struct collected c;
    hearth_error err = {0};
    ask(&r, model, adapters);
    collected_init(&c);
    hearth_status started = collected_start(&c, backend, &r, &err);
    if (started == HEARTH_OK) collected_finish(&c);
    const char *message = started == HEARTH_OK ? c.message : err.message;
    assert_int_equal(started == HEARTH_OK ? c.failed : started, status);
    if (!strstr(message, what)) fail_msg("'%s' is not in '%s'", what, message);
    collected_release(&c);
    request_release(&r);
}

static void what_cannot_be_is_refused(void **state) {
    (void)state;
    expect_refused(NULL, json_pack("[{s:s}]", "name", "polite"), HEARTH_ERROR_NOT_FOUND,
                   "'pirate', 'legal', 'folder'");
    expect_refused(NULL, json_pack("[{s:s}]", "name", "3"), HEARTH_ERROR_NOT_FOUND, "'3'");
    expect_refused(NULL, json_pack("[{s:s}, {s:s}]", "name", "legal", "name", "1"),
                   HEARTH_ERROR_ARGUMENT, "'legal' is named twice");
    expect_refused(NULL, json_pack("[{s:s, s:f}]", "name", "folder", "scale", 0.5),
                   HEARTH_ERROR_UNSUPPORTED, "scale 1");
    expect_refused(NULL, json_pack("[{}]"), HEARTH_ERROR_ARGUMENT, "without a name");
    expect_refused("stories:polite", NULL, HEARTH_ERROR_NOT_FOUND, "stories:polite");
    expect_refused("polite", NULL, HEARTH_ERROR_NOT_FOUND, "polite");
}

static void switch_to(json_t *scales, hearth_status status) {
    json_t *list = json_array();
    assert_int_equal(backend_adapters(backend, NULL, scales, list, NULL), status);
    json_decref(scales);
    json_decref(list);
}

static void what_is_on_can_be_changed(void **state) {
    char legal[512], none[512], half[512];
    double scale[3];
    json_t *list = json_array();
    (void)state;
    answer("legal", NULL, legal);
    answer(NULL, json_array(), none);
    answer("pirate", NULL, half);
    switch_to(json_pack("[{s:i, s:i}]", "id", 1, "scale", 1), HEARTH_OK);
    expect_same("the second", NULL, NULL, legal);
    assert_int_equal(backend_adapters(backend, "stories", NULL, list, NULL), HEARTH_OK);
    assert_int_equal(json_array_size(list), 3);
    for (size_t i = 0; i < 3; i++)
        scale[i] = json_number_value(json_object_get(json_array_get(list, i), "scale"));
    assert_true(scale[0] == 0 && scale[1] == 1 && scale[2] == 0);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "name")),
                        "legal");
    json_decref(list);
    switch_to(json_pack("[{s:i, s:i}]", "id", 3, "scale", 1), HEARTH_ERROR_NOT_FOUND);
    switch_to(json_pack("[{s:i}]", "id", 1), HEARTH_ERROR_ARGUMENT);
    switch_to(json_pack("[{s:i, s:f}]", "id", 1, "scale", 1e9), HEARTH_ERROR_ARGUMENT);
    switch_to(json_pack("{}"), HEARTH_ERROR_ARGUMENT);
    expect_same("still", NULL, NULL, legal);
    switch_to(json_array(), HEARTH_OK);
    expect_same("none", NULL, NULL, none);
    switch_to(json_pack("[{s:i, s:f}]", "id", 0, "scale", 0.5), HEARTH_OK);
    expect_same("as it was", NULL, NULL, half);
}

static void models_list_them(void **state) {
    json_t *list = json_array();
    (void)state;
    assert_int_equal(backend_list_models(backend, list, NULL), HEARTH_OK);
    const json_t *names = json_object_get(json_array_get(list, 0), "adapters");
    assert_int_equal(json_array_size(names), 3);
    assert_string_equal(json_string_value(json_array_get(names, 0)), "pirate");
    assert_string_equal(json_string_value(json_array_get(names, 2)), "folder");
    json_decref(list);
}

/* ---- a model of its own -------------------------------------------------------------------- */

static void add(struct local_model *model, const char *file, const char *name,
                const char *expected) {
    hearth_error err = {0};
    char *found;
    if (local_adapters_add(model, scratch(file), name, &found, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    assert_string_equal(found, expected);
    mem_free(found);
}

static void more_can_be_added(void **state) {
    struct local_model model;
    struct drafting_settings drafting;
    struct request r;
    struct adapter_set set;
    hearth_error err = {0};
    char *found;
    const char *pirate = scratch("pirate.gguf");
    struct engine_settings engine = engine_with(&pirate, 1);
    const struct local_model_settings settings = {
        .engine = &engine, .drafting = &drafting, .name = "stories", .n_parallel = 2};
    (void)state;
    drafting_settings_init(&drafting);
    if (local_model_open(&model, &settings, &err) != HEARTH_OK) fail_msg("%s", err.message);
    assert_int_equal(local_adapters_add(&model, scratch("missing.gguf"), NULL, &found, &err),
                     HEARTH_ERROR_NOT_FOUND);
    assert_null(found);
    add(&model, "legal.gguf", NULL, "legal");
    add(&model, "pirate.gguf", "other", "pirate"); /* which is loaded already */
    write_adapter("more.gguf", &(struct random_adapter_shape){.seed = 5, .rank = 2});
    add(&model, "more.gguf", "pirate", "pirate-2");
    add(&model, "more.gguf", "pirate", "pirate-2");
    write_adapter("adapter.gguf", &(struct random_adapter_shape){.seed = 4, .rank = 2});
    add(&model, "adapter.gguf", NULL, path_base(scratch_folder));
    assert_int_equal(model.engine.n_adapters, 4);
    ask(&r, "stories:pirate-2", NULL);
    assert_true(local_adapters_names(&model, r.model));
    assert_int_equal(local_adapters_choose(&model, &r, &set, &err), HEARTH_OK);
    assert_int_equal(set.count, 1);
    assert_ptr_equal(set.items[0].adapter, &model.engine.adapters[2]->adapter);
    request_release(&r);
    ask(&r, NULL, NULL);
    assert_int_equal(local_adapters_choose(&model, &r, &set, &err), HEARTH_OK);
    assert_int_equal(set.count, 1); /* the first one is on, those that came later are not */
    assert_ptr_equal(set.items[0].adapter, &model.engine.adapters[0]->adapter);
    request_release(&r);
    local_model_close(&model);
}

static void so_many_are_on_at_most(void **state) {
    static char items[ADAPTER_SET_MAX + 1][320];
    const char *adapters[ADAPTER_SET_MAX + 1];
    struct local_backend_settings settings = {.name = "stories"};
    struct backend *other;
    hearth_error err = {0};
    (void)state;
    for (int i = 0; i <= ADAPTER_SET_MAX; i++) {
        snprintf(items[i], sizeof items[i], "%s", scratch("pirate.gguf"));
        adapters[i] = items[i];
    }
    drafting_settings_init(&settings.drafting);
    settings.engine = engine_with(adapters, ADAPTER_SET_MAX + 1);
    assert_int_equal(local_backend_open(&other, &settings, &err), HEARTH_ERROR_LIMIT);
    assert_non_null(strstr(err.message, "scale 0"));
}

/* The model is read again for who asks for it by an adapter of its. */
static void asked_for_while_the_model_is_not_open(void **state) {
    static const char *const names[] = {"stories:legal", "legal", "pirate"};
    struct request r;
    struct collected c;
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ask(&r, "stories", NULL);
        r.kind = REQUEST_CHAT;
        r.messages = json_array();
        r.keep_alive_s = 0;
        collected_run(&c, backend, &r);
        assert_int_equal(c.failed, HEARTH_OK);
        collected_release(&c);
        request_release(&r);
        ask(&r, names[i], NULL);
        collected_run(&c, backend, &r);
        if (c.failed != HEARTH_OK) fail_msg("%s", c.message);
        assert_int_equal(c.usage.n_answer, 16);
        collected_release(&c);
        request_release(&r);
    }
}

int main(void) {
    if (!testdata_is_there("models/stories260K/stories260K.gguf")) return TEST_SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_choose),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(what_is_on_can_be_changed),
        cmocka_unit_test(models_list_them),
        cmocka_unit_test(more_can_be_added),
        cmocka_unit_test(so_many_are_on_at_most),
        cmocka_unit_test(asked_for_while_the_model_is_not_open),
    };
    return cmocka_run_group_tests_name("route/local_adapters", tests, set_up, tear_down);
}
