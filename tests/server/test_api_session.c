/* The app signs in; who may do what; and the small parts of the interface. */
#include "server/asked.h"

#include "base/date.h"
#include "server/api_dispatch.h"
#include "server/api_keys.h"
#include "server/api_session.h"
#include "server/api_settings.h"
#include "server/api_usage.h"
#include "store/stored_usage.h"

/* The asker of the next requests, as a server finds it. */
static void show(const char *key, const char *cookie) {
    const struct asker_proof proof = {.key = key, .cookie = cookie, .is_local = true};
    struct store *store = open_store("api.db");
    hearth_status status = asker_find(store, &proof, asked_now, &asked_by, NULL);
    if (status == HEARTH_ERROR_NOT_FOUND) asked_by = (struct asker){.kind = ASKER_NONE};
    asked_cookie = cookie;
    store_close(store);
}

static bool is_true(const json_t *object, const char *name) {
    assert_true(json_is_boolean(json_object_get(object, name)));
    return json_is_true(json_object_get(object, name));
}

static void the_app_signs_in_and_out(void **state) {
    char csrf[STORE_TOKEN_BYTES], json[128];
    (void)state;
    asked_open();
    show(NULL, NULL);
    json_t *body = asked(api_session, 200, "GET", "session", NULL);
    assert_false(is_true(body, "needed") || is_true(body, "signed_in"));
    json_decref(body);
    json_t *key = asked(api_keys, 201, "POST", "keys", "{'name':'me'}");
    show(NULL, NULL);
    body = asked(api_session, 200, "GET", "session", NULL);
    assert_true(is_true(body, "needed") && !is_true(body, "signed_in"));
    assert_true(json_is_null(json_object_get(body, "csrf")));
    json_decref(body);
    refused(api_session, 401, "key", "POST", "session", "{'key':'sk-hearth-wrong'}");
    refused(api_session, 400, "key", "POST", "session", "{}");
    refused(api_session, 400, "key", "POST", "session", "{'key':[]}");
    refused(api_session, 400, NULL, "POST", "session", NULL);
    snprintf(json, sizeof json, "{'key':'%s'}", text_in(key, "key"));
    struct api_answer answer = ask(api_session, "POST", "session", json);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.cookie, COOKIE_SET);
    assert_true(answer.cookie_expires == asked_now + SESSION_LENGTH_MS);
    snprintf(csrf, sizeof csrf, "%s", text_in(answer.body, "csrf"));
    show(NULL, answer.token);
    assert_int_equal(asked_by.kind, ASKER_SESSION);
    assert_false(asker_may_change(&asked_by, NULL) || asker_may_change(&asked_by, "") ||
                 asker_may_change(&asked_by, answer.token));
    assert_true(asker_may_change(&asked_by, csrf));
    body = asked(api_session, 200, "GET", "session", NULL);
    assert_true(is_true(body, "needed") && is_true(body, "signed_in"));
    assert_string_equal(text_in(body, "csrf"), csrf);
    assert_string_equal(text_in(body, "role"), "admin");
    json_decref(body);
    struct api_answer out = ask(api_session, "DELETE", "session", NULL);
    assert_int_equal(out.cookie, COOKIE_REMOVED);
    show(NULL, answer.token);
    assert_int_equal(asked_by.kind, ASKER_NONE);
    api_answer_release(&out);
    api_answer_release(&answer);
    json_decref(key);
    asked_close();
}

/* ---- the way in ---------------------------------------------------------------------------------
 */

static int dispatched(const char *method, const char *word, const char *csrf) {
    const char *parts[] = {word};
    json_t *body = json_object();
    const struct api_request request = {.method = method,
                                        .parts = parts,
                                        .n_parts = 1,
                                        .body = body,
                                        .asker = &asked_by,
                                        .now = ++asked_now};
    struct api_answer answer;
    api_dispatch(asked_pool, &request, csrf, &answer);
    int status = answer.status;
    assert_non_null(answer.body);
    api_answer_release(&answer);
    json_decref(body);
    return status;
}

