/* option_list.h - the values of an option that may be given several times, in their order. */
#ifndef HEARTH_BASE_OPTION_LIST_H
#define HEARTH_BASE_OPTION_LIST_H

#include <stddef.h>

enum { OPTION_LIST_MAX = 64 };

struct option_list {
    const char *items[OPTION_LIST_MAX]; /* borrowed */
    size_t count;
};

#endif
