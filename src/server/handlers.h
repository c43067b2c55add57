/* handlers.h - what the routes do; private to the room. Each leaves the exchange with a reply or
 * with a stream that was started. */
#ifndef HEARTH_SERVER_HANDLERS_H
#define HEARTH_SERVER_HANDLERS_H

#include "server/http_exchange.h"

void handle_answer(struct http_exchange *x); /* every endpoint of chat/dialect.h */

void handle_models(struct http_exchange *x);
void handle_model(struct http_exchange *x);
void handle_ollama_tags(struct http_exchange *x);
void handle_ollama_ps(struct http_exchange *x);
void handle_ollama_show(struct http_exchange *x);
void handle_ollama_version(struct http_exchange *x);
void handle_props(struct http_exchange *x);
void handle_own_models(struct http_exchange *x);
void handle_adapters(struct http_exchange *x);
void handle_switch_adapters(struct http_exchange *x);

void handle_model_pull(struct http_exchange *x); /* and what else can be done with models */
void handle_model_search(struct http_exchange *x);
void handle_model_load(struct http_exchange *x);
void handle_model_unload(struct http_exchange *x);
void handle_model_quantize(struct http_exchange *x);
void handle_model_delete(struct http_exchange *x);
void handle_ollama_pull(struct http_exchange *x);
void handle_ollama_delete(struct http_exchange *x);
void handle_ollama_copy(struct http_exchange *x);

void handle_tokenize(struct http_exchange *x);
void handle_detokenize(struct http_exchange *x);
void handle_apply_template(struct http_exchange *x);

void handle_health(struct http_exchange *x);
void handle_live(struct http_exchange *x);
void handle_metrics(struct http_exchange *x);
void handle_status(struct http_exchange *x);
void handle_slots(struct http_exchange *x);
void handle_slot(struct http_exchange *x);
/* The places of answers that are computed at the same time, as llama.cpp's server lists them,
 * given; NULL: the exchange has a reply. */
json_t *status_slots(struct http_exchange *x);
void handle_requests(struct http_exchange *x);
void handle_request_cancel(struct http_exchange *x);
void handle_logs(struct http_exchange *x);

void handle_tune(struct http_exchange *x);

void handle_stored(struct http_exchange *x); /* what only needs the store */

void handle_asset(struct http_exchange *x);

#endif
