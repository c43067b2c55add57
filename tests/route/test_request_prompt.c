/* Prompts that fill a gap. */
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "route/engine.h"
#include "route/request_prompt.h"
#include "testdata.h"

/* The prompt as text, its marks among it; or why there is none. Given. */
static char *gap(const char *vocabulary, const char *files) {
    struct engine_settings settings;
    struct engine engine = {0};
    struct token_list prompt = {0};
    struct request request;
    struct buf text;
    hearth_error err = {0};
    engine_settings_init(&settings);
    settings.model = testdata(vocabulary);
    if (engine_open_vocabulary(&engine, &settings, &err) != HEARTH_OK) fail_msg("%s", err.message);
    request_init(&request);
    request.inputs = json_pack("[s]", "int a");
    request.suffix = mem_strdup("return a;");
    request.documents = files ? json_loads(files, 0, NULL) : NULL;
    buf_init(&text, 1 << 16);
    if (request_prompt_gap(&request, 0, engine.tokenizer, &prompt, &err) == HEARTH_OK)
        tokenizer_decode(engine.tokenizer, prompt.ids, prompt.count, true, &text, NULL);
    else
        buf_append_text(&text, err.message);
    request_release(&request);
    token_list_release(&prompt);
    engine_close(&engine);
    char *taken = buf_take(&text);
    buf_release(&text);
    return taken;
}

static void check_gap(const char *vocabulary, const char *files, const char *expected) {
    char *text = gap(vocabulary, files);
    assert_string_equal(text, expected);
    mem_free(text);
}

static const char files[] = "[{\"filename\":\"f.c\",\"text\":\"int x;\"},{\"text\":\"int y;\"}]";

static void test_gap(void **state) {
    (void)state;
    check_gap("tokenizers/starcoder/vocab.gguf", NULL,
              "<fim_prefix>int a<fim_suffix>return a;<fim_middle>");
}

static void test_other_files(void **state) {
    (void)state;
    check_gap("tokenizers/starcoder/vocab.gguf", files,
              "\n\n--- snippet ---\n\nint x;\n\n--- snippet ---\n\nint y;"
              "<fim_prefix>int a<fim_suffix>return a;<fim_middle>");
}

static void test_no_marks(void **state) {
    (void)state;
    char *text = gap("tokenizers/llama-bpe/vocab.gguf", NULL);
    assert_non_null(strstr(text, "fills no gaps"));
    mem_free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gap),
        cmocka_unit_test(test_other_files),
        cmocka_unit_test(test_no_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
