// What is sent to the model.
import assert from "node:assert/strict";
import {test} from "node:test";
import type {Message} from "../../src/api/types";
import {answerRequest, titleOf, withAttachments} from "../../src/chat/prompt";

const question: Message = {id: "1", parent: null, role: "user", content: "Why?"};

test("only what was set is sent", () => {
    assert.deepEqual(answerRequest({}, "m", [question]), {model: "m", messages: [{role: "user", content: "Why?"}]});
    assert.deepEqual(answerRequest({system: " ", adapter: "", sampling: {}}, "m", [question]), {model: "m", messages: [{role: "user", content: "Why?"}]});
});

test("settings reach the request", () => {
    const request = answerRequest({system: "Be brief.", effort: "low", adapter: "tone", sampling: {temperature: 0}}, "m", [question]);
    assert.deepEqual(request.messages[0], {role: "system", content: "Be brief."});
    assert.equal(request["temperature"], 0);
    assert.equal(request["reasoning_effort"], "low");
    assert.deepEqual(request["lora"], [{name: "tone", scale: 1}]);
});

test("a file cannot end its own quotation", () => {
    const text = withAttachments("Read.", [{name: "a.md", text: "```js\nx\n```"}]);
    assert.equal(text, "a.md:\n````\n```js\nx\n```\n````\n\nRead.");
    assert.equal(withAttachments("Read.", null), "Read.");
    assert.match(withAttachments("", [{name: "a", text: "b\n"}]), /^a:\n```\nb\n```$/);
});

test("titles are one short line", () => {
    assert.equal(titleOf("  ## Why *not*?\nmore"), "Why not?");
    assert.equal(titleOf("x".repeat(200)).length, 60);
    assert.equal(titleOf(" \n"), "");
});
