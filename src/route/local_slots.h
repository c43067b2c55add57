/* local_slots.h - what the places of a model's answers computed last, under numbers as llama.cpp's
 * server gives them: kept in files, and taken back.
 *
 * A place only remembers tokens. What is computed of them is the scheduler's, for whichever prompt
 * begins so, and goes when others need its memory. Any thread. */
#ifndef HEARTH_ROUTE_LOCAL_SLOTS_H
#define HEARTH_ROUTE_LOCAL_SLOTS_H

#include "route/backend.h"
#include "route/local_model.h"

struct local_slots;

hearth_status local_slots_open(struct local_slots **out, uint32_t n_slots, hearth_error *err);
void local_slots_close(struct local_slots *slots); /* NULL is fine */

/* From now on the place has these tokens, computed with these adapters; takes `tokens` (mem_free),
 * forgets them where there is no such place. */
void local_slots_keep(struct local_slots *slots, uint32_t number, int32_t *tokens,
                      uint32_t n_tokens, const struct adapter_set *adapters);

/* As backend_slot. */
hearth_status local_slots_call(struct local_model *model, const struct backend_slot *slot,
                               json_t *out, hearth_error *err);

#endif
