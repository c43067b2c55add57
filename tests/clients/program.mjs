// program.mjs - the program itself, serving a model at a free port.
// HEARTH_PROGRAM names it, HEARTH_MODEL a small chat model, such as Ember.
import {spawn} from "node:child_process";
import {mkdtempSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {after} from "node:test";

const {HEARTH_PROGRAM, HEARTH_MODEL} = process.env;
const START_MS = 300_000; // then it hangs

// The address that it prints once it listens.
function addressOf(child) {
    return new Promise((resolve, reject) => {
        let said = "";
        const late = setTimeout(() => reject(new Error(`the program does not serve: ${said}`)), START_MS);
        const listen = (text) => {
            said += text;
            const address = said.match(/serves at (http:\S+)/)?.[1];
            if (!address) return;
            clearTimeout(late);
            resolve(address);
        };
        child.stdout.on("data", listen);
        child.stderr.on("data", listen);
        child.on("exit", (code) => reject(new Error(`the program ended with ${code}: ${said}`)));
    });
}

// {url, child, stop(signal)}; what it says on standard error goes to `onError`. Without a `home` it has
// an empty one, which goes with it. Models of whoever runs this are not seen.
export async function serve({program = HEARTH_PROGRAM, file = HEARTH_MODEL, options = [], home = null, env = {}, onError = () => {}} = {}) {
    if (!program || !file) throw new Error("HEARTH_PROGRAM and HEARTH_MODEL are not set: use 'make client-test'");
    const folder = home ?? mkdtempSync(join(tmpdir(), "hearth-home-"));
    const child = spawn(program, ["serve", file, "--port", "0", "--quiet", ...options],
        {env: {...process.env, HEARTH_HOME: folder, HF_HUB_CACHE: join(folder, "hub"), HEARTH_MODELS: "", ...env}, stdio: ["ignore", "pipe", "pipe"]});
    child.stderr.on("data", (text) => onError(String(text)));
    child.on("exit", () => home ?? rmSync(folder, {recursive: true, force: true}));
    const url = await addressOf(child);
    const stop = (signal = "SIGTERM") => new Promise((resolve) => {
        if (child.exitCode !== null || child.signalCode !== null) return resolve(child.exitCode);
        child.on("exit", (code) => resolve(code));
        child.kill(signal);
    });
    return {url, child, stop};
}

// One program for all tests of a file, ended with them.
export async function serveTests(settings) {
    const server = await serve(settings);
    after(() => server.stop("SIGKILL"));
    return server;
}

// A number of /metrics, all labels together.
export async function metric(url, name) {
    const text = await (await fetch(`${url}/metrics`)).text();
    const values = [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "gm"))];
    return values.reduce((sum, [, value]) => sum + Number(value), 0);
}

// Until a condition holds; the test's own time limit ends it otherwise.
export async function eventually(condition) {
    while (!await condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}

// A key of one user that may ask so often a minute, and what to ask the server with otherwise.
export async function limitedKey(url, requestsPerMinute) {
    const make = async (body, key) => {
        const headers = {"content-type": "application/json", ...key && {authorization: `Bearer ${key}`}};
        const response = await fetch(`${url}/api/hearth/v1/keys`, {method: "POST", headers, body: JSON.stringify(body)});
        if (!response.ok) throw new Error(await response.text());
        return (await response.json()).key;
    };
    const admin = await make({name: "admin", role: "admin"});
    const limited = await make({name: "limited", role: "user", limits: {requests_per_minute: requestsPerMinute}}, admin);
    return {admin, limited};
}
