/* /keys, and who asks. */
#include "server/asked.h"

#include "server/api_keys.h"

static json_t *make(const char *json) {
    return asked(api_keys, 201, "POST", "keys", json);
}

static struct asker find(const char *key, const char *cookie, bool is_local,
                         hearth_status expected) {
    const struct asker_proof proof = {.key = key, .cookie = cookie, .is_local = is_local};
    struct asker asker;
    struct store *store = open_store("api.db");
    assert_int_equal(asker_find(store, &proof, asked_now, &asker, NULL), expected);
    store_close(store);
    return asker;
}

static void keys_are_made_listed_and_revoked(void **state) {
    char path[128];
    (void)state;
    asked_open();
    json_t *first = make("{'name':'me'}");
    assert_string_equal(text_in(first, "role"), "admin");
    assert_true(json_is_null(json_object_get(first, "expires")));
    json_t *second = make("{'name':'app','expires':'2026-02-01T00:00:00Z',"
                          "'limits':{'requests_per_minute':60,'concurrent':null}}");
    assert_string_equal(text_in(second, "role"), "user");
    assert_string_equal(text_in(second, "expires"), "2026-02-01T00:00:00.000Z");
    assert_int_equal(json_object_size(json_object_get(second, "limits")), 1);
    assert_memory_equal(text_in(second, "key"), text_in(second, "prefix"),
                        strlen(text_in(second, "prefix")));
    json_t *list = asked(api_keys, 200, "GET", "keys", NULL);
    const json_t *keys = json_object_get(list, "keys");
    assert_int_equal(json_array_size(keys), 2);
    assert_string_equal(text_in(json_array_get(keys, 1), "name"), "app");
    assert_null(json_object_get(json_array_get(keys, 1), "key"));
    json_decref(list);
    snprintf(path, sizeof path, "keys/%s", text_in(first, "id"));
    refused(api_keys, 409, NULL, "DELETE", path, NULL); /* nobody could make keys any more */
    snprintf(path, sizeof path, "keys/%s", text_in(second, "id"));
    json_decref(asked(api_keys, 200, "DELETE", path, NULL));
    refused(api_keys, 404, NULL, "DELETE", path, NULL);
    list = asked(api_keys, 200, "GET", "keys", NULL);
    assert_int_equal(json_array_size(json_object_get(list, "keys")), 1);
    json_decref(list);
    list = asked(api_keys, 200, "GET", "keys?revoked=1", NULL);
    assert_non_null(text_in(json_array_get(json_object_get(list, "keys"), 1), "revoked"));
    json_decref(list);
    snprintf(path, sizeof path, "keys/%s", text_in(first, "id"));
    json_decref(asked(api_keys, 200, "DELETE", path, NULL)); /* none at all are fine */
    json_decref(first);
    json_decref(second);
    asked_close();
}

static void wrong_keys_are_refused(void **state) {
    static const struct {
        const char *field, *json;
    } cases[] = {
        {NULL, NULL},
        {"name", "{}"},
        {"name", "{'name':''}"},
        {"name", "{'name':7}"},
        {"role", "{'name':'a','role':'root'}"},
        {"key", "{'name':'a','key':'mine'}"},
        {"limits", "{'name':'a','limits':5}"},
        {"limits.concurrent", "{'name':'a','limits':{'concurrent':-1}}"},
        {"limits.concurrent", "{'name':'a','limits':{'concurrent':1.5}}"},
        {"limits.concurrent", "{'name':'a','limits':{'concurrent':1000000001}}"},
        {"limits.x", "{'name':'a','limits':{'x':1}}"},
        {"expires", "{'name':'a','expires':'2025-12-31T00:00:00Z'}"},
        {"expires", "{'name':'a','expires':'2026-02-30T00:00:00Z'}"},
        {"expires", "{'name':'a','expires':1}"},
    };
    (void)state;
    asked_open();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(api_keys, 400, cases[i].field, "POST", "keys", cases[i].json);
    refused(api_keys, 409, "role", "POST", "keys", "{'name':'a','role':'user'}");
    refused(api_keys, 405, NULL, "PATCH", "keys", "{}");
    refused(api_keys, 405, NULL, "GET", "keys/x", NULL);
    refused(api_keys, 404, NULL, "DELETE", "keys/x", NULL);
    refused(api_keys, 404, NULL, "DELETE", "keys/x/y", NULL);
    asked_by = (struct asker){.kind = ASKER_KEY, .holder = {.id = "user"}};
    refused(api_keys, 403, NULL, "GET", "keys", NULL);
    refused(api_keys, 403, NULL, "POST", "keys", "{'name':'a'}");
    refused(api_keys, 403, NULL, "DELETE", "keys/x", NULL);
    asked_by = (struct asker){.kind = ASKER_NONE};
    refused(api_keys, 403, NULL, "GET", "keys", NULL);
    asked_close();
}

static void askers_are_told_apart(void **state) {
    (void)state;
    asked_open();
    struct asker asker = find(NULL, NULL, true, HEARTH_OK);
    assert_true(asker.kind == ASKER_LOCAL && asker_is_admin(&asker) &&
                asker_may_change(&asker, NULL));
    asker = find("anything", NULL, true, HEARTH_OK); /* clients that must send a key */
    assert_true(asker.kind == ASKER_LOCAL);
    asker = find(NULL, NULL, false, HEARTH_OK);
    assert_true(asker.kind == ASKER_NONE && !asker_is_admin(&asker) &&
                !asker_may_change(&asker, NULL));
    json_t *admin = make("{'name':'me'}"), *user = make("{'name':'you'}");
    asker = find(NULL, NULL, true, HEARTH_OK); /* from now on a key is needed */
    assert_true(asker.kind == ASKER_NONE);
    asker = find(text_in(admin, "key"), NULL, false, HEARTH_OK);
    assert_true(asker.kind == ASKER_KEY && asker_is_admin(&asker) &&
                asker_may_change(&asker, NULL));
    assert_string_equal(asker_owner(&asker), "");
    asker = find(text_in(user, "key"), NULL, false, HEARTH_OK);
    assert_false(asker_is_admin(&asker));
    assert_string_equal(asker_owner(&asker), text_in(user, "id"));
    find("sk-hearth-wrong", NULL, true, HEARTH_ERROR_NOT_FOUND);
    find(NULL, "wrong", true, HEARTH_ERROR_NOT_FOUND);
    json_decref(admin);
    json_decref(user);
    asked_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_made_listed_and_revoked),
        cmocka_unit_test(wrong_keys_are_refused),
        cmocka_unit_test(askers_are_told_apart),
    };
    return cmocka_run_group_tests_name("server/api_keys", tests, scratch_open, scratch_close);
}
