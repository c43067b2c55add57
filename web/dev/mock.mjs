// mock.mjs - a stand-in for Hearth's server with which the pages are developed and tested: the
// same interface, answers that are always the same, nothing kept. Serves dist/ as the program
// serves the embedded app, content security policy included.
// Usage: node dev/mock.mjs [PORT]      MOCK_TOKEN_MS=5 is the time of a token, MOCK_KEY asks for a key,
//                                      MOCK_STEPS=60 is the length of a tuning run
import {createReadStream, existsSync, statSync} from "node:fs";
import {createServer} from "node:http";
import {extname, join, normalize} from "node:path";
import {fileURLToPath} from "node:url";
import {ANSWER, freshState, KNOWN, THOUGHT} from "./mock_data.mjs";
import {inspect, runEvents, startRun} from "./mock_tune.mjs";

const dist = fileURLToPath(new URL("../dist", import.meta.url));
const tokenMs = Number(process.env.MOCK_TOKEN_MS ?? 12);
const needsKey = process.env.MOCK_KEY;
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2", ".json": "application/json"};

let state = freshState();
let signedIn = false, counter = 0;
const newId = () => `id${++counter}`;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

class Refusal extends Error {
    constructor(status, message, field) {
        super(message);
        Object.assign(this, {status, field});
    }
}

function find(map, id) {
    const found = map.get(id);
    if (!found) throw new Refusal(404, `there is no '${id}'`);
    return found;
}

const row = ({id, title, created, updated}) => ({id, title, created, updated});

function listConversations(query) {
    const q = (query.get("q") ?? "").toLowerCase(), before = query.get("before");
    return [...state.conversations.values()]
        .sort((a, b) => b.updated.localeCompare(a.updated))
        .filter((c, i, all) => !before || i > all.findIndex((other) => other.id === before))
        .flatMap((c) => {
            const hit = q && c.messages.find((m) => m.content.toLowerCase().includes(q));
            if (q && !hit && !c.title.toLowerCase().includes(q)) return [];
            const at = hit ? Math.max(0, hit.content.toLowerCase().indexOf(q) - 30) : 0;
            return [{...row(c), ...(hit ? {snippet: hit.content.slice(at, at + 90)} : {})}];
        })
        .slice(0, Number(query.get("limit") ?? 50));
}

function newConversation({title = "", settings = {}, messages = []}) {
    const time = new Date().toISOString();
    const c = {id: newId(), title, settings, messages, created: time, updated: time};
    state.conversations.set(c.id, c);
    return c;
}

function addMessage(c, body) {
    const message = {...body, id: newId(), created: new Date().toISOString()};
    c.messages.push(message);
    c.updated = message.created;
    return message;
}

function removeMessage(c, id) {
    const gone = new Set([id]);
    for (const m of c.messages) if (gone.has(m.parent)) gone.add(m.id);
    c.messages = c.messages.filter((m) => !gone.has(m.id));
}

let letGo = () => undefined; // what is held

async function* progress(total, done, held = Promise.resolve()) {
    for (let completed = 0; completed < total; completed += total / 20) {
        if (completed >= total / 2) await held;
        yield {status: "fetching", completed_bytes: Math.round(completed), total_bytes: total};
        await pause(50);
    }
    done();
    yield {status: "success"};
}

function pull({name}) {
    if (!name.includes("/")) throw new Refusal(404, `no model '${name}' on the hub`, "name");
    const model = {name, size_bytes: 640e6, n_parameters: 1_100_000_000, type: "Q4_K_M", family: "llama", n_ctx: 8192, loaded: false, fits: true, adapters: []};
    // Names choose, too: one that ends so comes half, and the rest when the test says so.
    const held = name.endsWith("held") ? new Promise((resolve) => { letGo = resolve; }) : undefined;
    return progress(640e6, () => state.models.push(model), held);
}

function quantize({name, type, as}) {
    const model = state.models.find((m) => m.name === name);
    if (!model) throw new Refusal(404, `there is no model '${name}'`, "name");
    return progress(200e6, () => state.models.push({...model, name: as, type, size_bytes: model.size_bytes / 2, loaded: false, fits: true}));
}

