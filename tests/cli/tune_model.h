/* tune_model.h - a tiny model and data for it, made by the program: tuned in a second. */
#ifndef HEARTH_TESTS_CLI_TUNE_MODEL_H
#define HEARTH_TESTS_CLI_TUNE_MODEL_H

#include <jansson.h>

#include "program.h"

/* Writes model.gguf, without a chat template, and data.jsonl into the test's folder, which
 * becomes the working folder. For cmocka's group set-up. */
int tune_model_set_up(void **state);

/* What every run of the tests has in common: small steps, one thread. */
#define TUNE "tune", "model.gguf", "-t", "1", "--batch-tokens", "128", "--step-tokens", "128"

/* In a run's folder: nothing but what was trained. */
#define TRAINED "adapter/adapter_model.safetensors"

void tune_put(const char *name, const char *text);
char *tune_read(const char *path); /* given: mem_free */
void assert_contains(const char *text, const char *part);
/* run.json of a run's folder, given. */
json_t *tune_run_of(const char *folder);
void assert_same_bytes(const char *a, const char *b);
/* log.jsonl has each step from 1 to `steps` once, in order. */
void assert_whole_log(const char *folder, int steps);

#endif
