#include "chat/request.h"

#include <math.h>

#include "base/mem.h"

void request_init(struct request *request) {
    *request = (struct request){.n_choices = 1,
                                .max_tokens = -1,
                                .n_logprobs = -1,
                                .thinking_budget = -1,
                                .keep_alive_s = NAN};
}

void request_release(struct request *request) {
    mem_free(request->model);
    mem_free(request->suffix);
    mem_free(request->tool_name);
    mem_free(request->constraint_text);
    mem_free(request->reasoning_effort);
    json_decref(request->messages);
    json_decref(request->inputs);
    json_decref(request->documents);
    json_decref(request->tools);
    json_decref(request->sampling);
    json_decref(request->stops);
    json_decref(request->constraint_schema);
    json_decref(request->template_settings);
    json_decref(request->adapters);
    json_decref(request->answer_shape);
    json_decref(request->extra);
    request_init(request);
}
