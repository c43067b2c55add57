/* local_answer.h - one request answered by one model, from its prompt to its last event. */
#ifndef HEARTH_ROUTE_LOCAL_ANSWER_H
#define HEARTH_ROUTE_LOCAL_ANSWER_H

#include "chat/event.h"
#include "chat/request.h"
#include "route/local_model.h"

struct local_answer {
    struct local_model *model;
    const struct request *request;
    struct event_sink sink;
    double queue_seconds;
    /* Asked before every token and every piece of the prompt; false: the answer ends. */
    bool (*goes_on)(void *context);
    void *context;
};

/* Answers; choices come one after the other. The last event is DONE or FAILED. */
void local_answer_run(const struct local_answer *answer);

#endif
