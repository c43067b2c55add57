/* constraint_mask.h - which tokens a state allows, remembered.
 *
 * A walk through the vocabulary looks only at the top of the stacks of a state. So a mask is kept
 * for what the walk saw: the nodes of the state's places and as many frames below them as rules
 * ended, which other states share, however deep they are (the split of Dong et al. 2024, section
 * 3.1, found by watching). The least recently used mask makes room for a new one. */
#ifndef HEARTH_CHAT_CONSTRAINT_MASK_H
#define HEARTH_CHAT_CONSTRAINT_MASK_H

#include "chat/constraint_machine.h"
#include "chat/constraint_vocabulary.h"

enum { MASK_CACHE_BYTES = 32 << 20, MASK_MIN_KEPT = 16, MASK_MAX_KEPT = 4096 };

struct mask_cache;

hearth_status mask_cache_open(struct mask_cache **out, const struct constraint_vocabulary *v,
                              hearth_error *err);
void mask_cache_close(struct mask_cache *cache); /* NULL is fine */

/* Valid until the next call; NULL: no memory. */
const uint64_t *mask_of(struct mask_cache *cache, struct machine *m, uint32_t state);

#endif
