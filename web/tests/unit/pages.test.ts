// What the pages for models, tuning and the server compute.
import assert from "node:assert/strict";
import {test} from "node:test";
import {Rate} from "../../src/lib/rate";
import {shortName} from "../../src/lib/short_name";
import {fetchedBytes, proposals, pullName, QUANT_TYPES, quantizedBytes, quantizedName} from "../../src/models/model_names";
import {isOwn, logLine} from "../../src/server/log_line";
import {parseMetrics} from "../../src/server/metrics_text";
import {Sampler} from "../../src/server/server_sample";
import {addSample, addStep, emptyCurves, groupSamples} from "../../src/tune/curves";
import {exampleLines, filledExamples, pastedExamples} from "../../src/tune/examples";

test("a copy is named after its type, not after the old one", () => {
    assert.equal(quantizedName("org/model:Q8_0", "Q4_K_M"), "model-Q4_K_M");
    assert.equal(quantizedName("model-F16.gguf", "Q8_0"), "model-Q8_0");
    assert.equal(quantizedName("Qwen3-4B", "Q4_0"), "Qwen3-4B-Q4_0");
    assert.equal(quantizedName("a-IQ4_XS", "Q4_0"), "a-Q4_0");
});

test("addresses of the hub are names, too", () => {
    assert.equal(pullName(" https://huggingface.co/org/model/tree/main "), "org/model");
    assert.equal(pullName("hf.co/org/model"), "hf.co/org/model");
    assert.equal(pullName("llama3.2:1b"), "llama3.2:1b");
    assert.equal(shortName("org/model:Q4"), "model:Q4");
    assert.equal(shortName("org/"), "org/");
});

test("a name says how large a model is, or does not", () => {
    const about = (name: string) => Math.round((fetchedBytes(name) ?? 0) / 1e7) / 100;
    assert.equal(about("qwen3:4b"), 2.42);
    assert.equal(about("Qwen/Qwen3-30B-A3B-GGUF"), 18.11);
    assert.equal(about("ggml-org/gemma-3-270m-it-GGUF"), 0.16);
    assert.equal(about("phi3.5:3.8b"), 2.29);
    assert.equal(fetchedBytes("acme/tiny-GGUF"), null);
    assert.equal(fetchedBytes("org/model-4bit"), null);
});

test("of each family the largest that leaves half of the memory is proposed", () => {
    const models = ["a:1b", "a:7b", "a:70b", "b:3b", "embed:v1", "c:0.5b"].map((name) => ({name}));
    assert.deepEqual(proposals(models, 16e9).map((m) => m.name), ["a:7b", "b:3b", "c:0.5b"]);
    assert.deepEqual(proposals(models, 1e9).map((m) => m.name), ["c:0.5b"]);
});

test("smaller types give smaller files", () => {
    const sizes = QUANT_TYPES.map((type) => quantizedBytes(1e9, type.bits));
    assert.deepEqual(sizes, [...sizes].sort((a, b) => b - a));
});

test("a rate forgets what was long ago, and begins anew when the count falls", () => {
    const rate = new Rate();
    assert.equal(rate.at(0, 100), 0);
    assert.equal(rate.at(1, 200), 100);
    for (let s = 2; s <= 30; s++) rate.at(s, 200);
    assert.equal(rate.at(31, 200), 0);
    assert.equal(rate.at(32, 10), 0);
    assert.equal(rate.at(33, 15), 5);
    assert.equal(rate.at(33, 15), 5);
});

test("metrics are added up over labels; comments and nonsense are left out", () => {
    const metrics = parseMetrics([
        "# HELP a_total how many", "# TYPE a_total counter", 'a_total{path="/v1",status="200"} 3', 'a_total{path="x } y"} 4 1700000000',
        "b 1.5e3", "c NaN", "d +Inf", "broken", "",
    ].join("\n"));
    assert.deepEqual([...metrics], [["a_total", 7], ["b", 1500]]);
});

test("log lines are readable whatever form they have", () => {
    const none = {status: 0, path: ""};
    assert.deepEqual(logLine({time: "t", level: "WARN", message: "slow", ms: 4, to: {a: 1}}), {...none, time: "t", level: "warning", text: 'slow  ms=4  to={"a":1}'});
    assert.deepEqual(logLine("plain"), {...none, time: "", level: "", text: "plain"});
    assert.deepEqual(logLine({line: "x"}), {...none, time: "", level: "", text: "x"});
    assert.deepEqual(logLine(null), {...none, time: "", level: "", text: "null"});
});

