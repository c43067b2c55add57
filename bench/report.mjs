// report.mjs - measures the published table in one go: every job of jobs.mjs in rounds, the
// accuracy, then docs/bench/*.json, the plots and docs/BENCHMARKS.md.
//
//   --short       small models and tests, to see that everything works; into build/bench-docs
//   --only ID     the jobs whose names begin so; prints, publishes nothing
//   --render      only writes plots and document again from docs/bench/*.json
//
// Rounds go through all jobs in turn, so that a bad minute of the machine spreads over all of
// them. What was measured is kept in build/bench.json after each step; a run that was stopped
// goes on there, unless the program, the peer or the settings changed.
import {copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import {dirname, join} from "node:path";
import {parseArgs} from "node:util";
import {compareAccuracy, perplexityChange} from "./accuracy.mjs";
import {describeRounds, playRound} from "./duel.mjs";
import {goalRows, limitsOf, speedRows} from "./goals.mjs";
import {plan} from "./jobs.mjs";
import {buildFolder, describeMachine, fingerprint, here, peerVersion, programs, synthesise} from "./programs.mjs";
import {agreementText, compareRuns, goalTable, readResult, renderAll, slug, writeResult} from "./render.mjs";

const {values: options} = parseArgs({
    options: {
        hearth: {type: "string", default: join(buildFolder, "hearth")},
        models: {type: "string", default: join(buildFolder, "bench-models")},
        threads: {type: "string", short: "t", default: "2"},
        rounds: {type: "string"},
        short: {type: "boolean", default: false},
        only: {type: "string"},
        docs: {type: "string"},
        json: {type: "string", default: join(buildFolder, "bench.json")},
        render: {type: "boolean", default: false},
    },
});

const published = join(here, "..", "docs");
const docs = options.docs ?? (options.short ? join(buildFolder, "bench-docs") : published);

if (options.render) {
    console.log(renderAll(docs));
    process.exit(0);
}

const threads = Number(options.threads), machine = describeMachine(options.hearth);
const {size, tests, jobs: all} = plan({short: options.short, machine, rounds: options.rounds && Number(options.rounds)});
const jobs = options.only ? all.filter((job) => job.id.startsWith(options.only)) : all;
if (jobs.length === 0) throw new Error(`no job begins with '${options.only}'; there are ${all.map((j) => j.id).join(", ")}`);

// ---- what is there already ----

const settings = JSON.stringify({
    hearth: fingerprint(options.hearth), peer: peerVersion(), cpu: machine.cpu, level: machine.level, threads, size,
});

function openStore() {
    const empty = {settings, rounds: {}, accuracy: {}, done: false};
    if (!existsSync(options.json)) return empty;
    const store = JSON.parse(readFileSync(options.json, "utf8"));
    if (store.settings !== settings || store.done) return empty;
    process.stderr.write(`going on with ${options.json}\n`);
    return store;
}

const store = openStore();
const keep = () => {
    writeFileSync(`${options.json}.part`, JSON.stringify(store));
    renameSync(`${options.json}.part`, options.json);
};

// ---- measuring ----

const modelOf = ({shape, type}) => synthesise(options.hearth, options.models, shape, type);

function playJobs() {
    const most = Math.max(...jobs.map((job) => job.rounds));
    for (let round = 0; round < most; round++)
        for (const job of jobs) {
            const played = store.rounds[job.id] ??= [];
            if (played.length > round || round >= job.rounds) continue;
            process.stderr.write(`round ${round + 1} of ${job.rounds}: ${job.id}\n`);
            played.push(playRound({...job, path: modelOf(job), threads}, {hearth: options.hearth}));
            keep();
        }
}

function measureAccuracy(folder) {
    for (const type of size.types) {
        if (store.accuracy[type]) continue;
        process.stderr.write(`accuracy: ${type}\n`);
        const path = modelOf({shape: size.shape, type});
        store.accuracy[type] = compareAccuracy({path, level: "best", threads, folder, hearth: options.hearth});
        keep();
    }
}

// A small trained model of the golden data, quantised here; left out where the data is not.
function measurePerplexity(folder) {
    const data = process.env.HEARTH_TESTDATA || join(here, "..", "..", "shared", "testdata");
    const model = join(data, "models", "stories260K", "stories260K.gguf");
    const texts = ["perplexity/stories.txt", "text/wikitext-2-raw/wiki.test.raw", "text/tinyshakespeare/input.txt"].map((name) => join(data, name));
    if (store.accuracy.perplexity || ![model, ...texts].every(existsSync)) return;
    process.stderr.write("accuracy: perplexity\n");
    const changes = {};
    for (const type of ["q8_0", "q4_0"]) {
        const path = join(folder, `${type}.gguf`);
        programs.hearth(options.hearth, "best", ["quantize", model, path, type, "--json"]);
        changes[type] = perplexityChange({path, texts, level: "best", threads, hearth: options.hearth});
    }
    store.accuracy.perplexity = changes;
    keep();
}

function measureAll() {
    const folder = mkdtempSync(join(tmpdir(), "hearth-bench-"));
    try {
        playJobs();
        if (options.only) return;
        measureAccuracy(folder);
        measurePerplexity(folder);
    } finally {
        rmSync(folder, {recursive: true});
    }
}

// ---- the result ----

function assemble() {
    const rounds = Object.fromEntries(jobs.map(({id}) => [id, store.rounds[id]]));
    const measured = {tests, size, jobs, machine, rounds, accuracy: store.accuracy};
    const described = describeRounds(Object.values(rounds).flat());
    return {
        date: new Date().toISOString().slice(0, 16).replace("T", " "), machine, threads, shape: size.shape, hearth: described.hearth,
        peer: {version: peerVersion(), llama_cpp: described.llama_cpp, device: described.peer},
        load_average: described.load_average, limits: limitsOf(measured),
        failures: [...new Set(Object.values(rounds).flat().map((r) => r.peer_failed).filter(Boolean))],
        goals: goalRows(measured), speeds: speedRows(measured),
    };
}

function publish(result) {
    const name = slug(machine);
    mkdirSync(docs, {recursive: true});
    if (!existsSync(join(docs, "BENCHMARKS.md"))) copyFileSync(join(published, "BENCHMARKS.md"), join(docs, "BENCHMARKS.md"));
    result.agreement = compareRuns(readResult(docs, name), result);
    writeResult(docs, name, result);
    store.done = true;
    keep();
    console.log(`\n${agreementText(result)}\nWritten to ${renderAll(docs)}.`);
}

mkdirSync(dirname(options.json), {recursive: true});
measureAll();
const result = assemble(), judged = result.goals.filter((g) => g.met !== null);
console.log(goalTable(result));
console.log(`\n${judged.filter((g) => g.met).length} of ${judged.length} goals that this machine can judge are reached.`);
if (!options.only) publish(result);