async function* logs() {
    for (let i = 0; i < 1e6; i++) {
        yield {time: new Date().toISOString(), level: i % 9 === 8 ? "warning" : "info", message: `request ${i} answered in ${120 + i % 40} ms`};
        await pause(700);
    }
}

function setLoaded({name}, loaded) {
    const model = state.models.find((m) => m.name === name);
    if (!model) throw new Refusal(404, `there is no model '${name}'`);
    model.loaded = loaded;
    return {};
}

function actOnRun(run, action) {
    const next = {pause: "paused", resume: "running", stop: "stopped"}[action];
    if (next) run.state = next;
    if (action === "load") return {model: run.model, adapter: `${run.name}-adapter`};
    if (action !== "export") return publicRun(run);
    run.result = `${run.name}-merged`;
    return {name: run.result, path: `runs/${run.id}/model.gguf`};
}

const publicRun = ({history: _, ...run}) => run;

// "METHOD /path/:id" -> what answers; an async generator becomes server-sent events.
const routes = {
    "GET /session": () => ({needed: Boolean(needsKey), signed_in: signedIn, csrf: "mock"}),
    "POST /session": ({body}) => {
        if (body.key !== needsKey) throw new Refusal(401, "the key is not known", "key");
        signedIn = true;
        return {csrf: "mock"};
    },
    "DELETE /session": () => { signedIn = false; },
    "GET /status": () => ({
        version: "0.1.0-mock", uptime_s: process.uptime(), device: "CPU, AVX2", threads: 4, memory: {total_bytes: 16e9, available_bytes: 11.2e9},
        models: state.models.filter((m) => m.loaded).map((m) => ({name: m.name, n_ctx: m.n_ctx, cache_bytes: 96e6, requests: state.running})),
        queue: {running: state.running, waiting: 0},
    }),
    "GET /requests": () => ({requests: [...state.requests.values()].map(({begun, ...request}) => ({...request, seconds: (Date.now() - begun) / 1000}))}),
    "DELETE /requests/:a": ({a}) => { find(state.requests, a).cancelled = true; },
    "GET /models": () => ({models: state.models}),
    "GET /models/search": ({query}) => ({models: KNOWN.filter((m) => m.name.includes(query.get("q").toLowerCase()))}),
    "POST /models/pull": ({body}) => pull(body),
    "POST /models/quantize": ({body}) => quantize(body),
    "POST /models/load": ({body}) => setLoaded(body, true),
    "POST /models/unload": ({body}) => setLoaded(body, false),
    "DELETE /models/:a": ({a}) => { state.models = state.models.filter((m) => m.name !== a); },
    "GET /conversations": ({query}) => ({conversations: listConversations(query)}),
    "POST /conversations": ({body}) => newConversation(body),
    "POST /conversations/import": ({body}) => {
        if (body.format !== "hearth-conversation") throw new Refusal(400, "not a conversation of Hearth", "format");
        return newConversation(body);
    },
    "GET /conversations/:a": ({a}) => find(state.conversations, a),
    "PATCH /conversations/:a": ({a, body}) => Object.assign(find(state.conversations, a), body),
    "DELETE /conversations/:a": ({a}) => { state.conversations.delete(a); },
    "GET /conversations/:a/export": ({a}) => ({format: "hearth-conversation", version: 1, ...find(state.conversations, a)}),
    "POST /conversations/:a/messages": ({a, body}) => addMessage(find(state.conversations, a), body),
    "PATCH /conversations/:a/messages/:b": ({a, b, body}) => Object.assign(find(state.conversations, a).messages.find((m) => m.id === b) ?? {}, body),
    "DELETE /conversations/:a/messages/:b": ({a, b}) => removeMessage(find(state.conversations, a), b),
    "GET /settings": () => state.settings,
    "PUT /settings": ({body}) => { state.settings = body; },
    "GET /keys": () => ({keys: state.keys}),
    "POST /keys": ({body}) => {
        const key = {id: newId(), ...body, created: new Date().toISOString()};
        state.keys.push(key);
        return {...key, key: `hearth-${"k".repeat(32)}`};
    },
    "DELETE /keys/:a": ({a}) => { state.keys = state.keys.filter((k) => k.id !== a); },
    "GET /usage": ({query}) => ({rows: usage(query.get("by") ?? "day")}),
    "GET /logs": () => logs(),
    "POST /tune/inspect": ({body, upload}) => (upload ? inspect(state, upload.name, upload.text) : inspect(state, "examples", body.text)),
    "GET /tune/runs": () => ({runs: [...state.runs.values()].map(publicRun)}),
    "POST /tune/runs": ({body}) => publicRun(startRun(state, body)),
    "GET /tune/runs/:a": ({a}) => publicRun(find(state.runs, a)),
    "DELETE /tune/runs/:a": ({a}) => { state.runs.delete(a); },
    "GET /tune/runs/:a/events": ({a}) => runEvents(find(state.runs, a)),
    "POST /tune/runs/:a/:b": ({a, b}) => actOnRun(find(state.runs, a), b),
    "POST /mock/go": () => letGo(),
    "POST /mock/reset": () => {
        state = freshState();
        signedIn = false;
    },
};

