/* /conversations: everything that can be asked, and what must not work. */
#include "server/asked.h"

#include "server/api_conversations.h"

/* Makes one; its id in a static buffer. */
static const char *make(const char *json) {
    static char id[64];
    json_t *made = asked(api_conversations, 201, "POST", "conversations", json);
    snprintf(id, sizeof id, "%s", text_in(made, "id"));
    json_decref(made);
    return id;
}

static const char *path(const char *format, const char *a, const char *b) {
    static char paths[4][256];
    static unsigned turn;
    char *out = paths[turn++ % 4];
    snprintf(out, sizeof paths[0], "conversations/%s%s%s", a, format, b);
    return out;
}

static const char *say(const char *conversation, const char *parent, const char *content) {
    static char ids[4][64];
    static unsigned turn;
    char json[512], quoted[80], *id = ids[turn++ % 4];
    snprintf(quoted, sizeof quoted, parent ? "'%s'" : "null", parent);
    snprintf(json, sizeof json, "{'parent':%s,'role':'user','content':'%s'}", quoted, content);
    json_t *made = asked(api_conversations, 201, "POST", path("/messages", conversation, ""), json);
    snprintf(id, sizeof ids[0], "%s", text_in(made, "id"));
    json_decref(made);
    return id;
}

static void a_conversation_comes_and_goes(void **state) {
    (void)state;
    asked_open();
    const char *id = make("{'title':'Tea','settings':{'model':'ember','t':[0.5]}}");
    const char *q = say(id, NULL, "How hot?"), *a;
    json_t *said = asked(api_conversations, 201, "POST", path("/messages", id, ""),
                         "{'parent':null,'role':'assistant','content':'80 degrees',"
                         "'reasoning':'hm','attachments':[{'name':'a.txt','text':'x'}],"
                         "'meta':{'tokens':3}}");
    a = text_in(said, "id");
    json_t *whole = asked(api_conversations, 200, "GET", path("", id, ""), NULL);
    assert_string_equal(text_in(whole, "title"), "Tea");
    assert_string_equal(text_in(json_object_get(whole, "settings"), "model"), "ember");
    assert_string_equal(text_in(whole, "created"), "2026-01-01T00:00:00.001Z");
    assert_string_equal(text_in(whole, "updated"), "2026-01-01T00:00:00.003Z");
    const json_t *messages = json_object_get(whole, "messages");
    assert_int_equal(json_array_size(messages), 2);
    const json_t *first = json_array_get(messages, 0), *second = json_array_get(messages, 1);
    assert_string_equal(text_in(first, "id"), q);
    assert_true(json_is_null(json_object_get(first, "parent")));
    assert_null(json_object_get(first, "reasoning"));
    assert_string_equal(text_in(second, "id"), a);
    assert_string_equal(text_in(second, "reasoning"), "hm");
    assert_int_equal(json_array_size(json_object_get(second, "attachments")), 1);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(second, "meta"), "tokens")),
                     3);
    json_decref(whole);
    json_decref(said);
    json_decref(asked(api_conversations, 200, "PATCH", path("", id, ""), "{'title':'Green tea'}"));
    json_t *list = asked(api_conversations, 200, "GET", "conversations", NULL);
    const json_t *rows = json_object_get(list, "conversations");
    assert_int_equal(json_array_size(rows), 1);
    assert_string_equal(text_in(json_array_get(rows, 0), "title"), "Green tea");
    json_decref(list);
    json_decref(asked(api_conversations, 200, "DELETE", path("", id, ""), NULL));
    refused(api_conversations, 404, NULL, "GET", path("", id, ""), NULL);
    refused(api_conversations, 404, NULL, "DELETE", path("", id, ""), NULL);
    asked_close();
}

