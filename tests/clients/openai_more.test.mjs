// OpenAI's own client: responses, completions, embeddings, keys and limits.
import assert from "node:assert/strict";
import {test} from "node:test";
import OpenAI from "openai";
import {zodTextFormat} from "openai/helpers/zod";
import {all, ANSWER, assertPerson, assertWeather, GREETING, join, LIMIT, personZod, SUM, weather} from "./asked.mjs";
import {limitedKey, serveTests} from "./program.mjs";

const server = await serveTests();
const open = (apiKey, url = server.url) => new OpenAI({baseURL: `${url}/v1`, apiKey, maxRetries: 0});
const client = open("none");
const model = "ember";

test("a response, whole and as events", LIMIT, async () => {
    const request = {model, input: SUM, temperature: 0};
    const whole = await client.responses.create(request);
    assert.equal(whole.output_text, ANSWER);
    assert.equal(whole.status, "completed");
    assert.deepEqual(whole.output.map((item) => item.type), ["reasoning", "message"]);
    const events = await all(await client.responses.create({...request, stream: true}));
    assert.equal(events[0].type, "response.created");
    assert.equal(join(events.filter((e) => e.type === "response.output_text.delta").map((e) => e.delta)), ANSWER);
    assert.deepEqual(events.map((e) => e.sequence_number), events.map((_, i) => i));
    const end = events.at(-1);
    assert.equal(end.type, "response.completed");
    assert.equal(end.response.usage.output_tokens, whole.usage.output_tokens);
    const assembled = await client.responses.stream(request).finalResponse();
    assert.equal(assembled.output_text, ANSWER);
});

test("a conversation goes on by sending its items", LIMIT, async () => {
    const input = [{role: "user", content: SUM}];
    const first = await client.responses.create({model, input, temperature: 0});
    const second = await client.responses.create({model, input: [...input, ...first.output, {role: "user", content: "What is 3 + 4?"}], temperature: 0});
    assert.equal(second.output_text, "7");
    assert.ok(second.usage.input_tokens > first.usage.input_tokens);
});

test("a response that is cut says so", LIMIT, async () => {
    const cut = await client.responses.create({model, input: GREETING, max_output_tokens: 2, reasoning: {effort: "none"}});
    assert.equal(cut.status, "incomplete");
    assert.equal(cut.incomplete_details.reason, "max_output_tokens");
});

test("a response calls a tool and takes its result", LIMIT, async () => {
    const request = {model, temperature: 0, tools: [{type: "function", ...weather, strict: true}], tool_choice: "required", parallel_tool_calls: false};
    const input = [{role: "user", content: "What is the weather in Oslo?"}];
    const first = await client.responses.create({...request, input});
    const call = first.output.find((item) => item.type === "function_call");
    assert.equal(call.name, weather.name);
    assertWeather(JSON.parse(call.arguments));
    const events = await all(await client.responses.create({...request, input, stream: true}));
    assert.equal(join(events.filter((e) => e.type === "response.function_call_arguments.delta").map((e) => e.delta)), call.arguments);
    const result = {type: "function_call_output", call_id: call.call_id, output: "4 degrees"};
    const second = await client.responses.create({...request, tool_choice: "none", input: [...input, ...first.output, result]});
    assert.ok(second.output_text.length > 0);
});

test("a response has the form of a schema", LIMIT, async () => {
    const parsed = await client.responses.parse({model, input: "Who are you?", temperature: 0, text: {format: zodTextFormat(personZod, "person")}});
    assertPerson(parsed.output_parsed);
});

test("texts are continued, several at once, whole and streamed", LIMIT, async () => {
    const request = {model, prompt: ["Once upon", "The sum"], max_tokens: 6, temperature: 0};
    const whole = await client.completions.create(request);
    assert.deepEqual(whole.choices.map((c) => c.index), [0, 1]);
    const streamed = ["", ""];
    for await (const chunk of await client.completions.create({...request, stream: true}))
        for (const {index, text} of chunk.choices) streamed[index] += text;
    assert.deepEqual(streamed, whole.choices.map((c) => c.text));
});

test("log-probabilities of a continued text", LIMIT, async () => {
    const {choices: [choice]} = await client.completions.create({model, prompt: "Hello", max_tokens: 4, temperature: 0, logprobs: 2});
    assert.equal(choice.logprobs.tokens.length, 4);
    assert.equal(choice.logprobs.tokens.join(""), choice.text);
    for (const top of choice.logprobs.top_logprobs) assert.equal(Object.keys(top).length, 2);
});

test("a text is scored by repeating it", LIMIT, async () => {
    const {choices: [choice]} = await client.completions.create({model, prompt: "Hello there", max_tokens: 0, echo: true, logprobs: 1});
    assert.equal(choice.text, "Hello there");
    assert.equal(choice.logprobs.token_logprobs[0], null);
    assert.ok(choice.logprobs.token_logprobs.slice(1).every((p) => p < 0));
});

test("embeddings, as numbers and as bytes", LIMIT, async () => {
    const request = {model, input: ["one text", "another text"]};
    const bytes = await client.embeddings.create(request); // the client asks for base64
    const numbers = await client.embeddings.create({...request, encoding_format: "float"});
    assert.deepEqual(numbers.data.map((d) => d.index), [0, 1]);
    assert.equal(numbers.data[0].embedding.length, 320);
    numbers.data[1].embedding.forEach((value, i) => assert.ok(Math.abs(value - bytes.data[1].embedding[i]) < 1e-6));
    assert.ok(numbers.usage.prompt_tokens > 0);
    const few = await client.embeddings.create({...request, dimensions: 16, encoding_format: "float"});
    assert.equal(few.data[0].embedding.length, 16);
});

test("a wrong key, and one that has asked too often", LIMIT, async () => {
    const guarded = await serveTests();
    const {limited} = await limitedKey(guarded.url, 1);
    const request = {model, messages: [{role: "user", content: GREETING}], max_tokens: 1};
    await assert.rejects(open("wrong", guarded.url).chat.completions.create(request), (error) => {
        assert.ok(error instanceof OpenAI.AuthenticationError);
        assert.equal(error.code, "invalid_api_key");
        return true;
    });
    const right = open(limited, guarded.url);
    assert.equal((await right.chat.completions.create(request)).choices.length, 1);
    await assert.rejects(right.chat.completions.create(request), (error) => {
        assert.ok(error instanceof OpenAI.RateLimitError);
        const seconds = Number(error.headers.get("retry-after"));
        assert.ok(seconds >= 1 && seconds <= 60);
        return true;
    });
});
