/* stored_usage.h - what requests used: a row for each, and after a time one for each day, key and
 * model. Days are those of UTC; times are milliseconds since 1970. */
#ifndef HEARTH_STORE_STORED_USAGE_H
#define HEARTH_STORE_STORED_USAGE_H

#include <stddef.h>

#include "store/store_secret.h"

enum { USAGE_MODEL_BYTES = 192, USAGE_ENDPOINT_BYTES = 64 };

struct usage_row {
    int64_t time;                                                  /* at which it ended */
    char key[STORE_ID_BYTES];                                      /* "": none was needed */
    char model[USAGE_MODEL_BYTES], endpoint[USAGE_ENDPOINT_BYTES]; /* longer ones are cut */
    int32_t status; /* of HTTP; 400 and up are failures */
    int64_t prompt_tokens, answer_tokens;
    int64_t queue_ms, prompt_ms, answer_ms;
};

/* All or none; notes also when their keys were used. */
hearth_status stored_usage_add(struct store *store, const struct usage_row *rows, size_t count,
                               hearth_error *err);
/* Rows of days that ended before `before` become one for each day, key and model. */
hearth_status stored_usage_fold(struct store *store, int64_t before, hearth_error *err);

enum usage_by { USAGE_BY_DAY, USAGE_BY_KEY, USAGE_BY_MODEL };

struct usage_sum {
    int64_t day;       /* since 1970; BY_DAY */
    const char *name;  /* BY_KEY: the key's id; BY_MODEL */
    const char *title; /* BY_KEY: the key's name, or NULL */
    int64_t requests, failures, prompt_tokens, answer_tokens;
    int64_t busy_ms; /* of prompts and answers together */
};
/* A failure of the visitor ends it, and is returned. */
typedef hearth_status (*usage_visit)(void *context, const struct usage_sum *sum, hearth_error *err);
/* The last day first, the most used key or model first; of one key (NULL: of all), from the day
 * of `since` on. */
hearth_status stored_usage_sum(struct store *store, enum usage_by by, const char *key,
                               int64_t since, usage_visit visit, void *context, hearth_error *err);

#endif
