/* drafting.h - the options of the command line about speculation, and what they open. */
#ifndef HEARTH_CLI_DRAFTING_H
#define HEARTH_CLI_DRAFTING_H

#include "cli/engine.h"
#include "infer/session.h"
#include "infer/speculation.h"

struct drafting_settings {
    const char *model; /* of a second model; NULL: none */
    int type;
    int64_t most, least;
    double min_probability;
};

enum { DRAFTING_SPECS = 6 };

/* Puts the defaults into `settings` and fills the option entries; returns how many. */
size_t drafting_specs(struct drafting_settings *settings, struct option_spec specs[DRAFTING_SPECS]);
/* n_draft of the context to draft for. */
uint32_t drafting_n_draft(const struct drafting_settings *settings);
/* Whether that context is to be opened with `next`. */
bool drafting_uses_head(const struct drafting_settings *settings);

struct drafting {
    struct speculation *speculation; /* NULL: none */
    struct session *session;         /* of the draft model */
    struct engine engine;
};

/* For sessions of `engine`, with a draft model in the same way as the model. */
hearth_status drafting_open(struct drafting *drafting, const struct drafting_settings *settings,
                            const struct engine *engine, const struct engine_settings *model,
                            hearth_error *err);
void drafting_close(struct drafting *drafting);

#endif
