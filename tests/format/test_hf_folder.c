#include "scratch.h"

#include <math.h>
#include <sys/stat.h>

#include "format/hf_folder.h"
#include "format/safetensors.h"

static const float four[4] = {1, 2, 3, 4};
static const struct tensor weights[] = {
    {.name = "model.norm.weight",
     .type = ELEM_F32,
     .n_dims = 1,
     .dims = {4, 1, 1, 1},
     .data = (const uint8_t *)four},
    {.name = "lm_head.weight",
     .type = ELEM_F32,
     .n_dims = 2,
     .dims = {2, 2, 1, 1},
     .data = (const uint8_t *)four},
};

static void put_weights(const char *name, uint64_t max_part_bytes) {
    assert_ok(safetensors_write(scratch(name), NULL, weights, 2, max_part_bytes, NULL, NULL, NULL),
              NULL);
}

static void put_model(void) {
    scratch_put_text("config.json", "{\"model_type\": \"llama\", \"hidden_size\": 4}");
    put_weights("model.safetensors", 0);
}

static void open_ok(struct hf_folder *f) {
    hearth_error err = {0};
    assert_ok(hf_folder_open(f, scratch_folder, true, &err), &err);
}

static void expect_refusal(hearth_status status, const char *message) {
    struct hf_folder f;
    hearth_error err = {0};
    assert_int_equal(hf_folder_open(&f, scratch_folder, true, &err), status);
    assert_contains(err.message, message);
    assert_null(f.path);
    assert_null(f.config);
}

static void a_whole_folder_opens(void **state) {
    struct hf_folder f;
    (void)state;
    put_model();
    scratch_put_text("generation_config.json", "{\"temperature\": 0.6, \"eos_token_id\": [1, 2]}");
    scratch_put_text("tokenizer_config.json", "{\"add_bos_token\": true}");
    scratch_put_text("special_tokens_map.json", "{\"bos_token\": \"<s>\"}");
    scratch_put_text("tokenizer.json", "{\"version\": \"1.0\"}");
    scratch_put("tokenizer.model", "\0\1\2", 3);
    scratch_put_text("chat_template.jinja", "{{ messages }}");
    assert_int_equal(hf_folder_kind(scratch_folder), HF_MODEL);
    open_ok(&f);
    assert_string_equal(json_string_value(json_object_get(f.config, "model_type")), "llama");
    assert_int_equal(json_array_size(json_object_get(f.generation_config, "eos_token_id")), 2);
    assert_true(json_is_true(json_object_get(f.tokenizer_config, "add_bos_token")));
    assert_string_equal(json_string_value(json_object_get(f.special_tokens, "bos_token")), "<s>");
    assert_true(text_equal(f.tokenizer_json, "{\"version\": \"1.0\"}"));
    assert_int_equal(f.tokenizer_model.length, 3);
    assert_int_equal(f.n_templates, 1);
    assert_true(text_equal(f.templates[0].name, "default"));
    assert_string_equal(f.templates[0].source.data, "{{ messages }}");
    assert_int_equal(f.tensors.n_tensors, 2);
    assert_memory_equal(directory_find(&f.tensors, "model.norm.weight")->data, four, 16);
    hf_folder_close(&f);
    assert_ok(hf_folder_open(&f, scratch_folder, false, NULL), NULL);
    assert_int_equal(f.tensors.n_tensors, 0);
    hf_folder_close(&f);
    hf_folder_close(&f);
    scratch_clear();
}

static void only_configuration_and_tensors_are_needed(void **state) {
    struct hf_folder f;
    (void)state;
    put_model();
    open_ok(&f);
    assert_null(f.generation_config);
    assert_null(f.tokenizer_config);
    assert_int_equal(f.tokenizer_json.length, 0);
    assert_int_equal(f.n_templates, 0);
    hf_folder_close(&f);
    scratch_clear();
}

static void json_is_read_as_python_writes_it(void **state) {
    struct hf_folder f;
    (void)state;
    put_weights("model.safetensors", 0);
    scratch_put_text("config.json", "{\"time_step_limit\": [0.0, Infinity, -Infinity], \"a\": 1,"
                                    "\"note\": \"to \\\"Infinity\\\" and\", \"a\": 2}");
    open_ok(&f);
    json_t *limit = json_object_get(f.config, "time_step_limit");
    assert_true(isinf((float)json_real_value(json_array_get(limit, 1))));
    assert_true((float)json_real_value(json_array_get(limit, 2)) < 0);
    assert_string_equal(json_string_value(json_object_get(f.config, "note")),
                        "to \"Infinity\" and");
    assert_int_equal(json_integer_value(json_object_get(f.config, "a")), 2);
    hf_folder_close(&f);
    scratch_clear();
}

