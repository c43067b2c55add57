// compare.mjs - Hearth beside llama.cpp on the same files with the same number of threads.
//
// Every round runs the peer and then Hearth, each in a process of its own, so that whatever else
// the machine does meets both. Medians over the rounds count. Prints Markdown; --json FILE writes
// everything that was measured.
import {execFileSync} from "node:child_process";
import {existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync} from "node:fs";
import {cpus, loadavg} from "node:os";
import {basename, dirname, join} from "node:path";
import {fileURLToPath} from "node:url";
import {parseArgs} from "node:util";

const here = dirname(fileURLToPath(import.meta.url));
const {values: options} = parseArgs({
    options: {
        hearth: {type: "string", default: join(here, "..", "build", "hearth")},
        model: {type: "string", multiple: true},
        models: {type: "string", default: join(here, "..", "build", "bench-models")},
        shape: {type: "string", default: "llama-3.2-1b"},
        types: {type: "string", default: "q4_0,q8_0,q4_k_m"},
        threads: {type: "string", short: "t", default: "2"},
        "n-prompt": {type: "string", short: "p"},
        "n-gen": {type: "string", short: "n"},
        rounds: {type: "string"},
        "flash-attention": {type: "string", default: "auto"},
        quick: {type: "boolean", default: false},
        json: {type: "string"},
    },
});
const nPrompt = options["n-prompt"] ?? (options.quick ? "128" : "512");
const nGenerate = options["n-gen"] ?? (options.quick ? "16" : "64");
const rounds = Number(options.rounds ?? (options.quick ? 2 : 5));
const types = options.quick && !options.model ? ["q4_0"] : options.types.split(",");

function synthesise(type) {
    const path = join(options.models, `${options.shape}-${type}.gguf`);
    if (existsSync(path)) return path;
    mkdirSync(options.models, {recursive: true});
    const unfinished = `${path}.part`;
    execFileSync(options.hearth, ["synth", "--shape", options.shape, "--type", type, "-o", unfinished],
        {stdio: ["ignore", "ignore", "inherit"]});
    renameSync(unfinished, path);
    return path;
}

function run(program, before, path) {
    const size = ["-p", nPrompt, "-n", nGenerate, "-t", options.threads, "-r", "1"];
    const text = execFileSync(program, [...before, "-m", path, ...size],
        {encoding: "utf8", stdio: ["ignore", "pipe", "inherit"]});
    return JSON.parse(text);
}

const runs = {
    peer: (path) => run(process.execPath,
        [join(here, "peer.mjs"), "--flash-attention", options["flash-attention"]], path),
    hearth: (path) => run(options.hearth, ["bench", "--json", "-b", "512"], path),
};

function median(values) {
    const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function measure(path) {
    const results = {peer: [], hearth: []};
    for (let round = 1; round <= rounds; round++)
        for (const who of ["peer", "hearth"]) {
            process.stderr.write(`${basename(path)}, round ${round} of ${rounds}: ${who}\n`);
            results[who].push(runs[who](path));
        }
    const middle = (who, field) => median(results[who].map(field));
    const pair = (name, unit, field) => ({
        test: name, unit, peer: middle("peer", field), hearth: middle("hearth", field),
    });
    const tests = results.hearth[0].rows.map(({test}) => {
        const row = (result) => result.rows.find((r) => r.test === test);
        const speed = pair(test, "tokens/s", (result) => row(result).tokens_per_second);
        const effort = pair(test, "tokens/CPU s", (result) => row(result).tokens_per_cpu_second);
        return {...speed, ratio: speed.hearth / speed.peer, cpu_ratio: effort.hearth / effort.peer};
    });
    const load = pair("load", "s", (result) => result.load.seconds);
    const memory = pair("memory", "bytes", (result) => result.load.resident_bytes);
    return {
        model: basename(path), size_bytes: statSync(path).size, tests,
        load: {...load, hearth_cpu_seconds: middle("hearth", (r) => r.load.cpu_seconds)},
        memory: {
            ...memory, peer_runtime: middle("peer", (r) => r.load.runtime_bytes),
            cache: middle("hearth", (r) => r.load.cache_bytes),
            hearth_unshared: middle("hearth", (r) => r.load.unshared_bytes),
        },
        runs: results,
    };
}

const mib = (bytes) => (bytes / 2 ** 20).toFixed(0);
const ratio = (value) => `${value.toFixed(2)}`;

function speedRows({model, tests}) {
    return tests.map((t) => `| ${model} | ${t.test} | ${t.peer.toFixed(2)} | ${t.hearth.toFixed(2)} | ` +
        `**${ratio(t.ratio)}** | ${ratio(t.cpu_ratio)} |`);
}

function loadRow({model, size_bytes, load, memory}) {
    const over = (memory.hearth / (size_bytes + memory.cache) - 1) * 100;
    return `| ${model} | ${load.peer.toFixed(2)} | ${load.hearth.toFixed(2)} | ` +
        `${load.hearth_cpu_seconds.toFixed(2)} | ${mib(size_bytes + memory.cache)} | ${mib(memory.peer)} | ` +
        `${mib(memory.hearth)} | ${over >= 0 ? "+" : ""}${over.toFixed(1)} % |`;
}

function report(result) {
    const load = (values) => values.map((x) => x.toFixed(1)).join(" ");
    return [
        `Date ${result.date}; ${result.cpu}, ${result.cores} cores; ${result.threads} threads; ` +
        `${result.rounds} rounds; load average ${load(result.load_before)} before, ${load(result.load_after)} after.`,
        `Hearth: ${result.models[0].runs.hearth[0].device}. Peer: llama.cpp ${result.peer.llama_cpp} ` +
        `from node-llama-cpp ${result.peer.package}.`,
        "",
        "| model | test | llama.cpp, tokens/s | Hearth, tokens/s | ratio | ratio by CPU time |",
        "|---|---|---:|---:|---:|---:|",
        ...result.models.flatMap(speedRows),
        "",
        "| model | llama.cpp, s to first token | Hearth, s | Hearth, CPU s | file + cache, MiB | llama.cpp, MiB | Hearth, MiB | Hearth over file + cache |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        ...result.models.map(loadRow),
    ].join("\n");
}

const paths = options.model ?? types.map(synthesise);
const started = loadavg();
const models = paths.map(measure);
const lock = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
const result = {
    date: new Date().toISOString().slice(0, 10), cpu: cpus()[0].model.trim(), cores: cpus().length,
    threads: Number(options.threads), n_prompt: Number(nPrompt), n_gen: Number(nGenerate), rounds,
    load_before: started, load_after: loadavg(),
    peer: {package: lock.dependencies["node-llama-cpp"], llama_cpp: models[0].runs.peer[0].llama_cpp},
    models,
};
console.log(report(result));
if (options.json) writeFileSync(options.json, JSON.stringify(result, null, 1) + "\n");
