// OpenAI's own client: chat completions.
import assert from "node:assert/strict";
import {test} from "node:test";
import OpenAI from "openai";
import {zodResponseFormat} from "openai/helpers/zod";
import {all, ANSWER, assertPerson, assertWeather, clock, ENDLESS, GREETING, join, LIMIT, person, personZod, STORY, SUM, weather} from "./asked.mjs";
import {eventually, metric, serveTests} from "./program.mjs";

const server = await serveTests();
const client = new OpenAI({baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0});
const model = "ember";
const ask = (content, more = {}) => ({model, messages: [{role: "user", content}], temperature: 0, ...more});
const tools = [weather, clock].map((tool) => ({type: "function", function: tool}));

test("models are listed and found", LIMIT, async () => {
    const models = await all(client.models.list());
    assert.deepEqual(models.map((m) => m.id), [model]);
    assert.equal((await client.models.retrieve(model)).object, "model");
});

test("a whole answer, its thoughts apart", LIMIT, async () => {
    const {choices: [choice], usage} = await client.chat.completions.create(ask(SUM));
    assert.equal(choice.message.content, ANSWER);
    assert.equal(choice.finish_reason, "stop");
    assert.ok(choice.message.reasoning_content.length > 0);
    assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
    assert.ok(usage.completion_tokens_details.reasoning_tokens > 0);
});

test("a stream has the same text as the whole answer, and the usage at its end", LIMIT, async () => {
    const whole = await client.chat.completions.create(ask(SUM));
    const chunks = await all(await client.chat.completions.create(ask(SUM, {stream: true, stream_options: {include_usage: true}})));
    const deltas = chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.delta));
    assert.equal(deltas[0].role, "assistant");
    assert.equal(join(deltas.map((d) => d.content)), whole.choices[0].message.content);
    assert.equal(join(deltas.map((d) => d.reasoning_content)), whole.choices[0].message.reasoning_content);
    assert.deepEqual(chunks.flatMap((c) => c.choices.map((x) => x.finish_reason)).filter(Boolean), ["stop"]);
    assert.equal(chunks.at(-1).usage.completion_tokens, whole.usage.completion_tokens);
    assert.ok(chunks.slice(0, -1).every((chunk) => chunk.usage === null));
});

test("the client's own assembly of a stream", LIMIT, async () => {
    const stream = client.chat.completions.stream(ask(SUM, {stream_options: {include_usage: true}}));
    let text = "";
    stream.on("content", (delta) => text += delta);
    const whole = await stream.finalChatCompletion();
    assert.equal(whole.choices[0].message.content, ANSWER);
    assert.equal(text, ANSWER);
    assert.equal((await stream.totalUsage()).completion_tokens, whole.usage.completion_tokens);
});

test("an answer that is broken off ends at the server too", LIMIT, async () => {
    const before = await metric(server.url, "hearth_answers_abandoned_total");
    const stream = await client.chat.completions.create(ask(STORY, {stream: true, ...ENDLESS}));
    let n = 0;
    for await (const chunk of stream)
        if (chunk.choices.length && ++n === 8) stream.controller.abort();
    assert.ok(n < 900);
    await eventually(async () => await metric(server.url, "hearth_answers_abandoned_total") > before);
    await eventually(async () => await metric(server.url, "hearth_requests_running") === 0);
});

test("no thinking is asked for by an effort of none", LIMIT, async () => {
    const {choices: [{message}], usage} = await client.chat.completions.create(ask(GREETING, {reasoning_effort: "none"}));
    assert.equal(message.reasoning_content, undefined);
    assert.ok(message.content.length > 0);
    assert.equal(usage.completion_tokens_details.reasoning_tokens, 0);
});

test("several choices, whole and streamed, follow their seed", LIMIT, async () => {
    const request = ask(STORY, {n: 2, seed: 7, ...ENDLESS, max_tokens: 16, reasoning_effort: "none"});
    const texts = async () => (await client.chat.completions.create(request)).choices.map((c) => c.message.content);
    const first = await texts();
    assert.equal(first.length, 2);
    assert.notEqual(first[0], first[1]);
    assert.deepEqual(await texts(), first);
    const streamed = ["", ""];
    for await (const chunk of await client.chat.completions.create({...request, stream: true}))
        for (const {index, delta} of chunk.choices) streamed[index] += delta.content ?? "";
    assert.deepEqual(streamed, first);
});

test("stop texts and limits end answers", LIMIT, async () => {
    const plain = {reasoning_effort: "none"};
    const {choices: [{message: {content}}]} = await client.chat.completions.create(ask(GREETING, plain));
    const stop = content.slice(4, 7);
    const stopped = (await client.chat.completions.create(ask(GREETING, {...plain, stop: [stop]}))).choices[0];
    assert.equal(stopped.message.content, content.slice(0, content.indexOf(stop)));
    assert.equal(stopped.finish_reason, "stop");
    const cut = await client.chat.completions.create(ask(GREETING, {...plain, max_completion_tokens: 3}));
    assert.equal(cut.choices[0].finish_reason, "length");
    assert.equal(cut.usage.completion_tokens, 3);
});