static void strangers_come_no_further_than_the_door(void **state) {
    static const char *const words[] = {"conversations", "keys", "settings", "usage"};
    (void)state;
    asked_open();
    asked_by = (struct asker){.kind = ASKER_NONE};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        assert_true(api_dispatch_knows(words[i]));
        assert_int_equal(dispatched("GET", words[i], NULL), 401);
        assert_int_equal(dispatched("POST", words[i], NULL), 401);
    }
    assert_int_equal(dispatched("GET", "session", NULL), 200);
    assert_int_equal(dispatched("POST", "session", NULL), 400); /* no key in it */
    assert_false(api_dispatch_knows("models"));
    assert_int_equal(dispatched("GET", "models", NULL), 404);
    asked_close();
}

static void what_a_session_changes_needs_its_text(void **state) {
    (void)state;
    asked_open();
    asked_by = (struct asker){.kind = ASKER_SESSION, .holder = {.id = "x", .admin = true}};
    memset(asked_by.csrf, 'c', sizeof asked_by.csrf - 1);
    assert_int_equal(dispatched("GET", "conversations", NULL), 200);
    assert_int_equal(dispatched("POST", "conversations", NULL), 403);
    assert_int_equal(dispatched("POST", "conversations", "c"), 403);
    assert_int_equal(dispatched("PUT", "settings", NULL), 403);
    assert_int_equal(dispatched("DELETE", "session", NULL), 403);
    assert_int_equal(dispatched("POST", "conversations", asked_by.csrf), 201);
    assert_int_equal(dispatched("PUT", "settings", asked_by.csrf), 200);
    asked_by.kind = ASKER_KEY; /* nobody can make another's program send a header */
    assert_int_equal(dispatched("POST", "conversations", NULL), 201);
    asked_close();
}

/* ---- settings and usage -------------------------------------------------------------------------
 */

static void settings_are_one_object(void **state) {
    (void)state;
    asked_open();
    json_t *body = asked(api_settings, 200, "GET", "settings", NULL);
    assert_int_equal(json_object_size(body), 0);
    json_decref(body);
    json_decref(asked(api_settings, 200, "PUT", "settings", "{'theme':'dark','n':[1,{'a':null}]}"));
    body = asked(api_settings, 200, "GET", "settings", NULL);
    assert_string_equal(text_in(body, "theme"), "dark");
    assert_int_equal(json_array_size(json_object_get(body, "n")), 2);
    json_decref(body);
    refused(api_settings, 400, NULL, "PUT", "settings", "[]");
    refused(api_settings, 400, NULL, "PUT", "settings", NULL);
    refused(api_settings, 405, NULL, "DELETE", "settings", NULL);
    refused(api_settings, 404, NULL, "GET", "settings/x", NULL);
    char *text = mem_calloc(1, SETTINGS_MAX_BYTES + 1);
    memset(text, 'x', SETTINGS_MAX_BYTES);
    json_t *large = json_pack("{s:s}", "a", text);
    struct api_answer answer = ask_json(api_settings, "PUT", "settings", large);
    assert_int_equal(answer.status, 413);
    api_answer_release(&answer);
    json_decref(large);
    mem_free(text);
    asked_by = (struct asker){.kind = ASKER_KEY, .holder = {.id = "user"}};
    json_decref(asked(api_settings, 200, "GET", "settings", NULL));
    refused(api_settings, 403, NULL, "PUT", "settings", "{}");
    asked_close();
}

static void add_usage(const char *key, const char *model, int64_t time) {
    struct usage_row row = {
        .time = time, .status = 200, .prompt_tokens = 5, .answer_tokens = 7, .answer_ms = 1500};
    struct store *store = open_store("api.db");
    snprintf(row.key, sizeof row.key, "%s", key);
    snprintf(row.model, sizeof row.model, "%s", model);
    assert_int_equal(stored_usage_add(store, &row, 1, NULL), HEARTH_OK);
    store_close(store);
}

