// soak.mjs - a server under load for a while: many streams of many lengths, some of whose clients
// leave in the middle, beside connections that only wait, read slowly or send slowly. Every answer
// must be the one that the server gives to a client alone; no error, no leak, no growing memory.
//
//   node soak.mjs [--seconds N] [--streams N] [--parallel N] [--idle N] [--seed N] [--any-memory]
//
// --any-memory: for sanitizers, which keep what was freed. HEARTH_PROGRAM and HEARTH_MODEL say what is run; see tools/serve-soak.
import http from "node:http";
import {parseArgs} from "node:util";
import {eventually, metric, serve} from "../clients/program.mjs";
import {gather} from "./crowd.mjs";
import {Memory, Times} from "./figures.mjs";
import {random} from "./random.mjs";
import {chatBody, streamed} from "./stream.mjs";

const {values: options} = parseArgs({options: {
    seconds: {type: "string", default: "300"}, streams: {type: "string", default: "64"}, parallel: {type: "string", default: "64"},
    idle: {type: "string", default: "1000"}, seed: {type: "string", default: String(Date.now() % 1e9)},
    "any-memory": {type: "boolean", default: false},
}});
const seconds = Number(options.seconds), nStreams = Number(options.streams);
const LEAVING = 0.1; // of the clients hang up in the middle
const READERS = 8, HEADS = 16;
const GROWTH = {least: 8 << 20, part: 0.03}; // what memory may grow by from the middle of the run on
const draw = random(Number(options.seed));

// ---- what is asked ----

// Short sums with long thoughts, chats, and prompts of hundreds of tokens, cut at many lengths.
function questions() {
    const words = "the quick brown fox jumps over a lazy dog and runs far away from here ".repeat(24).split(" ");
    return Array.from({length: 32}, (_, i) => [
        chatBody(`What is ${12 + i * 7} + ${30 + i * 11}?`, 400),
        chatBody("Tell me about yourself.", 8 + i * 4, {reasoning_effort: "none"}),
        chatBody(`Say it again: ${words.slice(0, 10 + i * 9).join(" ")}`, 16 + i * 6, {ignore_eos: true}),
        chatBody(`How many days are there from March ${i + 1} to July ${31 - i}?`, 300),
    ][i % 4]);
}

// The answer to each when nobody else asks.
async function answersAlone(url, asked) {
    const answers = [];
    for (const body of asked) answers.push((await streamed(url, body)).text);
    return answers;
}

// ---- streams ----

const load = {first: new Times(), gaps: new Times(), answers: 0, left: 0, wrong: []};

function judge(question, result, alone) {
    const expected = result.left ? alone.slice(0, result.text.length) : alone;
    if (result.text !== expected) load.wrong.push(`question ${question}: '${result.text}' is not '${expected}'`);
    if (result.firstMs !== null) load.first.add(result.firstMs);
    result.gapsMs.forEach((ms) => load.gaps.add(ms));
    if (result.left) load.left++;
    else load.answers++;
}

async function askOn(url, asked, alone, until) {
    const agent = new http.Agent({keepAlive: true, maxSockets: 1});
    while (Date.now() < until) {
        const question = Math.floor(draw() * asked.length);
        const leaveAfter = draw() < LEAVING ? 1 + Math.floor(draw() * 20) : Infinity;
        try {
            judge(question, await streamed(url, asked[question], {leaveAfter, agent}), alone[question]);
        } catch (error) {
            load.wrong.push(`question ${question}: ${error.message}`);
        }
    }
    agent.destroy();
}

// ---- the whole ----

async function run(server, said) {
    const asked = questions();
    const alone = await answersAlone(server.url, asked);
    const slow = chatBody("Tell me about yourself.", 600, {ignore_eos: true, logprobs: true, top_logprobs: 20});
    const crowd = gather(server.url, {idle: Number(options.idle), readers: READERS, heads: HEADS, body: slow});
    const memory = new Memory(server.child.pid), until = Date.now() + seconds * 1000;
    // All of them reach the limit of idle connections together, and begin anew a moment later.
    const seen = [], counting = setInterval(() => seen.push(crowd.connected()), 500);
    await Promise.all(Array.from({length: nStreams}, () => askOn(server.url, asked, alone, until)));
    clearInterval(counting);
    const connected = seen.sort((a, b) => a - b)[Math.floor(seen.length / 2)];
    const ended = crowd.ended(), grown = memory.stop();
    crowd.stop();
    const after = await answersAlone(server.url, asked.slice(0, 4));
    after.forEach((text, i) => text === alone[i] || load.wrong.push(`question ${i} after the load: '${text}'`));
    await eventually(async () => await metric(server.url, "hearth_requests_running") === 0);
    const code = await server.stop();
    if (code !== 0) load.wrong.push(`the server ended with ${code}`);
    if (/ERROR|runtime error/.test(said.text)) load.wrong.push(said.text);
    return {connected, ended, grown};
}

function report({connected, ended, grown}) {
    const mib = (bytes) => (bytes / 2 ** 20).toFixed(1), growth = grown.growth * grown.seconds;
    console.log(`${load.answers} answers, ${load.left} left in the middle, ${load.wrong.length} wrong; ${connected} connections waited`);
    console.log(`to the first token: ${load.first.describe()}`);
    console.log(`between tokens: ${load.gaps.describe()}`);
    console.log(`resident: ${mib(grown.last)} MiB at the end, ${mib(grown.most)} MiB at most; ${mib(growth)} MiB more in the last ${grown.seconds.toFixed(0)} s (median slope)`);
    console.log(`ended by the server: ${ended.waiting} that waited, ${ended.readers} slow readers, ${ended.heads} slow heads`);
    load.wrong.slice(0, 20).forEach((line) => console.log(`wrong: ${line.slice(0, 600)}`));
    if (!options["any-memory"] && growth > Math.max(GROWTH.least, grown.last * GROWTH.part)) load.wrong.push("memory grows");
    if (seconds > 30 && ended.heads === 0) load.wrong.push("heads that never end are waited for");
    if (connected < Number(options.idle) * 0.95) load.wrong.push("waiting connections are ended");
}

const said = {text: ""};
const server = await serve({options: ["--parallel", options.parallel, "--max-queue", "1024"], onError: (text) => said.text += text});
console.log(`seed ${options.seed}: ${nStreams} streams, ${options.idle} waiting connections, ${seconds} s`);
report(await run(server, said));
process.exitCode = load.wrong.length ? 1 : 0;
