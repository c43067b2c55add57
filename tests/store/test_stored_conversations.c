/* Conversations, the trees of their messages, and finding them by words. */
#include "store/opened.h"

#include "store/database.h"
#include "store/stored_messages.h"

static hearth_error err;

static void ok(hearth_status status) {
    assert_ok(status, &err);
}

static const char *add(struct store *store, const char *owner, const char *title, int64_t now) {
    static char ids[16][STORE_ID_BYTES];
    static unsigned turn;
    char *id = ids[turn++ % 16];
    const struct stored_conversation conversation = {
        .title = title, .settings = "{\"a\":1}", .created = now, .updated = now};
    ok(stored_conversations_add(store, owner, &conversation, id, &err));
    return id;
}

static const char *say(struct store *store, const char *conversation, const char *parent,
                       const char *content, int64_t now) {
    static char ids[16][STORE_ID_BYTES];
    static unsigned turn;
    char *id = ids[turn++ % 16];
    const struct stored_message message = {
        .parent = parent, .role = "user", .content = content, .created = now};
    ok(stored_messages_add(store, "", conversation, &message, id, &err));
    return id;
}

/* What a visitor saw, as one line: titles, or contents with their parents. */
struct seen {
    char line[2048], last_id[STORE_ID_BYTES], settings[64], snippet[256], reasoning[64];
    int64_t updated;
    size_t count;
};

static hearth_status see_title(void *context, const struct stored_conversation *conversation,
                               hearth_error *e) {
    struct seen *seen = context;
    size_t used = strlen(seen->line);
    (void)e;
    snprintf(seen->line + used, sizeof seen->line - used, "%s|", conversation->title);
    snprintf(seen->last_id, sizeof seen->last_id, "%s", conversation->id);
    snprintf(seen->settings, sizeof seen->settings, "%s",
             conversation->settings ? conversation->settings : "");
    snprintf(seen->snippet, sizeof seen->snippet, "%s",
             conversation->snippet ? conversation->snippet : "");
    seen->updated = conversation->updated;
    seen->count++;
    return HEARTH_OK;
}

static hearth_status see_message(void *context, const struct stored_message *message,
                                 hearth_error *e) {
    struct seen *seen = context;
    size_t used = strlen(seen->line);
    (void)e;
    if (seen->count++ < 16)
        snprintf(seen->line + used, sizeof seen->line - used, "%s<%s|", message->content,
                 message->parent ? message->parent : "");
    snprintf(seen->reasoning, sizeof seen->reasoning, "%s",
             message->reasoning ? message->reasoning : "");
    return HEARTH_OK;
}

static struct seen look(struct store *store, const struct conversation_query *query) {
    struct seen seen = {0};
    ok(stored_conversations_each(store, "", query, see_title, &seen, &err));
    return seen;
}

static const char *found(struct store *store, const char *words) {
    static struct seen seen;
    seen = look(store, &(struct conversation_query){.words = words, .limit = 100});
    return seen.line;
}

static void conversations_are_listed_page_by_page(void **state) {
    struct seen seen;
    (void)state;
    struct store *store = open_store("c.db");
    const char *a = add(store, "", "a", 10);
    add(store, "", "b", 20);
    add(store, "", "c", 20); /* at the same moment */
    add(store, "", "d", 30);
    add(store, "other", "secret", 40);
    seen = look(store, &(struct conversation_query){.limit = 2});
    assert_string_equal(seen.line, "d|c|");
    seen = look(store, &(struct conversation_query){.before_id = seen.last_id, .limit = 2});
    assert_string_equal(seen.line, "b|a|");
    seen = look(store, &(struct conversation_query){.before = 20, .limit = 9});
    assert_string_equal(seen.line, "a|");
    say(store, a, NULL, "again", 50);
    seen = look(store, &(struct conversation_query){.words = " \t", .limit = 9});
    assert_string_equal(seen.line, "a|d|c|b|");
    const struct conversation_query lost = {.before_id = "nothing", .limit = 1};
    assert_int_equal(stored_conversations_each(store, "", &lost, see_title, &seen, &err),
                     HEARTH_ERROR_NOT_FOUND);
    store_close(store);
    scratch_clear();
}

