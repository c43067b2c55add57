// Vercel's AI SDK, over its provider for compatible servers and over that for OpenAI's responses.
import assert from "node:assert/strict";
import {test} from "node:test";
import {createOpenAI} from "@ai-sdk/openai";
import {createOpenAICompatible} from "@ai-sdk/openai-compatible";
import {APICallError, embedMany, generateText, Output, stepCountIs, streamText, tool} from "ai";
import {all, ANSWER, assertPerson, assertWeather, ENDLESS, GREETING, LIMIT, personZod, STORY, SUM, weather, weatherZod} from "./asked.mjs";
import {eventually, limitedKey, metric, serveTests} from "./program.mjs";

const server = await serveTests();
const compatible = (apiKey, url = server.url) => createOpenAICompatible({name: "hearth", baseURL: `${url}/v1`, apiKey, includeUsage: true, supportsStructuredOutputs: true});
const provider = compatible("none");
const model = provider.chatModel("ember");
const responses = createOpenAI({baseURL: `${server.url}/v1`, apiKey: "none"}).responses("ember");
const settings = {temperature: 0, maxRetries: 0};
const oneCall = {hearth: {parallel_tool_calls: false}, openai: {parallelToolCalls: false}};
const getWeather = (execute) => tool({description: weather.description, inputSchema: weatherZod, execute});

for (const [name, answering] of [["chat completions", model], ["responses", responses]]) {
    test(`${name}: a whole answer and a stream`, LIMIT, async () => {
        const whole = await generateText({model: answering, prompt: SUM, ...settings});
        assert.equal(whole.text, ANSWER);
        assert.equal(whole.finishReason, "stop");
        const stream = streamText({model: answering, prompt: SUM, ...settings});
        assert.equal((await all(stream.textStream)).join(""), ANSWER);
        assert.equal((await stream.usage).outputTokens, whole.usage.outputTokens);
        assert.equal(await stream.finishReason, "stop");
    });

    test(`${name}: a required call of a tool`, LIMIT, async () => {
        const request = {model: answering, prompt: "What is the weather in Oslo?", tools: {[weather.name]: getWeather()}, toolChoice: "required", providerOptions: oneCall, ...settings};
        const {toolCalls: [call], finishReason} = await generateText(request);
        assert.equal(finishReason, "tool-calls");
        assert.equal(call.toolName, weather.name);
        assertWeather(call.input);
        const stream = streamText(request);
        assert.deepEqual((await stream.toolCalls).map((c) => c.input), [call.input]);
    });

    test(`${name}: an object of a schema`, LIMIT, async () => {
        const request = {model: answering, prompt: "Who are you?", output: Output.object({schema: personZod}), ...settings};
        const {output} = await generateText(request);
        assertPerson(output);
        const stream = streamText(request);
        const parts = await all(stream.partialOutputStream);
        assert.deepEqual(parts.at(-1), await stream.output);
        assertPerson(await stream.output);
    });
}

test("thoughts come apart", LIMIT, async () => {
    const {reasoningText} = await generateText({model, prompt: SUM, ...settings});
    assert.ok(reasoningText.length > 0);
    const {reasoningText: none} = await generateText({model, prompt: GREETING, ...settings, providerOptions: {hearth: {reasoningEffort: "none"}}});
    assert.equal(none, undefined);
});

test("a tool is run, and its result goes back", LIMIT, async () => {
    const seen = [];
    const result = await generateText({
        model, prompt: "What is the weather in Oslo?", ...settings, stopWhen: stepCountIs(2),
        tools: {[weather.name]: getWeather((input) => {
            seen.push(input);
            return "4 degrees";
        })},
        prepareStep: ({stepNumber}) => ({toolChoice: stepNumber === 0 ? {type: "tool", toolName: weather.name} : "none"}),
    });
    assert.equal(seen.length, 1);
    assertWeather(seen[0]);
    assert.equal(result.steps.length, 2);
});

test("an answer that is broken off ends at the server too", LIMIT, async () => {
    const before = await metric(server.url, "hearth_answers_abandoned_total");
    const breaking = new AbortController();
    const stream = streamText({model, prompt: STORY, ...settings, temperature: 2, abortSignal: breaking.signal, providerOptions: {hearth: ENDLESS}});
    let n = 0;
    for await (const part of stream.fullStream)
        if (/-delta$/.test(part.type) && ++n === 8) breaking.abort();
    await eventually(async () => await metric(server.url, "hearth_answers_abandoned_total") > before);
});

test("limits, stop texts and seeds", LIMIT, async () => {
    const plain = {model, prompt: GREETING, ...settings, providerOptions: {hearth: {reasoningEffort: "none"}}};
    const {text} = await generateText(plain);
    const stop = text.slice(4, 7);
    assert.equal((await generateText({...plain, stopSequences: [stop]})).text, text.slice(0, text.indexOf(stop)));
    const cut = await generateText({...plain, maxOutputTokens: 3});
    assert.equal(cut.finishReason, "length");
    const drawn = {...plain, temperature: 2, seed: 3, maxOutputTokens: 12};
    assert.equal((await generateText(drawn)).text, (await generateText(drawn)).text);
});

test("embeddings", LIMIT, async () => {
    const {embeddings} = await embedMany({model: provider.embeddingModel("ember"), values: ["one text", "another text"], maxRetries: 0});
    assert.deepEqual(embeddings.map((e) => e.length), [320, 320]);
});

test("errors are those of the client", LIMIT, async () => {
    const status = (code, retry = false) => (error) => {
        assert.ok(APICallError.isInstance(error), String(error));
        assert.equal(error.statusCode, code);
        assert.equal(error.isRetryable, retry);
        return true;
    };
    await assert.rejects(generateText({model: provider.chatModel("gpt-none"), prompt: "?", ...settings}), status(404));
    const guarded = await serveTests();
    const {limited} = await limitedKey(guarded.url, 1);
    const ask = (key) => generateText({model: compatible(key, guarded.url).chatModel("ember"), prompt: GREETING, maxOutputTokens: 1, ...settings});
    await assert.rejects(ask("wrong"), status(401));
    await ask(limited);
    await assert.rejects(ask(limited), status(429, true));
});
