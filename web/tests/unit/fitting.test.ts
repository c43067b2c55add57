// What of a conversation is sent when a model's context has no room for all of it.
import assert from "node:assert/strict";
import {test} from "node:test";
import type {Message} from "../../src/api/types";
import {charactersPerToken, fitted} from "../../src/chat/fitting";

function chat(messages: number, characters: number): Message[] {
    return Array.from({length: messages}, (_, i) => ({
        id: String(i), parent: i === 0 ? null : String(i - 1), role: i % 2 === 0 ? "user" : "assistant", content: "x".repeat(characters),
    }));
}

test("what fits is sent whole", () => {
    const path = chat(5, 100);
    assert.deepEqual(fitted(path, "", 4096), {path, leftOut: 0});
});

test("the oldest are left out, from a question on", () => {
    const path = chat(101, 100);
    const {path: sent, leftOut} = fitted(path, "", 1024);
    assert.ok(leftOut > 0 && sent.length + leftOut === path.length);
    assert.equal(sent[0]?.role, "user");
    assert.equal(sent.at(-1), path.at(-1));
    const tighter = fitted(path, "", 1024, 0.5);
    assert.ok(tighter.leftOut > leftOut);
});

test("the last question is always sent", () => {
    const path = chat(3, 50_000);
    assert.deepEqual(fitted(path, "", 1024), {path: path.slice(2), leftOut: 2});
    assert.deepEqual(fitted([], "", 1024), {path: [], leftOut: 0});
});

test("the last usage says how long a token is, without what was left out then", () => {
    const path = chat(4, 84); // 100 with what a template adds
    assert.equal(charactersPerToken(path, ""), 3);
    const answered = path.with(3, {...path[3] as Message, meta: {prompt_tokens: 60}});
    assert.equal(charactersPerToken(answered, ""), 5);
    assert.equal(charactersPerToken(path.with(3, {...path[3] as Message, meta: {prompt_tokens: 50, left_out: 1}}), ""), 4);
});

test("a tool's result is not sent without its call", () => {
    const path: Message[] = [
        ...chat(1, 10), {id: "call", parent: "0", role: "assistant", content: "y".repeat(20_000)},
        {id: "result", parent: "call", role: "tool", content: "sunny"}, {id: "next", parent: "result", role: "user", content: "And now?"},
    ];
    assert.deepEqual(fitted(path, "", 1024).path.map((m) => m.id), ["next"]);
});
