// Addresses, numbers and shortcuts.
import assert from "node:assert/strict";
import {test} from "node:test";
import {SAMPLING_FIELDS, withSample} from "../../src/chat/sampling_fields";
import {formatBytes, formatCount, formatDuration, formatWhen} from "../../src/lib/format";
import {parseRoute, routeHash} from "../../src/lib/hash_route";
import {fileName} from "../../src/lib/save_file";
import {commandOf} from "../../src/lib/shortcuts";

test("addresses are read back as they were written", () => {
    assert.deepEqual(parseRoute(routeHash("models", "org/name:Q4 %")), {page: "models", id: "org/name:Q4 %"});
    assert.deepEqual(parseRoute(routeHash("tune")), {page: "tune", id: null});
});

test("unknown and broken addresses lead to a page", () => {
    for (const hash of ["", "#", "#/nowhere/x", "#/%"]) assert.deepEqual(parseRoute(hash), {page: "chat", id: null}, hash);
    assert.deepEqual(parseRoute("#/chat/%E0%A4%A"), {page: "chat", id: null});
});

test("sizes and counts have the unit that keeps them short", () => {
    assert.equal(formatBytes(0, "en"), "0 B");
    assert.equal(formatBytes(8_678_976, "en"), "8.7 MB");
    assert.equal(formatBytes(999_999, "en"), "1.0 MB");
    assert.equal(formatBytes(807_694_464, "de"), "808 MB");
    assert.equal(formatBytes(34_817_000_000, "de"), "34,8 GB");
    assert.equal(formatCount(1_235_814_432, "en"), "1.2 B");
    assert.equal(formatCount(512, "en"), "512");
});

test("durations read like a clock once they are long", () => {
    assert.equal(formatDuration(3.21, "en"), "3.2 s");
    assert.equal(formatDuration(3.21, "de"), "3,2 s");
    assert.equal(formatDuration(42.4, "en"), "42 s");
    assert.equal(formatDuration(59.6, "en"), "1:00");
    assert.equal(formatDuration(3725, "en"), "1:02:05");
});

test("a time of today is a time, an older one a date, nonsense nothing", () => {
    const now = new Date("2026-03-05T12:00:00");
    assert.match(formatWhen("2026-03-05T09:30:00", "de", now), /^09:30$/);
    assert.match(formatWhen("2026-01-02T09:30:00", "en", now), /Jan 2/);
    assert.match(formatWhen("2024-01-02T09:30:00", "en", now), /2024/);
    assert.equal(formatWhen("soon", "en", now), "");
});

test("file names hold nothing that a file system minds", () => {
    assert.equal(fileName("../a\\b: c?\n", "json"), ".. a b c.json");
    assert.equal(fileName("///", "json"), "hearth.json");
});

const press = (key: string, mod = false, shift = false) => commandOf({key, ctrlKey: mod, metaKey: false, shiftKey: shift, altKey: false});

test("shortcuts need exactly their keys", () => {
    assert.equal(press("k", true), "search");
    assert.equal(press("K", true, true), null);
    assert.equal(press("k"), null);
    assert.equal(press("O", true, true), "new");
    assert.equal(press("/", true), "help");
    assert.equal(press("/", true, true), "help"); // where "/" itself needs the shift key
    assert.equal(press("Escape"), "stop");
    assert.equal(press("Enter"), null);
});

test("sampling takes numbers in range and drops the rest", () => {
    const temperature = SAMPLING_FIELDS.find((f) => f.name === "temperature");
    const topK = SAMPLING_FIELDS.find((f) => f.name === "top_k");
    assert.ok(temperature && topK);
    assert.deepEqual(withSample({}, temperature, "0"), {temperature: 0});
    assert.deepEqual(withSample({temperature: 1}, temperature, ""), {});
    assert.deepEqual(withSample({temperature: 1}, temperature, "3"), {});
    assert.deepEqual(withSample(undefined, topK, "40.4"), {top_k: 40});
});
