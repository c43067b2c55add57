// What the chunks of an answer say.
import assert from "node:assert/strict";
import {test} from "node:test";
import {eventsOfChunk} from "../../src/api/answer";

test("thoughts are read by either name, and once when both are there", () => {
    const want = [{kind: "reasoning", text: "hm"}];
    assert.deepEqual(eventsOfChunk({choices: [{delta: {reasoning_content: "hm"}}]}), want);
    assert.deepEqual(eventsOfChunk({choices: [{delta: {reasoning: "hm"}}]}), want);
    assert.deepEqual(eventsOfChunk({choices: [{delta: {reasoning_content: "hm", reasoning: "hm"}}]}), want);
});

test("text, end, usage and speed of one chunk come in this order", () => {
    assert.deepEqual(eventsOfChunk({
        choices: [{delta: {content: "x"}, finish_reason: "stop"}], usage: {prompt_tokens: 3, completion_tokens: 2},
        timings: {predicted_per_second: 40},
    }), [
        {kind: "text", text: "x"}, {kind: "finish", reason: "stop"}, {kind: "usage", promptTokens: 3, answerTokens: 2},
        {kind: "speed", tokensPerSecond: 40},
    ]);
});

test("an empty piece says nothing", () => {
    assert.deepEqual(eventsOfChunk({choices: [{delta: {content: ""}, finish_reason: null}], usage: null}), []);
    assert.deepEqual(eventsOfChunk({}), []);
});

test("an error in the middle of a stream ends it", () => {
    assert.throws(() => eventsOfChunk({error: {message: "out of memory"}}), /out of memory/);
});

test("a call of a tool comes in pieces", () => {
    const pieces = [{index: 0, id: "c1", function: {name: "weather", arguments: ""}}, {index: 0, function: {arguments: '{"ci'}}];
    assert.deepEqual(pieces.flatMap((piece) => eventsOfChunk({choices: [{delta: {tool_calls: [piece]}}]})), [
        {kind: "call", index: 0, id: "c1", name: "weather", piece: ""}, {kind: "call", index: 0, id: "", name: "", piece: '{"ci'},
    ]);
});
