/* store.h - what Hearth remembers from one run of the program to the next, in one SQLite
 * database.
 *
 * Any number of processes may have it open: readers never wait (write-ahead log), a writer waits
 * for another one up to STORE_WAIT_S seconds. What a call has stored is on the disk when it
 * returns, and there whole or not at all however the process ends. A store is one thread's. */
#ifndef HEARTH_STORE_STORE_H
#define HEARTH_STORE_STORE_H

#include "base/status.h"

enum { STORE_WAIT_S = 10 };

struct store;

/* Opens the file, or makes it in a folder that exists, and brings tables of older versions up to
 * date. HEARTH_ERROR_FORMAT: the file is damaged, or is no database; it is left as it is.
 * HEARTH_ERROR_UNSUPPORTED: a newer Hearth made it. */
hearth_status store_open(struct store **out, const char *path, hearth_error *err);
void store_close(struct store *store); /* NULL is fine */

#endif
