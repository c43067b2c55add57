// compare.mjs - Hearth beside llama.cpp on the same files with the same number of threads, in
// rounds of the peer and then Hearth. Prints Markdown; --json FILE writes everything that was
// measured. For the published table see report.mjs.
import {mkdtempSync, rmSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import {basename, join} from "node:path";
import {parseArgs} from "node:util";
import {compareAccuracy} from "./accuracy.mjs";
import {describeRounds, judge, judgeLimits, judgeLoad, playRound} from "./duel.mjs";
import {buildFolder, describeMachine, peerVersion, synthesise} from "./programs.mjs";
import {parseTest} from "./tests.mjs";
import {number, range, table} from "./text.mjs";

const {values: options} = parseArgs({
    options: {
        hearth: {type: "string", default: join(buildFolder, "hearth")},
        model: {type: "string", multiple: true},
        models: {type: "string", default: join(buildFolder, "bench-models")},
        shape: {type: "string", default: "llama-3.2-1b"},
        types: {type: "string", default: "q4_0,q8_0,q4_k_m,iq4_xs"},
        threads: {type: "string", short: "t", default: "2"},
        "n-prompt": {type: "string", short: "p"},
        "n-gen": {type: "string", short: "n"},
        sequences: {type: "string"},
        depth: {type: "string", short: "d"},
        tests: {type: "string"},
        level: {type: "string", default: "best"},
        rounds: {type: "string"},
        "flash-attention": {type: "string", default: "auto"},
        accuracy: {type: "boolean", default: false},
        quick: {type: "boolean", default: false},
        json: {type: "string"},
    },
});
const quick = options.quick;
const rounds = Number(options.rounds ?? (quick ? 2 : 5));
const types = quick && !options.model ? ["q4_0"] : options.types.split(",");

// The tests asked for by name, or those that -p, -n, --sequences and -d make together.
function chooseTests() {
    if (options.tests) return options.tests.split(",");
    const prompt = options["n-prompt"] ?? (quick ? "128" : "512"), generate = options["n-gen"] ?? (quick ? "16" : "64");
    const tests = [];
    if (Number(prompt)) tests.push(`pp${prompt}`, `ttft${prompt}`);
    if (Number(generate)) {
        tests.push(`tg${generate}`);
        for (const n of options.sequences?.split(",") ?? []) tests.push(`tg${generate}x${n}`);
        for (const depth of options.depth?.split(",") ?? []) tests.push(`tg${generate}@d${depth}`);
    }
    return tests;
}

const tests = chooseTests();
tests.forEach(parseTest);

function measure(path) {
    const job = {path, tests, level: options.level, threads: Number(options.threads)};
    const played = [];
    for (let round = 1; round <= rounds; round++) {
        process.stderr.write(`${basename(path)}, round ${round} of ${rounds}\n`);
        played.push(playRound(job, {hearth: options.hearth, flashAttention: options["flash-attention"]}));
    }
    return {
        model: basename(path), ...describeRounds(played), tests: tests.map((test) => judge(played, test)),
        load: judgeLoad(played), limits: judgeLimits(played), played,
    };
}

function accuracyOf(path) {
    const folder = mkdtempSync(join(tmpdir(), "hearth-bench-"));
    try {
        return compareAccuracy({path, level: options.level, threads: Number(options.threads), folder, hearth: options.hearth});
    } finally {
        rmSync(folder, {recursive: true});
    }
}

const speedRows = ({model, tests}) => tests.map((t) => [model, t.test, range(t.peer), range(t.hearth),
    `**${range(t.ratio)}**`, range(t.cpu_ratio), `${range(t.fraction)} ${t.limit}`, range(t.peer_fraction)]);

const mib = (bytes) => number(bytes / 2 ** 20, 0);
function loadRow({model, load}) {
    const least = load.weights + load.cache, over = (load.hearth_resident.median / least - 1) * 100;
    return [model, range(load.peer), range(load.hearth), range(load.hearth_cpu), mib(least),
        mib(load.peer_resident?.median), mib(load.hearth_resident.median), `${over >= 0 ? "+" : ""}${number(over, 1)} %`];
}

function limitText(limits) {
    return Object.entries(limits).map(([key, {min, max}]) =>
        `${key.replace("_per_second", "").replaceAll("_", " ")} ${number(min / 1e9, 1)}–${number(max / 1e9, 1)} G/s`).join(", ");
}

function report(result) {
    const first = result.models[0];
    return [
        `Date ${result.date}; ${result.machine.cpu}, ${result.machine.cores} cores; level ${result.level === "best" ? result.machine.level : result.level}; ` +
        `${result.threads} threads; ${rounds} rounds: medians (least–most); load average ${range(first.load_average, 1)}.`,
        `Hearth: ${first.hearth}. Peer: llama.cpp ${first.llama_cpp} from node-llama-cpp ${result.peer}, ${first.peer}.`,
        `Limits: ${limitText(first.limits)}.`,
        ...result.models.filter((m) => m.peer_failed).map((m) => `The peer failed on ${m.model}: ${m.peer_failed}`),
        "",
        table(["model", "test", "llama.cpp, tokens/s:", "Hearth, tokens/s:", "ratio:", "ratio by CPU time:", "of limit:", "llama.cpp of limit:"],
            result.models.flatMap(speedRows)),
        "",
        table(["model", "llama.cpp, s to first token:", "Hearth, s:", "Hearth, CPU s:", "file + cache, MiB:", "llama.cpp, MiB:", "Hearth, MiB:", "Hearth over file + cache:"],
            result.models.map(loadRow)),
        ...options.accuracy ? ["", table(["model", "llama.cpp, NMSE:", "Hearth, NMSE:"], result.models.map((m) =>
            [m.model, m.accuracy.peer?.toExponential(2) ?? "–", m.accuracy.hearth.toExponential(2)]))] : [],
    ].join("\n");
}

const machine = describeMachine(options.hearth);
const paths = options.model ?? types.map((type) => synthesise(options.hearth, options.models, options.shape, type));
const models = paths.map(measure);
if (options.accuracy) paths.forEach((path, i) => Object.assign(models[i], {accuracy: accuracyOf(path)}));
const result = {
    date: new Date().toISOString().slice(0, 10), machine, level: options.level, threads: Number(options.threads),
    rounds, peer: peerVersion(), models,
};
console.log(report(result));
if (options.json) writeFileSync(options.json, JSON.stringify(result, null, 1) + "\n");
