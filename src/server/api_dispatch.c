#include "server/api_dispatch.h"

#include <string.h>

#include "server/api_conversations.h"
#include "server/api_keys.h"
#include "server/api_session.h"
#include "server/api_settings.h"
#include "server/api_usage.h"

struct place {
    const char *word;
    api_handler handler;
    bool open; /* also to those who have shown no key */
};
static const struct place places[] = {
    {"conversations", api_conversations, false},
    {"keys", api_keys, false},
    {"session", api_session, true},
    {"settings", api_settings, false},
    {"usage", api_usage, false},
};

static const struct place *find(const char *word) {
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (strcmp(places[i].word, word) == 0) return &places[i];
    return NULL;
}

bool api_dispatch_knows(const char *word) {
    return find(word) != NULL;
}

/* Signing in is no change that another site could want: it would need a key. */
static bool may(const struct place *place, const struct api_request *request, const char *csrf,
                struct api_answer *answer) {
    bool known = request->asker->kind != ASKER_NONE;
    bool changes = !api_method_is(request, "GET") && !api_method_is(request, "HEAD");
    if (!known && !place->open)
        api_fail(answer, 401, NULL, "a key is needed: 'Authorization: Bearer KEY'");
    else if (known && changes && !asker_may_change(request->asker, csrf) &&
             !(place->open && api_method_is(request, "POST")))
        api_fail(answer, 403, NULL, "the header X-Hearth-CSRF must have what GET /session gives");
    else
        return true;
    return false;
}

void api_dispatch(struct store_pool *pool, const struct api_request *request, const char *csrf,
                  struct api_answer *answer) {
    const struct place *place = find(request->parts[0]);
    *answer = (struct api_answer){0};
    if (!place)
        api_fail_place(answer);
    else if (may(place, request, csrf, answer))
        api_call(pool, place->handler, request, answer);
}
