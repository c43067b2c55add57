/* drafting.h - who guesses the next tokens of answers, as settings say. */
#ifndef HEARTH_ROUTE_DRAFTING_H
#define HEARTH_ROUTE_DRAFTING_H

#include "infer/scheduler.h"
#include "infer/session.h"
#include "infer/speculation.h"
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
    const struct engine *target;     /* that is drafted for */
    struct speculation *speculation; /* NULL: none, or a scheduler has its own */
    struct session *session;         /* of the draft model */
    struct engine engine;            /* likewise */
    struct scheduler_drafting scheduled;
};

/* For sessions of `engine`, which is borrowed, with a draft model in the same way as the model. */
hearth_status drafting_open(struct drafting *drafting, const struct drafting_settings *settings,
                            const struct engine *engine, const struct engine_settings *model,
                            hearth_error *err);
/* The same for a scheduler over the engine's context: *out is what its options take, NULL where
 * nothing drafts, and must not be moved nor closed before the scheduler. Lookup and heads draft
 * for every answer, a draft model for one at a time. */
hearth_status drafting_open_scheduled(struct drafting *drafting,
                                      const struct drafting_settings *settings,
                                      const struct engine *engine,
                                      const struct engine_settings *model,
                                      const struct scheduler_drafting **out, hearth_error *err);
void drafting_close(struct drafting *drafting); /* a zeroed one is fine */

#endif