static void conversations_change_and_go(void **state) {
    struct seen seen = {0};
    (void)state;
    struct store *store = open_store("c.db");
    const char *a = add(store, "", "old", 10), *b = add(store, "", "stays", 10);
    const char *root = say(store, a, NULL, "one", 11);
    say(store, a, root, "two", 12);
    ok(stored_conversations_change(store, "", a, "new", NULL, 20, &err));
    ok(stored_conversations_read(store, "", a, see_title, &seen, &err));
    assert_string_equal(seen.line, "new|");
    assert_string_equal(seen.settings, "{\"a\":1}");
    assert_true(seen.updated == 20);
    ok(stored_conversations_change(store, "", a, NULL, "{}", 15, &err));
    seen = (struct seen){0};
    ok(stored_conversations_read(store, "", a, see_title, &seen, &err));
    assert_string_equal(seen.settings, "{}");
    assert_true(seen.updated == 20); /* time does not go back */
    assert_string_equal(found(store, "old"), "");
    assert_string_equal(found(store, "new"), "new|");
    ok(stored_conversations_remove(store, "", a, &err));
    assert_string_equal(found(store, "one"), "");
    assert_string_equal(found(store, "new"), "");
    assert_int_equal(stored_conversations_remove(store, "", a, &err), HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(stored_messages_each(store, "", a, see_message, &seen, &err),
                     HEARTH_ERROR_NOT_FOUND);
    ok(stored_conversations_read(store, "", b, see_title, &seen, &err));
    store_close(store);
    scratch_clear();
}

static void nobody_reaches_what_is_anothers(void **state) {
    struct seen seen = {0};
    char id[STORE_ID_BYTES];
    const struct stored_message message = {.role = "user", .content = "x", .created = 1};
    const struct message_change change = {.content = "y"};
    (void)state;
    struct store *store = open_store("c.db");
    const char *a = add(store, "", "mine", 10), *m = say(store, a, NULL, "words", 11);
    assert_int_equal(stored_conversations_read(store, "you", a, see_title, &seen, &err),
                     HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(stored_conversations_change(store, "you", a, "t", NULL, 1, &err),
                     HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(stored_messages_add(store, "you", a, &message, id, &err),
                     HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(stored_messages_read(store, "you", a, m, see_message, &seen, &err),
                     HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(stored_messages_change(store, "you", a, m, &change, 1, &err),
                     HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(stored_messages_remove(store, "you", a, m, 1, &err), HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(stored_conversations_remove(store, "you", a, &err), HEARTH_ERROR_NOT_FOUND);
    const struct conversation_query query = {.words = "words", .limit = 9};
    ok(stored_conversations_each(store, "you", &query, see_title, &seen, &err));
    assert_int_equal(seen.count, 0);
    ok(stored_messages_read(store, "", a, m, see_message, &seen, &err));
    assert_string_equal(seen.line, "words<|");
    store_close(store);
    scratch_clear();
}

/* ---- trees --------------------------------------------------------------------------------------
 */

static void messages_are_a_tree(void **state) {
    struct seen seen = {0};
    char expected[512], id[STORE_ID_BYTES];
    (void)state;
    struct store *store = open_store("c.db");
    const char *a = add(store, "", "a", 1), *b = add(store, "", "b", 1);
    const char *q = say(store, a, NULL, "q", 2), *r1 = say(store, a, q, "r1", 3);
    const char *q2 = say(store, a, r1, "q2", 4), *r2 = say(store, a, q, "r2", 5);
    ok(stored_messages_each(store, "", a, see_message, &seen, &err));
    snprintf(expected, sizeof expected, "q<|r1<%s|q2<%s|r2<%s|", q, r1, q);
    assert_string_equal(seen.line, expected);
    const struct stored_message foreign = {
        .parent = q, .role = "user", .content = "x", .created = 6};
    assert_int_equal(stored_messages_add(store, "", b, &foreign, id, &err), HEARTH_ERROR_ARGUMENT);
    assert_int_equal(stored_messages_remove(store, "", b, q, 6, &err), HEARTH_ERROR_NOT_FOUND);
    ok(stored_messages_remove(store, "", a, r1, 6, &err)); /* and what follows it */
    assert_int_equal(stored_messages_read(store, "", a, q2, see_message, &seen, &err),
                     HEARTH_ERROR_NOT_FOUND);
    seen = (struct seen){0};
    ok(stored_messages_each(store, "", a, see_message, &seen, &err));
    snprintf(expected, sizeof expected, "q<|r2<%s|", q);
    assert_string_equal(seen.line, expected);
    ok(stored_messages_remove(store, "", a, q, 7, &err));
    seen = (struct seen){0};
    ok(stored_messages_each(store, "", a, see_message, &seen, &err));
    assert_int_equal(seen.count, 0);
    (void)r2;
    store_close(store);
    scratch_clear();
}

static void messages_change(void **state) {
    struct seen seen = {0};
    (void)state;
    struct store *store = open_store("c.db");
    const char *a = add(store, "", "a", 1), *m = say(store, a, NULL, "first words", 2);
    const struct message_change think = {.set_reasoning = true, .reasoning = "because"};
    const struct message_change speak = {.content = "second"};
    const struct message_change forget = {.set_reasoning = true, .set_meta = true};
    ok(stored_messages_change(store, "", a, m, &think, 3, &err));
    ok(stored_messages_change(store, "", a, m, &speak, 9, &err));
    ok(stored_messages_read(store, "", a, m, see_message, &seen, &err));
    assert_string_equal(seen.line, "second<|");
    assert_string_equal(seen.reasoning, "because");
    assert_string_equal(found(store, "first"), "");
    assert_string_equal(found(store, "second"), "a|");
    ok(stored_messages_change(store, "", a, m, &forget, 9, &err));
    ok(stored_messages_read(store, "", a, m, see_message, &seen, &err));
    assert_string_equal(seen.reasoning, "");
    store_close(store);
    scratch_clear();
}

/* Each message follows the one before: deeper than the database's own cascades go. */
static void a_long_branch(void **state) {
    enum { LENGTH = 5000 };
    struct stored_message *messages = mem_calloc(LENGTH, sizeof *messages);
    size_t *parents = mem_alloc_array(LENGTH, sizeof *parents);
    struct stored_conversation conversation = {
        .title = "long", .settings = "{}", .created = 1, .updated = 1};
    struct seen seen = {0};
    char id[STORE_ID_BYTES];
    (void)state;
    for (size_t i = 0; i < LENGTH; i++) {
        messages[i] = (struct stored_message){.role = "user", .content = "m", .created = 1};
        parents[i] = i == 0 ? SIZE_MAX : i - 1;
    }
    struct store *store = open_store("c.db");
    ok(stored_messages_import(store, "", &conversation, messages, parents, LENGTH, id, &err));
    ok(stored_messages_each(store, "", id, see_message, &seen, &err));
    assert_int_equal(seen.count, LENGTH);
    char *root = strchr(seen.line, '<') + 1; /* "m<|m<ROOT|…" */
    root = strchr(root, '<') + 1;
    root[STORE_ID_BYTES - 1] = '\0';
    ok(stored_messages_remove(store, "", id, root, 2, &err));
    seen = (struct seen){0};
    ok(stored_messages_each(store, "", id, see_message, &seen, &err));
    assert_int_equal(seen.count, 0);
    store_close(store);
    mem_free(messages);
    mem_free(parents);
    scratch_clear();
}

static void a_conversation_has_a_number_of_messages(void **state) {
    struct stored_message message = {.role = "user", .content = "m", .created = 1};
    char sql[100], last[STORE_ID_BYTES], more[STORE_ID_BYTES];
    (void)state;
    struct store *store = open_store("c.db");
    const char *a = add(store, "", "a", 1);
    snprintf(sql, sizeof sql, "UPDATE conversations SET n_messages = %d", STORED_MESSAGES_MAX - 1);
    ok(store_execute(store, sql, &err)); /* as if it had them */
    ok(stored_messages_add(store, "", a, &message, last, &err));
    assert_int_equal(stored_messages_add(store, "", a, &message, more, &err), HEARTH_ERROR_LIMIT);
    ok(stored_messages_remove(store, "", a, last, 2, &err));
    ok(stored_messages_add(store, "", a, &message, more, &err));
    const struct stored_conversation conversation = {.title = "", .settings = "{}"};
    assert_int_equal(stored_messages_import(store, "", &conversation, NULL, NULL,
                                            STORED_MESSAGES_MAX + 1, more, &err),
                     HEARTH_ERROR_LIMIT);
    store_close(store);
    scratch_clear();
}

static void a_conversation_has_a_size(void **state) {
    enum { PIECE = 8 << 20, PIECES = STORED_MESSAGES_MAX_BYTES / PIECE };
    char *piece = mem_alloc(PIECE + 1), id[STORE_ID_BYTES], last[STORE_ID_BYTES];
    (void)state;
    memset(piece, 'x', PIECE);
    piece[PIECE] = '\0';
    struct store *store = open_store("c.db");
    const char *a = add(store, "", "a", 1);
    struct stored_message message = {
        .role = "user", .content = "", .attachments = piece, .created = 1};
    for (int i = 0; i < PIECES; i++)
        ok(stored_messages_add(store, "", a, &message, last, &err));
    message = (struct stored_message){.role = "user", .content = "y", .created = 1};
    assert_int_equal(stored_messages_add(store, "", a, &message, id, &err), HEARTH_ERROR_LIMIT);
    struct message_change change = {.set_meta = true, .meta = "1"};
    assert_int_equal(stored_messages_change(store, "", a, last, &change, 1, &err),
                     HEARTH_ERROR_LIMIT);
    ok(stored_messages_remove(store, "", a, last, 1, &err));
    ok(stored_messages_add(store, "", a, &message, id, &err));
    store_close(store);
    mem_free(piece);
    scratch_clear();
}

/* ---- search -------------------------------------------------------------------------------------
 */

static void words_are_found(void **state) {
    (void)state;
    struct store *store = open_store("c.db");
    const char *a = add(store, "", "Cooking for two", 1), *b = add(store, "", "Travel", 2);
    const char *m = say(store, a, NULL, "How long must Kartoffelbrei rest?", 3);
    say(store, b, NULL, "Der Zug nach Zürich fährt um 9:15 ab", 4);
    say(store, b, NULL, "a potato in the train", 5);
    assert_string_equal(found(store, "cook"), "Cooking for two|");
    assert_string_equal(found(store, "KARTOFFEL"), "Cooking for two|");
    assert_string_equal(found(store, "zurich"), "Travel|");
    assert_string_equal(found(store, "zug 9:15"), "Travel|");
    assert_string_equal(found(store, "zug potato"), ""); /* not in one message */
    assert_string_equal(found(store, "o"), "");
    assert_string_equal(found(store, "must tra"), "");
    say(store, a, m, "tra la la, you must", 6);
    assert_string_equal(found(store, "must tra"), "Cooking for two|");
    assert_string_equal(found(store, "tra"), "Cooking for two|Travel|");
    struct seen seen = look(store, &(struct conversation_query){.words = "rest", .limit = 1});
    assert_contains(seen.snippet, "must Kartoffelbrei rest");
    seen = look(store, &(struct conversation_query){.words = "tra", .limit = 1});
    assert_string_equal(seen.line, "Cooking for two|");
    seen = look(
        store, &(struct conversation_query){.words = "tra", .before_id = seen.last_id, .limit = 1});
    assert_string_equal(seen.line, "Travel|");
    store_close(store);
    scratch_clear();
}

static void nothing_in_a_search_is_an_operator(void **state) {
    static const char *const hostile[] = {"\"",
                                          "\"\"",
                                          "a OR b",
                                          "a AND",
                                          "NOT a",
                                          "a NEAR b",
                                          "NEAR(a b, 2)",
                                          "title:a",
                                          "{title}:a",
                                          "(",
                                          ")",
                                          "a*",
                                          "*",
                                          "^a",
                                          "- a",
                                          "+",
                                          "!!! ???",
                                          "'; DROP TABLE",
                                          "\\",
                                          "a\"b\"c",
                                          "\xff\xfe",
                                          "\xe2\x80",
                                          "— – …",
                                          "a:b:c:d",
                                          "\x01\x02",
                                          "%_[a-z]"};
    (void)state;
    struct store *store = open_store("c.db");
    add(store, "", "OR", 1);
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++)
        found(store, hostile[i]);
    assert_string_equal(found(store, "or"), "OR|");
    assert_string_equal(found(store, "x OR y"), "");
    char words[4096] = "";
    for (size_t i = 0; i + 3 < sizeof words; i += 2)
        memcpy(words + i, "o ", 3);
    assert_string_equal(found(store, words), "OR|");
    store_close(store);
    scratch_clear();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conversations_are_listed_page_by_page),
        cmocka_unit_test(conversations_change_and_go),
        cmocka_unit_test(nobody_reaches_what_is_anothers),
        cmocka_unit_test(messages_are_a_tree),
        cmocka_unit_test(messages_change),
        cmocka_unit_test(a_long_branch),
        cmocka_unit_test(a_conversation_has_a_number_of_messages),
        cmocka_unit_test(a_conversation_has_a_size),
        cmocka_unit_test(words_are_found),
        cmocka_unit_test(nothing_in_a_search_is_an_operator),
    };
    return cmocka_run_group_tests_name("store/conversations", tests, scratch_open, scratch_close);
}
