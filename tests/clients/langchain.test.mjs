// LangChain's models for OpenAI's interface.
import assert from "node:assert/strict";
import {test} from "node:test";
import {AIMessageChunk, HumanMessage, ToolMessage} from "@langchain/core/messages";
import {tool} from "@langchain/core/tools";
import {ChatOpenAI, OpenAI, OpenAIEmbeddings} from "@langchain/openai";
import {all, ANSWER, assertPerson, assertWeather, ENDLESS, GREETING, LIMIT, personZod, STORY, SUM, weather, weatherZod} from "./asked.mjs";
import {eventually, limitedKey, metric, serveTests} from "./program.mjs";

const server = await serveTests();
const settings = (more = {}, url = server.url) => ({model: "ember", apiKey: "none", temperature: 0, maxRetries: 0, configuration: {baseURL: `${url}/v1`}, ...more});
const chat = new ChatOpenAI(settings());
const getWeather = tool(() => "4 degrees", {name: weather.name, description: weather.description, schema: weatherZod});

test("a whole answer and a stream", LIMIT, async () => {
    const whole = await chat.invoke(SUM);
    assert.equal(whole.content, ANSWER);
    assert.equal(whole.response_metadata.finish_reason, "stop");
    const chunks = await all(await chat.stream(SUM, {stream_options: {include_usage: true}}));
    const together = chunks.reduce((sum, chunk) => sum.concat(chunk), new AIMessageChunk(""));
    assert.equal(together.content, ANSWER);
    assert.equal(together.usage_metadata.output_tokens, whole.usage_metadata.output_tokens);
});

test("several questions at once", LIMIT, async () => {
    const answers = await chat.batch([SUM, "What is 3 + 4?", SUM]);
    assert.deepEqual(answers.map((a) => a.content), [ANSWER, "7", ANSWER]);
});

test("an answer that is broken off ends at the server too", LIMIT, async () => {
    const before = await metric(server.url, "hearth_answers_abandoned_total");
    const endless = new ChatOpenAI(settings({temperature: 2, modelKwargs: ENDLESS}));
    const breaking = new AbortController();
    let n = 0;
    await assert.rejects(async () => {
        for await (const chunk of await endless.stream(STORY, {signal: breaking.signal}))
            if (chunk && ++n === 8) breaking.abort();
    });
    await eventually(async () => await metric(server.url, "hearth_answers_abandoned_total") > before);
});

test("limits, stop texts and log-probabilities", LIMIT, async () => {
    const plain = (more) => new ChatOpenAI(settings({...more, modelKwargs: {reasoning_effort: "none"}}));
    const {content} = await plain({}).invoke(GREETING);
    const stop = content.slice(4, 7);
    assert.equal((await plain({stop: [stop]}).invoke(GREETING)).content, content.slice(0, content.indexOf(stop)));
    assert.equal((await plain({maxTokens: 3}).invoke(GREETING)).response_metadata.finish_reason, "length");
    const {response_metadata: {logprobs}} = await plain({logprobs: true, topLogprobs: 2}).invoke(GREETING);
    assert.equal(logprobs.content.map((t) => t.token).join(""), content);
});

test("a tool is called, and its result goes back", LIMIT, async () => {
    const question = new HumanMessage("What is the weather in Oslo?");
    const call = await chat.bindTools([getWeather], {tool_choice: weather.name}).invoke([question]);
    assert.equal(call.tool_calls[0].name, weather.name);
    assertWeather(call.tool_calls[0].args);
    const result = await getWeather.invoke(call.tool_calls[0]);
    assert.ok(result instanceof ToolMessage);
    const last = await chat.bindTools([getWeather], {tool_choice: "none"}).invoke([question, call, result]);
    assert.equal(last.tool_calls.length, 0);
});

test("the pieces of a streamed call make the same call", LIMIT, async () => {
    const bound = chat.bindTools([getWeather], {tool_choice: "required", parallel_tool_calls: false});
    const whole = await bound.invoke("What is the weather in Oslo?");
    const chunks = await all(await bound.stream("What is the weather in Oslo?"));
    const together = chunks.reduce((sum, chunk) => sum.concat(chunk), new AIMessageChunk(""));
    assert.deepEqual(together.tool_calls.map((c) => c.args), whole.tool_calls.map((c) => c.args));
});

for (const method of ["jsonSchema", "functionCalling"])
    test(`an object of a schema, by ${method}`, LIMIT, async () => {
        assertPerson(await chat.withStructuredOutput(personZod, {name: "person", method}).invoke("Who are you?"));
    });

test("responses, completions and embeddings", LIMIT, async () => {
    const responses = new ChatOpenAI(settings({useResponsesApi: true}));
    assert.equal((await responses.invoke(SUM)).text, ANSWER);
    const completions = new OpenAI(settings({maxTokens: 5}));
    const whole = await completions.invoke("Once upon");
    assert.equal((await all(await completions.stream("Once upon"))).join(""), whole);
    const embeddings = await new OpenAIEmbeddings(settings()).embedDocuments(["one text", "another text"]);
    assert.deepEqual(embeddings.map((e) => e.length), [320, 320]);
});

test("errors are those of the client", LIMIT, async () => {
    await assert.rejects(new ChatOpenAI(settings({model: "gpt-none"})).invoke("?"), {status: 404, lc_error_code: "MODEL_NOT_FOUND"});
    const guarded = await serveTests();
    const {limited} = await limitedKey(guarded.url, 1);
    const ask = (apiKey) => new ChatOpenAI(settings({apiKey, maxTokens: 1}, guarded.url)).invoke(GREETING);
    await assert.rejects(ask("wrong"), {status: 401, lc_error_code: "MODEL_AUTHENTICATION"});
    await ask(limited);
    await assert.rejects(ask(limited), {status: 429, lc_error_code: "MODEL_RATE_LIMIT"});
});
