/* key_row.h - the columns of a key that say what its holder may do. */
#ifndef HEARTH_STORE_KEY_ROW_H
#define HEARTH_STORE_KEY_ROW_H

#include "store/database.h"
#include "store/stored_keys.h"

#define KEY_HOLDER_COLUMNS                                                                         \
    "keys.id, keys.name, keys.admin, keys.expires, keys.requests_per_minute,"                      \
    " keys.tokens_per_minute, keys.concurrent"
#define KEY_IS_VALID_AT " keys.revoked IS NULL AND coalesce(keys.expires > ?2, 1)"

/* Takes the holder from the one row of a statement, and is done with it. HEARTH_ERROR_NOT_FOUND,
 * with `missing` as the message: there is none. */
hearth_status key_row_take(struct store *store, sqlite3_stmt *statement, const char *missing,
                           struct key_holder *holder, hearth_error *err);

#endif
