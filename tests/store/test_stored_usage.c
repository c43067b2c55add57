/* What requests used, day by day, and settings. */
#include "store/opened.h"

#include "base/date.h"
#include "store/stored_keys.h"
#include "store/stored_settings.h"
#include "store/stored_usage.h"

static struct usage_row a_row(int64_t day, const char *key, const char *model, int status,
                              int64_t tokens) {
    struct usage_row row = {.time = day * DATE_DAY_MS + 1000,
                            .status = status,
                            .prompt_tokens = 10,
                            .answer_tokens = tokens,
                            .prompt_ms = 3,
                            .answer_ms = 4};
    snprintf(row.key, sizeof row.key, "%s", key);
    snprintf(row.model, sizeof row.model, "%s", model);
    snprintf(row.endpoint, sizeof row.endpoint, "/v1/chat/completions");
    return row;
}

static hearth_status write_sum(void *context, const struct usage_sum *sum, hearth_error *err) {
    char *line = context;
    size_t used = strlen(line);
    (void)err;
    snprintf(line + used, 512 - used, "%d %s(%s) %d/%d %d+%d %dms|", (int)sum->day,
             sum->name ? sum->name : "", sum->title ? sum->title : "", (int)sum->failures,
             (int)sum->requests, (int)sum->prompt_tokens, (int)sum->answer_tokens,
             (int)sum->busy_ms);
    return HEARTH_OK;
}

static const char *sums(struct store *store, enum usage_by by, const char *key, int64_t since) {
    static char line[512];
    line[0] = '\0';
    assert_int_equal(stored_usage_sum(store, by, key, since, write_sum, line, NULL), HEARTH_OK);
    return line;
}

static void assert_sums(struct store *store, const char *key) {
    char by_key[128];
    assert_string_equal(sums(store, USAGE_BY_DAY, NULL, 0),
                        "12 () 0/1 10+7 7ms|11 () 1/2 20+5 14ms|10 () 0/1 10+1 7ms|");
    assert_string_equal(sums(store, USAGE_BY_MODEL, NULL, 0),
                        "0 b() 0/2 20+11 14ms|0 a() 1/2 20+2 14ms|");
    snprintf(by_key, sizeof by_key, "0 %s(app) 0/2 20+11 14ms|0 () 1/2 20+2 14ms|", key);
    assert_string_equal(sums(store, USAGE_BY_KEY, NULL, 0), by_key);
    assert_string_equal(sums(store, USAGE_BY_MODEL, key, 0), "0 b() 0/2 20+11 14ms|");
    assert_string_equal(sums(store, USAGE_BY_DAY, NULL, 12 * DATE_DAY_MS + 5),
                        "12 () 0/1 10+7 7ms|");
    assert_string_equal(sums(store, USAGE_BY_DAY, "' OR 1 --", 0), "");
}

static hearth_status see_use(void *context, const struct stored_key *key, hearth_error *err) {
    (void)err;
    *(int64_t *)context = key->last_used;
    return HEARTH_OK;
}

static void sums_stay_when_days_are_folded(void **state) {
    const struct stored_key key = {.name = "app", .created = 1};
    char id[STORE_ID_BYTES], text[KEY_TEXT_BYTES];
    int64_t used;
    (void)state;
    struct store *store = open_store("usage.db");
    assert_int_equal(stored_keys_add(store, &key, id, text, NULL), HEARTH_OK);
    const struct usage_row rows[] = {a_row(10, "", "a", 200, 1), a_row(11, "", "a", 503, 1),
                                     a_row(11, id, "b", 200, 4), a_row(12, id, "b", 200, 7)};
    assert_int_equal(stored_usage_add(store, rows, 4, NULL), HEARTH_OK);
    assert_int_equal(stored_keys_each(store, false, see_use, &used, NULL), HEARTH_OK);
    assert_true(used == rows[3].time);
    assert_sums(store, id);
    for (int64_t day = 10; day < 15; day++) { /* again and again, in the middle of a day */
        assert_int_equal(stored_usage_fold(store, day * DATE_DAY_MS + 5000, NULL), HEARTH_OK);
        assert_sums(store, id);
    }
    store_close(store);
    store = open_store("usage.db");
    assert_sums(store, id);
    assert_int_equal(stored_usage_add(store, rows, 1, NULL), HEARTH_OK); /* a late one */
    assert_int_equal(stored_usage_fold(store, 13 * DATE_DAY_MS, NULL), HEARTH_OK);
    assert_string_equal(sums(store, USAGE_BY_MODEL, NULL, 0),
                        "0 b() 0/2 20+11 14ms|0 a() 1/3 30+3 21ms|");
    store_close(store);
    scratch_clear();
}

static void settings_are_there_again(void **state) {
    char *value;
    (void)state;
    struct store *store = open_store("settings.db");
    assert_int_equal(stored_settings_get(store, "app", &value, NULL), HEARTH_OK);
    assert_null(value);
    assert_int_equal(stored_settings_put(store, "app", "{}", NULL), HEARTH_OK);
    assert_int_equal(stored_settings_put(store, "app", "{\"a\":1}", NULL), HEARTH_OK);
    assert_int_equal(stored_settings_put(store, "other", "x", NULL), HEARTH_OK);
    store_close(store);
    store = open_store("settings.db");
    assert_int_equal(stored_settings_get(store, "app", &value, NULL), HEARTH_OK);
    assert_string_equal(value, "{\"a\":1}");
    mem_free(value);
    store_close(store);
    scratch_clear();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_stay_when_days_are_folded),
        cmocka_unit_test(settings_are_there_again),
    };
    return cmocka_run_group_tests_name("store/usage", tests, scratch_open, scratch_close);
}
