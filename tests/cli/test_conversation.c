#include "testdata.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/conversation.h"

static char folder[] = "/tmp/hearth-conversation-XXXXXX";
static char path[256];

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/chat.json", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails when a temporary file was left behind */
}

static void write_file(const char *text) {
    assert_int_equal(file_write(path, text, strlen(text), NULL), HEARTH_OK);
}

static void saving_and_loading_gives_the_same(void **state) {
    (void)state;
    struct conversation a, b;
    hearth_error err = {0};
    assert_int_equal(conversation_init(&a, NULL), HEARTH_OK);
    assert_int_equal(conversation_init(&b, NULL), HEARTH_OK);
    const char *odd = "line\n\"quoted\" \\ tab\t and \xc3\xa9\xf0\x9f\x98\x80";
    assert_int_equal(conversation_add(&a, "user", odd, NULL), HEARTH_OK);
    assert_int_equal(conversation_add(&a, "assistant", "", NULL), HEARTH_OK);
    assert_int_equal(conversation_set_system(&a, "Be brief.", NULL), HEARTH_OK);
    assert_int_equal(conversation_save(&a, path, &err), HEARTH_OK);
    assert_int_equal(conversation_add(&b, "user", "is replaced", NULL), HEARTH_OK);
    if (conversation_load(&b, path, &err) != HEARTH_OK) fail_msg("%s", err.message);
    assert_int_equal(conversation_count(&b), 3);
    assert_string_equal(conversation_system(&b), "Be brief.");
    assert_string_equal(conversation_role(&b, 1), "user");
    assert_string_equal(conversation_content(&b, 1), odd);
    assert_string_equal(conversation_role(&b, 2), "assistant");
    assert_true(json_equal(a.messages, b.messages));
    conversation_release(&a);
    conversation_release(&b);
}

static void system_prompts_are_set_replaced_and_removed(void **state) {
    (void)state;
    struct conversation c;
    assert_int_equal(conversation_init(&c, NULL), HEARTH_OK);
    assert_string_equal(conversation_system(&c), "");
    conversation_set_system(&c, "one", NULL);
    conversation_add(&c, "user", "hi", NULL);
    conversation_set_system(&c, "two", NULL);
    assert_int_equal(conversation_count(&c), 2);
    assert_string_equal(conversation_system(&c), "two");
    conversation_set_system(&c, "", NULL);
    assert_int_equal(conversation_count(&c), 1);
    conversation_truncate(&c, 0);
    assert_int_equal(conversation_count(&c), 0);
    assert_string_equal(conversation_content(&c, 5), "");
    conversation_release(&c);
}

static void other_shapes_are_read(void **state) {
    (void)state;
    struct conversation c;
    hearth_error err = {0};
    assert_int_equal(conversation_init(&c, NULL), HEARTH_OK);
    write_file("[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
               "{\"type\":\"text\",\"text\":\"b\"}],\"name\":\"kept\"},"
               "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"1\"}]}]");
    if (conversation_load(&c, path, &err) != HEARTH_OK) fail_msg("%s", err.message);
    assert_string_equal(conversation_content(&c, 0), "ab");
    assert_string_equal(conversation_content(&c, 1), "");
    assert_int_equal(conversation_save(&c, path, NULL), HEARTH_OK);
    char *text;
    size_t size;
    assert_int_equal(file_read(path, 10000, &text, &size, NULL), HEARTH_OK);
    assert_non_null(strstr(text, "\"name\": \"kept\""));
    assert_non_null(strstr(text, "\"tool_calls\""));
    mem_free(text);
    conversation_release(&c);
}

static void assert_refused(const char *text, hearth_status expected, const char *part) {
    struct conversation c;
    hearth_error err = {0};
    assert_int_equal(conversation_init(&c, NULL), HEARTH_OK);
    conversation_add(&c, "user", "still here", NULL);
    write_file(text);
    assert_int_equal(conversation_load(&c, path, &err), expected);
    if (!strstr(err.message, part)) fail_msg("'%s' does not contain '%s'", err.message, part);
    assert_non_null(strstr(err.message, path));
    assert_string_equal(conversation_content(&c, 0), "still here");
    conversation_release(&c);
}

static void damaged_files_are_refused_and_change_nothing(void **state) {
    (void)state;
    static char deep[100001];
    assert_refused("", HEARTH_ERROR_FORMAT, "not JSON");
    assert_refused("{\"messages\": [", HEARTH_ERROR_FORMAT, "not JSON (line 1");
    assert_refused("{\"messages\": {}}", HEARTH_ERROR_FORMAT, "a list 'messages'");
    assert_refused("{\"chat\": []}", HEARTH_ERROR_FORMAT, "a list 'messages'");
    assert_refused("[\"hi\"]", HEARTH_ERROR_FORMAT, "message 1 is not an object");
    assert_refused("[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"wizard\",\"content\":\"\"}]",
                   HEARTH_ERROR_FORMAT, "message 2 has role 'wizard'");
    assert_refused("[{\"content\":\"a\"}]", HEARTH_ERROR_FORMAT, "role '(none)'");
    assert_refused("[{\"role\":\"user\"}]", HEARTH_ERROR_FORMAT, "message 1 has no text");
    assert_refused("[{\"role\":\"user\",\"content\":7}]", HEARTH_ERROR_FORMAT, "has no text");
    assert_refused("[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]",
                   HEARTH_ERROR_UNSUPPORTED, "part of type 'image_url'");
    assert_refused("[{\"role\":\"user\",\"content\":\"\\u0000\"}]", HEARTH_ERROR_FORMAT,
                   "not JSON");
    memset(deep, '[', sizeof deep - 1);
    assert_refused(deep, HEARTH_ERROR_FORMAT, "not JSON");
    unlink(path);
    struct conversation c = {0};
    hearth_error err = {0};
    assert_int_equal(conversation_load(&c, path, &err), HEARTH_ERROR_NOT_FOUND);
    conversation_release(&c);
}

static void text_that_is_not_utf8_is_refused(void **state) {
    (void)state;
    struct conversation c;
    hearth_error err = {0};
    assert_int_equal(conversation_init(&c, NULL), HEARTH_OK);
    assert_int_equal(conversation_add(&c, "user", "\xff", &err), HEARTH_ERROR_FORMAT);
    assert_non_null(strstr(err.message, "UTF-8"));
    assert_int_equal(conversation_count(&c), 0);
    conversation_release(&c);
}

static void a_failed_save_is_reported(void **state) {
    (void)state;
    struct conversation c;
    hearth_error err = {0};
    char nowhere[300];
    snprintf(nowhere, sizeof nowhere, "%s/none/chat.json", folder);
    assert_int_equal(conversation_init(&c, NULL), HEARTH_OK);
    assert_int_equal(conversation_save(&c, nowhere, &err), HEARTH_ERROR_IO);
    assert_non_null(strstr(err.message, nowhere));
    conversation_release(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(saving_and_loading_gives_the_same),
        cmocka_unit_test(system_prompts_are_set_replaced_and_removed),
        cmocka_unit_test(other_shapes_are_read),
        cmocka_unit_test(damaged_files_are_refused_and_change_nothing),
        cmocka_unit_test(text_that_is_not_utf8_is_refused),
        cmocka_unit_test(a_failed_save_is_reported),
    };
    return cmocka_run_group_tests_name("cli/conversation", tests, make_folder, remove_folder);
}
