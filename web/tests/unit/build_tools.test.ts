// The steps of the build that come after Vite.
import assert from "node:assert/strict";
import {test} from "node:test";
import {gunzipSync} from "node:zlib";
// @ts-expect-error -- plain JavaScript
import {firstLoad} from "../../tools/budget.mjs";
// @ts-expect-error -- plain JavaScript
import {asset, tableInC} from "../../tools/embed.mjs";

test("the first load is what the entry needs, not the lazy parts", () => {
    const manifest = {
        "index.html": {file: "a.js", css: ["a.css"], imports: ["_b.js"], dynamicImports: ["math.ts"], isEntry: true},
        "_b.js": {file: "b.js", imports: ["index.html"]},
        "math.ts": {file: "math.js", css: ["math.css"], isDynamicEntry: true},
    };
    assert.deepEqual(firstLoad(manifest).sort(), ["a.css", "a.js", "b.js", "icon.svg", "index.html", "theme.js"]);
});

test("an asset is compressed, and the same content gives the same bytes and tag", () => {
    const content = Buffer.from("let a = 1;\n".repeat(50));
    const one = asset("/a.js", content), two = asset("/b.js", content);
    assert.deepEqual(gunzipSync(one.data), content);
    assert.deepEqual(one.data, two.data);
    assert.equal(one.etag, two.etag);
    assert.match(one.etag, /^"[0-9a-f]{16}"$/);
    assert.notEqual(asset("/a.js", Buffer.from("x")).etag, one.etag);
    assert.throws(() => asset("/a.exe", content), /no content type/);
});

test("the table in C has a line for every file", () => {
    const text: string = tableInC([asset("/a.js", Buffer.from("a")), asset("/b.css", Buffer.from("b"))]);
    assert.match(text, /\{"\/a\.js", "text\/javascript; charset=utf-8", data_0, \d+, "\\"[0-9a-f]{16}\\""\},/);
    assert.match(text, /const size_t n_assets = 2;/);
});
