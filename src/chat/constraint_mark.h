/* constraint_mark.h - texts of a form inside free text, each of which begins with a mark: which
 * tokens would go on beyond the end of a mark in a way that the form does not allow.
 *
 * They are found once, through the sorted vocabulary; while free text is written, only what stands
 * at its end is compared with the beginnings of the marks. */
#ifndef HEARTH_CHAT_CONSTRAINT_MARK_H
#define HEARTH_CHAT_CONSTRAINT_MARK_H

#include "chat/constraint_vocabulary.h"

struct mark_watch;

/* Whether `rest` may follow the mark. */
typedef bool (*mark_follower)(void *context, const char *mark, const char *rest, size_t n_rest);

/* Borrows the vocabulary and the marks; calls `may_follow` only here. */
hearth_status mark_watch_open(struct mark_watch **out, const struct constraint_vocabulary *v,
                              const char *const *marks, size_t n_marks, mark_follower may_follow,
                              void *context, hearth_error *err);
void mark_watch_close(struct mark_watch *watch); /* NULL is fine */

/* As constraint_allowed_before says. */
const uint64_t *mark_watch_allowed(struct mark_watch *watch, const char *before, size_t n);

#endif
