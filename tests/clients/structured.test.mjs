// Answers in forms: JSON Schemas of the golden data, asked for in every way, judged by Ajv.
// HEARTH_SCHEMAS=all takes all of them, not about a hundred.
import assert from "node:assert/strict";
import {test} from "node:test";
import {serveTests} from "./program.mjs";
import {askAll, isWrong, SELECTION, tally} from "./structured.mjs";
import {testdata} from "./testdata.mjs";

const most = process.env.HEARTH_SCHEMAS === "all" ? Infinity : SELECTION;
const {path, skip} = testdata("structured");

async function askModel(settings) {
    const server = await serveTests({...settings, options: ["--alias", "ember"]});
    const results = await askAll(server.url, path, most);
    const wrong = results.filter(isWrong).map(({schema, way, verdict, why}) => `${verdict}: ${schema}, by ${way}: ${why}`);
    assert.deepEqual(wrong, []);
    return results;
}

test("every document of every schema is valid, or the schema is refused with the reason", {skip}, async (t) => {
    const results = await askModel({});
    t.diagnostic(tally(results));
    const n = (verdict) => results.filter((result) => result.verdict === verdict).length;
    assert.ok(n("valid") > results.length / 2);
    assert.ok(n("unjudged") < results.length / 50);
});

const stories = testdata("models/stories260K/stories260K.gguf");

test("so it is with a model that only tells stories", {skip: skip || stories.skip}, async (t) => {
    t.diagnostic(tally(await askModel({file: stories.path})));
});
