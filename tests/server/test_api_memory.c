/* Whichever allocation fails: the answer is 503 or what it should be, a failure has changed
 * nothing, and the next request is answered. */
#include "server/asked.h"

#include "server/api_conversations.h"
#include "server/api_keys.h"
#include "server/api_session.h"
#include "server/api_settings.h"
#include "server/api_usage.h"
#include "store/failing_memory.h"

static char conversation[64], message[64];

static void copy_id(json_t *made, char out[64]) {
    snprintf(out, 64, "%s", text_in(made, "id"));
    json_decref(made);
}

static const char *path(const char *end) {
    static char paths[2][256];
    static unsigned turn;
    char *out = paths[turn++ % 2];
    snprintf(out, sizeof paths[0], "conversations/%s%s", conversation, end);
    return out;
}

static void begin(void) {
    char json[256];
    asked_open();
    copy_id(asked(api_conversations, 201, "POST", "conversations", "{'title':'a'}"), conversation);
    copy_id(asked(api_conversations, 201, "POST", path("/messages"),
                  "{'parent':null,'role':'user','content':'some words'}"),
            message);
    snprintf(json, sizeof json,
             "{'parent':'%s','role':'assistant','content':'x','reasoning':'y','meta':{'a':1},"
             "'attachments':[1]}",
             message);
    json_decref(asked(api_conversations, 201, "POST", path("/messages"), json));
}

static size_t count(api_handler handler, const char *target, const char *name) {
    json_t *body = asked(handler, 200, "GET", target, NULL);
    size_t n = json_array_size(json_object_get(body, name));
    json_decref(body);
    return n;
}

/* What requests could have changed, as one number. */
static size_t state_of_all(void) {
    return count(api_conversations, "conversations?limit=200", "conversations") +
           100 * count(api_conversations, path(""), "messages") +
           10000 * count(api_keys, "keys?revoked=1", "keys");
}

static void fail_each(api_handler handler, int status, const char *method, const char *where,
                      const char *json) {
    char target[256];
    snprintf(target, sizeof target, "%s", where);
    for (uint64_t n = 1;; n = failing_next(n, 5)) {
        size_t before = state_of_all();
        char *text = json ? mem_strdup(json) : NULL;
        for (char *at = text; at && *at; at++)
            if (*at == '\'') *at = '"';
        json_t *body = text ? json_loads(text, 0, NULL) : NULL;
        mem_fail_after(n);
        struct api_answer answer = ask_json(handler, method, target, body);
        bool done = mem_fail_pending();
        mem_fail_after(0);
        if (answer.status != status && answer.status != 503)
            fail_msg("%s %s: status %d when allocation %d failed", method, target, answer.status,
                     (int)n);
        if (answer.status == 503) assert_int_equal(state_of_all(), before);
        if (answer.status == status) assert_non_null(answer.body);
        api_answer_release(&answer);
        json_decref(body);
        mem_free(text);
        if (done) break;
    }
}

static void conversations(void **state) {
    (void)state;
    begin();
    fail_each(api_conversations, 200, "GET", "conversations?q=words", NULL);
    fail_each(api_conversations, 200, "GET", path(""), NULL);
    fail_each(api_conversations, 200, "GET", path("/export"), NULL);
    fail_each(api_conversations, 201, "POST", "conversations", "{'title':'b','settings':{'a':1}}");
    fail_each(api_conversations, 200, "PATCH", path(""), "{'title':'c','settings':{}}");
    fail_each(api_conversations, 201, "POST", path("/messages"),
              "{'parent':null,'role':'user','content':'x','meta':{'a':[1,2]}}");
    fail_each(api_conversations, 201, "POST", "conversations/import",
              "{'format':'hearth-conversation','version':1,'messages':["
              "{'id':'1','parent':null,'role':'user','content':'a'},"
              "{'id':'2','parent':'1','role':'user','content':'b'}]}");
    fail_each(api_conversations, 404, "GET", "conversations/nothing", NULL);
    fail_each(api_conversations, 400, "POST", "conversations", "{'title':[]}");
    asked_close();
}

static void the_others(void **state) {
    (void)state;
    begin();
    fail_each(api_keys, 201, "POST", "keys", "{'name':'k','limits':{'concurrent':2}}");
    fail_each(api_keys, 200, "GET", "keys", NULL);
    fail_each(api_session, 401, "POST", "session", "{'key':'sk-hearth-wrong'}");
    fail_each(api_session, 200, "GET", "session", NULL);
    fail_each(api_settings, 200, "PUT", "settings", "{'a':1}");
    fail_each(api_settings, 200, "GET", "settings", NULL);
    fail_each(api_usage, 200, "GET", "usage?by=day", NULL);
    asked_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conversations),
        cmocka_unit_test(the_others),
    };
    if (!failing_memory_install()) return 1;
    return cmocka_run_group_tests_name("server/api_memory", tests, scratch_open, scratch_close);
}
