#include "server/http_identity.h"

#include <stdio.h>
#include <string.h>

#include "base/date.h"
#include "server/http_parts.h"

/* A look into the store. */
struct look {
    struct asker_proof proof;
    struct asker *asker;
    int64_t now;
};

static hearth_status look(struct store *store, void *context, hearth_error *err) {
    struct look *l = context;
    return asker_find(store, &l->proof, l->now, l->asker, err);
}

static bool has_listed_keys(const struct http_server *server) {
    const struct key_check *keys = server->settings.keys;
    return keys && keys->any(keys->context);
}

static const char *key_in(const struct http_exchange *x) {
    const char *value = http_exchange_header(x, MHD_HTTP_HEADER_AUTHORIZATION);
    size_t n;
    const char *key = value ? auth_bearer(value, &n) : NULL;
    return key ? key : http_exchange_header(x, "x-api-key");
}

/* Blanks may follow a key. */
static size_t length_of(const char *key) {
    size_t n = strlen(key);
    while (n > 0 && key[n - 1] == ' ')
        n--;
    return n;
}

/* Keys of the command line may do everything. */
static void be_listed(struct http_exchange *x, enum asker_kind kind) {
    x->asker.kind = kind;
    x->asker.holder.admin = true;
    snprintf(x->asker.holder.id, sizeof x->asker.holder.id, "%.*s",
             (int)sizeof x->asker.holder.id - 1, x->key.id);
    snprintf(x->asker.holder.name, sizeof x->asker.holder.name, "%s", x->key.id);
}

bool http_identity_is_listed(struct http_exchange *x, const char *key) {
    const struct key_check *keys = x->server->settings.keys;
    if (!key || !keys || !keys->check(keys->context, key, length_of(key), &x->key)) return false;
    be_listed(x, ASKER_KEY);
    return true;
}

static const char *cookie_of(const struct http_exchange *x) {
    return MHD_lookup_connection_value(x->connection, MHD_COOKIE_KIND, HTTP_COOKIE);
}

static bool is_listed_session(struct http_exchange *x) {
    const uint8_t *secret = x->server->session_secret;
    const char *cookie = cookie_of(x);
    if (!cookie || !listed_session_check(secret, cookie, x->key.id)) return false;
    be_listed(x, ASKER_SESSION);
    listed_session_csrf(secret, x->key.id, x->asker.csrf);
    return true;
}

static uint32_t limit_of(int64_t limit) {
    return limit < 0 ? 0 : limit > UINT32_MAX ? UINT32_MAX : (uint32_t)limit;
}

static void take_holder(struct http_exchange *x) {
    const struct key_holder *holder = &x->asker.holder;
    snprintf(x->key.id, sizeof x->key.id, "%s", holder->id);
    x->key.limits = (struct key_limits){limit_of(holder->limits.requests_per_minute),
                                        limit_of(holder->limits.tokens_per_minute),
                                        limit_of(holder->limits.concurrent)};
}

static hearth_status look_into_store(struct http_exchange *x, const char *key, bool may_be_open,
                                     bool *wrong, hearth_error *err) {
    char text[KEY_MAX_BYTES + 1] = "";
    hearth_error problem = {0};
    struct look l = {.asker = &x->asker, .now = date_now_ms()};
    if (key && length_of(key) < sizeof text) memcpy(text, key, length_of(key));
    l.proof.key = key ? text : NULL;
    l.proof.cookie = cookie_of(x);
    l.proof.is_local = may_be_open;
    hearth_status status = store_pool_read(x->server->settings.store, look, &l, &problem);
    if (status == HEARTH_ERROR_NOT_FOUND) {
        *wrong = true;
        x->asker = (struct asker){.kind = ASKER_NONE};
        return HEARTH_OK;
    }
    if (status == HEARTH_OK && x->asker.kind != ASKER_LOCAL) take_holder(x);
    return status == HEARTH_OK ? status : error_set(err, status, "%s", problem.message);
}

hearth_status http_identity_find(struct http_exchange *x, bool *wrong, hearth_error *err) {
    const char *key = key_in(x);
    bool may_be_open = x->server->only_here && !has_listed_keys(x->server);
    *wrong = false;
    bool listed = http_identity_is_listed(x, key) || (!key && is_listed_session(x));
    if (!listed) {
        if (x->server->settings.store)
            RETURN_IF_ERROR(look_into_store(x, key, may_be_open, wrong, err));
        else if (may_be_open)
            x->asker.kind = ASKER_LOCAL;
        else
            *wrong = key != NULL;
    }
    x->needs_key = x->asker.kind != ASKER_LOCAL;
    x->has_key = x->asker.kind == ASKER_KEY || x->asker.kind == ASKER_SESSION;
    return HEARTH_OK;
}

uint64_t http_identity_client(const struct http_exchange *x) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (const char *id = x->asker.holder.id; *id; id++)
        hash = (hash ^ (unsigned char)*id) * UINT64_C(0x100000001b3);
    return x->has_key ? hash : 0;
}

hearth_status http_identity_any(struct http_server *server, bool *any, hearth_error *err) {
    struct asker asker = {0};
    struct look l = {.proof = {.is_local = true}, .asker = &asker, .now = date_now_ms()};
    *any = has_listed_keys(server);
    if (*any || !server->settings.store) return HEARTH_OK;
    RETURN_IF_ERROR(store_pool_read(server->settings.store, look, &l, err));
    *any = asker.kind != ASKER_LOCAL;
    return HEARTH_OK;
}