static void messages_change_and_go(void **state) {
    (void)state;
    asked_open();
    const char *id = make("{}"), *q = say(id, NULL, "q"), *r = say(id, q, "r");
    json_t *changed = asked(api_conversations, 200, "PATCH", path("/messages/", id, r),
                            "{'content':'better','meta':{'rated':1}}");
    assert_string_equal(text_in(changed, "content"), "better");
    assert_string_equal(text_in(changed, "parent"), q);
    assert_non_null(json_object_get(changed, "meta"));
    json_decref(changed);
    changed = asked(api_conversations, 200, "PATCH", path("/messages/", id, r), "{'meta':null}");
    assert_null(json_object_get(changed, "meta"));
    json_decref(changed);
    json_decref(asked(api_conversations, 200, "DELETE", path("/messages/", id, q), NULL));
    json_t *whole = asked(api_conversations, 200, "GET", path("", id, ""), NULL);
    assert_int_equal(json_array_size(json_object_get(whole, "messages")), 0);
    json_decref(whole);
    refused(api_conversations, 404, NULL, "DELETE", path("/messages/", id, q), NULL);
    asked_close();
}

static void lists_have_pages_and_a_search(void **state) {
    char before[128];
    (void)state;
    asked_open();
    for (int i = 0; i < 3; i++)
        make(i == 1 ? "{'title':'the middle'}" : "{'title':'another'}");
    json_t *list = asked(api_conversations, 200, "GET", "conversations?limit=1", NULL);
    const json_t *row = json_array_get(json_object_get(list, "conversations"), 0);
    snprintf(before, sizeof before, "conversations?limit=5&before=%s", text_in(row, "id"));
    json_t *next = asked(api_conversations, 200, "GET", before, NULL);
    assert_int_equal(json_array_size(json_object_get(next, "conversations")), 2);
    json_decref(next);
    snprintf(before, sizeof before, "conversations?before=%s", text_in(row, "updated"));
    next = asked(api_conversations, 200, "GET", before, NULL);
    assert_int_equal(json_array_size(json_object_get(next, "conversations")), 2);
    json_decref(next);
    json_decref(list);
    say(make("{}"), NULL, "find me in the hay");
    list = asked(api_conversations, 200, "GET", "conversations?q=hay", NULL);
    row = json_array_get(json_object_get(list, "conversations"), 0);
    assert_contains(text_in(row, "snippet"), "find me");
    json_decref(list);
    refused(api_conversations, 400, "limit", "GET", "conversations?limit=0", NULL);
    refused(api_conversations, 400, "limit", "GET", "conversations?limit=201", NULL);
    refused(api_conversations, 400, "limit", "GET", "conversations?limit=1x", NULL);
    refused(api_conversations, 400, "limit", "GET", "conversations?limit=-1", NULL);
    refused(api_conversations, 404, NULL, "GET", "conversations?before=2026-13-01", NULL);
    char *longest = mem_calloc(1, QUERY_MAX_BYTES + 32);
    memset(longest, 'x', QUERY_MAX_BYTES + 20);
    memcpy(longest, "conversations?q=", 16);
    refused(api_conversations, 413, "q", "GET", longest, NULL);
    mem_free(longest);
    asked_close();
}

static void a_conversation_travels_as_a_file(void **state) {
    (void)state;
    asked_open();
    const char *id = make("{'title':'Tea','settings':{'a':1}}");
    const char *q = say(id, NULL, "q"), *r = say(id, q, "r1");
    say(id, r, "more");
    say(id, q, "r2");
    json_t *file = asked(api_conversations, 200, "GET", path("/export", id, ""), NULL);
    assert_string_equal(text_in(file, "format"), "hearth-conversation");
    struct api_answer answer = ask_json(api_conversations, "POST", "conversations/import", file);
    assert_int_equal(answer.status, 201);
    assert_string_not_equal(text_in(answer.body, "id"), id);
    json_t *copy =
        asked(api_conversations, 200, "GET", path("", text_in(answer.body, "id"), ""), NULL);
    assert_string_equal(text_in(copy, "title"), "Tea");
    assert_string_equal(text_in(copy, "created"), text_in(file, "created"));
    const json_t *old = json_object_get(file, "messages"), *new = json_object_get(copy, "messages");
    assert_int_equal(json_array_size(new), 4);
    static const size_t parents[] = {9, 0, 1, 0};
    for (size_t i = 0; i < 4; i++) {
        const json_t *m = json_array_get(new, i), *parent = json_object_get(m, "parent");
        assert_string_equal(text_in(m, "content"), text_in(json_array_get(old, i), "content"));
        assert_string_not_equal(text_in(m, "id"), text_in(json_array_get(old, i), "id"));
        if (i > 0)
            assert_string_equal(json_string_value(parent),
                                text_in(json_array_get(new, parents[i]), "id"));
        else
            assert_true(json_is_null(parent));
    }
    json_decref(copy);
    json_decref(file);
    api_answer_release(&answer);
    asked_close();
}