function usage(by) {
    const names = {key: ["laptop", "build server"], model: ["ember", "llama-3.2-1b"], day: ["2026-11-20", "2026-11-21", "2026-11-22", "2026-11-23"]}[by];
    return names.map((name, i) => ({[by]: name, requests: 40 + i * 17, prompt_tokens: 12_000 * (i + 1), answer_tokens: 5_400 * (i + 2)}));
}

function metrics() {
    return [
        "# TYPE hearth_requests_total counter", `hearth_requests_total ${state.served}`,
        "# TYPE hearth_requests_running gauge", `hearth_requests_running ${state.running}`, "hearth_requests_waiting 0",
        `hearth_answer_tokens_total ${Math.round(process.uptime() * 40)}`, `hearth_prompt_tokens_total ${Math.round(process.uptime() * 90)}`,
        `hearth_scheduler_passes_total ${Math.round(process.uptime() * 20)}`, `hearth_scheduler_rows_total ${Math.round(process.uptime() * 130)}`,
        "hearth_kv_pages 400", `hearth_kv_pages_free ${Math.round(300 + 60 * Math.sin(process.uptime() / 9))}`, "hearth_kv_pages_kept 20",
        `hearth_cache_bytes ${Math.round(90e6 + 30e6 * Math.sin(process.uptime() / 9))}`, "",
    ].join("\n");
}

function match(method, path) {
    const parts = path.split("/");
    for (const [route, handler] of Object.entries(routes)) {
        const [verb, pattern] = route.split(" ");
        const wanted = pattern.split("/");
        if (verb !== method || wanted.length !== parts.length) continue;
        const values = {};
        if (wanted.every((w, i) => (w.startsWith(":") ? (values[w.slice(1)] = decodeURIComponent(parts[i]), true) : w === parts[i]))) return {handler, values};
    }
    throw new Refusal(404, `there is no ${method} ${path}`);
}

async function read(request) {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    return Buffer.concat(pieces).toString();
}

function uploadOf(type, text) {
    const boundary = /boundary=(.+)$/.exec(type)?.[1];
    const part = text.split(`--${boundary}`).find((p) => p.includes("filename="));
    const [head, ...rest] = part.split("\r\n\r\n");
    return {name: /filename="([^"]*)"/.exec(head)?.[1], text: rest.join("\r\n\r\n").replace(/\r\n$/, "")};
}

const sse = (value) => `data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`;

async function sendEvents(response, events) {
    response.writeHead(200, {"Content-Type": "text/event-stream", "Cache-Control": "no-store"});
    for await (const event of events) {
        if (response.destroyed) return;
        response.write(sse(event));
    }
    response.end();
}

async function api(request, response, url) {
    const {handler, values} = match(request.method, url.pathname.slice("/api/hearth/v1".length));
    if (needsKey && !signedIn && !url.pathname.endsWith("/session")) throw new Refusal(401, "a key is needed");
    const text = await read(request);
    const type = request.headers["content-type"] ?? "";
    const upload = type.startsWith("multipart/") ? uploadOf(type, text) : null;
    const result = await handler({...values, query: url.searchParams, body: upload || text === "" ? {} : JSON.parse(text), upload});
    if (result?.[Symbol.asyncIterator]) {
        await sendEvents(response, result);
        return;
    }
    response.writeHead(200, {"Content-Type": "application/json"});
    response.end(JSON.stringify(result ?? {}));
}

