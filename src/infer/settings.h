/* settings.h - the settings of a session by name, for callers that hold them as text. */
#ifndef HEARTH_INFER_SETTINGS_H
#define HEARTH_INFER_SETTINGS_H

#include "infer/context.h"
#include "infer/sampler.h"

struct settings {
    struct context_options context; /* n_draft: also what answers are drafted with */
    struct sampler_params sampler;
    uint32_t max_tokens; /* of an answer; 0: no limit */
};

void settings_init(struct settings *settings); /* the defaults */
/* Names are those of the command line, without dashes in front. */
hearth_status settings_set(struct settings *settings, const char *name, const char *value,
                           hearth_error *err);

#endif
