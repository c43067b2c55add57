/* remove_tree.h - removes a folder with all that is in it. */
#ifndef HEARTH_BASE_REMOVE_TREE_H
#define HEARTH_BASE_REMOVE_TREE_H

#include "base/status.h"

enum { REMOVE_TREE_DEPTH = 16 };

/* Links are removed, never followed. What cannot be removed is an error; the rest is gone. A folder
 * that is not there is none. */
hearth_status remove_tree(const char *folder, hearth_error *err);

#endif
