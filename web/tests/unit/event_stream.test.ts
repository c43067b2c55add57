// The reader of server-sent events: whatever way the bytes are cut, the same events.
import assert from "node:assert/strict";
import {test} from "node:test";
import {EventStreamParser, eventsOf, type ServerEvent} from "../../src/api/event_stream";

const STREAM = ": a comment\r\ndata: one\r\n\r\nevent: tick\ndata: two\ndata:  lines\n\nid: 7\ndata\n\rdata: é€😀\r\rdata: cut off";
const EVENTS: ServerEvent[] = [
    {event: "message", data: "one"}, {event: "tick", data: "two\n lines"}, {event: "message", data: ""}, {event: "message", data: "é€😀"},
];

test("events are the same however the text is cut", () => {
    for (let size = 1; size <= STREAM.length; size++) {
        const parser = new EventStreamParser();
        const events: ServerEvent[] = [];
        for (let at = 0; at < STREAM.length; at += size) events.push(...parser.push(STREAM.slice(at, at + size)));
        assert.deepEqual(events, EVENTS, `pieces of ${size}`);
    }
});

test("an event that was not completed is not told", () => {
    assert.deepEqual(new EventStreamParser().push("data: half"), []);
    assert.deepEqual(new EventStreamParser().push("data: half\n"), []);
});

test("characters cut between two pieces of a body are whole", async () => {
    const bytes = new TextEncoder().encode("data: é€😀\n\n");
    const body = new ReadableStream<Uint8Array>({
        start(controller) {
            for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
            controller.close();
        },
    });
    const events: ServerEvent[] = [];
    for await (const event of eventsOf(body)) events.push(event);
    assert.deepEqual(events, [{event: "message", data: "é€😀"}]);
});

test("whoever stops listening cancels the body", async () => {
    let cancelled = false;
    const body = new ReadableStream<Uint8Array>({
        pull: (controller) => controller.enqueue(new TextEncoder().encode("data: more\n\n")),
        cancel: () => { cancelled = true; },
    });
    for await (const event of eventsOf(body)) {
        assert.equal(event.data, "more");
        break;
    }
    assert.ok(cancelled);
});
