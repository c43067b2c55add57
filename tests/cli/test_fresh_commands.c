/* hearth tokenizer train and hearth init: from a text to a model that opens and speaks. */
#include "program.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

static const char template[] =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

static void put(const char *name, const char *text) {
    assert_int_equal(file_write(program_path(name), text, strlen(text), NULL), HEARTH_OK);
}

static void put_corpus(void) {
    put("corpus.jsonl", "{\"messages\":[{\"role\":\"user\",\"content\":\"12 and 34 and 56\"},"
                        "{\"role\":\"assistant\",\"content\":\"and and and\"}]}\n\n"
                        "{\"text\":\"the hearth and the fire and the hearth\"}\n");
}

static void assert_contains(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("'%s' does not contain '%s'", text, part);
}

static void train(const char *output) {
    put_corpus();
    RUN_OK("tokenizer", "train", "-o", program_path(output), "--vocab-size", "280", "--special",
           "<|im_start|>", "--special", "<|im_end|>", "--added", "<think>",
           program_path("corpus.jsonl"));
}

static void check_ids(const char *model) {
    put("lines.jsonl", "{\"text\":\" and<think>1\",\"parse_special\":true}\n");
    RUN_OK("tokenize", "-m", program_path(model), "--jsonl", program_path("lines.jsonl"));
}

static void both_outputs_are_the_same_vocabulary(void **state) {
    char ids[256];
    (void)state;
    train("tokenizer.json");
    assert_contains(program_out(NULL), "tokens");
    assert_true(file_exists(program_path("tokenizer_config.json")));
    train("vocabulary.gguf");
    check_ids("vocabulary.gguf");
    snprintf(ids, sizeof ids, "%s", program_out(NULL));
    RUN_OK("init", "--layers", "2", "--width", "64", "--heads", "4", "--kv-heads", "2", "--ff",
           "128", "--context", "64", "--tokenizer", program_path("tokenizer.json"), "-o",
           program_path("fresh.gguf"));
    check_ids("fresh.gguf");
    assert_string_equal(program_out(NULL), ids);
}

static void a_fresh_model_answers(void **state) {
    static const char *const families[] = {"llama", "qwen2", "qwen3"};
    (void)state;
    train("tokenizer.json");
    put("chat.jinja", template);
    for (int i = 0; i < 3; i++) {
        RUN_OK("init", "--arch", families[i], "--layers", "2", "--width", "64", "--heads", "4",
               "--kv-heads", "2", "--ff", "96", "--context", "64", "--tokenizer",
               program_path("tokenizer.json"), "--chat-template", program_path("chat.jinja"),
               i ? "--untied" : "--seed=3", "-o", program_path("fresh.gguf"));
        assert_contains(program_out(NULL), families[i]);
        RUN_OK("run", program_path("fresh.gguf"), "and the fire", "-n", "8", "-t", "1");
    }
}

static void answer(char *out, size_t size, const char *seed, const char *temperature) {
    const char *model = program_path("fresh.gguf");
    if (temperature)
        RUN_OK("run", model, "and", "-n", "16", "-t", "1", "-s", seed, "--temp", temperature);
    else
        RUN_OK("run", model, "and", "-n", "16", "-t", "1", "-s", seed);
    snprintf(out, size, "%s", program_out(NULL));
}

/* At temperature 0 the seed does not matter, unless an option asks for another one. */
static void a_model_says_how_it_is_sampled(void **state) {
    char a[1024], b[1024];
    (void)state;
    train("tokenizer.json");
    RUN_OK("init", "--layers", "1", "--width", "32", "--heads", "2", "--ff", "32", "--temp", "0",
           "--tokenizer", program_path("tokenizer.json"), "-o", program_path("fresh.gguf"));
    answer(a, sizeof a, "1", NULL);
    answer(b, sizeof b, "2", NULL);
    assert_string_equal(a, b);
    answer(a, sizeof a, "1", "5");
    answer(b, sizeof b, "2", "5");
    assert_string_not_equal(a, b);
}

static void a_seed_is_a_file(void **state) {
    char *data[3];
    size_t size[3];
    static const char *const names[] = {"a.gguf", "b.gguf", "c.gguf"};
    static const char *const seeds[] = {"1", "1", "2"};
    (void)state;
    train("vocabulary.gguf");
    for (int i = 0; i < 3; i++) {
        RUN_OK("init", "--layers", "1", "--width", "32", "--heads", "2", "--ff", "32", "--seed",
               seeds[i], "--name", "fresh", "--tokenizer", program_path("vocabulary.gguf"), "-o",
               program_path(names[i]));
        assert_int_equal(file_read(program_path(names[i]), 1 << 24, &data[i], &size[i], NULL),
                         HEARTH_OK);
    }
    assert_int_equal(size[0], size[1]);
    assert_int_equal(size[0], size[2]);
    assert_memory_equal(data[0], data[1], size[0]);
    assert_true(memcmp(data[0], data[2], size[0]) != 0);
    for (int i = 0; i < 3; i++)
        mem_free(data[i]);
}

static void mistakes_are_named(void **state) {
    (void)state;
    train("tokenizer.json");
    assert_int_equal(RUN("tokenizer"), 2);
    assert_int_equal(RUN("tokenizer", "train", program_path("corpus.jsonl")), 2);
    assert_contains(program_err(), "--vocab-size");
    put("bad.jsonl", "{\"text\":\"fine\"}\n{\"text\":\n");
    assert_int_equal(RUN("tokenizer", "train", "-o", program_path("x.gguf"), "--vocab-size", "300",
                         program_path("bad.jsonl")),
                     1);
    assert_contains(program_err(), "line 2");
    assert_false(file_exists(program_path("x.gguf")));
    assert_int_equal(RUN("init", "--heads", "5", "--tokenizer", program_path("tokenizer.json"),
                         "-o", program_path("x.gguf")),
                     1);
    assert_contains(program_err(), "5 heads");
    put("bad.jinja", "{% if %}");
    assert_int_equal(RUN("init", "--chat-template", program_path("bad.jinja"), "--tokenizer",
                         program_path("tokenizer.json"), "-o", program_path("x.gguf")),
                     1);
    assert_contains(program_err(), "bad.jinja");
    assert_false(file_exists(program_path("x.gguf")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_outputs_are_the_same_vocabulary),
        cmocka_unit_test(a_fresh_model_answers),
        cmocka_unit_test(a_model_says_how_it_is_sampled),
        cmocka_unit_test(a_seed_is_a_file),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests_name("cli/fresh_commands", tests, program_set_up,
                                       program_tear_down);
}
