// The app as the program itself serves it. HEARTH_PROGRAM names the program, HEARTH_MODEL a small
// chat model, such as Ember.
import assert from "node:assert/strict";
import {spawn} from "node:child_process";
import {mkdtempSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {after, before} from "node:test";
import {answered, answers, appTest, ask, both, composer, DESKTOP, openMenu} from "./app.mjs";

const {HEARTH_PROGRAM: program, HEARTH_MODEL: model} = process.env;
const skip = program && model ? false : "HEARTH_PROGRAM and HEARTH_MODEL are not set";
const port = 20_000 + process.pid % 20_000;
const url = `http://127.0.0.1:${port}`;
let home = null, running = null;

async function start() {
    running = spawn(program, ["serve", "-m", model, "--port", String(port)], {env: {...process.env, HEARTH_HOME: home}, stdio: "ignore"});
    for (let tries = 0; tries < 300; tries++) {
        const ready = await fetch(`${url}/health`).then((r) => r.ok, () => false);
        if (ready) return;
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error("the program does not answer");
}

async function stop(signal) {
    if (!running) return;
    const ended = new Promise((resolve) => running.on("exit", resolve));
    running.kill(signal);
    await ended;
}

before(async () => {
    if (skip) return;
    home = mkdtempSync(join(tmpdir(), "hearth-home-"));
    await start();
});
after(async () => {
    await stop("SIGTERM");
    if (home) rmSync(home, {recursive: true, force: true});
});

const said = (page) => answers(page).locator(".markdown"); // without the thoughts
const settings = {server: () => url, skip};

both("the program serves the app, answers, and keeps the answer", async (page) => {
    await ask(page, "What is 12 + 30?");
    await said(page).getByText("42").waitFor();
    await answered(page);
    await page.getByText(/tokens\/s/).waitFor();
    await page.getByRole("img", {name: /Context: .* of .* tokens/}).waitFor();
    await page.reload();
    await said(page).getByText("42").waitFor();
}, settings);

both("an answer is given again, a question edited, a branch shown", async (page) => {
    await ask(page, "What is 5 + 6?");
    await answered(page);
    await page.getByRole("button", {name: "Answer again"}).click();
    await page.getByRole("group", {name: "Version 2 of 2"}).waitFor();
    await answered(page);
    const question = page.getByRole("article", {name: "You"});
    await question.hover();
    await question.getByRole("button", {name: "Edit"}).click();
    await page.getByRole("textbox", {name: "Edit"}).fill("What is 7 + 7?");
    await page.getByRole("button", {name: "Send as a new branch"}).click();
    await question.getByText("What is 7 + 7?").waitFor();
    await answered(page);
    await page.reload();
    await question.getByRole("group", {name: "Version 2 of 2"}).waitFor();
    assert.equal(await page.getByRole("article").count(), 2);
}, settings);

appTest("conversations are found, renamed, exported, imported and deleted", DESKTOP, async (page) => {
    await ask(page, "What is 3 + 4? zebra");
    await answered(page);
    await openMenu(page, false);
    await page.getByRole("searchbox", {name: "Search conversations"}).fill("zebra");
    const list = page.getByRole("navigation", {name: "Conversations"});
    await list.getByRole("link", {name: /zebra/}).waitFor();
    await page.getByRole("searchbox", {name: "Search conversations"}).fill("");
    const menu = page.getByRole("button", {name: "More about this conversation"});
    const download = page.waitForEvent("download");
    await menu.click();
    await page.getByRole("menuitem", {name: "Export"}).click();
    const file = await (await download).path();
    const first = page.url();
    await page.locator(".history input[type=file]").setInputFiles(file);
    await page.waitForURL((address) => String(address) !== first);
    await page.getByRole("article", {name: "You"}).getByText("zebra").waitFor();
    await menu.click();
    await page.getByRole("menuitem", {name: "Delete"}).click();
    await page.getByRole("dialog").getByRole("button", {name: "Delete"}).click();
    await composer(page).waitFor();
    await page.getByText("What is on your mind?").waitFor();
}, settings);

appTest("what was acknowledged is there after the program is killed", DESKTOP, async (page) => {
    await ask(page, "What is 20 + 1?");
    await answered(page);
    const text = await said(page).innerText();
    await page.waitForLoadState("networkidle");
    await stop("SIGKILL");
    await start();
    await page.reload();
    await said(page).getByText(text).waitFor();
}, settings);

appTest("the server's page shows the program", DESKTOP, async (page) => {
    await page.getByText("Running for").waitFor();
    await page.locator(".uplot canvas").nth(2).waitFor();
    await page.getByRole("tab", {name: "Usage"}).click();
    await page.getByRole("row", {name: /Total/}).waitFor();
}, {...settings, hash: "#/server"});

both("keys: the first one signs this browser in, and others must show one", async (page) => {
    await page.getByRole("button", {name: "New key"}).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel(/^Name/).fill("owner");
    await dialog.getByRole("button", {name: "Create key"}).click();
    const key = await dialog.locator("code").innerText();
    await dialog.getByRole("button", {name: "I have copied it"}).click();
    const row = page.getByRole("row").filter({hasText: "owner"});
    await row.getByText("Administer").waitFor();
    await page.context().clearCookies();
    await page.reload();
    await page.getByLabel("Key").fill("sk-hearth-wrong");
    await page.getByRole("button", {name: "Sign in"}).click();
    await page.getByRole("alert").waitFor();
    await page.getByLabel("Key").fill(key);
    await page.getByRole("button", {name: "Sign in"}).click();
    await row.getByRole("button", {name: "Revoke"}).click();
    await page.getByRole("dialog").getByRole("button", {name: "Revoke"}).click();
    await page.getByText(/^No keys/).waitFor(); // and none is needed
}, {...settings, hash: "#/server/keys", refusals: true});
