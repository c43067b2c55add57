/* Keys, sessions, and the secret that their hashes depend on. */
#include "store/opened.h"

#include <sys/stat.h>

#include "store/stored_sessions.h"

enum { NOW = 1000000 };

struct made {
    char id[STORE_ID_BYTES], text[KEY_TEXT_BYTES];
};

static struct made make_key(struct store *store, const char *name, bool admin, int64_t expires) {
    struct made made;
    hearth_error err = {0};
    const struct stored_key key = {
        .name = name, .admin = admin, .created = NOW, .expires = expires, .limits = {60, 0, 2}};
    assert_ok(stored_keys_add(store, &key, made.id, made.text, &err), &err);
    return made;
}

static hearth_status check(struct store *store, const char *text, int64_t now,
                           struct key_holder *holder) {
    return stored_keys_check(store, text, now, holder, NULL);
}

struct seen {
    size_t count;
    char ids[8][STORE_ID_BYTES];
    int64_t last_used;
};

static hearth_status see(void *context, const struct stored_key *key, hearth_error *err) {
    struct seen *seen = context;
    (void)err;
    assert_int_equal(strlen(key->shown), KEY_SHOWN_BYTES - 1);
    snprintf(seen->ids[seen->count++], STORE_ID_BYTES, "%s", key->id);
    if (key->last_used > seen->last_used) seen->last_used = key->last_used;
    return HEARTH_OK;
}

static void a_key_is_known_again(void **state) {
    struct key_holder holder;
    struct seen seen = {0};
    (void)state;
    struct store *store = open_store("keys.db");
    assert_int_equal(check(store, "sk-hearth-nothing", NOW, &holder), HEARTH_ERROR_NOT_FOUND);
    struct made first = make_key(store, "first", true, 0);
    struct made second = make_key(store, "second", false, NOW + 10);
    assert_string_not_equal(first.text, second.text);
    assert_memory_equal(first.text, "sk-hearth-", 10);
    store_close(store);
    store = open_store("keys.db");
    assert_int_equal(check(store, first.text, NOW, &holder), HEARTH_OK);
    assert_string_equal(holder.id, first.id);
    assert_string_equal(holder.name, "first");
    assert_true(holder.admin && holder.expires == 0);
    assert_true(holder.limits.requests_per_minute == 60 && holder.limits.tokens_per_minute == 0 &&
                holder.limits.concurrent == 2);
    assert_int_equal(check(store, second.text, NOW + 9, &holder), HEARTH_OK);
    assert_false(holder.admin);
    assert_int_equal(stored_keys_touch(store, second.id, NOW + 5, NULL), HEARTH_OK);
    assert_int_equal(stored_keys_touch(store, second.id, NOW + 3, NULL), HEARTH_OK);
    assert_int_equal(stored_keys_each(store, false, see, &seen, NULL), HEARTH_OK);
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.ids[0], first.id);
    assert_true(seen.last_used == NOW + 5);
    store_close(store);
    scratch_clear();
}

static void a_wrong_key_is_not(void **state) {
    struct key_holder holder;
    (void)state;
    struct store *store = open_store("keys.db");
    struct made made = make_key(store, "a", true, 0);
    for (size_t i = 0; i < KEY_TEXT_BYTES; i++) { /* one changed byte, and one cut off */
        char kept = made.text[i];
        made.text[i] = i < KEY_TEXT_BYTES - 1 ? '!' : 'A';
        if (i < KEY_TEXT_BYTES - 1)
            assert_int_equal(check(store, made.text, NOW, &holder), HEARTH_ERROR_NOT_FOUND);
        made.text[i] = '\0';
        if (i < KEY_TEXT_BYTES - 1)
            assert_int_equal(check(store, made.text, NOW, &holder), HEARTH_ERROR_NOT_FOUND);
        made.text[i] = kept;
    }
    assert_int_equal(check(store, made.text, NOW, &holder), HEARTH_OK);
    store_close(store);
    scratch_clear();
}

