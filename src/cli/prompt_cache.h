/* prompt_cache.h - a file that keeps what was computed of a prompt for the next run.
 *
 * A cache saves time and is never a reason to fail: what cannot be read or written is said
 * on stderr, and the run goes on. A file that someone may still want is not overwritten:
 * neither what is no prompt cache nor the cache of another model. */
#ifndef HEARTH_CLI_PROMPT_CACHE_H
#define HEARTH_CLI_PROMPT_CACHE_H

#include "cli/options.h"
#include "infer/session.h"

struct prompt_cache_settings {
    const char *path; /* NULL: no cache */
    bool all;         /* save the answer, too */
    bool read_only;
};

enum { PROMPT_CACHE_SPECS = 3 };

/* Fills option entries; returns how many. */
size_t prompt_cache_specs(struct prompt_cache_settings *settings,
                          struct option_spec specs[PROMPT_CACHE_SPECS]);

struct prompt_cache {
    const struct prompt_cache_settings *settings; /* borrowed */
    bool was_read, was_saved, keep_file;
    uint32_t n_missing; /* tokens of the first prompt that the file did not have */
};

/* In this order, each as often as there are prompts; the first of them counts. */
void prompt_cache_read(struct prompt_cache *cache, struct session *session, const int32_t *prompt,
                       uint32_t n_prompt);
void prompt_cache_save_prompt(struct prompt_cache *cache, struct session *session);
/* When no more prompts come. */
void prompt_cache_save_all(struct prompt_cache *cache, struct session *session);

#endif