test("a request is one short line, and the app's own can be told apart", () => {
    const asked = {time: "t", id: "5c", method: "POST", path: "/v1/chat/completions", status: 200, ms: 105.1, prompt_tokens: 17, answer_tokens: 18, key: "k"};
    assert.deepEqual(logLine(asked), {time: "t", level: "", text: "POST /v1/chat/completions  105 ms  17 → 18 tokens  key=k", status: 200, path: asked.path});
    assert.equal(isOwn(logLine(asked)), false);
    const own = logLine({method: "GET", path: "/api/hearth/v1/status", status: 401, ms: 0.31});
    assert.deepEqual([own.level, own.text, isOwn(own)], ["warning", "GET /api/hearth/v1/status  0.3 ms", true]);
    assert.equal(isOwn(logLine("plain")), false);
});

test("plots show growth between two moments, and shares", () => {
    const sampler = new Sampler();
    const metrics = (tokens: number, passes: number, rows: number) => new Map([
        ["hearth_answer_tokens_total", tokens], ["hearth_scheduler_passes_total", passes], ["hearth_scheduler_rows_total", rows],
        ["hearth_requests_running", 3], ["hearth_kv_pages", 100], ["hearth_kv_pages_free", 60], ["hearth_kv_pages_kept", 15],
    ]);
    assert.equal(sampler.take(metrics(10, 5, 20), 100).batch, 0);
    const {answers, batch, cache, running} = sampler.take(metrics(30, 15, 60), 102);
    assert.deepEqual({answers, batch, cache, running}, {answers: 10, batch: 4, cache: 0.25, running: 3});
    assert.equal(new Sampler().take(new Map(), 1).cache, 0);
});

test("only whole examples become lines", () => {
    const examples = [{question: " a\n", answer: '"b"'}, {question: "c", answer: " "}];
    assert.equal(filledExamples(examples).length, 1);
    assert.deepEqual(JSON.parse(exampleLines(examples)), {messages: [{role: "user", content: "a"}, {role: "assistant", content: '"b"'}]});
});

test("a table is pasted as examples, a sentence is not", () => {
    assert.deepEqual(pastedExamples('q\ta\r\n"say ""x"""\tb\textra\r\n'), [{question: "q", answer: "a"}, {question: 'say "x"', answer: "b"}]);
    assert.equal(pastedExamples("just a sentence\nand one more"), null);
    assert.equal(pastedExamples(""), null);
});

const step = (n: number, more = {}) => ({step: n, steps: 9, loss: n, rate: 1, tokens_per_second: 1, memory_bytes: 1, seconds_left: 1, ...more});

test("curves have a column of every value, with gaps where there is none", () => {
    const curves = emptyCurves();
    addStep(curves, step(1));
    addStep(curves, step(2, {eval_loss: 0.5, loss: Number.NaN}));
    addStep(curves, {sample: {prompt: "p"}});
    assert.deepEqual(curves.steps, [1, 2]);
    assert.deepEqual(curves.loss, [1, null]);
    assert.deepEqual(curves.evalLoss, [null, 0.5]);
});

test("a step that is reported again replaces what came after it", () => {
    const curves = emptyCurves();
    for (const n of [1, 2, 3, 4]) addStep(curves, step(n));
    addStep(curves, step(3, {loss: 9}));
    assert.deepEqual(curves.steps, [1, 2, 3]);
    assert.deepEqual(curves.loss, [1, 2, 9]);
});

test("long curves are thinned, rare values stay", () => {
    const curves = emptyCurves();
    for (let n = 1; n <= 10_000; n++) addStep(curves, step(n, n % 1000 === 0 ? {eval_loss: n} : {}));
    assert.ok(curves.steps.length <= 2000);
    assert.equal(curves.evalLoss.filter((v) => v !== null).length, 10);
    assert.equal(curves.steps.at(-1), 10_000);
    assert.deepEqual(curves.steps, [...curves.steps].sort((a, b) => a - b));
    assert.ok(Object.values(curves).every((column) => column.length === curves.steps.length));
});

test("answers along the way stand under their question", () => {
    assert.deepEqual(groupSamples([{prompt: "p", step: 5, text: "x"}, {prompt: "q", before: "b", after: "a"}, {prompt: "p", step: 9, text: "y"}]), [
        {prompt: "p", expected: null, answers: [{step: 5, text: "x"}, {step: 9, text: "y"}]},
        {prompt: "q", expected: null, answers: [{step: 0, text: "b"}, {step: null, text: "a"}]},
    ]);
    assert.deepEqual(groupSamples([{prompt: "p", data: "right", step: 5, text: "let me see\n</think>\n\nwrong"}]), [
        {prompt: "p", expected: "right", answers: [{step: 5, text: "wrong"}]},
    ]);
});

test("an answer that comes again takes the place of the one before", () => {
    const first = [{prompt: "p", step: 5, text: "x"}, {prompt: "q", step: 5, text: "y"}, {prompt: "p", before: "b", after: "a"}];
    assert.deepEqual(addSample(first, {prompt: "p", step: 5, text: "z"}), [first[1], first[2], {prompt: "p", step: 5, text: "z"}]);
    assert.deepEqual(addSample(first, {prompt: "p", step: 6, text: "z"}).length, 4);
});
