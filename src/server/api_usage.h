/* api_usage.h - GET /usage?by=day|key|model&since=TIME: {rows:[{day | key, name | model,
 * requests, failures, prompt_tokens, answer_tokens, busy_seconds}]}; of all keys for those who
 * look after the server, of the asker's own key for others. Every day without `since`. */
#ifndef HEARTH_SERVER_API_USAGE_H
#define HEARTH_SERVER_API_USAGE_H

#include "server/api.h"

void api_usage(struct store *store, const struct api_request *request, struct api_answer *answer);

#endif
