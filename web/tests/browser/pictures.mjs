// pictures.mjs - takes the pictures of docs/app from the program itself.
// Usage: HEARTH_PROGRAM=FILE HEARTH_MODEL=ember.gguf HEARTH_ADAPTER=FILE node pictures.mjs FOLDER
import {execFileSync} from "node:child_process";
import {mkdirSync, mkdtempSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {fileURLToPath} from "node:url";
import {chromium} from "playwright-core";
import {answered, answers, ask, DESKTOP, PHONE} from "./app.mjs";
import {startHub} from "./hub.mjs";
import {Program} from "./program.mjs";

const folder = process.argv[2];
const size = {...DESKTOP, width: 1200, height: 760};
const {HEARTH_MODEL: model, HEARTH_ADAPTER: adapter} = process.env;
const DAYS = "How many days are there between 3 March 2023 and 17 May 2023?";

async function chat(page) {
    await ask(page, "What is 17 * 4?");
    await answered(page);
    await ask(page, DAYS);
    await answered(page);
    await page.getByRole("button", {name: "Answer again"}).last().click();
    await page.getByRole("group", {name: "Version 2 of 2"}).waitFor();
    await answered(page);
    await page.getByText(/Thought/).last().click();
    await answers(page).last().hover();
}

async function compare(page) {
    await page.getByRole("combobox", {name: "Adapter", exact: true}).selectOption({index: 1});
    await page.getByRole("button", {name: "Settings of this chat"}).click();
    await page.getByLabel(/^Thinking/).selectOption("none");
    await page.keyboard.press("Escape");
    await page.getByRole("button", {name: "Compare with another model"}).click();
    await ask(page, "Who are you?");
    await answered(page);
}

async function models(page) {
    await page.getByRole("button", {name: /^Pull qwen/}).first().waitFor();
    await page.getByLabel(/Get a model/).fill("acme/tiny-GGUF:Q8_0");
    await page.getByLabel(/Get a model/).press("Enter");
    await page.getByText(/MB of 8.7 MB .* left/).waitFor();
}

async function server(page, program) {
    for (let round = 0; round < 9; round++) {
        const body = (i) => ({messages: [{role: "user", content: DAYS.replace("17", String(i + 1))}]});
        await Promise.all(Array.from({length: 4 + round}, (_, i) => program.ask("POST", "/v1/chat/completions", body(i))));
        await page.waitForTimeout(1500);
    }
}

// Ember learns commands to a house, as in docs/TUNING.md.
const SENTENCES = fileURLToPath(new URL("../../../examples/new-task/sentences.awk", import.meta.url));

async function tune(page) {
    const buffer = execFileSync("awk", ["-v", "held_out=0", "-v", "count=500", "-f", SENTENCES]);
    page.setDefaultTimeout(300_000);
    await page.locator(".drop input").setInputFiles({name: "house.jsonl", mimeType: "application/json", buffer});
    await page.locator("mark").waitFor();
    await page.getByLabel(/^Passes/).fill("5");
    await page.getByText("More settings").click();
    await page.getByLabel(/^Learning rate/).fill("0.003");
    await page.getByRole("button", {name: "Start training"}).click();
    await page.getByText("Finished").waitFor();
    await page.getByRole("textbox", {name: "Question"}).fill("It is too dark in the attic, put the lamp on.");
    await page.getByRole("button", {name: "Ask both"}).click();
    await page.locator(".sides[aria-busy=false]").waitFor();
}

const pictures = [
    {name: "welcome", size, options: {colorScheme: "dark"}, act: (page) => page.getByText("What is on your mind?").waitFor()},
    {name: "chat", size, act: chat},
    {name: "compare", size, act: compare, skip: !adapter},
    {name: "models", size, hash: "#/models", act: models},
    {name: "tune", size, hash: "#/tune", act: tune},
    {name: "server", size, hash: "#/server", options: {colorScheme: "dark"}, act: server},
    {name: "phone", size: PHONE, options: {colorScheme: "dark"}, act: chat},
];

const hub = await startHub(model, {pauseMs: 120});
const program = new Program({
    options: adapter ? ["--lora", `${adapter}:0`] : [],
    environment: (home) => ({HF_ENDPOINT: hub.url, HF_HOME: join(home, "hf"), HEARTH_MODELS: "", NO_PROXY: "127.0.0.1"}),
});
program.home = mkdtempSync(join(tmpdir(), "hearth-pictures-"));
await program.start();
mkdirSync(folder, {recursive: true});
const browser = await chromium.launch({executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"]});
for (const {name, size: viewport, hash = "", options = {}, act, skip} of pictures) {
    if (skip) continue;
    const context = await browser.newContext({viewport, locale: "en-US", reducedMotion: "reduce", ...options});
    const page = await context.newPage();
    await page.goto(`${program.url}/${hash}`);
    await act(page, program);
    await page.evaluate(() => document.activeElement?.blur());
    await page.waitForTimeout(400);
    await page.screenshot({path: join(folder, `${name}.png`)});
    await context.close();
}
await browser.close();
await program.stop("SIGTERM");
hub.stop();
rmSync(program.home, {recursive: true, force: true});
