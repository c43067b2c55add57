// kills.mjs - what the server acknowledged is there after it is killed with -9, over and over, while
// messages are stored and answers streamed.
//
//   node kills.mjs [--kills N] [--seed N]
//
// HEARTH_PROGRAM and HEARTH_MODEL say what is run; see tools/serve-soak.
import {mkdtempSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {parseArgs} from "node:util";
import {serve} from "../clients/program.mjs";
import {random} from "./random.mjs";
import {chatBody, streamed} from "./stream.mjs";

const {values: options} = parseArgs({options: {kills: {type: "string", default: "100"}, seed: {type: "string", default: String(Date.now() % 1e9)}}});
const kills = Number(options.kills), draw = random(Number(options.seed));
const WRITERS = 4, STREAMS = 4;
const LIFE_MS = {least: 20, more: 700};
const CHAPTER = 10; // lives that one conversation lasts
const LONGEST = 12_000; // characters of a message

const place = "/api/hearth/v1/conversations";

async function ask(url, method, path, body) {
    const response = await fetch(`${url}${path}`, {method, headers: {"content-type": "application/json"}, ...body && {body: JSON.stringify(body)}});
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.json();
}

// ---- what is written: each writer's conversation is one thread of messages ----

const acknowledged = new Map(); // conversation → [[id of the message, its text]]
let written = 0;

function nextText() {
    const number = written++, length = Math.floor(draw() * LONGEST);
    return `${number} ${"abcdefg hijklmn ".repeat(Math.ceil(length / 16)).slice(0, length)}`;
}

// Until the server is gone: then a request fails, and what it asked for was not acknowledged.
async function write(url, conversation) {
    const list = acknowledged.get(conversation);
    let parent = list.at(-1)?.[0] ?? null;
    for (;;) {
        const content = nextText();
        try {
            const {id} = await ask(url, "POST", `${place}/${conversation}/messages`, {parent, role: "user", content});
            list.push([id, content]);
            parent = id;
        } catch (error) {
            if (/: \d{3} /.test(error.message)) throw error; // an answer of a server that lives
            return;
        }
    }
}

async function stream(url) {
    for (;;)
        try {
            await streamed(url, chatBody("Tell me about yourself.", 200, {ignore_eos: true}));
        } catch (error) {
            if (/^\d{3} /.test(error.message)) throw error;
            return;
        }
}

// ---- what is there afterwards ----

async function check(url, conversation) {
    const {messages} = await ask(url, "GET", `${place}/${conversation}`);
    const found = new Map(messages.map(({id, content}) => [id, content]));
    for (const [id, content] of acknowledged.get(conversation))
        if (found.get(id) !== content) throw new Error(`message ${id} of ${conversation} is ${found.has(id) ? "another" : "lost"}`);
}

async function openConversations(url) {
    const ids = await Promise.all(Array.from({length: WRITERS}, async () => (await ask(url, "POST", place, {title: "kept"})).id));
    ids.forEach((id) => acknowledged.set(id, []));
    return ids;
}

// One life: begins, is looked at, works, and is killed.
async function live(home, conversations, number) {
    const server = await serve({home});
    await Promise.all(conversations.map((id) => check(server.url, id)));
    if (number % CHAPTER === 0) conversations = await openConversations(server.url);
    const work = [...conversations.map((id) => write(server.url, id)), ...Array.from({length: STREAMS}, () => stream(server.url))];
    await new Promise((resolve) => setTimeout(resolve, LIFE_MS.least + draw() * LIFE_MS.more));
    await server.stop("SIGKILL");
    await Promise.all(work);
    return conversations;
}

async function main() {
    const home = mkdtempSync(join(tmpdir(), "hearth-kills-"));
    console.log(`seed ${options.seed}: ${kills} kills`);
    try {
        let conversations = [];
        for (let i = 0; i < kills; i++) conversations = await live(home, conversations, i);
        const server = await serve({home});
        for (const id of acknowledged.keys()) await check(server.url, id);
        const code = await server.stop();
        if (code !== 0) throw new Error(`the server ended with ${code}`);
        const n = [...acknowledged.values()].reduce((sum, list) => sum + list.length, 0);
        console.log(`${kills} kills, ${n} acknowledged messages of ${written} sent: all are there`);
    } finally {
        rmSync(home, {recursive: true, force: true});
    }
}

await main();