#define IMPORT "{'format':'hearth-conversation','version':1,'messages':["
static void damaged_files_are_refused(void **state) {
    static const struct {
        int status;
        const char *field, *json;
    } cases[] = {
        {400, "messages", "{'format':'hearth-conversation','version':1}"},
        {400, "format", "{'format':'x','version':1,'messages':[]}"},
        {400, "format", "{'format':'hearth-conversation','version':2,'messages':[]}"},
        {400, "version", "{'format':'hearth-conversation','version':'1','messages':[]}"},
        {400, "messages", "{'format':'hearth-conversation','version':1,'messages':{}}"},
        {400, "settings",
         "{'format':'hearth-conversation','version':1,'messages':[],'settings':[]}"},
        {400, "created",
         "{'format':'hearth-conversation','version':1,'messages':[],'created':'yesterday'}"},
        {400, NULL, IMPORT "3]}"},
        {400, "messages[0].id", IMPORT "{'parent':null,'role':'user','content':''}]}"},
        {400, "role", IMPORT "{'id':'1','parent':null,'role':'king','content':''}]}"},
        {400, "messages", IMPORT "{'id':'1','parent':'1','role':'user','content':''}]}"},
        {400, "messages",
         IMPORT "{'id':'1','parent':'2','role':'user','content':''},"
                "{'id':'2','parent':null,'role':'user','content':''}]}"},
        {400, "messages",
         IMPORT "{'id':'1','parent':null,'role':'user','content':''},"
                "{'id':'1','parent':null,'role':'user','content':''}]}"},
        {400, "messages[1].content",
         IMPORT "{'id':'1','parent':null,'role':'user','content':''},"
                "{'id':'2','parent':null,'role':'user','content':[]}]}"},
    };
    (void)state;
    asked_open();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(api_conversations, cases[i].status, cases[i].field, "POST", "conversations/import",
                cases[i].json);
    refused(api_conversations, 400, NULL, "POST", "conversations/import", NULL);
    refused(api_conversations, 405, NULL, "GET", "conversations/import", NULL);
    json_t *list = asked(api_conversations, 200, "GET", "conversations", NULL);
    assert_int_equal(json_array_size(json_object_get(list, "conversations")), 0);
    json_decref(list);
    asked_close();
}

static void wrong_fields_are_named(void **state) {
    static const struct {
        const char *field, *json;
    } messages[] = {
        {"parent", "{'role':'user','content':'x'}"},
        {"parent", "{'parent':3,'role':'user','content':'x'}"},
        {"parent", "{'parent':'nothing','role':'user','content':'x'}"},
        {"role", "{'parent':null,'content':'x'}"},
        {"role", "{'parent':null,'role':null,'content':'x'}"},
        {"role", "{'parent':null,'role':'root','content':'x'}"},
        {"content", "{'parent':null,'role':'user'}"},
        {"content", "{'parent':null,'role':'user','content':['x']}"},
        {"reasoning", "{'parent':null,'role':'user','content':'x','reasoning':true}"},
        {"attachments", "{'parent':null,'role':'user','content':'x','attachments':{}}"},
        {"meta", "{'parent':null,'role':'user','content':'x','meta':'{}'}"},
        {"id", "{'parent':null,'role':'user','content':'x','id':'mine'}"},
        {NULL, "[]"},
        {NULL, "'x'"},
        {NULL, NULL},
    };
    (void)state;
    asked_open();
    refused(api_conversations, 400, "title", "POST", "conversations", "{'title':1}");
    refused(api_conversations, 400, "title", "POST", "conversations", "{'title':null}");
    refused(api_conversations, 400, "settings", "POST", "conversations", "{'settings':'x'}");
    refused(api_conversations, 400, "owner", "POST", "conversations", "{'owner':'me'}");
    refused(api_conversations, 400, NULL, "POST", "conversations", NULL);
    const char *id = make("{}"), *where = path("/messages", id, "");
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++)
        refused(api_conversations, 400, messages[i].field, "POST", where, messages[i].json);
    const char *one = path("/messages/", id, say(id, NULL, "x"));
    refused(api_conversations, 400, "role", "PATCH", one, "{'role':'user'}");
    refused(api_conversations, 400, "content", "PATCH", one, "{'content':null}");
    refused(api_conversations, 405, NULL, "GET", one, NULL);
    refused(api_conversations, 405, NULL, "GET", where, NULL);
    refused(api_conversations, 405, NULL, "PUT", path("", id, ""), "{}");
    refused(api_conversations, 405, NULL, "DELETE", "conversations", NULL);
    refused(api_conversations, 405, NULL, "POST", path("/export", id, ""), "{}");
    refused(api_conversations, 404, NULL, "GET", path("/else", id, ""), NULL);
    refused(api_conversations, 404, NULL, "GET", path("/messages/a/b", id, ""), NULL);
    asked_close();
}

