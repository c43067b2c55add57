/* YAML files as options: what is understood, and what every mistake says. */
#include "testdata.h"

#include <string.h>
#include <unistd.h>

#include "cli/settings_file.h"

struct settings {
    double rate;
    int64_t rank;
    bool packing;
    int method;
    const char *model;
    struct option_list data, modules;
};

static struct settings s;
static const struct option_spec specs[] = {
    {.type = OPTION_HEADING, .help = "Training:"},
    {.name = "learning-rate", .aliases = "lr", .type = OPTION_FLOAT, .number = &s.rate},
    {.name = "rank",
     .aliases = "-r lora-r",
     .type = OPTION_INT,
     .least = 1,
     .most = 512,
     .integer = &s.rank},
    {.name = "packing", .aliases = "sample-packing", .type = OPTION_FLAG, .flag = &s.packing},
    {.name = "method", .type = OPTION_CHOICE, .choices = "lora|full", .choice = &s.method},
    {.name = "model", .aliases = "base-model", .type = OPTION_STRING, .string = &s.model},
    {.name = "data", .aliases = "datasets.path", .type = OPTION_LIST, .list = &s.data},
    {.name = "modules", .aliases = "lora-target-modules", .type = OPTION_LIST, .list = &s.modules},
};
static const struct option_table table = {
    .command = "hearth tune", .specs = specs, .n_specs = sizeof specs / sizeof *specs};

static struct arena strings;
static hearth_error err;

static hearth_status read_text(const char *text) {
    s = (struct settings){0};
    err.message[0] = '\0';
    return settings_text_read("a.yaml", text, strlen(text), &table, &strings, &err);
}

static void keys_of_every_kind_are_understood(void **state) {
    (void)state;
    assert_int_equal(read_text("# a recipe\n"
                               "base_model: some/model\n"
                               "learning_rate: 2e-4\n"
                               "lora_r: 16   # rank\n"
                               "sample_packing: true\n"
                               "method: full\n"
                               "datasets:\n"
                               "  - path: one.jsonl\n"
                               "  - path: 'two files.jsonl'\n"
                               "lora_target_modules: [attn_q, attn_v]\n"
                               "packing:\n"),
                     HEARTH_OK);
    assert_string_equal(s.model, "some/model");
    assert_true(s.rate > 1.9e-4 && s.rate < 2.1e-4);
    assert_int_equal(s.rank, 16);
    assert_true(s.packing); /* a null value changes nothing */
    assert_int_equal(s.method, 1);
    assert_int_equal(s.data.count, 2);
    assert_string_equal(s.data.items[1], "two files.jsonl");
    assert_int_equal(s.modules.count, 2);
    assert_string_equal(s.modules.items[0], "attn_q");
    assert_int_equal(read_text(""), HEARTH_OK);
}

static void expect_error(const char *text, const char *part) {
    assert_int_not_equal(read_text(text), HEARTH_OK);
    if (!strstr(err.message, part)) fail_msg("'%s' lacks '%s'", err.message, part);
}

static void mistakes_are_named(void **state) {
    (void)state;
    expect_error("rank: 8\nlearning_rat: 1\n",
                 "a.yaml, line 2: unknown key 'learning_rat'; did you mean 'learning-rate'?");
    expect_error("\nrank: none\n", "line 2: 'rank' needs a whole number from 1 to 512");
    expect_error("method: qlora\n", "one of lora, full");
    expect_error("datasets:\n  - name: x\n", "unknown key 'datasets.name'");
    expect_error("rank: [1\n", "a.yaml, line 2:");
    expect_error("- rank\n", "key: value");
    expect_error("rank: &a 3\n", "anchors");
    expect_error("rank: !!int 3\n", "anchors, aliases and tags");
    expect_error("a: {a: {a: {a: {a: {a: {a: {a: {a: 1}}}}}}}}\n", "too deeply nested");
    expect_error("rank: 1\n---\nrank: 2\n", "second document");
    expect_error("[a]: 1\n", "key");
    expect_error("model: \"a\\0b\"\n", "NUL");
}

static void what_is_written_is_read_again(void **state) {
    (void)state;
    static const char *const except[] = {"packing", NULL};
    char path[] = "/tmp/hearth-settings-XXXXXX";
    close(mkstemp(path));
    s = (struct settings){.rate = 0.1,
                          .rank = 7,
                          .packing = true,
                          .method = 1,
                          .model = "a \"b\" \\ c: #d",
                          .data = {{"one", "two words"}, 2}};
    struct settings before = s;
    assert_int_equal(settings_file_write(path, "# made here\n", &table, except, &err), HEARTH_OK);
    s = (struct settings){0};
    assert_int_equal(settings_file_read(path, &table, &strings, &err), HEARTH_OK);
    assert_memory_equal(&before.rate, &s.rate, sizeof s.rate);
    assert_int_equal(s.rank, 7);
    assert_false(s.packing);
    assert_int_equal(s.method, 1);
    assert_string_equal(s.model, before.model);
    assert_int_equal(s.data.count, 2);
    assert_string_equal(s.data.items[1], "two words");
    assert_int_equal(s.modules.count, 0);
    unlink(path);
}

int main(void) {
    arena_init(&strings, 1 << 16);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_every_kind_are_understood),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(what_is_written_is_read_again),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_release(&strings);
    return failed;
}
