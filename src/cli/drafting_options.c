#include "cli/drafting_options.h"

#include <string.h>

size_t drafting_specs(struct drafting_settings *s, struct option_spec specs[DRAFTING_SPECS]) {
    drafting_settings_init(s);
    const struct option_spec own[DRAFTING_SPECS] = {
        {.type = OPTION_HEADING, .help = "Speculation (faster, same answer)"},
        {.name = "spec-type",
         .argument = "TYPE",
         .help =
             "who guesses the next tokens: ngram looks them up in what was said, draft asks "
             "the draft model, mtp the model's own heads for further tokens (default: draft where "
             "there is a draft model, else ngram)",
         .type = OPTION_CHOICE,
         .choices = "auto|none|ngram|draft|mtp",
         .choice = &s->type},
        {.name = "model-draft",
         .aliases = "-md",
         .argument = "MODEL",
         .help = "a small model of the same vocabulary, as draft model",
         .type = OPTION_STRING,
         .string = &s->model},
        {.name = "draft-max",
         .aliases = "draft draft-n",
         .argument = "N",
         .help = "tokens guessed at once, at most (default: 15)",
         .type = OPTION_INT,
         .least = 0,
         .most = DRAFT_MAX,
         .integer = &s->most},
        {.name = "draft-min",
         .aliases = "draft-n-min",
         .argument = "N",
         .help = "guess so many even where that does not seem to pay (default: 0)",
         .type = OPTION_INT,
         .least = 0,
         .most = DRAFT_MAX,
         .integer = &s->least},
        {.name = "draft-p-min",
         .argument = "P",
         .help = "least probability of what a draft model or a head guesses (default: 0.5)",
         .type = OPTION_FLOAT,
         .least = 0,
         .most = 1,
         .number = &s->min_probability},
    };
    memcpy(specs, own, sizeof own);
    return DRAFTING_SPECS;
}
