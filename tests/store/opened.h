/* opened.h - a store in the scratch folder. */
#ifndef HEARTH_TESTS_OPENED_H
#define HEARTH_TESTS_OPENED_H

#include "format/scratch.h"

#include "store/store.h"

static inline struct store *open_store(const char *name) {
    struct store *store;
    hearth_error err = {0};
    assert_ok(store_open(&store, scratch(name), &err), &err);
    return store;
}

#endif
