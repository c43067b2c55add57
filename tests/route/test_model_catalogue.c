/* Which models there are, what names mean, what files say; and that failing allocations are
 * survived. */
#include "hub/hub_scene.h"

#include "route/model_catalogue.h"

static struct model_catalogue *catalogue;

static void put_model(const char *name) {
    struct file_map map;
    assert_int_equal(file_map_open(&map, testdata("models/stories260K/stories260K.gguf"), NULL),
                     HEARTH_OK);
    scene_write(name, map.data, map.size);
    file_map_close(&map);
}

static int set_up(void **state) {
    struct hub *hub;
    (void)state;
    scene_set_up();
    setenv("HEARTH_MODELS", scene_path("models"), 1);
    put_model("models/tale-F32.gguf");
    put_model("models/sub/other.gguf");
    assert_int_equal(hub_open(&hub, NULL), HEARTH_OK);
    assert_int_equal(hub_alias(hub, "mine", "tale-F32", NULL), HEARTH_OK);
    hub_close(hub);
    assert_int_equal(model_catalogue_open(&catalogue, NULL), HEARTH_OK);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    model_catalogue_close(catalogue);
    scene_tear_down();
    return 0;
}

static void assert_finds(const char *name, const char *expected) {
    struct listed_model model;
    hearth_error err = {0};
    if (model_catalogue_find(catalogue, name, &model, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    assert_string_equal(model.name, expected);
    assert_true(model.size_bytes > 1000000);
    assert_true(model.modified_s > 0);
    listed_model_release(&model);
}

static void test_names(void **state) {
    struct listed_model model;
    (void)state;
    assert_finds("tale-F32", "tale-F32");
    assert_finds("TALE-f32:latest", "tale-F32");
    assert_finds("tale-F32.gguf", "tale-F32");
    assert_finds("mine", "tale-F32"); /* the model's own name */
    assert_finds("sub/other", "sub/other");
    assert_finds("other", "sub/other");
    assert_int_equal(model_catalogue_find(catalogue, "tale", &model, NULL), HEARTH_ERROR_NOT_FOUND);
    assert_null(model.name);
}

static void test_changes_are_seen(void **state) {
    struct listed_model model;
    (void)state;
    assert_finds("other", "sub/other");
    assert_int_equal(remove(scene_path("models/sub/other.gguf")), 0);
    assert_int_equal(model_catalogue_find(catalogue, "sub/other", &model, NULL),
                     HEARTH_ERROR_NOT_FOUND);
    put_model("models/new.gguf");
    assert_finds("new", "new");
}

static void test_facts(void **state) {
    struct listed_model model;
    struct model_facts facts;
    (void)state;
    assert_int_equal(model_catalogue_find(catalogue, "other", &model, NULL), HEARTH_OK);
    model_catalogue_facts(catalogue, &model, &facts);
    assert_int_equal(facts.problem.code, HEARTH_OK);
    assert_string_equal(facts.family, "llama");
    assert_string_equal(facts.type, "f32");
    assert_int_equal(facts.n_ctx_train, 2048);
    assert_int_equal(facts.n_parameters, 292800);
    assert_false(facts.embeds);
    assert_true(model_facts_need(&facts, 64) > facts.size_bytes);
    assert_true(model_facts_need(&facts, 64) < model_facts_need(&facts, 1024));
    assert_true(model_facts_need(&facts, 0) == model_facts_need(&facts, 2048));
    listed_model_release(&model);
}

static void test_list(void **state) {
    struct listed_model *models;
    size_t count;
    (void)state;
    assert_int_equal(model_catalogue_list(catalogue, &models, &count, NULL), HEARTH_OK);
    assert_int_equal(count, 3);
    assert_string_equal(models[0].name, "mine");
    assert_true(models[0].is_alias);
    assert_string_equal(models[0].identity, models[2].identity);
    listed_models_free(models, count);
}

static void test_every_allocation_may_fail(void **state) {
    (void)state;
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct model_catalogue *other;
        struct listed_model model = {0}, *models = NULL;
        struct model_facts facts = {0};
        size_t count = 0;
        mem_fail_after(n);
        if (model_catalogue_open(&other, NULL) == HEARTH_OK) {
            if (model_catalogue_find(other, "mine", &model, NULL) == HEARTH_OK) {
                assert_string_equal(path_base(model.path), "tale-F32.gguf");
                model_catalogue_facts(other, &model, &facts);
            }
            model_catalogue_list(other, &models, &count, NULL);
        }
        failed = !mem_fail_pending();
        mem_fail_after(0);
        if (models) listed_models_free(models, count);
        listed_model_release(&model);
        model_catalogue_close(other);
    }
    assert_finds("mine", "tale-F32");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    if (!testdata_is_there("models/stories260K/stories260K.gguf")) return TEST_SKIPPED;
    const struct CMUnitTest tests[] = {
        TEST(test_names), TEST(test_changes_are_seen),          TEST(test_facts),
        TEST(test_list),  TEST(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
