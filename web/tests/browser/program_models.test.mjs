// Models fetched from a hub on this machine, made smaller, loaded and deleted, with the program.
import assert from "node:assert/strict";
import {existsSync} from "node:fs";
import {join} from "node:path";
import {after, before} from "node:test";
import {answered, answers, appTest, ask, both, DESKTOP, PHONE} from "./app.mjs";
import {startHub} from "./hub.mjs";
import {said, skip, useProgram} from "./program.mjs";

const PULLED = "acme/tiny-GGUF:Q8_0";
let hub = null;
before(async () => { if (!skip) hub = await startHub(process.env.HEARTH_MODEL); });
after(() => hub?.stop());

const program = useProgram({environment: (home) => ({HF_ENDPOINT: hub.url, HF_HOME: join(home, "hf"), HF_TOKEN: "", HEARTH_MODELS: "", NO_PROXY: "127.0.0.1"})});
const settings = {server: () => program.url, skip, hash: "#/models"};
const card = (page, name) => page.getByRole("listitem").filter({has: page.getByRole("heading", {name, exact: true})});
const menu = async (page, name, item) => {
    await page.getByRole("button", {name: `More about ${name}`}).click();
    await page.getByRole("menuitem", {name: item}).click();
};

async function remove(page, name) {
    await menu(page, name, "Delete");
    await page.getByRole("dialog").getByRole("button", {name: "Delete"}).click();
    await card(page, name).waitFor({state: "detached"});
}

both("a model is found on a hub, pulled with progress, asked, and deleted", async (page) => {
    await page.getByLabel(/Get a model/).fill("TINY");
    await page.getByText("4.3 k downloads").waitFor();
    hub.hold();
    await page.getByLabel(/Get a model/).fill(PULLED);
    await page.getByLabel(/Get a model/).press("Enter");
    await page.getByRole("progressbar", {name: PULLED}).waitFor();
    await page.getByText(/B of 8.7 MB/).waitFor();
    hub.go();
    await card(page, PULLED).getByRole("button", {name: "Chat"}).click();
    assert.equal(await page.getByRole("combobox", {name: "Model", exact: true}).inputValue(), PULLED);
    await ask(page, "What is 12 + 30?");
    await answered(page);
    await said(page).getByText("42").waitFor();
    await answers(page).getByText("tiny-GGUF:Q8_0", {exact: true}).waitFor();
    await page.evaluate(() => { location.hash = "#/models"; });
    await card(page, PULLED).getByText("Loaded").waitFor();
    await remove(page, PULLED);
}, settings);

appTest("a model is made smaller, looked at, loaded and unloaded", DESKTOP, async (page) => {
    await page.getByLabel(/Get a model/).fill(PULLED);
    await page.getByRole("button", {name: "Pull", exact: true}).click();
    await card(page, PULLED).waitFor();
    await menu(page, PULLED, "Quantise");
    await page.getByRole("dialog").getByRole("combobox").selectOption("Q4_0");
    await page.getByRole("dialog").getByRole("button", {name: "Quantise"}).click();
    const copy = "tiny-GGUF-Q4_0";
    await card(page, copy).getByRole("button", {name: "Load", exact: true}).click();
    await card(page, copy).getByText("Loaded").waitFor();
    await menu(page, copy, "Details");
    await page.getByRole("dialog", {name: copy}).getByText("Q4_0", {exact: true}).waitFor();
    assert.ok(existsSync(await page.getByRole("dialog").locator("code").innerText()));
    await page.keyboard.press("Escape");
    await card(page, copy).getByRole("button", {name: "Unload"}).click();
    await card(page, copy).getByRole("button", {name: "Load", exact: true}).waitFor();
    await remove(page, copy);
    await remove(page, PULLED);
}, settings);

appTest("what cannot be pulled or made says why", PHONE, async (page) => {
    await page.getByLabel(/Get a model/).fill("acme/nothing");
    await page.getByRole("button", {name: "Pull", exact: true}).click();
    await page.getByText(/has no 'acme\/nothing'/).waitFor();
    await page.getByRole("button", {name: "Close", exact: true}).click();
    await menu(page, "ember", "Quantise");
    await page.getByLabel("Name of the copy").fill("../../etc/passwd");
    await page.getByRole("dialog").getByRole("button", {name: "Quantise"}).click();
    await page.locator(".error-text").waitFor();
    await page.getByRole("button", {name: "Close", exact: true}).click();
    hub.stop();
    await page.getByLabel(/Get a model/).fill("llama");
    await page.getByText(/Cannot search the hub/i).waitFor();
    await page.getByRole("button", {name: /Pull llama/}).first().waitFor(); // known without it
}, {...settings, refusals: true});
