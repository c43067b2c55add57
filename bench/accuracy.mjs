// accuracy.mjs - how far both are from exact arithmetic on the same weights.
//
// Exact: Hearth with F32 activations and an F32 cache, which the tests hold against golden
// logits. Compared: the logits after each of a few tokens, as both compute them by default,
// with an F16 cache. NMSE: the mean square of the difference over the mean square of the exact.
import {readFileSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {programs} from "./programs.mjs";

// Of fewer tokens the ratio of both errors is known to a few per cent only.
const TOKENS = 512;

function readFloats(path) {
    const bytes = readFileSync(path);
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

export function nmse(values, exact) {
    if (values.length !== exact.length) throw new Error(`${values.length} logits, ${exact.length} were expected`);
    let error = 0, energy = 0;
    for (let i = 0; i < exact.length; i++) {
        error += (values[i] - exact[i]) ** 2;
        energy += exact[i] ** 2;
    }
    return error / energy;
}

// Ids below the least vocabulary, the same for every model.
function writeTokens(path) {
    writeFileSync(path, Array.from({length: TOKENS}, (_, i) => (i * (97 + i) + 11) % 300).join(" ") + "\n");
}

// {hearth, peer} for `path`; files go to `folder`. peer is null when it failed.
export function compareAccuracy({path, level, threads, folder, hearth}) {
    const tokens = join(folder, "tokens.txt"), out = (name) => join(folder, `${name}.f32`);
    const own = ["logits", "-m", path, "--tokens", tokens, "-t", String(threads), "-o"];
    writeTokens(tokens);
    programs.hearth(hearth, level, [...own, out("exact"), "--activations", "f32",
        "--cache-type-k", "f32", "--cache-type-v", "f32"]);
    programs.hearth(hearth, level, [...own, out("hearth"), "--cache-type-k", "f16", "--cache-type-v", "f16"]);
    const exact = readFloats(out("exact")), result = {hearth: nmse(readFloats(out("hearth")), exact), peer: null};
    try {
        programs.peer(level, ["-m", path, "--logits", out("peer"), "--tokens", tokens, "-t", String(threads)]);
        result.peer = nmse(readFloats(out("peer")), exact);
    } catch (error) {
        result.peer_failed = error.message;
    }
    return result;
}

// What the chunks of a text changed from one run to another, {change, stderr, chunks}: change is of
// the perplexity, less 1. Each chunk is compared with itself, so that the standard error is that of
// the difference, a hundredth of that of the perplexity.
export function pairedChange(now, before) {
    if (now.length !== before.length || now.length < 2) throw new Error(`${now.length} and ${before.length} chunks`);
    const differences = now.map((nll, i) => nll - before[i]), n = now.length;
    const mean = differences.reduce((sum, d) => sum + d, 0) / n;
    const variance = differences.reduce((sum, d) => sum + (d - mean) ** 2, 0) / (n - 1);
    return {change: Math.exp(mean) - 1, stderr: Math.sqrt(variance / n), chunks: n};
}

// Of each text, at most: half a minute, and the standard error of two such texts is 0.014 %.
const CHUNKS = 500;

// The perplexity of `texts` with the default activations, against that with exact ones.
export function perplexityChange({path, texts, level, threads, hearth}) {
    const run = (activations) => texts.flatMap((text) => programs.hearth(hearth, level, ["perplexity", "-m", path, "-f", text,
        "--ctx", "256", "--chunks", String(CHUNKS), "-t", String(threads), "--activations", activations, "--json"]).chunk_nll);
    return pairedChange(run("auto"), run("f32"));
}
