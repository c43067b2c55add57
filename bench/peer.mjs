// peer.mjs - llama.cpp, as node-llama-cpp ships it, measured the way 'hearth bench' measures
// Hearth: the same tests by the same names, logits of the last token only, below the package's
// own queue and chat layer. Prints the JSON of 'hearth bench --json', without limits.
//
//   node peer.mjs -m FILE --tests pp512,tg64x8 -t 2 -r 1
//   node peer.mjs -m FILE --logits OUT.f32 --tokens IDS.txt [--chunk N]
import {readFileSync, writeFileSync} from "node:fs";
import {parseArgs} from "node:util";
import {getLlama, LlamaLogLevel} from "node-llama-cpp";
import {median, parseTest, tokensOf} from "./tests.mjs";

const BATCH = 512;
const {values: options} = parseArgs({
    options: {
        model: {type: "string", short: "m"},
        tests: {type: "string", default: "pp512,tg64"},
        threads: {type: "string", short: "t", default: "2"},
        repetitions: {type: "string", short: "r", default: "3"},
        "flash-attention": {type: "string", default: "auto"},
        logits: {type: "string"},
        tokens: {type: "string"},
        chunk: {type: "string", default: String(BATCH)},
    },
});
const nThreads = Number(options.threads);
const ids = options.tokens ? readFileSync(options.tokens, "utf8").trim().split(/\s+/).map(Number) : [];
const tests = options.logits ? [] : options.tests.split(",").map(parseTest);
const most = (field) => Math.max(...tests.map(field), 1);
const nContext = Math.max(most((t) => t.depth + t.nPrompt + t.nGenerate), ids.length);
const nSequences = most((t) => t.sequences);

const cpuSeconds = () => {
    const {user, system} = process.cpuUsage();
    return (user + system) / 1e6;
};

function residentBytes() {
    const field = (name) => {
        const line = readFileSync("/proc/self/status", "utf8").match(new RegExp(`^${name}:\\s+(\\d+)`, "m"));
        return line ? Number(line[1]) * 1024 : 0;
    };
    return {resident_bytes: field("VmRSS"), peak_bytes: field("VmHWM")};
}

// The library of the processor generation that was chosen.
function cpuLibrary() {
    const match = readFileSync("/proc/self/maps", "utf8").match(/libggml-cpu-(\w+)\.so/);
    return match ? match[1] : "unknown";
}

function randomTokens(count, vocabulary) {
    let state = 1;
    return Array.from({length: count}, () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return Math.floor(state / 2 ** 32 * vocabulary);
    });
}

const llama = await getLlama({
    gpu: false, build: "never", skipDownload: true, progressLogs: false,
    maxThreads: nThreads, logLevel: LlamaLogLevel.error,
});
const runtime = residentBytes().resident_bytes;

async function open() {
    const flashAttention = {auto: "auto", on: true, off: false}[options["flash-attention"]];
    const model = await llama.loadModel({modelPath: options.model, gpuLayers: 0});
    const context = await model.createContext({
        contextSize: nContext, batchSize: BATCH, sequences: nSequences, flashAttention,
        threads: {ideal: nThreads, min: nThreads},
    });
    for (let s = 0; s < nSequences; s++) context.getSequence(); // takes them from the package
    const sampler = new llama._bindings.AddonSampler(model._model);
    sampler.applyConfig({temperature: 0});
    context._ctx.setThreads(nThreads);
    return {model, binding: context._ctx, sampler};
}

const start = performance.now(), cpuStart = cpuSeconds();
const {model, binding, sampler} = await open();
const vocabulary = model.fileInfo.metadata.tokenizer.ggml.tokens.length;
const tokens = randomTokens(nContext + nSequences, vocabulary);
const lengths = new Array(nSequences).fill(0);

