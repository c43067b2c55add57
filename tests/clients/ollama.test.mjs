// Ollama's own client.
import assert from "node:assert/strict";
import {test} from "node:test";
import {Ollama} from "ollama";
import {all, ANSWER, assertPerson, assertWeather, ENDLESS, GREETING, join, LIMIT, person, STORY, SUM, weather} from "./asked.mjs";
import {eventually, metric, serveTests} from "./program.mjs";

const server = await serveTests();
const client = new Ollama({host: server.url});
const model = "ember";
const ask = (content, more = {}, options = {}) => ({model, messages: [{role: "user", content}], options: {temperature: 0, ...options}, ...more});
const tools = [{type: "function", function: weather}];

test("models are listed, shown and loaded", LIMIT, async () => {
    assert.deepEqual((await client.list()).models.map((m) => m.name), [model]);
    assert.deepEqual((await client.ps()).models.map((m) => m.name), [model]);
    const shown = await client.show({model});
    assert.equal(shown.details.format, "gguf");
    assert.ok(shown.capabilities.includes("completion"));
    assert.match((await client.version()).version, /^\d+\.\d+/);
});

test("a whole answer, its thoughts apart", LIMIT, async () => {
    const answer = await client.chat(ask(SUM, {think: true}));
    assert.equal(answer.message.content, ANSWER);
    assert.ok(answer.message.thinking.length > 0);
    assert.equal(answer.done_reason, "stop");
    assert.ok(answer.eval_count > 0 && answer.prompt_eval_count > 0 && answer.eval_duration > 0);
    const plain = await client.chat(ask(GREETING, {think: false}));
    assert.equal(plain.message.thinking, undefined);
});

test("a stream has the same text", LIMIT, async () => {
    const whole = await client.chat(ask(SUM));
    const lines = await all(await client.chat(ask(SUM, {stream: true})));
    assert.equal(join(lines.map((line) => line.message.content)), whole.message.content);
    assert.equal(join(lines.map((line) => line.message.thinking)), whole.message.thinking);
    assert.deepEqual(lines.map((line) => line.done).filter(Boolean), [true]);
    assert.equal(lines.at(-1).eval_count, whole.eval_count);
});

test("prompts are answered and continued", LIMIT, async () => {
    const answer = await client.generate({model, prompt: SUM, options: {temperature: 0}});
    assert.equal(answer.response, ANSWER);
    const raw = {model, prompt: "Once upon", raw: true, options: {temperature: 0, num_predict: 5}};
    const whole = await client.generate(raw);
    assert.equal(whole.done_reason, "length");
    assert.equal(join((await all(await client.generate({...raw, stream: true}))).map((line) => line.response)), whole.response);
});

test("options: stop texts, seeds, limits", LIMIT, async () => {
    const plain = (options) => client.chat(ask(GREETING, {think: false}, options));
    const {message: {content}} = await plain({});
    const stop = content.slice(4, 7);
    assert.equal((await plain({stop: [stop]})).message.content, content.slice(0, content.indexOf(stop)));
    assert.equal((await plain({num_predict: 3})).eval_count, 3);
    const drawn = {seed: 5, temperature: 3, top_k: 0, num_predict: 12};
    assert.equal((await plain(drawn)).message.content, (await plain(drawn)).message.content);
});

test("log-probabilities stand beside the text", LIMIT, async () => {
    const answer = await client.chat(ask(GREETING, {think: false, logprobs: true, top_logprobs: 2}));
    assert.equal(answer.logprobs.map((t) => t.token).join(""), answer.message.content);
    assert.ok(answer.logprobs.every((t) => t.top_logprobs.length === 2));
});

test("an answer that is broken off ends at the server too", LIMIT, async () => {
    const before = await metric(server.url, "hearth_answers_abandoned_total");
    const breaking = new Ollama({host: server.url});
    const stream = await breaking.chat(ask(STORY, {stream: true}, ENDLESS));
    let n = 0;
    await assert.rejects(async () => {
        for await (const line of stream)
            if (line && ++n === 8) breaking.abort();
    }, {name: "AbortError"});
    await eventually(async () => await metric(server.url, "hearth_answers_abandoned_total") > before);
});

test("a tool may be called, and its result goes back", LIMIT, async () => {
    const question = {role: "user", content: "What is the weather in Oslo?"};
    const call = {function: {name: weather.name, arguments: {place: "Oslo", unit: "celsius", days: 1}}};
    const messages = [question, {role: "assistant", content: "", tool_calls: [call]}, {role: "tool", tool_name: weather.name, content: "4 degrees"}];
    const answer = await client.chat({...ask("", {tools}), messages});
    assert.equal(answer.message.role, "assistant");
    assert.equal(answer.done, true);
});

test("a required call of a tool, whole and streamed", LIMIT, async () => {
    const request = ask("What is the weather in Oslo?", {tools, tool_choice: "required", parallel_tool_calls: false});
    const [{function: call}] = (await client.chat(request)).message.tool_calls;
    assert.equal(call.name, weather.name);
    assertWeather(call.arguments);
    const lines = await all(await client.chat({...request, stream: true}));
    const streamed = lines.flatMap((line) => line.message.tool_calls ?? []);
    assert.deepEqual(streamed.map((c) => c.function.arguments), [call.arguments]);
});

test("answers have the form of a schema", LIMIT, async () => {
    const answer = await client.chat(ask("Who are you?", {format: person}));
    assertPerson(JSON.parse(answer.message.content));
    const generated = await client.generate({model, prompt: "Who are you?", format: person, options: {temperature: 0}});
    assertPerson(JSON.parse(generated.response));
    const any = await client.chat(ask("Give me JSON.", {format: "json"}, {num_predict: 600}));
    if (any.done_reason !== "length") assert.equal(typeof JSON.parse(any.message.content), "object");
});

test("embeddings", LIMIT, async () => {
    const {embeddings} = await client.embed({model, input: ["one text", "another text"]});
    assert.deepEqual(embeddings.map((e) => e.length), [320, 320]);
    const {embedding} = await client.embeddings({model, prompt: "one text"});
    assert.deepEqual(embedding, embeddings[0]);
});

test("errors are those of the client", LIMIT, async () => {
    await assert.rejects(client.chat(ask("?", {model: "none"})), (error) => {
        assert.equal(error.name, "ResponseError");
        assert.equal(error.status_code, 404);
        assert.match(error.error, /none/);
        return true;
    });
    await assert.rejects(client.chat(ask("?", {format: {type: "nothing"}})), {status_code: 400});
    const guarded = await serveTests({options: ["--api-key", "right"]});
    await assert.rejects(new Ollama({host: guarded.url}).chat(ask("?")), {status_code: 401});
    const right = new Ollama({host: guarded.url, headers: {authorization: "Bearer right"}});
    assert.equal((await right.list()).models.length, 1);
});
