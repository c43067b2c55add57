/* drafting.h - who guesses the next tokens of answers, as settings say. */
#ifndef HEARTH_ROUTE_DRAFTING_H
#define HEARTH_ROUTE_DRAFTING_H

#include "infer/scheduler.h"
#include "infer/session.h"
#include "route/engine.h"

enum drafting_type { DRAFTING_AUTO, DRAFTING_NONE, DRAFTING_NGRAM, DRAFTING_MODEL, DRAFTING_MTP };

struct drafting_settings {
    const char *model; /* of a second model; NULL: none */
    int type;          /* enum drafting_type */
    int64_t most, least;
    double min_probability;
};

/* As without options: from the text itself, or by the draft model where there is one. */
void drafting_settings_init(struct drafting_settings *settings);
/* n_draft of the context to draft for. */
uint32_t drafting_n_draft(const struct drafting_settings *settings);
/* Whether that context is to be opened with `next`. */
bool drafting_uses_head(const struct drafting_settings *settings);

struct drafting {
    int type; /* enum drafting_type, in force */
    float min_probability;
    const struct engine *target; /* that is drafted for */
    struct session *session;     /* of the draft model */
    struct engine engine;        /* likewise */
    struct scheduler_drafting scheduled;
};

/* For a scheduler over the context of `engine`, which is borrowed, with a draft model in the same
 * way as the model. *out is what the scheduler's options take, NULL where nothing drafts; it is
 * neither moved nor closed before the scheduler. Lookup and heads draft for every answer, a draft
 * model for one at a time. */
hearth_status drafting_open(struct drafting *drafting, const struct drafting_settings *settings,
                            const struct engine *engine, const struct engine_settings *model,
                            const struct scheduler_drafting **out, hearth_error *err);
void drafting_close(struct drafting *drafting); /* a zeroed one is fine */

#endif