static void a_key_ends(void **state) {
    struct key_holder holder;
    struct key_counts counts;
    struct seen seen = {0};
    (void)state;
    struct store *store = open_store("keys.db");
    struct made late = make_key(store, "late", true, NOW + 10);
    struct made gone = make_key(store, "gone", true, 0);
    assert_int_equal(check(store, late.text, NOW + 10, &holder), HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(stored_keys_revoke(store, gone.id, NOW, NULL), HEARTH_OK);
    assert_int_equal(stored_keys_revoke(store, gone.id, NOW, NULL), HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(stored_keys_revoke(store, "' OR 1 --", NOW, NULL), HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(check(store, gone.text, NOW, &holder), HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(stored_keys_count(store, NOW + 10, &counts, NULL), HEARTH_OK);
    assert_true(counts.all == 1 && counts.admins == 0);
    assert_int_equal(stored_keys_each(store, true, see, &seen, NULL), HEARTH_OK);
    assert_int_equal(seen.count, 2);
    seen = (struct seen){0};
    assert_int_equal(stored_keys_each(store, false, see, &seen, NULL), HEARTH_OK);
    assert_int_equal(seen.count, 1);
    store_close(store);
    scratch_clear();
}

/* ---- sessions ---------------------------------------------------------------------------------
 */

static void sessions_begin_and_end(void **state) {
    struct key_holder holder, who;
    char token[STORE_TOKEN_BYTES], other[STORE_TOKEN_BYTES];
    char csrf[STORE_TOKEN_BYTES], other_csrf[STORE_TOKEN_BYTES];
    (void)state;
    struct store *store = open_store("keys.db");
    assert_int_equal(stored_sessions_check(store, "x", NOW, &who, NULL), HEARTH_ERROR_NOT_FOUND);
    struct made made = make_key(store, "a", true, NOW + 50);
    assert_int_equal(check(store, made.text, NOW, &holder), HEARTH_OK);
    assert_int_equal(stored_sessions_add(store, &holder, NOW, NOW + 20, token, NULL), HEARTH_OK);
    assert_int_equal(stored_sessions_add(store, &holder, NOW, NOW + 99, other, NULL), HEARTH_OK);
    assert_int_equal(stored_sessions_check(store, token, NOW + 19, &who, NULL), HEARTH_OK);
    assert_string_equal(who.id, made.id);
    stored_sessions_csrf(store, token, csrf);
    stored_sessions_csrf(store, other, other_csrf);
    assert_string_not_equal(csrf, other_csrf);
    assert_string_not_equal(csrf, token);
    assert_int_equal(stored_sessions_check(store, token, NOW + 20, &who, NULL),
                     HEARTH_ERROR_NOT_FOUND);
    /* Not longer than its key. */
    assert_int_equal(stored_sessions_check(store, other, NOW + 49, &who, NULL), HEARTH_OK);
    assert_int_equal(stored_sessions_check(store, other, NOW + 50, &who, NULL),
                     HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(stored_sessions_remove(store, other, NULL), HEARTH_OK);
    assert_int_equal(stored_sessions_check(store, other, NOW, &who, NULL), HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(stored_keys_revoke(store, made.id, NOW, NULL), HEARTH_OK);
    assert_int_equal(stored_sessions_check(store, token, NOW, &who, NULL), HEARTH_ERROR_NOT_FOUND);
    store_close(store);
    scratch_clear();
}

static void the_oldest_session_makes_room(void **state) {
    struct key_holder holder;
    char first[STORE_TOKEN_BYTES], second[STORE_TOKEN_BYTES], token[STORE_TOKEN_BYTES];
    (void)state;
    struct store *store = open_store("keys.db");
    struct made made = make_key(store, "a", true, 0);
    assert_int_equal(check(store, made.text, NOW, &holder), HEARTH_OK);
    for (int i = 0; i <= SESSIONS_MAX_PER_KEY; i++) {
        assert_int_equal(stored_sessions_add(store, &holder, NOW + i, 2 * NOW, token, NULL),
                         HEARTH_OK);
        if (i == 0) memcpy(first, token, sizeof token);
        if (i == 1) memcpy(second, token, sizeof token);
    }
    assert_int_equal(stored_sessions_check(store, first, NOW, &holder, NULL),
                     HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(stored_sessions_check(store, second, NOW, &holder, NULL), HEARTH_OK);
    store_close(store);
    scratch_clear();
}

/* ---- the secret -------------------------------------------------------------------------------
 */

static void the_secret_is_private_and_needed(void **state) {
    struct key_holder holder;
    struct stat info;
    struct made made;
    hearth_error err = {0};
    char text[KEY_TEXT_BYTES], id[STORE_ID_BYTES];
    (void)state;
    struct store *store = open_store("keys.db");
    assert_false(file_exists(scratch("keys.db.secret")));
    made = make_key(store, "a", true, 0);
    assert_int_equal(stat(scratch("keys.db.secret"), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(stat(scratch("keys.db"), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    store_close(store);

    store = open_store("keys.db");
    assert_int_equal(chmod(scratch("keys.db.secret"), 0644), 0);
    assert_int_equal(stored_keys_check(store, made.text, NOW, &holder, &err), HEARTH_ERROR_FORMAT);
    assert_contains(err.message, "chmod 600");
    assert_int_equal(chmod(scratch("keys.db.secret"), 0600), 0);
    assert_int_equal(rename(scratch("keys.db.secret"), scratch("kept")), 0);
    assert_int_equal(stored_keys_check(store, made.text, NOW, &holder, &err), HEARTH_ERROR_FORMAT);
    assert_contains(err.message, "is missing");
    const struct stored_key key = {.name = "b", .created = NOW};
    assert_int_equal(stored_keys_add(store, &key, id, text, &err), HEARTH_ERROR_FORMAT);
    assert_false(file_exists(scratch("keys.db.secret")));

    struct store *other = open_store("other.db");
    make_key(other, "c", true, 0);
    store_close(other);
    assert_int_equal(rename(scratch("other.db.secret"), scratch("keys.db.secret")), 0);
    assert_int_equal(stored_keys_check(store, made.text, NOW, &holder, &err), HEARTH_ERROR_FORMAT);
    assert_contains(err.message, "is not the one");
    assert_int_equal(rename(scratch("kept"), scratch("keys.db.secret")), 0);
    assert_int_equal(check(store, made.text, NOW, &holder), HEARTH_OK);
    store_close(store);
    scratch_clear();
}

/* Whoever reads the database finds no key in it, and no token. */
static void nothing_secret_is_in_the_database(void **state) {
    struct key_holder holder;
    char token[STORE_TOKEN_BYTES], *data;
    size_t size;
    (void)state;
    struct store *store = open_store("keys.db");
    struct made made = make_key(store, "findable", true, 0);
    assert_int_equal(check(store, made.text, NOW, &holder), HEARTH_OK);
    assert_int_equal(stored_sessions_add(store, &holder, NOW, 2 * NOW, token, NULL), HEARTH_OK);
    store_close(store); /* and so all is in one file */
    assert_int_equal(file_read(scratch("keys.db"), 1 << 24, &data, &size, NULL), HEARTH_OK);
    assert_non_null(memmem(data, size, "findable", 8));
    assert_null(memmem(data, size, made.text + KEY_SHOWN_BYTES, 20));
    assert_null(memmem(data, size, token, 20));
    mem_free(data);
    scratch_clear();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_known_again),
        cmocka_unit_test(a_wrong_key_is_not),
        cmocka_unit_test(a_key_ends),
        cmocka_unit_test(sessions_begin_and_end),
        cmocka_unit_test(the_oldest_session_makes_room),
        cmocka_unit_test(the_secret_is_private_and_needed),
        cmocka_unit_test(nothing_secret_is_in_the_database),
    };
    return cmocka_run_group_tests_name("store/keys", tests, scratch_open, scratch_close);
}