static void tensors_are_found_in_every_usual_place(void **state) {
    struct hf_folder f;
    (void)state;
    scratch_put_text("config.json", "{}");
    put_weights("model.safetensors", 16);
    assert_true(file_exists(scratch("model-00002-of-00002.safetensors")));
    open_ok(&f);
    assert_int_equal(f.tensors.n_maps, 2);
    assert_int_equal(f.tensors.n_tensors, 2);
    hf_folder_close(&f);
    put_weights("model.safetensors", 0); /* the single file goes before the index */
    open_ok(&f);
    assert_int_equal(f.tensors.n_maps, 1);
    hf_folder_close(&f);
    scratch_clear();
    scratch_put_text("config.json", "{}");
    put_weights("consolidated.safetensors", 0);
    put_weights("adapter_model.safetensors", 0);
    open_ok(&f);
    assert_int_equal(f.tensors.n_tensors, 2);
    hf_folder_close(&f);
    scratch_clear();
}

/* ---- chat templates ---------------------------------------------------------- */

static void expect_template(size_t n, const char *name, const char *source) {
    struct hf_folder f;
    open_ok(&f);
    assert_int_equal(f.n_templates, n);
    assert_true(text_equal(f.templates[0].name, name));
    assert_true(text_equal(f.templates[0].source, source));
    hf_folder_close(&f);
}

static void templates_come_from_the_first_place_that_has_them(void **state) {
    (void)state;
    put_model();
    scratch_put_text("chat_template.json", "{\"chat_template\": \"from json\"}");
    expect_template(1, "default", "from json");
    scratch_put_text("tokenizer_config.json", "{\"chat_template\": null}");
    expect_template(1, "default", "from json");
    scratch_put_text("tokenizer_config.json",
                     "{\"chat_template\": [{\"name\": \"rag\", \"template\": \"R\"},"
                     "{\"name\": \"default\", \"template\": \"D\"},"
                     "{\"name\": \"tool_use\", \"template\": \"T\"}]}");
    expect_template(3, "default", "D");
    scratch_put_text("tokenizer_config.json",
                     "{\"chat_template\": [{\"name\": \"rag\", \"template\": \"R\"}]}");
    expect_template(1, "rag", "R");
    scratch_put_text("tokenizer_config.json", "{\"chat_template\": \"from config\"}");
    expect_template(1, "default", "from config");
    scratch_put_text("chat_template.jinja", "from file");
    expect_template(1, "default", "from file");
    scratch_clear();
}

static void additional_templates_follow_the_main_one(void **state) {
    char folder[600], path[700];
    (void)state;
    put_model();
    scratch_put_text("chat_template.jinja", "main");
    snprintf(folder, sizeof folder, "%s/additional_chat_templates", scratch_folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    snprintf(path, sizeof path, "%s/rag.jinja", folder);
    assert_ok(file_write(path, "R", 1, NULL), NULL);
    struct hf_folder f;
    open_ok(&f);
    assert_int_equal(f.n_templates, 2);
    assert_true(text_equal(f.templates[0].source, "main"));
    assert_true(text_equal(f.templates[1].name, "rag"));
    assert_true(text_equal(f.templates[1].source, "R"));
    hf_folder_close(&f);
    remove(path);
    rmdir(folder);
    scratch_clear();
}

static void broken_templates_are_refused(void **state) {
    static const char *const broken[] = {"{\"chat_template\": 5}", "{\"chat_template\": {}}",
                                         "{\"chat_template\": [5]}",
                                         "{\"chat_template\": [{\"name\": \"x\"}]}"};
    (void)state;
    put_model();
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        scratch_put_text("tokenizer_config.json", broken[i]);
        expect_refusal(HEARTH_ERROR_FORMAT, "chat_template is neither a text nor a list");
    }
    static char many[16384];
    size_t n = (size_t)snprintf(many, sizeof many, "{\"chat_template\": [");
    for (int i = 0; i <= HF_MAX_TEMPLATES; i++)
        n += (size_t)snprintf(many + n, sizeof many - n, "%s{\"name\": \"t\", \"template\": \"\"}",
                              i ? "," : "");
    snprintf(many + n, sizeof many - n, "]}");
    scratch_put_text("tokenizer_config.json", many);
    expect_refusal(HEARTH_ERROR_LIMIT, "more than 64 chat templates");
    scratch_clear();
}

/* ---- what is missing or broken -------------------------------------------------- */

static void missing_parts_are_named_with_what_to_do(void **state) {
    struct hf_folder f;
    hearth_error err = {0};
    (void)state;
    assert_int_equal(hf_folder_open(&f, scratch("none"), true, &err), HEARTH_ERROR_NOT_FOUND);
    assert_contains(err.message, "there is no folder");
    expect_refusal(HEARTH_ERROR_NOT_FOUND,
                   "config.json is missing; 'hearth pull' fetches the whole folder");
    assert_int_equal(hf_folder_kind(scratch_folder), HF_NOTHING);
    scratch_put_text("config.json", "{}");
    assert_int_equal(hf_folder_open(&f, scratch("config.json"), true, &err), HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, "is a file; a folder was expected");
    expect_refusal(HEARTH_ERROR_NOT_FOUND, "model.safetensors is missing");
    scratch_put_text("pytorch_model.bin", "x");
    expect_refusal(HEARTH_ERROR_UNSUPPORTED, "PyTorch pickles ('pytorch_model.bin')");
    scratch_put_text("m.gguf", "x");
    expect_refusal(HEARTH_ERROR_NOT_FOUND, "but 'm.gguf': open that file instead");
    put_weights("model-00001-of-00002.safetensors", 0);
    expect_refusal(HEARTH_ERROR_NOT_FOUND, "model.safetensors.index.json is missing");
    scratch_clear();
}