// What the last question asks for is how the tests choose: "echo …", "endless", "fail", "call …",
// which calls the first tool with that text.
async function* answer(body) {
    const {content: question, role} = body.messages.at(-1);
    const echoed = role === "tool" ? `The tool says: ${question}` : /^echo ([^]*)$/.exec(question)?.[1];
    const called = role === "user" && body.tools ? /^call ([^]*)$/.exec(question)?.[1] : undefined;
    const text = echoed ?? ANSWER;
    if (question === "fail") {
        yield {error: {message: "the model ran out of memory"}};
        return;
    }
    const chunk = (delta, finish_reason = null) => ({object: "chat.completion.chunk", choices: [{index: 0, delta, finish_reason}]});
    yield chunk({role: "assistant", content: ""});
    while (question === "endless") {
        await pause(tokenMs);
        yield chunk({content: "and on "});
    }
    if (called !== undefined) {
        yield chunk({tool_calls: [{index: 0, id: "call-1", type: "function", function: {name: body.tools[0].function.name, arguments: ""}}]});
        for (const piece of JSON.stringify({text: called}).match(/[^]{1,4}/g)) {
            await pause(tokenMs);
            yield chunk({tool_calls: [{index: 0, function: {arguments: piece}}]});
        }
        yield chunk({}, "tool_calls");
        yield "[DONE]";
        return;
    }
    if (echoed === undefined && body.reasoning_effort !== "none") {
        for (const word of THOUGHT.match(/\S+\s*/g)) {
            await pause(tokenMs);
            yield chunk({reasoning_content: word, reasoning: word});
        }
    }
    const tokens = text.match(/[^]{1,4}/g) ?? [];
    for (const token of tokens) {
        await pause(tokenMs);
        yield chunk({content: token});
    }
    yield chunk({}, "stop");
    const prompt = Math.round(JSON.stringify(body.messages).length / 4);
    yield {object: "chat.completion.chunk", choices: [], usage: {prompt_tokens: prompt, completion_tokens: tokens.length, total_tokens: prompt + tokens.length}};
    yield "[DONE]";
}

async function* followed(events, request) {
    for await (const event of events) {
        if (request.cancelled) return;
        request.answer_tokens++;
        yield event;
    }
}

async function complete(request, response) {
    const body = JSON.parse(await read(request)), id = newId(), {requests} = state;
    const mine = {id, endpoint: "/v1/chat/completions", model: body.model, state: "running", stream: true, prompt_tokens: Math.round(JSON.stringify(body.messages).length / 4), answer_tokens: 0, begun: Date.now()};
    requests.set(id, mine);
    state.running++;
    state.served++;
    try {
        await sendEvents(response, followed(answer(body), mine));
    } finally {
        requests.delete(id);
        state.running--;
    }
}

function serveFile(path, response) {
    const file = join(dist, normalize(path === "/" ? "/index.html" : path));
    if (!file.startsWith(dist) || !existsSync(file) || !statSync(file).isFile()) throw new Refusal(404, "no such page");
    response.writeHead(200, {"Content-Type": TYPES[extname(file)] ?? "application/octet-stream", "Content-Security-Policy": CSP});
    createReadStream(file).pipe(response);
}

const server = createServer((request, response) => {
    const url = new URL(request.url, "http://localhost");
    const work = async () => {
        if (url.pathname.startsWith("/api/hearth/v1/")) await api(request, response, url);
        else if (url.pathname === "/v1/chat/completions") await complete(request, response);
        else if (url.pathname === "/health/live") response.end("{}");
        else if (url.pathname === "/metrics") response.end(metrics());
        else serveFile(url.pathname, response);
    };
    work().catch((error) => {
        if (response.headersSent) response.end();
        else response.writeHead(error.status ?? 500, {"Content-Type": "application/json"}).end(JSON.stringify({error: {message: error.message, field: error.field}}));
    });
});
server.listen(Number(process.argv[2] ?? 8485), "127.0.0.1", () => console.log(`mock: http://127.0.0.1:${server.address().port}`));
