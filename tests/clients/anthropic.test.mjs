// Anthropic's own client.
import assert from "node:assert/strict";
import {test} from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import {zodOutputFormat} from "@anthropic-ai/sdk/helpers/zod";
import {all, ANSWER, assertPerson, assertWeather, clock, ENDLESS, GREETING, join, LIMIT, personZod, STORY, SUM, weather} from "./asked.mjs";
import {eventually, limitedKey, metric, serveTests} from "./program.mjs";

const server = await serveTests();
const open = (apiKey, url = server.url) => new Anthropic({baseURL: url, apiKey, maxRetries: 0});
const client = open("none");
const model = "ember";
const ask = (content, more = {}) => ({model, max_tokens: 400, messages: [{role: "user", content}], temperature: 0, ...more});
const thinking = {type: "enabled", budget_tokens: 1024};
const tools = [weather, clock].map(({name, description, parameters}) => ({name, description, input_schema: parameters}));
const ofType = (message, type) => message.content.find((block) => block.type === type);

test("models are listed and found", LIMIT, async () => {
    const models = await all(client.models.list());
    assert.deepEqual(models.map((m) => [m.id, m.type]), [[model, "model"]]);
    assert.ok(Date.parse(models[0].created_at) > 0);
    assert.equal((await client.models.retrieve(model)).display_name, model);
});

test("a whole message, its thoughts apart", LIMIT, async () => {
    const message = await client.messages.create(ask(SUM, {thinking}));
    assert.deepEqual(message.content.map((block) => block.type), ["thinking", "text"]);
    assert.equal(ofType(message, "text").text, ANSWER);
    assert.equal(message.stop_reason, "end_turn");
    assert.ok(message.usage.output_tokens > 0);
});

test("a system prompt and no thinking", LIMIT, async () => {
    const message = await client.messages.create(ask(GREETING, {thinking: {type: "disabled"}, system: [{type: "text", text: "Be brief."}]}));
    assert.deepEqual(message.content.map((block) => block.type), ["text"]);
});

test("the number of tokens is that of the prompt", LIMIT, async () => {
    const counted = await client.messages.countTokens({model, messages: [{role: "user", content: SUM}], thinking});
    const {usage} = await client.messages.create(ask(SUM, {thinking}));
    assert.equal(counted.input_tokens, usage.input_tokens + usage.cache_read_input_tokens);
});

test("a stream makes the whole message", LIMIT, async () => {
    const whole = await client.messages.create(ask(SUM, {thinking}));
    const stream = client.messages.stream(ask(SUM, {thinking}));
    let text = "", thought = "";
    stream.on("text", (delta) => text += delta).on("thinking", (delta) => thought += delta);
    const message = await stream.finalMessage();
    assert.deepEqual(message.content, whole.content);
    assert.equal(text, ANSWER);
    assert.equal(thought, ofType(whole, "thinking").thinking);
    assert.equal(message.usage.output_tokens, whole.usage.output_tokens);
    assert.equal(message.stop_reason, "end_turn");
});

test("a conversation goes on with its thoughts", LIMIT, async () => {
    const first = await client.messages.create(ask(SUM, {thinking}));
    const messages = [{role: "user", content: SUM}, {role: "assistant", content: first.content}, {role: "user", content: "What is 3 + 4?"}];
    const second = await client.messages.create({...ask("", {thinking}), messages});
    assert.equal(ofType(second, "text").text, "7");
});

test("an answer that is broken off ends at the server too", LIMIT, async () => {
    const before = await metric(server.url, "hearth_answers_abandoned_total");
    const stream = await client.messages.create(ask(STORY, {stream: true, ...ENDLESS, max_tokens: 900}));
    let n = 0;
    for await (const event of stream)
        if (event.type === "content_block_delta" && ++n === 8) stream.controller.abort();
    await eventually(async () => await metric(server.url, "hearth_answers_abandoned_total") > before);
});

test("stop sequences and limits end answers", LIMIT, async () => {
    const plain = {thinking: {type: "disabled"}};
    const {content: [{text}]} = await client.messages.create(ask(GREETING, plain));
    const stop = text.slice(4, 7);
    const stopped = await client.messages.create(ask(GREETING, {...plain, stop_sequences: [stop]}));
    assert.equal(stopped.stop_reason, "stop_sequence");
    assert.equal(stopped.stop_sequence, stop);
    assert.equal(stopped.content[0].text, text.slice(0, text.indexOf(stop)));
    const cut = await client.messages.create(ask(GREETING, {...plain, max_tokens: 3}));
    assert.equal(cut.stop_reason, "max_tokens");
    assert.equal(cut.usage.output_tokens, 3);
});

test("any tool and a named tool are called, and the result goes back", LIMIT, async () => {
    const request = ask("What is the weather in Oslo?", {tools: [tools[0]], tool_choice: {type: "any", disable_parallel_tool_use: true}});
    const first = await client.messages.create(request);
    assert.equal(first.stop_reason, "tool_use");
    const call = ofType(first, "tool_use");
    assert.equal(call.name, weather.name);
    assertWeather(call.input);
    const result = {role: "user", content: [{type: "tool_result", tool_use_id: call.id, content: "4 degrees"}]};
    const last = await client.messages.create({...request, tool_choice: {type: "none"}, messages: [...request.messages, {role: "assistant", content: first.content}, result]});
    assert.equal(ofType(last, "tool_use"), undefined);
    const named = await client.messages.create(ask("What time is it?", {tools, tool_choice: {type: "tool", name: clock.name}}));
    assert.equal(ofType(named, "tool_use").name, clock.name);
});

test("the pieces of a streamed call make the same call", LIMIT, async () => {
    const request = ask("What is the weather in Oslo?", {tools: [tools[0]], tool_choice: {type: "any", disable_parallel_tool_use: true}});
    const whole = ofType(await client.messages.create(request), "tool_use");
    const stream = client.messages.stream(request);
    let json = "";
    stream.on("inputJson", (piece) => json += piece);
    const streamed = ofType(await stream.finalMessage(), "tool_use");
    assert.deepEqual(streamed.input, whole.input);
    assert.deepEqual(JSON.parse(json), whole.input);
});

test("answers have the form of a schema", LIMIT, async () => {
    const message = await client.messages.parse(ask("Who are you?", {output_config: {format: zodOutputFormat(personZod)}}));
    assertPerson(message.parsed_output);
});

test("errors are those of the client", LIMIT, async () => {
    await assert.rejects(client.messages.create(ask("?", {model: "claude-none"})), Anthropic.NotFoundError);
    await assert.rejects(client.messages.create(ask("?", {max_tokens: 0})), (error) => {
        assert.ok(error instanceof Anthropic.BadRequestError);
        assert.match(error.error.error.message, /max_tokens/);
        return true;
    });
});

test("a wrong key, and one that has asked too often", LIMIT, async () => {
    const guarded = await serveTests();
    const {limited} = await limitedKey(guarded.url, 1);
    await assert.rejects(open("wrong", guarded.url).messages.create(ask(GREETING, {max_tokens: 1})), (error) => {
        assert.ok(error instanceof Anthropic.AuthenticationError);
        assert.equal(error.error.error.type, "authentication_error");
        return true;
    });
    const right = open(limited, guarded.url);
    assert.equal((await right.messages.create(ask(GREETING, {max_tokens: 1}))).type, "message");
    await assert.rejects(right.messages.create(ask(GREETING, {max_tokens: 1})), (error) => {
        assert.ok(error instanceof Anthropic.RateLimitError);
        assert.ok(Number(error.headers.get("retry-after")) >= 1);
        return true;
    });
});
