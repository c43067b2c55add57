// goals.mjs - the rows of the published table: what was measured against what is wanted.
//
// A row: {work, what, goal, value: {median, min, max} or null, digits, met: true, false or null
// when it cannot be judged here, note}. To add a row, push one in `goalRows`.
import {judge, judgeLimits, judgeLoad, rowOf} from "./duel.mjs";
import {heldLevels} from "./jobs.mjs";
import {spread} from "./tests.mjs";

const DECODE = {q4_0: [0.90, 1.3], q8_0: [0.92, 1.0], q4_k_m: [0.88, 1.3], iq4_xs: [0.85, 1.3]};
const NEEDS_AMX = "needs AMX";

const row = (work, what, goal, value, met, more) => ({work, what, goal, value, met: value ? met(value) : null, digits: 2, ...more});
const atLeast = (least) => (value) => value.median >= least;
const atMost = (most) => (value) => value.median <= most;

// What a loop that only reads makes of the limit, at length: no generation gets beyond it.
const readingAlone = ({reading}) => ({note: reading ? `reading alone ${reading.median.toFixed(2)}` : undefined});

function decodeRows({tests, size, rounds}) {
    return size.types.filter((type) => rounds[`best/${type}`]).flatMap((type) => {
        const j = judge(rounds[`best/${type}`], tests.generate), [fraction, ratio] = DECODE[type];
        return [
            row(`${tests.generate} ${type}`, "of the memory limit", `≥ ${fraction.toFixed(2)}`, j.fraction, atLeast(fraction), readingAlone(j)),
            row(`${tests.generate} ${type}`, "× llama.cpp", `≥ ${ratio.toFixed(1)}`, j.ratio, atLeast(ratio), {ratio: true}),
        ];
    });
}

// Goals that were set for a machine with AMX are not judged on another.
const onAmx = (machine, entry) => machine.level === "amx" ? entry : {...entry, met: null, note: NEEDS_AMX};

function promptRows({tests, size, rounds, machine}) {
    return size.types.filter((type) => rounds[`best/${type}`]).flatMap((type) => {
        const j = judge(rounds[`best/${type}`], tests.prompt);
        return [
            row(`${tests.prompt} ${type}`, "of the arithmetic limit", "≥ 0.50", j.fraction, atLeast(0.5)),
            row(`${tests.prompt} ${type}`, "× llama.cpp", "≥ 6.0", j.ratio, atLeast(6), {ratio: true}),
        ].map((entry) => onAmx(machine, entry));
    });
}

function levelRows({tests, size, rounds, machine}) {
    return heldLevels(machine).flatMap((level) => size.levelTypes.map((type) => {
        const own = rounds[`${level === machine.level ? "best" : level}/${type}`];
        return row(`${tests.prompt} ${type}, ${level}`, "× llama.cpp at this level", "≥ 1.3",
            own ? judge(own, tests.prompt).ratio : null, atLeast(1.3), {ratio: true});
    }));
}

function firstTokenRows({tests, rounds, machine}) {
    const own = rounds["first-token"];
    if (!own) return [];
    const [all, known] = [tests.first, tests.firstKnown].map((test) => judge(own, test));
    return [
        row(tests.first, "s to the first token", "≤ 0.40", all.seconds, atMost(0.4), {digits: 3}),
        row(tests.firstKnown, "s to the first token", "≤ 0.060", known.seconds, atMost(0.06), {digits: 3}),
    ].map((entry) => onAmx(machine, entry));
}

// What Hearth measured beside a single sequence that took its steps in turn with the test's.
const beside = (rounds, test, key) => spread(rounds.map((round) => rowOf(round.hearth, test).single[key]));

// The peer's tests follow each other; round by round, so that a slow round slows both.
function peerManyOverOne(rounds, many, one) {
    const rate = (round, test) => rowOf(round.peer, test)?.tokens_per_second;
    return spread(rounds.map((round) => rate(round, many) / rate(round, one)));
}

function togetherRows({tests, size, rounds}) {
    const own = rounds.together, goals = [5, 8];
    if (!own) return [];
    return tests.together.map((test, i) => {
        const peer = peerManyOverOne(own, test, tests.one);
        return row(test, "× one sequence, in turn", `≥ ${goals[i]}`, beside(own, test, "ratio"), atLeast(goals[i]),
            {note: peer ? `llama.cpp ${peer.median.toFixed(2)}` : undefined});
    });
}

// What the bytes of the cache explain of the time that a long context adds.
function deepRows({tests, rounds}) {
    const own = rounds.deep;
    if (!own) return [];
    const value = beside(own, tests.deep, "added_seconds_over_bytes");
    const j = judge(own, tests.deep);
    return [
        row(tests.deep, "added seconds over added bytes, against an empty context in turn", "0.85–1.15", value, (v) => v.median <= 1.15),
        row(tests.deep, "× llama.cpp", "", j.ratio, () => null, {ratio: true}),
    ];
}

function shapeRows({tests, size, rounds, machine}) {
    return size.shapes.filter((shape) => rounds[`shape/${shape}`]).flatMap((shape) => {
        const own = rounds[`shape/${shape}`], one = judge(own, tests.one);
        return [
            onAmx(machine, row(`${tests.prompt} ${shape}`, "of the arithmetic limit", "≥ 0.35", judge(own, tests.prompt).fraction, atLeast(0.35))),
            row(`${tests.one} ${shape}`, "of the memory limit", "≥ 0.80", one.fraction, atLeast(0.8), readingAlone(one)),
        ];
    });
}

function loadRows({size, rounds}) {
    const own = rounds[`best/${size.types[0]}`];
    if (!own) return [];
    const {hearth, peer} = judgeLoad(own);
    return [row(`load ${size.types[0]}`, "s from opening to the first token", "≤ 0.60", hearth, atMost(0.6),
        {digits: 3, note: peer ? `llama.cpp ${peer.median.toFixed(2)}` : undefined})];
}

const exactly = (x) => ({median: x, min: x, max: x});

function accuracyRows({size, accuracy}) {
    const rows = size.types.filter((type) => accuracy[type]).map((type) => {
        const {hearth, peer} = accuracy[type];
        return row(`logits ${type}`, "NMSE against exact arithmetic, over llama.cpp's", "≤ 1.00", peer ? exactly(hearth / peer) : null,
            atMost(1), {note: `${hearth.toExponential(2)}, llama.cpp ${peer?.toExponential(2) ?? "–"}`});
    });
    for (const [type, {change, stderr, chunks}] of Object.entries(accuracy.perplexity ?? {}))
        rows.push(row(`perplexity stories260K ${type}`, "% changed by quantised activations", "within 0.1",
            exactly(change * 100), (v) => Math.abs(v.median) <= 0.1,
            {digits: 3, note: `standard error ${(stderr * 100).toFixed(3)}, ${chunks} chunks`}));
    return rows;
}

export function goalRows(result) {
    return [decodeRows, promptRows, levelRows, firstTokenRows, togetherRows, deepRows, shapeRows, loadRows, accuracyRows]
        .flatMap((rows) => rows(result));
}

// Every test with its speeds, for the second table and the plots.
export function speedRows({jobs, rounds}) {
    return jobs.filter(({id}) => rounds[id]).flatMap((job) => job.tests.map((test) => ({
        model: `${job.shape} ${job.type}`, level: job.level, ...judge(rounds[job.id], test),
    })));
}

export function limitsOf({rounds}) {
    return judgeLimits(Object.values(rounds).flat().filter((round) => round.hearth.device === Object.values(rounds)[0][0].hearth.device));
}
