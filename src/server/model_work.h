/* model_work.h - what can be done with the models of this machine over HTTP, as the work of tasks
 * (http_task.h); private to the room. Each input is an object; "name" is the model's. */
#ifndef HEARTH_SERVER_MODEL_WORK_H
#define HEARTH_SERVER_MODEL_WORK_H

#include "server/http_task.h"

/* Fetches a model: {"status", "completed_bytes", "total_bytes"}, at last {"status":"success"}. */
hearth_status model_work_pull(struct http_task *task, const json_t *input, hearth_error *err);
/* The same with the messages of Ollama: {"status", "digest", "total", "completed"}. A model that
 * is no repository's and here already is success. */
hearth_status model_work_pull_ollama(struct http_task *task, const json_t *input,
                                     hearth_error *err);
/* What can be fetched, of all or of these "words": {"models", as hub_search.h says, and "problem"
 * where the hub could not be asked}. */
hearth_status model_work_search(struct http_task *task, const json_t *input, hearth_error *err);
/* Makes a model of another: {"name", "type", "as"}; says the same as model_work_pull. */
hearth_status model_work_quantize(struct http_task *task, const json_t *input, hearth_error *err);
/* Removes a model from this machine, unless it is answering. */
hearth_status model_work_delete(struct http_task *task, const json_t *input, hearth_error *err);
/* Makes "as" a further name. */
hearth_status model_work_copy(struct http_task *task, const json_t *input, hearth_error *err);
/* Loads a model, which then stays until it is told to go or others need its memory; unloads it. */
hearth_status model_work_load(struct http_task *task, const json_t *input, hearth_error *err);
hearth_status model_work_unload(struct http_task *task, const json_t *input, hearth_error *err);

#endif
