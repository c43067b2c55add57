/* session.h - one timeline of tokens over a context.
 *
 * The caller hands the whole prefix it wants; the session keeps what is already
 * computed of it, forgets what differs and computes the rest.
 *
 * Drafted tokens are computed in one pass with the token before them, but they are not
 * part of the timeline: appending the token that was drafted only moves on to its row of
 * logits, appending another forgets the drafts that follow. So whoever drives a session
 * sees the same timelines and, as a row's arithmetic does not depend on its neighbours,
 * the same bits of logits with and without drafts.
 *
 * Invariants: (1) the cache holds the timeline tokens[0 .. length) and then `ahead` drafted
 * tokens; (2) the logits are those after the last token of the timeline (when has_logits);
 * (3) every call but session_append leaves nothing ahead. */
#ifndef HEARTH_INFER_SESSION_H
#define HEARTH_INFER_SESSION_H

#include "infer/context.h"

struct session;

/* `done` of `total` prompt tokens are computed; return false to stop. */
typedef bool (*session_progress)(void *context, uint32_t done, uint32_t total);

hearth_status session_open(struct session **out, struct context *context, uint32_t sequence,
                           hearth_error *err);
void session_close(struct session *session); /* NULL is fine; empties the sequence */

/* Makes the timeline equal to tokens[0 .. n), n >= 1. `reused` (nullable) receives how
 * many were there already. HEARTH_ERROR_LIMIT when n exceeds the context;
 * HEARTH_ERROR_CANCELLED when progress said so: what was computed stays. */
hearth_status session_set(struct session *session, const int32_t *tokens, uint32_t n,
                          session_progress progress, void *progress_context, uint32_t *reused,
                          hearth_error *err);
/* Extends the timeline by one token. */
hearth_status session_append(struct session *session, int32_t token, hearth_error *err);
/* The same, and computes up to session_draft_room drafts [n] that may follow. Also where
 * n is 0, a recurrent session can then go back to where it was before the token. */
hearth_status session_append_drafts(struct session *session, int32_t token, const int32_t *drafts,
                                    uint32_t n, hearth_error *err);
/* Whether session_append of this token has nothing to compute. */
bool session_is_ahead(const struct session *session, int32_t token);
uint32_t session_draft_room(const struct session *session);
/* Forgets what is drafted and not appended. */
void session_drop_drafts(struct session *session);
/* Forgets tokens from `length` on; there are no logits until the next is appended or set.
 * A recurrent session that cannot go back is emptied and false is returned. */
bool session_go_back(struct session *session, uint32_t length);
/* Makes room in a full context: keeps the first `keep` tokens and the newer half of
 * the rest, and computes that anew, so that what remains is exact for every family. */
hearth_status session_shift(struct session *session, uint32_t keep, hearth_error *err);
void session_clear(struct session *session);

const float *session_logits(const struct session *session); /* [n_vocab] */
const int32_t *session_tokens(const struct session *session, uint32_t *n);
uint32_t session_room(const struct session *session); /* positions left */
struct context *session_context(const struct session *session);

#endif
