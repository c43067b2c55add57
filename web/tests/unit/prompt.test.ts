// What is sent to the model.
import assert from "node:assert/strict";
import {test} from "node:test";
import type {Message, Model, ToolCall} from "../../src/api/types";
import {parsedTools, pretty} from "../../src/chat/data_answers";
import {answerRequest, titleOf, withAttachments} from "../../src/chat/prompt";

const model = {name: "m", adapters: []} as unknown as Model;
const question: Message = {id: "1", parent: null, role: "user", content: "Why?"};

test("only what was set is sent", () => {
    assert.deepEqual(answerRequest({}, model, [question]), {model: "m", messages: [{role: "user", content: "Why?"}]});
    assert.deepEqual(answerRequest({system: " ", adapter: "", sampling: {}}, model, [question]), {model: "m", messages: [{role: "user", content: "Why?"}]});
});

test("settings reach the request", () => {
    const adapted = {...model, adapters: ["tone"]};
    const request = answerRequest({system: "Be brief.", effort: "low", adapter: "tone", scale: 0.5, sampling: {temperature: 0}}, adapted, [question]);
    assert.deepEqual(request.messages[0], {role: "system", content: "Be brief."});
    assert.equal(request["temperature"], 0);
    assert.equal(request["reasoning_effort"], "low");
    assert.deepEqual(request["adapters"], [{name: "tone", scale: 0.5}]);
    assert.deepEqual(answerRequest({}, adapted, [question])["adapters"], [], "none, whatever the server has on");
});

test("a schema and tools reach the request once they can be read", () => {
    const tool = {name: "weather", parameters: {type: "object"}};
    const request = answerRequest({format: "schema", schema: '{"type": "array"}', tools: JSON.stringify([tool])}, model, [question]);
    assert.deepEqual(request["response_format"], {type: "json_schema", json_schema: {name: "answer", schema: {type: "array"}}});
    assert.deepEqual(request["tools"], [{type: "function", function: tool}]);
    assert.deepEqual(parsedTools(JSON.stringify({type: "function", function: tool})), [{type: "function", function: tool}]);
    const unfinished = answerRequest({format: "schema", schema: '{"type":', tools: "[{}]"}, model, [question]);
    assert.deepEqual(unfinished["response_format"], {type: "json_object"});
    assert.equal(unfinished["tools"], undefined);
});

test("calls and their results go back to the model", () => {
    const call: ToolCall = {id: "c1", type: "function", function: {name: "weather", arguments: "{}"}};
    const answer: Message = {id: "2", parent: "1", role: "assistant", content: "", meta: {tool_calls: [call]}};
    const result: Message = {id: "3", parent: "2", role: "tool", content: "sunny", meta: {tool_call_id: "c1"}};
    assert.deepEqual(answerRequest({}, model, [question, answer, result]).messages.slice(1), [
        {role: "assistant", content: "", tool_calls: [call]}, {role: "tool", content: "sunny", tool_call_id: "c1"},
    ]);
});

test("JSON is shown with indentation, and never with other numbers", () => {
    assert.equal(pretty('{"a":[1]}'), '{\n  "a": [\n    1\n  ]\n}');
    assert.equal(pretty('{"a":12345678901234567890}'), '{"a":12345678901234567890}');
    assert.equal(pretty('{"a"'), '{"a"');
});

test("a file cannot end its own quotation", () => {
    const text = withAttachments("Read.", [{name: "a.md", text: "```js\nx\n```"}]);
    assert.equal(text, "a.md:\n````\n```js\nx\n```\n````\n\nRead.");
    assert.equal(withAttachments("Read.", null), "Read.");
    assert.match(withAttachments("", [{name: "a", text: "b\n"}]), /^a:\n```\nb\n```$/);
});

test("titles are one short line", () => {
    assert.equal(titleOf("  ## Why *not*?\nmore"), "Why not?");
    assert.equal(titleOf("What is `a` **times** 17 * 4?"), "What is a times 17 * 4?");
    assert.equal(titleOf("x".repeat(200)).length, 60);
    assert.equal(titleOf(" \n"), "");
});
