// render.mjs - from what was measured to docs/BENCHMARKS.md and its plots.
//
// Every machine has docs/bench/NAME.json, NAME-ratio.svg and NAME-limit.svg; the document is
// written between two markers from all of the JSON files, so that it can be made again without
// measuring.
import {mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {barPlot} from "./plot.mjs";
import {number, range, table} from "./text.mjs";

const BEGIN = "<!-- measured: begin (written by 'make bench-report') -->", END = "<!-- measured: end -->";

function writeWhole(path, text) {
    writeFileSync(`${path}.part`, text);
    renameSync(`${path}.part`, path);
}

const verdict = (row) => row.met === null ? "" : row.met ? "yes" : "**no**";

export function goalTable(result) {
    return table(["work", "what", "goal", "measured:", "reached", ""], result.goals.map((g) =>
        [g.work, g.what, g.goal, range(g.value, g.digits), verdict(g), g.note ?? ""]));
}

function speedTable(result) {
    const level = (s) => s.level === "best" ? result.machine.level : s.level;
    return table(["model", "test", "level", "llama.cpp, tokens/s:", "Hearth, tokens/s:", "ratio:", "GB/s:", "GFLOP/s:", "of limit:", "llama.cpp of limit:"],
        result.speeds.map((s) => [s.model, s.test, level(s), range(s.peer, 1), range(s.hearth, 1), range(s.ratio),
            number(s.gigabytes.median, 1), number(s.gigaops.median, 0), `${range(s.fraction)} ${s.limit}`, range(s.peer_fraction)]));
}

function limitText(limits) {
    return Object.entries(limits).map(([key, {min, max}]) => key === "read_bytes_per_second"
        ? `reads ${number(min / 1e9, 1)} to ${number(max / 1e9, 1)} GB/s`
        : `${key.split("_")[0]} ${number(min / 1e9, 0)} to ${number(max / 1e9, 0)} GFLOP/s`).join("; ");
}

export function agreementText({agreement}) {
    if (!agreement) return "First run on this machine: nothing to compare with yet.";
    const total = agreement.agreeing + agreement.differing.length;
    const differing = agreement.differing.map((d) => `${d.what} ${range(d.before)} then ${range(d.now)}`);
    return `Against the run before (${agreement.date}): ${agreement.agreeing} of ${total} ratios agree within the printed spread` +
        (differing.length ? `; not ${differing.join("; ")}.` : ".");
}

function section(name, result) {
    const m = result.machine;
    return [
        `### ${m.cpu}, ${m.level}`, "",
        `${result.date}; ${m.cores} cores, ${result.threads} threads; Hearth ${result.hearth}; llama.cpp ${result.peer.llama_cpp} ` +
        `from node-llama-cpp ${result.peer.version} (${result.peer.device}). Reference shape ${result.shape}. ` +
        `Medians of the rounds, least and most in brackets; load average ${range(result.load_average, 1)}.`, "",
        `Limits, measured between the tests: ${limitText(result.limits)}.`, "",
        agreementText(result), "",
        ...result.failures.map((f) => `The peer failed: ${f}\n`),
        `![Hearth over llama.cpp](bench/${name}-ratio.svg)`, "",
        `![Fraction of the limit](bench/${name}-limit.svg)`, "",
        goalTable(result), "",
        speedTable(result),
    ].join("\n");
}

function plots(result) {
    const label = (s) => `${s.test} ${s.model.split(" ").at(-1)}${s.level === "best" ? "" : `, ${s.level}`}`;
    const named = (s) => s.model.startsWith(result.shape) ? label(s) : `${s.test} ${s.model}`;
    const compared = result.speeds.filter((s) => s.ratio);
    return {
        ratio: barPlot({
            title: "Hearth over llama.cpp, tokens a second (line: equal)", mark: 1,
            rows: compared.map((s) => ({label: named(s), bars: [{kind: "hearth", value: s.ratio, text: range(s.ratio)}]})),
        }),
        limit: barPlot({
            title: "Fraction of the machine's limit: Hearth, and below it llama.cpp", mark: 1, most: 1.2,
            rows: result.speeds.map((s) => ({
                label: named(s), bars: [
                    {kind: "hearth", value: s.fraction, text: `${range(s.fraction)} ${s.limit}`},
                    ...s.peer_fraction ? [{kind: "peer", value: s.peer_fraction}] : [],
                ],
            })),
        }),
    };
}

export const slug = ({cpu, level}) => `${cpu}-${level}`.toLowerCase().replace(/\(r\)|\(tm\)|@.*(?=-)/g, "").replace(/[^a-z0-9]+/g, "-");

// Whether the ratios of two runs overlap; only what both measured.
export function compareRuns(before, now) {
    if (!before) return null;
    const key = (g) => `${g.work} ${g.what}`;
    const old = new Map(before.goals.filter((g) => g.ratio && g.value).map((g) => [key(g), g.value]));
    const both = now.goals.filter((g) => g.ratio && g.value && old.has(key(g)));
    const agrees = (g) => g.value.min <= old.get(key(g)).max && old.get(key(g)).min <= g.value.max;
    return {
        date: before.date, agreeing: both.filter(agrees).length,
        differing: both.filter((g) => !agrees(g)).map((g) => ({what: key(g), before: old.get(key(g)), now: g.value})),
    };
}

export function readResult(docs, name) {
    try {
        return JSON.parse(readFileSync(join(docs, "bench", `${name}.json`), "utf8"));
    } catch (error) {
        if (error.code === "ENOENT") return null;
        throw error;
    }
}

export function writeResult(docs, name, result) {
    mkdirSync(join(docs, "bench"), {recursive: true});
    writeWhole(join(docs, "bench", `${name}.json`), JSON.stringify(result, null, 1) + "\n");
}

// Plots and document from all results in `docs`.
export function renderAll(docs) {
    const folder = join(docs, "bench"), path = join(docs, "BENCHMARKS.md");
    const names = readdirSync(folder).filter((n) => n.endsWith(".json")).map((n) => n.slice(0, -5)).sort();
    const sections = names.map((name) => {
        const result = readResult(docs, name);
        for (const [kind, svg] of Object.entries(plots(result))) writeWhole(join(folder, `${name}-${kind}.svg`), svg);
        return section(name, result);
    });
    const text = readFileSync(path, "utf8"), begin = text.indexOf(BEGIN), end = text.indexOf(END);
    if (begin < 0 || end < begin) throw new Error(`${path} has no line '${BEGIN}' before '${END}'`);
    writeWhole(path, text.slice(0, begin + BEGIN.length) + "\n\n" + sections.join("\n\n") + "\n\n" + text.slice(end));
    return path;
}