static void usage_is_summed(void **state) {
    (void)state;
    asked_open();
    json_t *key = asked(api_keys, 201, "POST", "keys", "{'name':'me'}");
    add_usage(text_in(key, "id"), "ember", asked_now);
    add_usage(text_in(key, "id"), "ember", asked_now - DATE_DAY_MS);
    add_usage("", "llama", asked_now - DATE_DAY_MS);
    json_t *body = asked(api_usage, 200, "GET", "usage", NULL);
    const json_t *rows = json_object_get(body, "rows"), *row = json_array_get(rows, 1);
    assert_int_equal(json_array_size(rows), 2);
    assert_string_equal(text_in(json_array_get(rows, 0), "day"), "2026-01-01");
    assert_string_equal(text_in(row, "day"), "2025-12-31");
    assert_int_equal(json_integer_value(json_object_get(row, "requests")), 2);
    assert_int_equal(json_integer_value(json_object_get(row, "failures")), 0);
    assert_int_equal(json_integer_value(json_object_get(row, "prompt_tokens")), 10);
    assert_int_equal(json_integer_value(json_object_get(row, "answer_tokens")), 14);
    assert_true(json_real_value(json_object_get(row, "busy_seconds")) == 3.0);
    json_decref(body);
    body = asked(api_usage, 200, "GET", "usage?by=key&since=2026-01-01T00:00:00Z", NULL);
    rows = json_object_get(body, "rows");
    assert_int_equal(json_array_size(rows), 1);
    assert_string_equal(text_in(json_array_get(rows, 0), "name"), "me");
    json_decref(body);
    body = asked(api_usage, 200, "GET", "usage?by=model", NULL);
    assert_string_equal(text_in(json_array_get(json_object_get(body, "rows"), 1), "model"),
                        "llama");
    json_decref(body);
    refused(api_usage, 400, "by", "GET", "usage?by=hour", NULL);
    refused(api_usage, 400, "since", "GET", "usage?since=monday", NULL);
    refused(api_usage, 405, NULL, "POST", "usage", "{}");
    asked_by = (struct asker){.kind = ASKER_KEY, .holder = {.id = "other"}};
    body = asked(api_usage, 200, "GET", "usage?by=key", NULL); /* of others, nothing */
    assert_int_equal(json_array_size(json_object_get(body, "rows")), 0);
    json_decref(body);
    json_decref(key);
    asked_close();
}

/* ---- the database has gone wrong ----------------------------------------------------------------
 */

static void troubles_of_the_database_are_not_told_to_clients(void **state) {
    (void)state;
    asked_open();
    hearth_error err = {0};
    json_decref(asked(api_keys, 201, "POST", "keys", "{'name':'me'}"));
    assert_int_equal(remove(scratch("api.db.secret")), 0);
    store_pool_close(asked_pool);
    assert_ok(store_pool_open(&asked_pool, scratch("api.db"), &err), &err);
    json_t *body = asked(api_session, 500, "POST", "session", "{'key':'sk-hearth-any'}");
    char *text = json_dumps(body, 0);
    assert_null(strstr(text, "secret"));
    assert_null(strstr(text, "api.db"));
    free(text);
    json_decref(body);
    asked_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_app_signs_in_and_out),
        cmocka_unit_test(strangers_come_no_further_than_the_door),
        cmocka_unit_test(what_a_session_changes_needs_its_text),
        cmocka_unit_test(settings_are_one_object),
        cmocka_unit_test(usage_is_summed),
        cmocka_unit_test(troubles_of_the_database_are_not_told_to_clients),
    };
    return cmocka_run_group_tests_name("server/api_session", tests, scratch_open, scratch_close);
}
