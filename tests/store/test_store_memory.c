/* Whichever allocation fails, in Hearth, SQLite or jansson: the call says so, nothing half done is
 * there, and afterwards all goes on. */
#include "store/opened.h"

#include "store/database.h"
#include "store/failing_memory.h"
#include "store/stored_messages.h"
#include "store/stored_sessions.h"
#include "store/stored_settings.h"
#include "store/stored_usage.h"

enum { NOW = 1000 };

/* One after the other, until one fails. */
struct scene {
    struct store *store;
    char key[KEY_TEXT_BYTES], key_id[STORE_ID_BYTES], token[STORE_TOKEN_BYTES];
    char conversation[STORE_ID_BYTES], message[STORE_ID_BYTES];
    int seen;
};

static hearth_status see_message(void *context, const struct stored_message *message,
                                 hearth_error *err) {
    (void)message;
    (void)err;
    ++*(int *)context;
    return HEARTH_OK;
}

static hearth_status see_title(void *context, const struct stored_conversation *conversation,
                               hearth_error *err) {
    (void)conversation;
    (void)err;
    ++*(int *)context;
    return HEARTH_OK;
}

static hearth_status see_sum(void *context, const struct usage_sum *sum, hearth_error *err) {
    (void)sum;
    (void)err;
    ++*(int *)context;
    return HEARTH_OK;
}

static hearth_status sign_in(struct scene *s, hearth_error *err) {
    const struct stored_key key = {.name = "k", .admin = true, .created = NOW};
    struct key_holder holder;
    RETURN_IF_ERROR(stored_keys_add(s->store, &key, s->key_id, s->key, err));
    RETURN_IF_ERROR(stored_keys_check(s->store, s->key, NOW, &holder, err));
    RETURN_IF_ERROR(stored_sessions_add(s->store, &holder, NOW, 2 * NOW, s->token, err));
    RETURN_IF_ERROR(stored_sessions_check(s->store, s->token, NOW, &holder, err));
    return stored_keys_revoke(s->store, s->key_id, NOW, err);
}

static hearth_status talk(struct scene *s, hearth_error *err) {
    const struct stored_conversation empty = {.title = "words", .settings = "{}"};
    const struct conversation_query query = {.words = "words", .limit = 9};
    const struct message_change change = {.content = "other words"};
    struct stored_message message = {.role = "user", .content = "some words", .created = NOW};
    struct store *store = s->store;
    char id[STORE_ID_BYTES];
    RETURN_IF_ERROR(stored_conversations_add(store, "", &empty, s->conversation, err));
    RETURN_IF_ERROR(stored_messages_add(store, "", s->conversation, &message, s->message, err));
    message.parent = s->message;
    RETURN_IF_ERROR(stored_messages_add(store, "", s->conversation, &message, id, err));
    RETURN_IF_ERROR(stored_messages_change(store, "", s->conversation, id, &change, NOW, err));
    RETURN_IF_ERROR(stored_conversations_each(store, "", &query, see_title, &s->seen, err));
    RETURN_IF_ERROR(stored_messages_each(store, "", s->conversation, see_message, &s->seen, err));
    RETURN_IF_ERROR(stored_messages_remove(store, "", s->conversation, s->message, NOW, err));
    return stored_conversations_remove(store, "", s->conversation, err);
}

static hearth_status note(struct scene *s, hearth_error *err) {
    const struct usage_row row = {.time = NOW, .model = "m"};
    char *value = NULL;
    RETURN_IF_ERROR(stored_usage_add(s->store, &row, 1, err));
    RETURN_IF_ERROR(stored_usage_fold(s->store, INT64_MAX, err));
    RETURN_IF_ERROR(stored_usage_sum(s->store, USAGE_BY_DAY, NULL, 0, see_sum, &s->seen, err));
    RETURN_IF_ERROR(stored_settings_put(s->store, "a", "b", err));
    hearth_status status = stored_settings_get(s->store, "a", &value, err);
    mem_free(value);
    return status;
}

static hearth_status open_scene(struct scene *s, hearth_error *err) {
    return store_open(&s->store, scratch("memory.db"), err);
}

/* Without waiting for the disk, which is not what is tried here. */
static void open_hasty(struct scene *s) {
    hearth_error err = {0};
    assert_ok(open_scene(s, &err), &err);
    assert_ok(store_execute(s->store, "PRAGMA synchronous = OFF", &err), &err);
}

static hearth_status play(struct scene *s, hearth_error *err) {
    s->seen = 0;
    RETURN_IF_ERROR(sign_in(s, err));
    RETURN_IF_ERROR(talk(s, err));
    RETURN_IF_ERROR(note(s, err));
    assert_true(s->seen >= 1 + 2 + 1); /* and what a failure left */
    return HEARTH_OK;
}

static void assert_fair(hearth_status status, const hearth_error *err) {
    if (status != HEARTH_OK && status != HEARTH_ERROR_NO_MEMORY)
        fail_msg("status %d: %s", (int)status, err->message);
}

/* With every statement prepared before or, for `fresh`, none. */
static uint64_t fail_each(bool fresh) {
    struct scene scene = {0};
    hearth_error err = {0};
    uint64_t n = 1;
    if (!fresh) {
        open_hasty(&scene);
        assert_ok(play(&scene, &err), &err);
    }
    for (;; n = failing_next(n, 8)) {
        if (fresh) open_hasty(&scene);
        mem_fail_after(n);
        hearth_status status = play(&scene, &err);
        bool done = mem_fail_pending();
        mem_fail_after(0);
        assert_fair(status, &err);
        assert_ok(play(&scene, &err), &err); /* as if nothing had been */
        if (fresh) store_close(scene.store);
        if (done) break;
    }
    if (!fresh) store_close(scene.store);
    scratch_clear();
    return n;
}

static void prepared_statements(void **state) {
    (void)state;
    assert_true(fail_each(false) > 50);
}

static void fresh_statements(void **state) {
    (void)state;
    assert_true(fail_each(true) > 500);
}

static void opening(void **state) {
    struct scene scene = {0};
    hearth_error err = {0};
    (void)state;
    for (int there = 0; there < 2; there++) {
        bool done = false;
        for (uint64_t n = 1; !done; n = failing_next(n, there ? 5 : 3)) {
            if (!there) scratch_clear();
            mem_fail_after(n);
            hearth_status status = open_scene(&scene, &err);
            done = mem_fail_pending();
            mem_fail_after(0);
            assert_fair(status, &err);
            store_close(scene.store);
            assert_ok(open_scene(&scene, &err), &err);
            store_close(scene.store);
        }
    }
    scratch_clear();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prepared_statements),
        cmocka_unit_test(fresh_statements),
        cmocka_unit_test(opening),
    };
    if (!failing_memory_install()) return 1;
    return cmocka_run_group_tests_name("store/memory", tests, scratch_open, scratch_close);
}
