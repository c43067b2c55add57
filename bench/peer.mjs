// peer.mjs - measures llama.cpp, as node-llama-cpp ships it, the way 'hearth bench' measures
// Hearth: prompt tokens in one batch, generated tokens one by one, logits of the last token only.
// Prints the JSON of 'hearth bench --json'.
import {readFileSync} from "node:fs";
import {parseArgs} from "node:util";
import {getLlama, LlamaLogLevel} from "node-llama-cpp";

const {values: options} = parseArgs({
    options: {
        model: {type: "string", short: "m"},
        "n-prompt": {type: "string", short: "p", default: "512"},
        "n-gen": {type: "string", short: "n", default: "64"},
        threads: {type: "string", short: "t", default: "2"},
        repetitions: {type: "string", short: "r", default: "3"},
        "flash-attention": {type: "string", default: "auto"},
    },
});
const nPrompt = Number(options["n-prompt"]);
const nGenerate = Number(options["n-gen"]);
const nRepetitions = Number(options.repetitions);
const flashAttention = {auto: "auto", on: true, off: false}[options["flash-attention"]];

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

function median(values) {
    const sorted = [...values].sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function randomTokens(count, vocabulary) {
    let state = 1;
    return Array.from({length: count}, () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return Math.floor(state / 2 ** 32 * vocabulary);
    });
}

// The binding below the package's own queue, so that nothing but the forward pass is timed;
// decodeBatch resolves after llama_decode and llama_synchronize.
async function forward(binding, position, tokens) {
    binding.initBatch(tokens.length);
    binding.addToBatch(0, position, Uint32Array.from(tokens), Uint32Array.of(tokens.length - 1));
    await binding.decodeBatch();
}

async function measure(binding, name, tokens, batches) {
    const rates = [], cpuRates = [];
    for (let repetition = -1; repetition < nRepetitions; repetition++) {
        binding.disposeSequence(0);
        const start = performance.now(), cpuStart = cpuSeconds();
        let position = 0;
        for (const batch of repetition < 0 ? batches.slice(0, 1) : batches) {
            await forward(binding, position, batch);
            position += batch.length;
        }
        if (repetition < 0) continue; // warms up, as Hearth's does: the prompt, or one token
        rates.push(tokens / (performance.now() - start) * 1000);
        cpuRates.push(tokens / (cpuSeconds() - cpuStart));
    }
    return {
        test: name, tokens_per_second: median(rates), min: Math.min(...rates), max: Math.max(...rates),
        tokens_per_cpu_second: median(cpuRates),
    };
}

const llama = await getLlama({
    gpu: false, build: "never", skipDownload: true, progressLogs: false,
    maxThreads: Number(options.threads), logLevel: LlamaLogLevel.error,
});
const runtime = residentBytes().resident_bytes;
const start = performance.now(), cpuStart = cpuSeconds();
const model = await llama.loadModel({modelPath: options.model, gpuLayers: 0});
const context = await model.createContext({
    contextSize: Math.max(nPrompt, nGenerate), batchSize: 512, sequences: 1, flashAttention,
    threads: {ideal: Number(options.threads), min: Number(options.threads)},
});
const binding = context._ctx;
context.getSequence(); // takes sequence 0 from the package
binding.setThreads(Number(options.threads));
const tokens = randomTokens(Math.max(nPrompt, nGenerate), model.fileInfo.metadata.tokenizer.ggml.tokens.length);
await forward(binding, 0, tokens.slice(0, 1));
const load = {
    seconds: (performance.now() - start) / 1000, cpu_seconds: cpuSeconds() - cpuStart,
    ...residentBytes(), runtime_bytes: runtime,
};

const rows = [];
if (nPrompt > 0) rows.push(await measure(binding, `pp${nPrompt}`, nPrompt, [tokens.slice(0, nPrompt)]));
if (nGenerate > 0) {
    const single = tokens.slice(0, nGenerate).map((token) => [token]);
    rows.push(await measure(binding, `tg${nGenerate}`, nGenerate, single));
}
console.log(JSON.stringify({
    model: options.model, device: `cpu, ${binding.getThreads()} threads`,
    llama_cpp: llama.llamaCppRelease.release, system: llama.systemInfo, load, rows,
}, null, 1));
process.exit(0);
