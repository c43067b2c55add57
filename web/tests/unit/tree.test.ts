// The tree of a conversation.
import assert from "node:assert/strict";
import {test} from "node:test";
import type {Message} from "../../src/api/types";
import {MessageTree} from "../../src/chat/tree";

const message = (id: string, parent: string | null): Message => ({id, parent, role: "user", content: id});
const ids = (messages: Message[]): string => messages.map((m) => m.id).join(" ");

// a ─ b ─ c
//   └ d ─ e
//       └ f
const tree = new MessageTree([
    message("a", null), message("b", "a"), message("c", "b"), message("d", "a"), message("e", "d"), message("f", "d"),
]);

test("a path leads from the root to the leaf", () => {
    assert.equal(ids(tree.path("c")), "a b c");
    assert.equal(ids(tree.path("e")), "a d e");
    assert.equal(ids(tree.path("d")), "a d");
});

test("without a known leaf the newest branch is shown", () => {
    assert.equal(ids(tree.path(null)), "a d f");
    assert.equal(ids(tree.path("gone")), "a d f");
    assert.equal(tree.newestLeaf("b"), "c");
    assert.equal(tree.newestLeaf("c"), "c");
});

test("siblings are the versions of a message, oldest first", () => {
    assert.equal(ids(tree.siblings(message("e", "d"))), "e f");
    assert.equal(ids(tree.siblings(message("a", null))), "a");
});

test("an empty tree has no path", () => {
    assert.deepEqual(new MessageTree([]).path(null), []);
    assert.equal(new MessageTree([]).newestLeaf(null), null);
});

test("damaged data end in a path, not in a loop", () => {
    const loop = new MessageTree([message("a", "b"), message("b", "a"), message("c", "b")]);
    assert.equal(ids(loop.path("c")), "a b c");
    assert.ok(loop.newestLeaf("a"));
    const orphan = new MessageTree([message("x", "missing"), message("y", "x"), message("x", null)]);
    assert.equal(ids(orphan.path("y")), "x y");
    assert.deepEqual(new MessageTree([message("s", "s")]).path("s").map((m) => m.id), ["s"]);
});
