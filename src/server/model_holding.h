/* model_holding.h - asks the backend to have a model in memory, or no longer; private to the room.
 */
#ifndef HEARTH_SERVER_MODEL_HOLDING_H
#define HEARTH_SERVER_MODEL_HOLDING_H

#include "server/http_task.h"

/* Waits until it is loaded. From then on it stays, until others need its memory. */
hearth_status model_holding_load(struct http_task *task, const char *name, hearth_error *err);
/* Calls `use` while it is loaded, with the name it goes by; what that returns, or why it cannot be
 * loaded. `name`: NULL is the backend's own. It stays as long as after an answer. */
hearth_status model_holding_use(struct http_task *task, const char *name,
                                hearth_status (*use)(void *context, const char *name,
                                                     hearth_error *err),
                                void *context, hearth_error *err);
/* It goes as soon as it no longer answers; `*in_use`: it still does. */
hearth_status model_holding_unload(struct http_task *task, const char *name, bool *in_use,
                                   hearth_error *err);

#endif
