/* dialect_parts.h - what dialects share in reading requests: settings, forms of answers, thinking,
 * tools, messages. Each reads its fields and notes the first problem (dialect_fields.h). */
#ifndef HEARTH_CHAT_DIALECT_PARTS_H
#define HEARTH_CHAT_DIALECT_PARTS_H

#include "chat/dialect_fields.h"

enum {
    MESSAGES_MAX = 1 << 16,
    PARTS_MAX = 1 << 16, /* of one content */
    TOOLS_MAX = 1024,
    CALLS_MAX = 1024, /* of one message */
    BIASES_MAX = 1 << 16,
    BREAKERS_MAX = 1024,
    CHOICES_MAX = 4096, /* texts of a guided choice */
    ADAPTERS_MAX = 64,
    DIMENSIONS_MAX = 1 << 20, /* of a vector */
    INPUT_TOKENS_MAX = 1 << 21,
    ANSWER_CHOICES_MAX = 2048 /* choices of all inputs together */
};

/* ---- settings, by the names that OpenAI, llama.cpp's server and vLLM give them ---- */

/* temperature, top_k, … into request->sampling, renamed as llama.cpp names them;
 * ignore_eos. */
void read_sampling(struct fields *fields, struct request *request);
/* A text or texts into request->stops. */
void read_stops(struct fields *fields, const char *name, struct request *request);
/* The first of several names of the same limit. */
void read_max_tokens(struct fields *fields, const char *const *names, struct request *request);
/* n, seed, stop, stream, stream_options, ignore_eos, priority, adapters. */
void read_limits(struct fields *fields, struct request *request);
/* logprobs: true or false, top_logprobs: how many; llama.cpp's n_probs. */
void read_chat_logprobs(struct fields *fields, struct request *request);
/* One value of request->sampling; takes the value. */
bool set_sampling(struct request *request, const char *name, json_t *value,
                  struct dialect_problem *problem);
/* The same of request->answer_shape. */
bool set_shape(struct request *request, const char *name, json_t *value,
               struct dialect_problem *problem);

/* ---- forms of answers ---- */

/* Only one may be set; takes the schema, copies the text. */
bool set_constraint(struct fields *fields, const char *name, struct request *request,
                    enum constraint_kind kind, json_t *schema, const char *text);
/* response_format, or text.format of responses: {type: text | json_object | json_schema, …}. */
void read_format(struct fields *fields, const char *name, struct request *request);
/* json_schema, grammar, guided_*, structured_outputs. */
void read_guided(struct fields *fields, struct request *request);

/* ---- thinking ---- */

bool set_effort(struct fields *fields, const char *name, struct request *request);
/* reasoning_effort, reasoning, thinking, thinking_budget_tokens, chat_template_kwargs, … */
void read_thinking(struct fields *fields, struct request *request);
/* {"type": "enabled" | "disabled" | "adaptive", "budget_tokens"}. */
void read_thinking_object(struct fields *fields, struct request *request);

/* ---- tools ---- */

/* A tool in the neutral shape; the description and parameters (NULL: none) are borrowed. */
json_t *make_tool(const char *name, json_t *description, json_t *parameters, json_t *strict);
/* A call in the neutral shape; takes the arguments: JSON text, or an object that becomes it. */
json_t *make_call(const char *id, const char *name, json_t *arguments);
/* Adds to request->tools; takes the tool. */
bool add_tool(struct request *request, json_t *tool, struct dialect_problem *problem);
/* After tools were read: the named one is there, and there is one where one is required. */
void check_tool_choice(struct fields *fields, const char *name, const struct request *request);
/* tool_choice, parallel_tool_calls. */
void read_tool_choice(struct fields *fields, struct request *request);
/* The same with tools, functions and function_call of chat completions. */
void read_tools(struct fields *fields, struct request *request);
/* The name, description and parameters of a function as OpenAI writes them. */
json_t *read_function(struct fields *function);

/* ---- inputs ---- */

/* A text, texts, the tokens of one input, or of several, into request->inputs. */
void read_inputs(struct fields *fields, const char *name, struct request *request);

/* ---- messages ---- */

/* Appends to request->messages; takes the message. */
bool add_message(struct request *request, json_t *message, struct dialect_problem *problem);
/* {role, content}; the content is borrowed, NULL becomes null. */
json_t *make_message(const char *role, json_t *content);
/* messages of chat completions, in the neutral shape: developer is system, function is tool. */
void read_messages(struct fields *fields, struct request *request);

/* What is left becomes request->extra. */
void keep_extra(struct fields *fields, struct request *request);

#endif
