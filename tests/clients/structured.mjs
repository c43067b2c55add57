// structured.mjs - has one schema after the other answered in every way that clients ask for a form,
// and judges what comes back.
//
//   node structured.mjs [--all] [--refused] [--model FILE]
//
// without --all: about a hundred schemas; --refused: says also why schemas were refused.
import {parseArgs} from "node:util";
import {fileURLToPath} from "node:url";
import {serve} from "./program.mjs";
import {openJudge, schemas} from "./schemas.mjs";
import {testdata} from "./testdata.mjs";

export const SELECTION = 100;
const PATIENCE_MS = 240_000; // for one answer: then it hangs
const AT_ONCE = 8;
const MAX_TOKENS = 160;

// ---- the ways to ask; each gives {text, cut} from the body of the answer ----

const question = [{role: "user", content: "Give me an example."}];
// Anything that the form allows, with a liking for what ends texts, lists and objects: a small model
// would go on with them for ever.
const closing = [["\"", 5], ["]", 3], ["}", 3]];
const drawn = {temperature: 1.2, min_p: 0, top_p: 1, seed: 11, logit_bias: closing, max_tokens: MAX_TOKENS, reasoning_effort: "none"};
const ofChat = ({choices: [{message, finish_reason}]}) => ({text: message.content, cut: finish_reason === "length"});
const ofText = ({choices: [{text, finish_reason}]}) => ({text, cut: finish_reason === "length"});

const ways = {
    "OpenAI's response_format": {
        place: "/v1/chat/completions", read: ofChat,
        body: ({schema}) => ({...drawn, messages: question, response_format: {type: "json_schema", json_schema: {name: "form", schema, strict: true}}}),
    },
    "Ollama's format": {
        place: "/api/chat", fits: ({schema}) => typeof schema === "object",
        read: ({message, done_reason}) => ({text: message.content, cut: done_reason === "length"}),
        body: ({schema}) => ({model: "ember", messages: question, format: schema, stream: false, think: false, options: {temperature: 0, logit_bias: closing, num_predict: MAX_TOKENS}}),
    },
    "llama.cpp's json_schema": {
        place: "/v1/completions", read: ofText, fits: ({schema}) => typeof schema === "object",
        body: ({schema}) => ({...drawn, seed: 12, prompt: "Once", json_schema: schema}),
    },
    "llama.cpp's grammar": {
        place: "/v1/completions", read: ofText, fits: ({grammar}) => grammar,
        body: ({grammar}) => ({...drawn, seed: 13, prompt: "Once", grammar}),
    },
};

// ---- one answer ----

async function post(url, body) {
    const response = await fetch(url, {
        method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify(body), signal: AbortSignal.timeout(PATIENCE_MS),
    });
    return {status: response.status, body: await response.json()};
}

// A refusal must say what of the schema is meant.
const reasonOf = ({error}) => (typeof error === "string" ? error : error?.message) ?? "";
const saysWhy = (reason) => /^schema at '|^no text has the form|^the body has a number/.test(reason);

function parsed(text) {
    try {
        return {value: JSON.parse(text)};
    } catch {
        return {broken: true};
    }
}

function judged(judge, one, {text, cut}) {
    if (cut) return {verdict: "cut"};
    const {value, broken} = parsed(text);
    if (broken) return {verdict: "invalid", why: `not JSON: ${text}`};
    try {
        if (JSON.stringify(one.schema).includes("$dynamicRef")) return {verdict: "unjudged", why: "Ajv takes $dynamicRef for $recursiveRef"};
        const why = judge(one, value);
        return why ? {verdict: "invalid", why: `${why}: ${text}`} : {verdict: "valid"};
    } catch (error) {
        return {verdict: "unjudged", why: error.message};
    }
}

async function answer(url, judge, one, way) {
    try {
        const {status, body} = await post(`${url}${way.place}`, way.body(one));
        if (status === 200) return judged(judge, one, way.read(body));
        const reason = reasonOf(body);
        return status === 400 && saysWhy(reason) ? {verdict: "refused", why: reason} : {verdict: "failed", why: `${status} ${reason}`};
    } catch (error) {
        return {verdict: error.name === "TimeoutError" ? "hangs" : "failed", why: error.message};
    }
}

// ---- all of them ----

// Runs the jobs, a few at a time; in order of the list.
async function inParallel(jobs) {
    const results = [];
    let next = 0;
    await Promise.all(Array.from({length: AT_ONCE}, async () => {
        while (next < jobs.length) {
            const i = next++;
            results[i] = await jobs[i]();
        }
    }));
    return results;
}

// [{schema, way, verdict, why}]; `take` gets each as it comes.
export async function askAll(url, root, most, take = () => {}) {
    const judge = openJudge(root);
    const askOne = async (one, name) => {
        const result = {schema: one.name, way: name, ...await answer(url, judge, one, ways[name])};
        take(result);
        return result;
    };
    const fitting = (one) => Object.keys(ways).filter((name) => ways[name].fits?.(one) ?? true);
    return inParallel(schemas(root, most).flatMap((one) => fitting(one).map((name) => () => askOne(one, name))));
}

export const isWrong = ({verdict}) => ["invalid", "failed", "hangs"].includes(verdict);

export function tally(results) {
    const counts = {};
    for (const {verdict} of results) counts[verdict] = (counts[verdict] ?? 0) + 1;
    return Object.entries(counts).map(([verdict, n]) => `${n} ${verdict}`).sort().join(", ");
}

function sayResult({schema, way, verdict, why}) {
    console.log(`${verdict}: ${schema}, by ${way}: ${why}`);
}

async function main() {
    const {values: {all, model, refused}} = parseArgs({options: {all: {type: "boolean"}, model: {type: "string"}, refused: {type: "boolean"}}});
    const {path, skip} = testdata("structured");
    if (skip) throw new Error(skip);
    const isSaid = (result) => isWrong(result) || result.verdict === "unjudged" || (refused && result.verdict === "refused");
    const server = await serve({...model && {file: model}, options: ["--alias", "ember"]});
    try {
        const results = await askAll(server.url, path, all ? Infinity : SELECTION, (result) => isSaid(result) && sayResult(result));
        console.log(tally(results));
        process.exitCode = results.some(isWrong) ? 1 : 0;
    } finally {
        await server.stop("SIGKILL");
    }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