static void broken_parts_are_named_with_their_place(void **state) {
    (void)state;
    put_model();
    scratch_put_text("generation_config.json", "{\"temperature\":\n 0.6,}");
    expect_refusal(HEARTH_ERROR_FORMAT, "cannot read 'generation_config.json' of '");
    expect_refusal(HEARTH_ERROR_FORMAT, "(line 2, column 6)");
    scratch_clear();
    put_model();
    scratch_put_text("config.json", "[]");
    expect_refusal(HEARTH_ERROR_FORMAT, "an object was expected");
    scratch_put_text("config.json", "");
    expect_refusal(HEARTH_ERROR_FORMAT, "cannot read 'config.json'");
    scratch_put_text("config.json", "{}");
    scratch_put_text("model.safetensors", "version https://git-lfs.github.com/spec/v1\n");
    expect_refusal(HEARTH_ERROR_FORMAT, "Git LFS pointer");
    scratch_clear();
}

/* ---- adapters -------------------------------------------------------------------- */

static void adapters_open_and_say_what_is_missing(void **state) {
    struct hf_adapter a;
    hearth_error err = {0};
    (void)state;
    scratch_put_text("config.json", "{}");
    assert_int_equal(hf_adapter_open(&a, scratch_folder, &err), HEARTH_ERROR_NOT_FOUND);
    assert_contains(err.message, "adapter_config.json is missing; this is the folder of a model");
    scratch_clear();
    scratch_put_text("adapter_config.json", "{\"r\": 8, \"lora_alpha\": 16}");
    assert_int_equal(hf_folder_kind(scratch_folder), HF_ADAPTER);
    expect_refusal(HEARTH_ERROR_NOT_FOUND, "it is an adapter");
    assert_int_equal(hf_adapter_open(&a, scratch_folder, &err), HEARTH_ERROR_NOT_FOUND);
    assert_contains(err.message, "adapter_model.safetensors is missing");
    scratch_put_text("adapter_model.bin", "x");
    assert_int_equal(hf_adapter_open(&a, scratch_folder, &err), HEARTH_ERROR_UNSUPPORTED);
    put_weights("adapter_model.safetensors", 0);
    assert_ok(hf_adapter_open(&a, scratch_folder, &err), &err);
    assert_int_equal(json_integer_value(json_object_get(a.config, "r")), 8);
    assert_non_null(directory_find(&a.tensors, "lm_head.weight"));
    hf_adapter_close(&a);
    scratch_clear();
}

/* ---- no memory -------------------------------------------------------------------- */

static void opening_survives_every_failing_allocation(void **state) {
    unsigned n = 1;
    (void)state;
    scratch_put_text("config.json", "{\"a\": 1}");
    scratch_put_text("tokenizer.json", "{}");
    scratch_put_text("tokenizer_config.json", "{\"chat_template\": \"x\"}");
    put_weights("one.safetensors", 0);
    for (;; n++) {
        struct hf_folder f;
        hearth_error err = {0};
        mem_fail_after(n);
        hearth_status status = hf_folder_open(&f, scratch_folder, true, &err);
        if (status == HEARTH_OK) hf_folder_close(&f);
        if (mem_fail_pending()) break;
        if (status != HEARTH_ERROR_NO_MEMORY || err.code != status)
            fail_msg("allocation %u: status %d: %s", n, (int)status, err.message);
    }
    mem_fail_after(0);
    assert_true(n > 20);
    scratch_clear();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_folder_opens),
        cmocka_unit_test(only_configuration_and_tensors_are_needed),
        cmocka_unit_test(json_is_read_as_python_writes_it),
        cmocka_unit_test(tensors_are_found_in_every_usual_place),
        cmocka_unit_test(templates_come_from_the_first_place_that_has_them),
        cmocka_unit_test(additional_templates_follow_the_main_one),
        cmocka_unit_test(broken_templates_are_refused),
        cmocka_unit_test(missing_parts_are_named_with_what_to_do),
        cmocka_unit_test(broken_parts_are_named_with_their_place),
        cmocka_unit_test(adapters_open_and_say_what_is_missing),
        cmocka_unit_test(opening_survives_every_failing_allocation),
    };
    return cmocka_run_group_tests_name("format/hf_folder", tests, scratch_open, scratch_close);
}
