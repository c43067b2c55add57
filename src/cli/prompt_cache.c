#include "cli/prompt_cache.h"

#include <string.h>

#include "infer/session_file.h"

size_t prompt_cache_specs(struct prompt_cache_settings *s,
                          struct option_spec specs[PROMPT_CACHE_SPECS]) {
    const struct option_spec own[PROMPT_CACHE_SPECS] = {
        {.name = "prompt-cache",
         .argument = "FILE",
         .help = "keep what is computed of the first prompt in a file, and begin with what the "
                 "file has of it",
         .type = OPTION_STRING,
         .string = &s->path},
        {.name = "prompt-cache-all",
         .help = "keep the answers, too, at the end",
         .type = OPTION_FLAG,
         .flag = &s->all},
        {.name = "prompt-cache-ro",
         .help = "read the prompt cache, but do not write it",
         .type = OPTION_FLAG,
         .flag = &s->read_only},
    };
    memcpy(specs, own, sizeof own);
    return PROMPT_CACHE_SPECS;
}

void prompt_cache_read(struct prompt_cache *c, struct session *session, const int32_t *prompt,
                       uint32_t n_prompt) {
    uint32_t shared;
    hearth_error err = {0};
    if (c->was_read) return;
    c->was_read = true;
    hearth_status status =
        session_load(session, c->settings->path, prompt, n_prompt, &shared, &err);
    c->n_missing = n_prompt - shared;
    if (status == HEARTH_OK || status == HEARTH_ERROR_NOT_FOUND) return;
    c->keep_file = status != HEARTH_ERROR_FORMAT;
    const char *fate = c->settings->read_only || c->keep_file ? "left as it is" : "made anew";
    fprintf(stderr, "hearth: the prompt is computed without its cache, which is %s: %s\n", fate,
            err.message);
}

static void save(const struct prompt_cache *c, struct session *session) {
    hearth_error err = {0};
    if (c->settings->read_only || c->keep_file) return;
    if (session_save(session, c->settings->path, &err) != HEARTH_OK)
        fprintf(stderr, "hearth: the prompt cache is not saved: %s\n", err.message);
}

void prompt_cache_save_prompt(struct prompt_cache *c, struct session *session) {
    if (c->was_saved) return;
    c->was_saved = true;
    if (c->n_missing > 0 && !c->settings->all) save(c, session);
}

void prompt_cache_save_all(struct prompt_cache *c, struct session *session) {
    if (c->settings->all && session_has_logits(session)) save(c, session);
}
