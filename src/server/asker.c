#include "server/asker.h"

#include <sodium.h>
#include <string.h>

static hearth_status find_session(struct store *store, const char *token, int64_t now,
                                  struct asker *asker, hearth_error *err) {
    RETURN_IF_ERROR(stored_sessions_check(store, token, now, &asker->holder, err));
    stored_sessions_csrf(store, token, asker->csrf);
    asker->kind = ASKER_SESSION;
    return HEARTH_OK;
}

static hearth_status find_nobody(struct store *store, bool is_local, int64_t now,
                                 struct asker *asker, hearth_error *err) {
    struct key_counts counts;
    RETURN_IF_ERROR(stored_keys_count(store, now, &counts, err));
    if (is_local && counts.all == 0) asker->kind = ASKER_LOCAL;
    return HEARTH_OK;
}

hearth_status asker_find(struct store *store, const struct asker_proof *proof, int64_t now,
                         struct asker *asker, hearth_error *err) {
    *asker = (struct asker){.kind = ASKER_NONE};
    /* Without keys nothing can be wrong about one: clients that must send some send any. */
    RETURN_IF_ERROR(find_nobody(store, proof->is_local, now, asker, err));
    if (asker->kind == ASKER_LOCAL) return HEARTH_OK;
    if (proof->key) {
        RETURN_IF_ERROR(stored_keys_check(store, proof->key, now, &asker->holder, err));
        asker->kind = ASKER_KEY;
    } else if (proof->cookie) {
        return find_session(store, proof->cookie, now, asker, err);
    }
    return HEARTH_OK;
}

bool asker_may_change(const struct asker *asker, const char *csrf) {
    if (asker->kind != ASKER_SESSION) return asker->kind != ASKER_NONE;
    return csrf && strlen(csrf) == sizeof asker->csrf - 1 &&
           sodium_memcmp(csrf, asker->csrf, sizeof asker->csrf - 1) == 0;
}

bool asker_is_admin(const struct asker *asker) {
    return asker->kind == ASKER_LOCAL || (asker->kind != ASKER_NONE && asker->holder.admin);
}

const char *asker_owner(const struct asker *asker) {
    return asker_is_admin(asker) ? "" : asker->holder.id;
}
