// serve.mjs - many clients of one server, beside one client of it and beside llama.cpp's decoding of
// as many sequences in one batch: tokens a second. Prints Markdown; --json FILE writes everything.
//
// Hearth is asked over HTTP, prompts and all; the peer only decodes, without a server: what it gives
// is more than its server would. Nothing is drafted, as random weights repeat themselves.
import {writeFileSync} from "node:fs";
import {join} from "node:path";
import {parseArgs} from "node:util";
import {serve} from "../tests/clients/program.mjs";
import {buildFolder, describeMachine, load, peerVersion, programs, synthesise} from "./programs.mjs";
import {spread} from "./tests.mjs";
import {range, table} from "./text.mjs";

const {values: options} = parseArgs({
    options: {
        hearth: {type: "string", default: join(buildFolder, "hearth")},
        model: {type: "string"},
        models: {type: "string", default: join(buildFolder, "bench-models")},
        shape: {type: "string", default: "llama-3.2-1b"},
        type: {type: "string", default: "q4_0"},
        threads: {type: "string", short: "t", default: "2"},
        clients: {type: "string", default: "16"},
        "n-gen": {type: "string", short: "n", default: "64"},
        rounds: {type: "string", default: "3"},
        alone: {type: "boolean", default: false},
        json: {type: "string"},
    },
});
const clients = Number(options.clients), nGenerate = Number(options["n-gen"]), rounds = Number(options.rounds);
const PROMPT = 8; // tokens
const GOALS = {one: 8, peer: 4};

// Prompts share nothing, so that no client computes for another.
async function ask(url, client) {
    const prompt = Array.from({length: PROMPT}, (_, i) => 5 + (client * PROMPT + i) % 200);
    const response = await fetch(`${url}/v1/completions`, {
        method: "POST", headers: {"content-type": "application/json"},
        body: JSON.stringify({prompt, max_tokens: nGenerate, temperature: 0, ignore_eos: true}),
    });
    const body = await response.json();
    if (!response.ok) throw new Error(body.error.message);
    return body.usage.completion_tokens;
}

// Tokens a second of so many clients together, from the first request to the last answer.
async function measure(url, n, first) {
    const start = performance.now();
    const tokens = await Promise.all(Array.from({length: n}, (_, i) => ask(url, first + i)));
    return tokens.reduce((a, b) => a + b) / (performance.now() - start) * 1000;
}

async function measureHearth(file) {
    const server = await serve({
        program: options.hearth, file,
        options: ["-t", options.threads, "--parallel", String(clients), "--spec-type", "none"],
    });
    try {
        await ask(server.url, 0); // warms up
        return {one: await measure(server.url, 1, 1), together: await measure(server.url, clients, 2)};
    } finally {
        await server.stop();
    }
}

function measurePeer(file) {
    const tests = [`tg${nGenerate}`, `tg${nGenerate}x${clients}`];
    const {rows, ...rest} = programs.peer("best", ["-m", file, "--tests", tests.join(","), "-t", options.threads, "-r", "1"]);
    const [one, together] = tests.map((name) => rows.find((row) => row.test === name).tokens_per_second);
    return {one, together, device: rest.device, llama_cpp: rest.llama_cpp};
}

async function play(file) {
    const played = [];
    for (let round = 1; round <= rounds; round++) {
        process.stderr.write(`round ${round} of ${rounds}\n`);
        const peer = options.alone ? null : measurePeer(file);
        played.push({load: load(), peer, hearth: await measureHearth(file)});
    }
    return played;
}

const goal = (value, least) => value && `${value.median >= least ? "reached" : "missed"}: ${least}`;

function report(played, machine) {
    const over = (value) => spread(played.map(value));
    const gain = over(({hearth}) => hearth.together / hearth.one);
    const ratio = over(({hearth, peer}) => hearth.together / peer?.together);
    const peer = played[0].peer;
    return [
        `${machine.cpu}, ${machine.cores} cores, level ${machine.level}, ${options.threads} threads; ${rounds} rounds: medians (least–most); load average ${range(over((r) => r.load), 1)}.`,
        peer ? `Peer: llama.cpp ${peer.llama_cpp} from node-llama-cpp ${peerVersion()}, ${peer.device}.` : "Without the peer.",
        "",
        table(["clients", "Hearth's server, tokens/s:", "llama.cpp's batch, tokens/s:"], [
            ["1", range(over(({hearth}) => hearth.one)), range(over((r) => r.peer?.one))],
            [String(clients), range(over(({hearth}) => hearth.together)), range(over((r) => r.peer?.together))],
        ]),
        "",
        table(["ratio", "value:", "goal"], [
            [`${clients} clients × one client`, range(gain), goal(gain, GOALS.one)],
            [`${clients} clients × llama.cpp's batch`, range(ratio), goal(ratio, GOALS.peer) ?? "–"],
        ]),
    ].join("\n");
}

const machine = describeMachine(options.hearth);
const file = options.model ?? synthesise(options.hearth, options.models, options.shape, options.type);
const played = await play(file);
console.log(report(played, machine));
if (options.json) writeFileSync(options.json, JSON.stringify({machine, clients, tokens: nGenerate, threads: Number(options.threads), played}, null, 1) + "\n");