// One batch; parts: [sequence, tokens, which of them want logits]. decodeBatch resolves after
// llama_decode and llama_synchronize. Returns the places of the logits.
async function decode(parts) {
    const places = [];
    binding.initBatch(parts.reduce((sum, [, ids]) => sum + ids.length, 0));
    for (const [sequence, ids, wanted] of parts) {
        places.push(...binding.addToBatch(sequence, lengths[sequence], Uint32Array.from(ids),
            Uint32Array.from(wanted)));
        lengths[sequence] += ids.length;
    }
    await binding.decodeBatch();
    return places;
}

const next = (sequence, n) => tokens.slice(lengths[sequence] + sequence, lengths[sequence] + sequence + n);

// n tokens of one sequence in batches; logits of the last one, or none.
async function prefill(sequence, n, wanted) {
    let places = [];
    for (let left = n; left > 0;) {
        const count = Math.min(left, BATCH);
        left -= count;
        places = await decode([[sequence, next(sequence, count), wanted && left === 0 ? [count - 1] : []]]);
    }
    return places;
}

async function setDepth(test) {
    for (let s = 0; s < nSequences; s++) {
        const depth = s < test.sequences ? test.depth : 0;
        const goesBack = lengths[s] > depth && depth > 0 && binding.removeTokenCellsFromSequence(s, depth, -1);
        if (goesBack) lengths[s] = depth;
        if (lengths[s] > depth || depth === 0) {
            binding.disposeSequence(s);
            lengths[s] = 0;
        }
        await prefill(s, depth - lengths[s], false);
    }
}

async function runTest(test, nGenerate) {
    if (test.nPrompt > 0) {
        const [place] = await prefill(0, test.nPrompt, true);
        if (test.firstToken) await binding.sampleToken(place, sampler);
    }
    for (let i = 0; i < nGenerate; i++)
        await decode(Array.from({length: test.sequences}, (_, s) => [s, next(s, 1), [0]]));
}

async function measure(test) {
    const seconds = [], cpu = [], n = tokensOf(test);
    await setDepth(test);
    await runTest(test, Math.min(test.nGenerate, 1)); // warms up, as Hearth's does
    for (let repetition = 0; repetition < Number(options.repetitions); repetition++) {
        await setDepth(test);
        const start = performance.now(), cpuStart = cpuSeconds();
        await runTest(test, test.nGenerate);
        seconds.push((performance.now() - start) / 1000);
        cpu.push(cpuSeconds() - cpuStart);
    }
    const rates = seconds.map((s) => n / s);
    return {
        test: test.name, seconds: median(seconds), tokens_per_second: median(rates),
        min: Math.min(...rates), max: Math.max(...rates),
        tokens_per_cpu_second: median(cpu.map((s) => n / s)),
    };
}

// Logits after every token, [tokens][vocabulary] floats. sampleToken gives pairs of token and
// logit, in any order.
async function writeLogits() {
    const out = new Float32Array(ids.length * vocabulary), chunk = Number(options.chunk);
    for (let at = 0; at < ids.length; at += chunk) {
        const part = ids.slice(at, at + chunk);
        const places = await decode([[0, part, part.map((_, i) => i)]]);
        for (let i = 0; i < part.length; i++) {
            const logits = (await binding.sampleToken(places[i], sampler, false, false, true))[3];
            for (let j = 0; j < logits.length; j += 2) out[(at + i) * vocabulary + logits[j]] = logits[j + 1];
        }
    }
    writeFileSync(options.logits, new Uint8Array(out.buffer));
}

await decode([[0, tokens.slice(0, 1), [0]]]);
const load = {
    seconds: (performance.now() - start) / 1000, cpu_seconds: cpuSeconds() - cpuStart,
    ...residentBytes(), runtime_bytes: runtime,
};
binding.disposeSequence(0);
lengths[0] = 0;
const rows = [];
if (options.logits) await writeLogits();
else for (const test of tests) rows.push(await measure(test));
console.log(JSON.stringify({
    model: options.model, device: `cpu ${cpuLibrary()}, ${binding.getThreads()} threads`,
    llama_cpp: llama.llamaCppRelease.release, load, rows,
}, null, 1));
process.exit(0);
