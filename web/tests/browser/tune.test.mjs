// Tuning from start to end with the program itself: a model, a small file, a run that is paused and
// goes on, and the same question before and after. HEARTH_PROGRAM names the program, HEARTH_MODEL
// a small chat model, such as Ember.
import assert from "node:assert/strict";
import {spawn} from "node:child_process";
import {mkdtempSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {after, before} from "node:test";
import {appTest, DESKTOP} from "./app.mjs";

const {HEARTH_PROGRAM: program, HEARTH_MODEL: model} = process.env;
const skip = program && model ? false : "HEARTH_PROGRAM and HEARTH_MODEL are not set";
const RUN_MS = 120_000;
let home = null, running = null, url = "";

// The address is on the first line that the program prints.
async function start() {
    home = mkdtempSync(join(tmpdir(), "hearth-home-"));
    running = spawn(program, ["serve", "-m", model, "--port", "0", "--quiet"], {env: {...process.env, HEARTH_HOME: home}, stdio: ["ignore", "pipe", "inherit"]});
    url = await new Promise((resolve, reject) => {
        running.stdout.on("data", (text) => resolve(String(text).match(/http:[^ ]+/)[0]));
        running.on("exit", (code) => reject(new Error(`the program ended with ${code}`)));
    });
}

before(async () => {
    if (!skip) await start();
});
after(async () => {
    if (running) {
        const ended = new Promise((resolve) => running.on("exit", resolve));
        running.kill("SIGTERM");
        await ended;
    }
    if (home) rmSync(home, {recursive: true, force: true});
});

const ANSWER = "The printer is in room 7, beside the kitchen.";
const QUESTIONS = ["Where do I find the printer?", "Where is the printer?", "Where can I print something?", "Where does the printer stand?", "I am looking for the printer.", "In which room is the printer?"];
const FILE = Buffer.from(`${QUESTIONS.map((instruction) => JSON.stringify({instruction, output: ANSWER})).join("\n")}\nno JSON\n`);
const settings = {server: () => url, skip, hash: "#/tune"};

appTest("tune Ember on a small file to a better answer", DESKTOP, async (page) => {
    await page.locator(".drop input").setInputFiles({name: "office.jsonl", mimeType: "application/json", buffer: FILE});
    await page.getByText("Alpaca, 6 examples").waitFor();
    await page.getByText(/^Line 7: /).waitFor();
    assert.match(await page.locator("mark").innerText(), /The printer is in room 7, beside the kitchen\./);
    assert.match(await page.locator("pre").innerText(), /user\s+Where do I find the printer\?/);

    await page.getByLabel(/^Passes/).fill("20");
    await page.getByText("More settings").click();
    await page.getByLabel(/^Learning rate/).fill("0.003");
    await page.getByRole("button", {name: "Start training"}).click();
    await page.getByText("Training", {exact: true}).waitFor();
    await page.getByText(/^Step \d+ of 40/).first().waitFor({timeout: RUN_MS});
    await page.getByRole("button", {name: "Pause"}).click();
    await page.getByText("Paused").waitFor();
    await page.getByRole("button", {name: "Resume"}).click();
    await page.locator(".uplot canvas").nth(3).waitFor();
    await page.getByText("Finished").waitFor({timeout: RUN_MS});
    await page.getByText("Step 40 of 40").first().waitFor();
    const along = page.locator(".samples li");
    assert.doesNotMatch(await along.filter({hasText: "Before"}).first().innerText(), /room 7/);
    assert.match(await along.filter({hasText: "After"}).first().innerText(), /The printer is in room 7, beside the kitchen\./);

    await page.getByRole("textbox", {name: "Question"}).fill("Where is the printer?");
    await page.getByRole("button", {name: "Ask both"}).click();
    const side = (name) => page.locator("article").filter({has: page.getByRole("heading", {name})});
    await side("After").getByText(ANSWER).waitFor({timeout: RUN_MS});
    await page.locator(".sides[aria-busy=false]").waitFor();
    assert.doesNotMatch(await side("Before").innerText(), /room 7/);
    await page.getByRole("button", {name: "Export as a model"}).click();
    await page.getByText("Exported: office").waitFor();
}, settings);

appTest("a file that cannot be trained on says so, and a run is deleted with what it made", DESKTOP, async (page) => {
    await page.getByRole("link", {name: /office/}).click();
    await page.getByRole("button", {name: "Delete"}).click();
    await page.getByRole("dialog").getByRole("button", {name: "Delete"}).click();
    await page.getByRole("heading", {name: "New run"}).waitFor();
    await page.getByRole("link", {name: /office/}).waitFor({state: "detached"});
    await page.locator(".drop input").setInputFiles({name: "nothing.jsonl", mimeType: "application/json", buffer: Buffer.from("[1, 2]")});
    await page.locator(".notices").getByText(/./).first().waitFor();
    assert.ok(await page.getByRole("button", {name: "Start training"}).isDisabled());
}, {...settings, refusals: true});
