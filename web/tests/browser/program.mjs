// program.mjs - the program itself as a server for tests, with a folder of its own. HEARTH_PROGRAM
// names it, HEARTH_MODEL a small chat model, such as Ember.
import {spawn} from "node:child_process";
import {mkdtempSync, rmSync} from "node:fs";
import {createServer} from "node:net";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {after, before} from "node:test";
import {answers} from "./app.mjs";

const {HEARTH_PROGRAM: program, HEARTH_MODEL: model} = process.env;
export const skip = program && model ? false : "HEARTH_PROGRAM and HEARTH_MODEL are not set";

async function freePort() {
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => server.on("listening", resolve));
    const {port} = server.address();
    await new Promise((resolve) => server.close(resolve));
    return port;
}

export class Program {
    home = null;
    url = "";
    #running = null;

    // `options` are added to those of every start, and the environment that a folder of its own gives.
    constructor(options = [], environment = () => ({})) {
        this.options = options;
        this.environment = environment;
    }

    async start() {
        this.home ??= mkdtempSync(join(tmpdir(), "hearth-home-"));
        if (this.url === "") this.url = `http://127.0.0.1:${await freePort()}`;
        const args = ["serve", "-m", model, "--port", new URL(this.url).port, ...this.options];
        this.#running = spawn(program, args, {env: {...process.env, ...this.environment(this.home), HEARTH_HOME: this.home}, stdio: "ignore"});
        for (let tries = 0; tries < 300; tries++) {
            const ready = await fetch(`${this.url}/health`).then((r) => r.ok, () => false);
            if (ready) return;
            await new Promise((resolve) => setTimeout(resolve, 100));
        }
        throw new Error("the program does not answer");
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
export function useProgram(options = [], environment = () => ({})) {
    const one = new Program(options, environment);
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

// An answer as long as the context: text of a schema that is never long enough.
const ENDLESS = JSON.stringify({type: "object", properties: {text: {type: "string", minLength: 100_000}}, required: ["text"]});

export async function answerEndlessly(page) {
    await page.getByRole("button", {name: "Settings of this chat"}).click();
    await page.getByText("Answers as data").click();
    await page.getByLabel("Form of the answer").selectOption("schema");
    await page.getByLabel("JSON Schema").fill(ENDLESS);
    await page.getByRole("button", {name: "Close", exact: true}).click();
}
