/* The endpoints of every dialect: a body becomes a request, the request an answer. */
#include <math.h>

#include "server/handlers.h"
#include "server/http_errors.h"
#include "server/http_identity.h"
#include "server/http_stream.h"

/* How long models stay in memory and who comes first concerns everybody: where there are keys, an
 * admin decides. */
static void leave_to_admins(const struct http_exchange *x, struct request *request) {
    if (asker_is_admin(&x->asker)) return;
    request->keep_alive_s = NAN;
    if (request->priority > 0) request->priority = 0;
}

void handle_answer(struct http_exchange *x) {
    struct request request;
    struct dialect_problem problem = {0};
    request_init(&request);
    if (dialect_parse(x->route->endpoint, x->json, &request, &problem)) {
        leave_to_admins(x, &request);
        request.client = http_identity_client(x);
        http_stream_start(x, &request);
    } else {
        http_reply_problem(x, &problem);
    }
    request_release(&request);
}
