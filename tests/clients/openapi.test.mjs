// What OpenAI's endpoints take and give, held against the OpenAPI description of the interface.
import assert from "node:assert/strict";
import {test} from "node:test";
import {GREETING, LIMIT, person, STORY, SUM, weather} from "./asked.mjs";
import {openDescription} from "./openapi.mjs";
import {serveTests} from "./program.mjs";
import {testdata} from "./testdata.mjs";

const {path, skip} = testdata("openai-api/openapi.yaml");
const {problems, examples} = skip ? {} : openDescription(path);
const server = skip ? null : await serveTests();
const model = "ember";
const options = {...LIMIT, skip};

const fits = (schema, value) => assert.equal(problems(schema, value), null);

async function post(place, body) {
    const response = await fetch(`${server.url}/v1${place}`, {method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify(body)});
    return {status: response.status, text: await response.text()};
}

// What a stream sent: the data of each event.
const events = (text) => [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => data);

const ask = (content, more) => ({model, messages: [{role: "user", content}], temperature: 0, ...more});
const plain = {reasoning_effort: "none"};
const tools = [{type: "function", function: weather}];
const places = {
    "/chat/completions": {
        request: "CreateChatCompletionRequest", whole: "CreateChatCompletionResponse", chunk: "CreateChatCompletionStreamResponse",
        bodies: {
            "a question": ask(SUM),
            "several choices that are cut": ask(STORY, {...plain, n: 3, seed: 4, max_completion_tokens: 5}),
            "log-probabilities": ask(GREETING, {...plain, logprobs: true, top_logprobs: 2}),
            "usage and stop texts": ask(GREETING, {...plain, stop: ["!"], stream_options: {include_usage: true}}),
            "a required call": ask("What is the weather in Oslo?", {tools, tool_choice: "required", parallel_tool_calls: false}),
            "a schema": ask("Who are you?", {response_format: {type: "json_schema", json_schema: {name: "person", strict: true, schema: person}}}),
            "a history of everything": {model, messages: [
                {role: "developer", content: "Be brief."},
                {role: "user", name: "ann", content: [{type: "text", text: "Look"}, {type: "text", text: " there"}]},
                {role: "assistant", content: null, tool_calls: [{id: "c1", type: "function", function: {name: weather.name, arguments: "{}"}}]},
                {role: "tool", tool_call_id: "c1", content: "4 degrees"},
                {role: "assistant", content: [{type: "text", text: "It is cold."}], refusal: null},
                {role: "user", content: GREETING},
            ], tools, tool_choice: "none"},
            "every setting": ask(GREETING, {...plain, max_completion_tokens: 4, frequency_penalty: 0.5, presence_penalty: -0.5, top_p: 0.9, seed: 1, stop: null,
                logit_bias: {5: -10}, user: "u", metadata: {a: "b"}, store: false, service_tier: "auto", modalities: ["text"], verbosity: "low", prompt_cache_key: "k", safety_identifier: "s"}),
        },
    },
    "/completions": {
        request: "CreateCompletionRequest", whole: "CreateCompletionResponse", chunk: "CreateCompletionResponse",
        bodies: {
            "a text": {model, prompt: "Once upon", max_tokens: 5, temperature: 0},
            "several texts and log-probabilities": {model, prompt: ["Once", "The"], n: 2, max_tokens: 3, logprobs: 2, seed: 3},
            "tokens": {model, prompt: [5, 6, 7], max_tokens: 3, temperature: 0, echo: false, suffix: null, best_of: 1},
            "lists of tokens": {model, prompt: [[5, 6], [7]], max_tokens: 2, temperature: 0, stop: "\n", user: "u"},
        },
    },
    "/embeddings": {
        request: "CreateEmbeddingRequest", whole: "CreateEmbeddingResponse",
        bodies: {
            "a text": {model, input: "one text"},
            "texts": {model, input: ["one text", "another"], encoding_format: "float", dimensions: 8, user: "u"},
            "lists of tokens": {model, input: [[5, 6], [7, 8]]},
        },
    },
    "/responses": {
        request: "CreateResponse", whole: "Response", chunk: "ResponseStreamEvent",
        bodies: {
            "a question": {model, input: SUM, temperature: 0},
            "instructions and a cut": {model, input: STORY, instructions: "Be brief.", max_output_tokens: 16, reasoning: {effort: "none"}, metadata: {a: "b"}, truncation: "auto", store: false},
            "log-probabilities": {model, input: GREETING, top_logprobs: 2, include: ["message.output_text.logprobs"], reasoning: {effort: "none"}},
            "a required call": {model, input: "What is the weather in Oslo?", temperature: 0, tools: [{type: "function", ...weather, strict: true}], tool_choice: "required", parallel_tool_calls: false},
            "a schema": {model, input: "Who are you?", temperature: 0, text: {format: {type: "json_schema", name: "person", schema: person, strict: true}}},
            "a history of items": {model, input: [
                {role: "developer", content: "Be brief."},
                {role: "user", content: [{type: "input_text", text: "Look"}]},
                {type: "function_call", call_id: "c1", name: weather.name, arguments: "{}"},
                {type: "function_call_output", call_id: "c1", output: "4 degrees"},
                {role: "user", content: GREETING},
            ]},
        },
    },
};