test("log-probabilities stand beside the text, whole and streamed", LIMIT, async () => {
    const request = ask(GREETING, {logprobs: true, top_logprobs: 3, reasoning_effort: "none"});
    const {choices: [choice]} = await client.chat.completions.create(request);
    const tokens = choice.logprobs.content;
    assert.equal(Buffer.from(tokens.flatMap((t) => t.bytes)).toString(), choice.message.content);
    for (const token of tokens) {
        assert.ok(token.logprob <= 0);
        assert.equal(token.top_logprobs.length, 3);
        assert.equal(token.top_logprobs[0].token, token.token); // greedy
        assert.ok(token.top_logprobs[0].logprob >= token.top_logprobs[1].logprob);
    }
    const chunks = await all(await client.chat.completions.create({...request, stream: true}));
    const streamed = chunks.flatMap((chunk) => chunk.choices.flatMap((c) => c.logprobs?.content ?? []));
    assert.deepEqual(streamed.map((t) => t.token), tokens.map((t) => t.token));
});

test("a required call of a tool has arguments of its schema", LIMIT, async () => {
    const {choices: [choice]} = await client.chat.completions.create(ask("What is the weather in Oslo?", {tools: [tools[0]], tool_choice: "required", parallel_tool_calls: false}));
    assert.equal(choice.finish_reason, "tool_calls");
    const [call] = choice.message.tool_calls;
    assert.equal(call.type, "function");
    assert.equal(call.function.name, weather.name);
    assertWeather(JSON.parse(call.function.arguments));
});

test("a named tool is the one that is called, and its result goes back", LIMIT, async () => {
    const request = ask("What time is it?", {tools, tool_choice: {type: "function", function: {name: clock.name}}});
    const {choices: [{message}]} = await client.chat.completions.create(request);
    assert.deepEqual(message.tool_calls.map((call) => call.function.name), [clock.name]);
    assert.match(JSON.parse(message.tool_calls[0].function.arguments).zone, /^(?:UTC|CET)$/);
    const result = {role: "tool", tool_call_id: message.tool_calls[0].id, content: "12:30"};
    const last = await client.chat.completions.create({...request, messages: [...request.messages, message, result], tool_choice: "none"});
    assert.equal(last.choices[0].message.tool_calls, undefined);
    assert.ok(last.choices[0].message.content.length > 0);
});

test("the pieces of a streamed call make the same call", LIMIT, async () => {
    const request = ask("What is the weather in Oslo?", {tools: [tools[0]], tool_choice: "required", parallel_tool_calls: false});
    const whole = (await client.chat.completions.create(request)).choices[0].message.tool_calls[0];
    const stream = client.chat.completions.stream(request);
    const streamed = (await stream.finalChatCompletion()).choices[0];
    assert.equal(streamed.finish_reason, "tool_calls");
    assert.equal(streamed.message.tool_calls[0].function.name, whole.function.name);
    assert.equal(streamed.message.tool_calls[0].function.arguments, whole.function.arguments);
});

test("the client runs tools itself until the answer is there", LIMIT, async () => {
    const seen = [];
    const runner = client.chat.completions.runTools({
        ...ask("What is the weather in Oslo?", {tool_choice: {type: "function", function: {name: weather.name}}}),
        tools: [{type: "function", function: {...weather, parse: JSON.parse, function: (given) => {
            seen.push(given);
            return "4 degrees";
        }}}],
    });
    await runner.done();
    assert.equal(seen.length, 1);
    assertWeather(seen[0]);
});

test("answers have the form of a schema, whole, streamed and parsed", LIMIT, async () => {
    const response_format = {type: "json_schema", json_schema: {name: "person", strict: true, schema: person}};
    const {choices: [{message}]} = await client.chat.completions.create(ask("Who are you?", {response_format}));
    assertPerson(JSON.parse(message.content));
    const chunks = await all(await client.chat.completions.create(ask("Who are you?", {response_format, stream: true})));
    assert.equal(join(chunks.flatMap((c) => c.choices.map((x) => x.delta.content))), message.content);
    const parsed = await client.chat.completions.parse(ask("Who are you?", {response_format: zodResponseFormat(personZod, "person")}));
    assertPerson(parsed.choices[0].message.parsed);
});

test("any JSON object", LIMIT, async () => {
    const {choices: [{message, finish_reason}]} = await client.chat.completions.create(ask("Give me JSON.", {response_format: {type: "json_object"}, max_tokens: 600}));
    if (finish_reason !== "length") assert.equal(typeof JSON.parse(message.content), "object");
    assert.match(message.content, /^\s*\{/);
});

test("a schema that cannot be is refused with the reason", LIMIT, async () => {
    const response_format = {type: "json_schema", json_schema: {name: "x", schema: {type: "nothing"}}};
    await assert.rejects(client.chat.completions.create(ask("?", {response_format})), (error) => {
        assert.ok(error instanceof OpenAI.BadRequestError);
        assert.match(error.message, /type/);
        return true;
    });
});

test("errors are those of the client", LIMIT, async () => {
    await assert.rejects(client.chat.completions.create(ask("?", {model: "gpt-none"})), (error) => {
        assert.ok(error instanceof OpenAI.NotFoundError);
        assert.equal(error.code, "model_not_found");
        return true;
    });
    await assert.rejects(client.chat.completions.create(ask("?", {temperature: "hot"})), (error) => {
        assert.ok(error instanceof OpenAI.BadRequestError);
        assert.equal(error.param, "temperature");
        return true;
    });
    await assert.rejects(client.models.retrieve("gpt-none"), OpenAI.NotFoundError);
});
