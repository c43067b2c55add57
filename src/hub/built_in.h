/* built_in.h - the model that comes with Hearth; private to the room.
 *
 * It is called "ember", and one file, ember.gguf, looked for in this order:
 *
 *   <Hearth's data folder>/ember.gguf           a user's own, in place of the one that came
 *   <folder of the program>/ember/ember.gguf    where Hearth is built
 *   <folder of the program>/../share/hearth/ember.gguf    where it is installed */
#ifndef HEARTH_HUB_BUILT_IN_H
#define HEARTH_HUB_BUILT_IN_H

#include "base/status.h"

extern const char built_in_name[];

/* The file, given; NULL when it is nowhere. */
char *built_in_find(void);
/* Says that it is nowhere, and what to do. */
hearth_status built_in_missing(hearth_error *err);

#endif
