// program.mjs - the program itself as a server for tests, with a folder of its own. HEARTH_PROGRAM
// names it, HEARTH_MODEL a small chat model, such as Ember.
import {execFileSync, spawn} from "node:child_process";
import {mkdtempSync, rmSync} from "node:fs";
import {createServer} from "node:net";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {after, before} from "node:test";
import {answers} from "./app.mjs";

const {HEARTH_PROGRAM: program, HEARTH_MODEL: model} = process.env;
export const skip = program && model ? false : "HEARTH_PROGRAM and HEARTH_MODEL are not set";

function isFree(port) {
    const server = createServer();
    return new Promise((resolve) => {
        server.once("error", () => resolve(false));
        server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
    });
}

// Below those that systems give to connections: it is to be free again when the program comes back.
async function freePort() {
    for (;;) {
        const port = 20_000 + Math.floor(Math.random() * 12_000);
        if (await isFree(port)) return port;
    }
}

export class Program {
    home = null;
    url = "";
    #running = null;

    // `options` are added to those of every start, and the environment and the model that a folder of
    // its own gives.
    constructor({options = [], environment = () => ({}), make = () => model} = {}) {
        Object.assign(this, {options, environment, make});
    }

    async start() {
        this.home ??= mkdtempSync(join(tmpdir(), "hearth-home-"));
        if (this.url === "") this.url = `http://127.0.0.1:${await freePort()}`;
        this.model ??= this.make(this.home);
        const args = ["serve", "-m", this.model, "--port", new URL(this.url).port, ...this.options];
        this.#running = spawn(program, args, {env: {...process.env, ...this.environment(this.home), HEARTH_HOME: this.home}, stdio: "ignore"});
        while (this.#running.exitCode === null) {
            const ready = await fetch(`${this.url}/health`).then((r) => r.ok, () => false);
            if (ready) return;
            await new Promise((resolve) => setTimeout(resolve, 50));
        }
        throw new Error(`the program has ended with code ${this.#running.exitCode}`);
    }

    async stop(signal) {
        if (!this.#running) return;
        const ended = new Promise((resolve) => this.#running.on("exit", resolve));
        this.#running.kill(signal);
        await ended;
    }

    // A request as a program makes it; the answer's JSON.
    async ask(method, path, body, key = null) {
        const headers = {"Content-Type": "application/json", ...(key === null ? {} : {Authorization: `Bearer ${key}`})};
        const response = await fetch(this.url + path, {method, headers, body: body === undefined ? null : JSON.stringify(body)});
        if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
        return response.json();
    }
}

// A program for the tests of one file.
export function useProgram(settings) {
    const one = new Program(settings);
    before(async () => {
        if (!skip) await one.start();
    });
    after(async () => {
        await one.stop("SIGTERM");
        if (one.home) rmSync(one.home, {recursive: true, force: true});
    });
    return one;
}

export const said = (page) => answers(page).locator(".markdown"); // without the thoughts

// A model whose answers go on for minutes where they may: of 23 million weights, and with room for
// 32,768 tokens. Ember's own context is full within a second. It talks nonsense.
export function makePatientModel(home) {
    const file = join(home, "patient.gguf");
    const shape = ["--layers", "8", "--width", "512", "--heads", "8", "--kv-heads", "2", "--head-dim", "64", "--ff", "1376"];
    execFileSync(program, ["init", ...shape, "--context", "32768", "--tokenizer", model, "-o", file], {stdio: "ignore"});
    return file;
}

// An answer as long as the context: a list that is never long enough.
const ENDLESS = JSON.stringify({type: "object", properties: {list: {type: "array", items: {enum: [0, 1, 2]}, minItems: 30_000}}, required: ["list"]});

export async function answerEndlessly(page) {
    await page.getByRole("button", {name: "Settings of this chat"}).click();
    await page.getByLabel(/^Thinking/).selectOption("none");
    await page.getByText("Answers as data").click();
    await page.getByLabel("Form of the answer").selectOption("schema");
    await page.getByLabel("JSON Schema").fill(ENDLESS);
    await page.getByRole("button", {name: "Close", exact: true}).click();
}
