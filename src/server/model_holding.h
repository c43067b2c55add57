/* model_holding.h - asks the backend to have a model in memory, or no longer; private to the room.
 */
#ifndef HEARTH_SERVER_MODEL_HOLDING_H
#define HEARTH_SERVER_MODEL_HOLDING_H

#include "server/http_task.h"

/* Waits until it is loaded. From then on it stays, until others need its memory. */
hearth_status model_holding_load(struct http_task *task, const char *name, hearth_error *err);
/* The same, but it goes again when its time is over, as after an answer. */
hearth_status model_holding_wake(struct http_task *task, const char *name, hearth_error *err);
/* It goes as soon as it no longer answers; `*in_use`: it still does. */
hearth_status model_holding_unload(struct http_task *task, const char *name, bool *in_use,
                                   hearth_error *err);

#endif
