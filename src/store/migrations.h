/* migrations.h - the tables, version by version. */
#ifndef HEARTH_STORE_MIGRATIONS_H
#define HEARTH_STORE_MIGRATIONS_H

#include "store/store.h"

/* Brings the tables to the present version, in one transaction. HEARTH_ERROR_UNSUPPORTED: they
 * are of a later one. */
hearth_status store_migrate(struct store *store, hearth_error *err);

#endif
