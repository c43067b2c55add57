/* The endpoints of every dialect: a body becomes a request, the request an answer. */
#include "server/handlers.h"
#include "server/http_errors.h"
#include "server/http_stream.h"

void handle_answer(struct http_exchange *x) {
    struct request request;
    struct dialect_problem problem = {0};
    request_init(&request);
    if (dialect_parse(x->route->endpoint, x->json, &request, &problem))
        http_stream_start(x, &request);
    else
        http_reply_problem(x, &problem);
    request_release(&request);
}