// The description of a chunk of completions is that of a whole one, which has no null where the
// service has it: no reason yet, no usage yet.
function withoutNulls(schema, chunk) {
    if (schema !== "CreateCompletionResponse") return chunk;
    const {usage, choices, ...rest} = chunk;
    return {...rest, ...usage && {usage}, choices: choices.map((choice) => ({...choice, finish_reason: choice.finish_reason ?? "stop"}))};
}

for (const [place, {request, whole, chunk, bodies}] of Object.entries(places))
    for (const [name, body] of Object.entries(bodies)) {
        test(`${place}: ${name}`, options, async () => {
            fits(request, body);
            const {stream_options, ...unstreamed} = body;
            const answer = await post(place, unstreamed);
            assert.equal(answer.status, 200, answer.text);
            fits(whole, JSON.parse(answer.text));
        });
        if (chunk)
            test(`${place}, streamed: ${name}`, options, async () => {
                fits(request, {...body, stream: true});
                const answer = await post(place, {...body, stream: true});
                assert.equal(answer.status, 200, answer.text);
                const data = events(answer.text);
                if (place !== "/responses") assert.equal(data.pop(), "[DONE]");
                assert.ok(data.length > 1);
                for (const one of data) fits(chunk, withoutNulls(chunk, JSON.parse(one)));
            });
    }

test("the check finds what is wrong", options, async () => {
    const {choices, ...rest} = JSON.parse((await post("/chat/completions", ask(SUM))).text);
    fits("CreateChatCompletionResponse", {choices, ...rest});
    assert.notEqual(problems("CreateChatCompletionResponse", rest), null);
    assert.notEqual(problems("CreateChatCompletionResponse", {...rest, choices: [{...choices[0], finish_reason: null}]}), null);
    assert.notEqual(problems("ResponseStreamEvent", {type: "response.created", sequence_number: 0}), null);
});

test("lists of models", options, async () => {
    const get = async (place) => (await fetch(`${server.url}/v1${place}`)).json();
    fits("ListModelsResponse", await get("/models"));
    fits("Model", await get(`/models/${model}`));
});

test("errors", options, async () => {
    for (const [place, body, status] of [
        ["/chat/completions", {}, 400],
        ["/chat/completions", ask("?", {model: "gpt-none"}), 404],
        ["/completions", {model, prompt: 5}, 400],
        ["/embeddings", {model, input: []}, 400],
        ["/responses", {model}, 400],
    ]) {
        const answer = await post(place, body);
        assert.equal(answer.status, status, answer.text);
        fits("ErrorResponse", JSON.parse(answer.text));
    }
});

// Ember reads no pictures, and tools of the service are not here; that is said, with the place.
const beyond = /image|file|web_search/;

for (const place of skip ? [] : Object.keys(places))
    for (const {title, body} of examples(place))
        test(`${place}: the description's example '${title}'`, options, async () => {
            const answer = await post(place, {...body, model});
            if (beyond.test(JSON.stringify(body))) {
                assert.equal(answer.status, 400, answer.text);
                assert.match(JSON.parse(answer.text).error.message, /messages|input|tools/);
            } else
                assert.equal(answer.status, 200, answer.text);
        });
