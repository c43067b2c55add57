/* short_names.h - names such as "llama3.2:1b" for well-known GGUF repositories. */
#ifndef HEARTH_HUB_SHORT_NAMES_H
#define HEARTH_HUB_SHORT_NAMES_H

#include <stdbool.h>
#include <stddef.h>

struct short_name {
    const char *name; /* "family:size" */
    const char *repo;
    bool is_default; /* what "family" alone, or "family:latest", means */
};

extern const struct short_name short_names[];
extern const size_t n_short_names;

/* Finds "family", "family:latest", "family:size" and "family:size[-instruct]-quant";
 * `quant` receives the last, or "". NULL when it is none of them. */
const struct short_name *short_name_find(const char *text, char *quant, size_t quant_size);

#endif
