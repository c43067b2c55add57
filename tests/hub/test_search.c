/* What can be pulled, by words of its name; a hub's answer is not trusted. */
#include "hub_scene.h"

#include "hub/hub_search.h"
#include "hub_server.h"

static struct hub_server *server;
static struct hub_faults *faults;
static struct hub *hub;
static json_t *found;
static hearth_error err;

static int set_up(void **state) {
    char endpoint[64];
    (void)state;
    scene_set_up();
    server = hub_server_start("acme/tiny", "0123456789abcdef0123456789abcdef01234567", "hf_right",
                              NULL, 0);
    faults = hub_server_faults(server);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", hub_server_port(server));
    setenv("HF_ENDPOINT", endpoint, 1);
    assert_int_equal(hub_open(&hub, NULL), HEARTH_OK);
    found = json_array();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    json_decref(found);
    hub_close(hub);
    hub_server_stop(server);
    scene_tear_down();
    return 0;
}

static const char *name_at(size_t i) {
    const char *name = json_string_value(json_object_get(json_array_get(found, i), "name"));
    return name ? name : "";
}

static void test_short_names(void **state) {
    (void)state;
    assert_int_equal(hub_search_short_names("Llama3.2:1", found, &err), HEARTH_OK);
    assert_int_equal(json_array_size(found), 1);
    assert_string_equal(name_at(0), "llama3.2:1b");
    assert_non_null(json_string_value(json_object_get(json_array_get(found, 0), "repo")));
    assert_int_equal(hub_search_short_names("", found, &err), HEARTH_OK);
    assert_true(json_array_size(found) > 20);
}

static void test_found(void **state) {
    (void)state;
    faults->search_answer =
        "[{\"id\":\"acme/tiny\",\"downloads\":7,\"lastModified\":\"2026-05-04\"},"
        "{\"id\":\"acme/other\",\"downloads\":-1}]";
    assert_int_equal(hub_search(hub, "tiny & more", NULL, found, &err), HEARTH_OK);
    assert_int_equal(json_array_size(found), 2);
    json_t *first = json_array_get(found, 0);
    assert_string_equal(name_at(0), "acme/tiny");
    assert_int_equal(json_integer_value(json_object_get(first, "downloads")), 7);
    assert_string_equal(json_string_value(json_object_get(first, "updated")), "2026-05-04");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(found, 1), "downloads")), 0);
}

/* What is no name of a repository is left out, whatever it is. */
static void test_hostile(void **state) {
    (void)state;
    faults->search_answer =
        "[{\"id\":\"../../etc\"},{\"id\":\"a/b/c\"},{\"id\":\"alone\"},{\"id\":\"/x\"},"
        "{\"id\":\"x/\"},{\"id\":7},{\"id\":\"a/<b>\"},4,null,{},"
        "{\"id\":\"good/one\",\"downloads\":\"many\",\"lastModified\":[]}]";
    assert_int_equal(hub_search(hub, "x", NULL, found, &err), HEARTH_OK);
    assert_int_equal(json_array_size(found), 1);
    assert_string_equal(name_at(0), "good/one");
}

static void test_no_list(void **state) {
    static const char *const answers[] = {"{}", "", "<html>",
                                          "[{\"id\":", "[{\"id\":\"a/b\\u0000c\"}]"};
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        faults->search_answer = answers[i];
        assert_int_equal(hub_search(hub, "x", NULL, found, &err), HEARTH_ERROR_FORMAT);
        assert_says(&err, "is not a list of models");
    }
    assert_int_equal(json_array_size(found), 0);
}

static void test_away(void **state) {
    (void)state;
    assert_int_not_equal(hub_search(hub, "x", NULL, found, &err), HEARTH_OK);
    assert_says(&err, "cannot search the hub");
    hub_close(hub);
    setenv("HF_HUB_OFFLINE", "1", 1);
    assert_int_equal(hub_open(&hub, NULL), HEARTH_OK);
    unsetenv("HF_HUB_OFFLINE");
    assert_int_equal(hub_search(hub, "x", NULL, found, &err), HEARTH_ERROR_IO);
    assert_says(&err, "HF_HUB_OFFLINE");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_short_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hostile, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_away, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
