// What the benchmark scripts compute from measurements, on made-up ones: node --test bench/
import assert from "node:assert/strict";
import {test} from "node:test";
import {nmse, pairedChange} from "./accuracy.mjs";
import {judge, judgeLimits} from "./duel.mjs";
import {goalRows} from "./goals.mjs";
import {plan} from "./jobs.mjs";
import {barPlot} from "./plot.mjs";
import {compareRuns, slug} from "./render.mjs";
import {median, parseTest, spread, tokensOf} from "./tests.mjs";
import {range, table} from "./text.mjs";

test("names of tests say what they are", () => {
    assert.deepEqual(parseTest("ttft512@d500"),
        {name: "ttft512@d500", depth: 500, firstToken: true, nPrompt: 12, nGenerate: 0, sequences: 1});
    assert.equal(tokensOf(parseTest("tg32x8@d64")), 256);
    assert.equal(tokensOf(parseTest("pp512+tg64")), 576);
    for (const wrong of ["pp", "tg8x", "pp8x2", "tg8@64", "ttft8x2"]) assert.throws(() => parseTest(wrong), /not the name/);
});

test("medians leave out what was not measured", () => {
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, undefined, 2, 3]), 2.5);
    assert.deepEqual(spread([2, NaN, 8, 4]), {median: 4, min: 2, max: 8});
    assert.equal(spread([undefined]), null);
});

const hearthRow = (test, rate, more) => ({
    test, tokens_per_second: rate, seconds: 100 / rate, tokens_per_cpu_second: rate / 2, fraction_of_limit: 0.8, reading_of_limit: 0.9,
    bytes_per_second: 2e9, operations_per_second: 1e9, bytes: 1000, limit: "memory", ...more,
});
const peerRow = (test, rate) => ({test, tokens_per_second: rate, seconds: 100 / rate, tokens_per_cpu_second: rate / 2});
const limits = (read) => ({read_bytes_per_second: read});
const round = (hearth, peer, read = 10) => ({
    hearth: {rows: hearth, device: "cpu", load: {seconds: 0.1}, fastest_limits: limits(read), slowest_limits: limits(read / 2)},
    peer: peer && {rows: peer, load: {seconds: 1}}, load_before: 1, load_after: 1,
});

test("a duel is judged round by round", () => {
    const rounds = [round([hearthRow("tg4", 20)], [peerRow("tg4", 10)]), round([hearthRow("tg4", 30)], [peerRow("tg4", 10)], 40)];
    const judged = judge(rounds, "tg4");
    assert.deepEqual(judged.ratio, {median: 2.5, min: 2, max: 3});
    assert.deepEqual(judged.fraction, {median: 0.8, min: 0.8, max: 0.8});
    assert.ok(Math.abs(judged.peer_fraction.max - 0.4) < 1e-12); // half as fast: half the fraction
    assert.deepEqual(judgeLimits(rounds), {read_bytes_per_second: {min: 5, max: 40}});
    assert.equal(judge([round([hearthRow("tg4", 20)], null)], "tg4").ratio, null);
});

const amd = {cpu: "AMD EPYC", level: "avx512", levels: ["scalar", "avx2", "avx512"]};

test("the plan holds both to levels below the best, which is not measured twice", () => {
    const {jobs} = plan({short: true, machine: amd});
    assert.ok(jobs.some((job) => job.level === "avx2"));
    assert.ok(!jobs.some((job) => job.level === "avx512"));
    assert.equal(new Set(jobs.map((job) => job.id)).size, jobs.length);
    jobs.flatMap((job) => job.tests).forEach(parseTest);
});

test("goals are judged by medians, those for AMX not without it", () => {
    const measured = plan({short: true, machine: amd});
    const rows = ["pp64", "tg8"].map((name) => hearthRow(name, 40)), peers = ["pp64", "tg8"].map((name) => peerRow(name, 20));
    const goals = goalRows({...measured, machine: amd, rounds: {"best/q4_0": [round(rows, peers)]}, accuracy: {
        q4_0: {hearth: 2, peer: 1}, perplexity: {q4_0: {change: -0.0005, stderr: 0.0001, chunks: 9}, q8_0: {change: -0.002, stderr: 0.0001, chunks: 9}},
    }});
    const met = (work, what) => goals.find((g) => g.work === work && g.what === what).met;
    assert.equal(met("tg8 q4_0", "of the memory limit"), false);
    assert.equal(goals.find((g) => g.work === "tg8 q4_0").note, "reading alone 0.90");
    assert.equal(met("tg8 q4_0", "× llama.cpp"), true);
    assert.equal(met("pp64 q4_0", "× llama.cpp"), null);
    assert.equal(met("pp64 q4_0, avx512", "× llama.cpp at this level"), true);
    assert.equal(met("pp64 q4_0, avx2", "× llama.cpp at this level"), null);
    assert.equal(met("logits q4_0", "NMSE against exact arithmetic, over llama.cpp's"), false);
    assert.equal(met("perplexity stories260K q4_0", "% changed by quantised activations"), true);
    assert.equal(met("perplexity stories260K q8_0", "% changed by quantised activations"), false);
});