/* Just as long as it may be, and a byte longer. */
static void texts_have_a_longest_length(void **state) {
    (void)state;
    asked_open();
    const char *id = make("{}");
    for (int more = 0; more < 2; more++) {
        json_t *title = json_object(), *message = json_pack("{s:n, s:s}", "parent", "role", "user");
        char *text = mem_calloc(1, MESSAGE_MAX_BYTES + 2);
        memset(text, 'x', (size_t)MESSAGE_MAX_BYTES + (size_t)more);
        json_object_set_new(message, "content", json_string(text));
        text[TITLE_MAX_BYTES + more] = '\0';
        json_object_set_new(title, "title", json_string(text));
        struct api_answer a = ask_json(api_conversations, "POST", "conversations", title);
        struct api_answer b =
            ask_json(api_conversations, "POST", path("/messages", id, ""), message);
        assert_int_equal(a.status, more ? 413 : 201);
        assert_int_equal(b.status, more ? 413 : 201);
        api_answer_release(&a);
        api_answer_release(&b);
        json_decref(title);
        json_decref(message);
        mem_free(text);
    }
    json_t *nul = json_pack("{s:o}", "title", json_stringn("a\0b", 3));
    struct api_answer a = ask_json(api_conversations, "POST", "conversations", nul);
    assert_int_equal(a.status, 400);
    api_answer_release(&a);
    json_decref(nul);
    asked_close();
}

static void others_see_nothing(void **state) {
    (void)state;
    asked_open();
    const char *id = make("{'title':'mine'}"), *m = say(id, NULL, "x");
    asked_by = (struct asker){.kind = ASKER_KEY, .holder = {.id = "someone"}};
    refused(api_conversations, 404, NULL, "GET", path("", id, ""), NULL);
    refused(api_conversations, 404, NULL, "GET", path("/export", id, ""), NULL);
    refused(api_conversations, 404, NULL, "PATCH", path("", id, ""), "{'title':'yours'}");
    refused(api_conversations, 404, NULL, "DELETE", path("/messages/", id, m), NULL);
    json_t *list = asked(api_conversations, 200, "GET", "conversations", NULL);
    assert_int_equal(json_array_size(json_object_get(list, "conversations")), 0);
    json_decref(list);
    asked_by.holder.admin = true; /* whoever looks after the server has what was there before */
    json_decref(asked(api_conversations, 200, "GET", path("", id, ""), NULL));
    asked_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_conversation_comes_and_goes),
        cmocka_unit_test(messages_change_and_go),
        cmocka_unit_test(lists_have_pages_and_a_search),
        cmocka_unit_test(a_conversation_travels_as_a_file),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(wrong_fields_are_named),
        cmocka_unit_test(texts_have_a_longest_length),
        cmocka_unit_test(others_see_nothing),
    };
    return cmocka_run_group_tests_name("server/api_conversations", tests, scratch_open,
                                       scratch_close);
}
