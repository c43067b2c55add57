#include "cli/prompt_cache.h"

#include <string.h>

#include "base/buf.h"
#include "route/local_backend.h"

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

void prompt_cache_read(struct prompt_cache *c, const struct request *request) {
    hearth_error err = {0};
    if (c->was_read) return;
    c->was_read = true;
    hearth_status status =
        local_backend_load_prefix(c->backend, request, c->settings->path, &c->complete, &err);
    if (status == HEARTH_OK || status == HEARTH_ERROR_NOT_FOUND) return;
    c->keep_file = status != HEARTH_ERROR_FORMAT;
    const char *fate = c->settings->read_only || c->keep_file ? "left as it is" : "made anew";
    fprintf(stderr, "hearth: the prompt is computed without its cache, which is %s: %s\n", fate,
            err.message);
}

static void save(struct prompt_cache *c, const struct request *request) {
    if (c->settings->read_only || c->keep_file) return;
    local_backend_save_prefix(c->backend, request, c->settings->path, &c->problem);
}

static void tell_problem(struct prompt_cache *c) {
    if (c->problem.code != HEARTH_OK)
        fprintf(stderr, "hearth: the prompt cache is not saved: %s\n", c->problem.message);
    c->problem.code = HEARTH_OK;
}

void prompt_cache_save_prompt(struct prompt_cache *c, const struct request *request) {
    if (c->was_saved) return;
    c->was_saved = true;
    if (!c->complete && !c->settings->all) save(c, request);
}

/* The request as it would go on: its messages and the answer, or its text and what followed. */
static void keep_last(struct prompt_cache *c, const struct request *request, const char *answer,
                      size_t n) {
    const char *text = json_string_value(json_array_get(request->inputs, 0));
    request_release(&c->last);
    request_init(&c->last);
    c->last.kind = request->kind;
    c->last.thinking = request->thinking;
    c->last.leaves_out_oldest = request->leaves_out_oldest;
    if (request->messages) {
        c->last.messages = json_copy(request->messages);
        json_array_append_new(c->last.messages,
                              json_pack("{s:s, s:s%}", "role", "assistant", "content", answer, n));
    } else if (text)
        c->last.inputs = json_pack("[s+%]", text, answer, n);
}

void prompt_cache_take_answer(struct prompt_cache *c, const struct request *request,
                              const char *answer, size_t n) {
    prompt_cache_save_prompt(c, request); /* also where nothing was said */
    if (c->settings->all) keep_last(c, request, answer, n);
    tell_problem(c);
}

void prompt_cache_finish(struct prompt_cache *c) {
    if (c->last.messages || c->last.inputs) save(c, &c->last);
    tell_problem(c);
    request_release(&c->last);
}
