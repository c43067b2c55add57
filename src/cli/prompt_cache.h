/* prompt_cache.h - a file that keeps what was computed of a prompt for the next run.
 *
 * A cache saves time and is never a reason to fail: what cannot be read or written is said
 * on stderr, and the run goes on. A file that someone may still want is not overwritten:
 * neither what is no prompt cache nor the cache of another model. */
#ifndef HEARTH_CLI_PROMPT_CACHE_H
#define HEARTH_CLI_PROMPT_CACHE_H

#include "cli/options.h"
#include "route/backend.h"

struct prompt_cache_settings {
    const char *path; /* NULL: no cache */
    bool all;         /* save the answers, too */
    bool read_only;
};

enum { PROMPT_CACHE_SPECS = 3 };

/* Fills option entries; returns how many. */
size_t prompt_cache_specs(struct prompt_cache_settings *settings,
                          struct option_spec specs[PROMPT_CACHE_SPECS]);

struct prompt_cache {
    const struct prompt_cache_settings *settings; /* borrowed */
    struct backend *backend;                      /* a local one; borrowed */
    bool was_read, was_saved, keep_file;
    bool complete;        /* the file has all of the first prompt */
    struct request last;  /* with its answer; zeroed: none */
    hearth_error problem; /* of saving, which is said when the answer is over */
};

/* Before a request is answered; the first one counts. */
void prompt_cache_read(struct prompt_cache *cache, const struct request *request);
/* When it is computed; while it is being answered. */
void prompt_cache_save_prompt(struct prompt_cache *cache, const struct request *request);
/* When that is over, with what was said. */
void prompt_cache_take_answer(struct prompt_cache *cache, const struct request *request,
                              const char *answer, size_t n);
/* When no more prompts come: releases what it holds. */
void prompt_cache_finish(struct prompt_cache *cache);

#endif
