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

enum { TEST_SKIPPED = 77 }; /* what a program of tests returns that could do nothing */

/* The path of a file or folder of the golden data in a static buffer. */
static inline const char *testdata_path(const char *name) {
    static char paths[8][4096];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    const char *root = getenv("HEARTH_TESTDATA"), *source = getenv("HEARTH_SOURCE_ROOT");
    if (root && *root)
        snprintf(path, sizeof paths[0], "%s/%s", root, name);
    else
        snprintf(path, sizeof paths[0], "%s/../shared/testdata/%s", source ? source : ".", name);
    return path;
}

/* Says so where a path is missing. */
static inline bool testdata_has(const char *path) {
    if (file_exists(path)) return true;
    print_message("[  SKIPPED ] golden data '%s' is not there\n", path);
    return false;
}

/* Whether a file or folder is there. For what is set up before tests run, where nothing can be
 * skipped: then main returns TEST_SKIPPED. */
static inline bool testdata_is_there(const char *name) {
    return testdata_has(testdata_path(name));
}

/* The path of a file or folder of the golden data in a static buffer; skips the
 * running test, saying which path was missing, when it is not there. */
static inline const char *testdata(const char *name) {
    const char *path = testdata_path(name);
    if (!testdata_has(path)) skip();
    return path;
}

#endif
