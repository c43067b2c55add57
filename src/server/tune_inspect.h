/* tune_inspect.h - what a file of examples is: its format, what is wrong with it, line by line, and
 * some of it as a model will see it, with what is trained marked. */
#ifndef HEARTH_SERVER_TUNE_INSPECT_H
#define HEARTH_SERVER_TUNE_INSPECT_H

#include <jansson.h>

#include "base/status.h"

enum {
    INSPECT_SAMPLES = 8,
    INSPECT_PROBLEMS = 50,
    INSPECT_SAMPLE_BYTES = 8000, /* of a sample's text; the rest is left out */
    INSPECT_RECORDS = 2000       /* whose tokens are counted, to find what would be dropped */
};

/* {"format", "n_records", "problems": [{"line", "message"}], "samples": [{"spans": [{"text",
 * "trained"}]}]}, given. `model`: the path of the one whose template and vocabulary write the
 * samples; one without a vocabulary, or NULL, has them written in ChatML. HEARTH_ERROR_FORMAT: the
 * file is nothing that can be trained on. Takes long for large files. */
hearth_status tune_inspect(const char *path, const char *model, json_t **out, hearth_error *err);

#endif
