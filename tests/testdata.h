/* testdata.h - where the golden data is, and skipping by name without it. */
#ifndef HEARTH_TESTS_TESTDATA_H
#define HEARTH_TESTS_TESTDATA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/file.h"

/* The path of a file or folder of the golden data in a static buffer; skips the
 * running test, saying which path was missing, when it is not there. */
static inline const char *testdata(const char *name) {
    static char paths[8][4096];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    const char *root = getenv("HEARTH_TESTDATA"), *source = getenv("HEARTH_SOURCE_ROOT");
    if (root && *root)
        snprintf(path, sizeof paths[0], "%s/%s", root, name);
    else
        snprintf(path, sizeof paths[0], "%s/../shared/testdata/%s", source ? source : ".", name);
    if (!file_exists(path)) {
        print_message("[  SKIPPED ] golden data '%s' is not there\n", path);
        skip();
    }
    return path;
}

#endif