test("several sequences and long contexts are judged beside the single one of their own test", () => {
    const measured = plan({short: true, machine: amd});
    const many = (rate, ratio) => hearthRow("tg4x2", rate, {single: {ratio}});
    const deep = hearthRow("tg4@d128", 25, {single: {ratio: 0.8, added_seconds_over_bytes: 1.2}});
    const goals = goalRows({...measured, machine: amd, accuracy: {}, rounds: {
        together: [
            round([hearthRow("tg4", 10), many(90, 4), hearthRow("tg4x3", 30, {single: {ratio: 9}})], [peerRow("tg4", 10), peerRow("tg4x2", 15)]),
            round([hearthRow("tg4", 10), many(90, 5), hearthRow("tg4x3", 30, {single: {ratio: 8}})], null),
        ],
        deep: [round([deep], null)],
    }});
    const goal = (work, what) => goals.find((g) => g.work === work && g.what.startsWith(what));
    assert.deepEqual(goal("tg4x2", "× one").value, {median: 4.5, min: 4, max: 5});
    assert.equal(goal("tg4x2", "× one").met, false);
    assert.equal(goal("tg4x2", "× one").note, "llama.cpp 1.50");
    assert.equal(goal("tg4x3", "× one").met, true);
    assert.equal(goal("tg4@d128", "added").value.median, 1.2);
    assert.equal(goal("tg4@d128", "added").met, false);
});

test("runs agree where their spreads meet", () => {
    const run = (min, max) => ({date: "d", goals: [{work: "tg", what: "x", ratio: true, value: {median: min, min, max}}]});
    assert.equal(compareRuns(null, run(1, 2)), null);
    assert.equal(compareRuns(run(1, 2), run(2, 3)).agreeing, 1);
    assert.deepEqual(compareRuns(run(1, 2), run(2.1, 3)).differing.map((d) => d.what), ["tg x"]);
});

test("text and plots hold what they were given", () => {
    assert.equal(range({median: 1.5, min: 1, max: 2}), "1.50 (1.00–2.00)");
    assert.equal(range(null), "–");
    assert.equal(table(["a", "b:"], [["1", "2"]]), "| a | b |\n| --- | ---: |\n| 1 | 2 |");
    assert.equal(slug({cpu: "Intel(R) Xeon(R) CPU @ 2.00GHz", level: "amx"}), "intel-xeon-cpu-amx");
    const svg = barPlot({title: "a < b", rows: [{label: "x&y", bars: [{kind: "hearth", value: {median: 2, min: 1, max: 9}, text: "2"}]}], mark: 1});
    assert.match(svg, /a &lt; b[\s\S]*x&amp;y/);
    assert.equal((svg.match(/<rect/g) ?? []).length, 1);
    for (const [, x] of svg.matchAll(/x2="([\d.]+)"/g)) assert.ok(Number(x) <= 760);
});

test("the error of logits is relative to their size", () => {
    assert.equal(nmse([3, 4], [3, 4]), 0);
    assert.equal(nmse([0, 0], [3, 4]), 1);
    assert.throws(() => nmse([1], [1, 2]), /expected/);
});

test("chunks are compared each with itself", () => {
    const before = [1, 5, 3, 2], now = before.map((nll, i) => nll + [0.01, 0.03, 0.01, 0.03][i]);
    const {change, stderr, chunks} = pairedChange(now, before);
    assert.ok(Math.abs(change - (Math.exp(0.02) - 1)) < 1e-12);
    assert.ok(Math.abs(stderr - 0.01 / Math.sqrt(3)) < 1e-12);
    assert.equal(chunks, 4);
    assert.throws(() => pairedChange([1, 2], [1]), /chunks/);
});
