// Tuning from start to end with the program itself: a model, a small file, a run that is paused and
// goes on, the same question before and after, and a run that outlives the server.
import assert from "node:assert/strict";
import {appTest, both, DESKTOP, until} from "./app.mjs";
import {skip, useProgram} from "./program.mjs";

const program = useProgram({options: ["--quiet"]});
const settings = {server: () => program.url, skip, hash: "#/tune"};
const RUN_MS = 900_000; // trains on what processors others leave

const ANSWER = "The printer is in room 7, beside the kitchen.";
const QUESTIONS = ["Where do I find the printer?", "Where is the printer?", "Where can I print something?", "Where does the printer stand?", "I am looking for the printer.", "In which room is the printer?"];
const lines = (more) => `${QUESTIONS.map((instruction) => JSON.stringify({instruction, output: ANSWER})).join("\n")}\n${more}`;
const file = (name, text) => ({name, mimeType: "application/json", buffer: Buffer.from(text)});

async function begin(page, name, {passes, times}) {
    await page.locator(".drop input").setInputFiles(file(`${name}.jsonl`, lines("").repeat(times)));
    await page.getByText(`Alpaca, ${6 * times} examples`).waitFor();
    await page.getByLabel(/^Passes/).fill(passes);
    await page.getByText("More settings").click();
    await page.getByLabel(/^Learning rate/).fill("0.003");
    await page.getByRole("button", {name: "Start training"}).click();
    await page.getByText(/^Step \d+ of/).first().waitFor({timeout: RUN_MS});
}

async function remove(page, name) {
    await page.getByRole("button", {name: "Delete"}).click();
    await page.getByRole("dialog").getByRole("button", {name: "Delete"}).click();
    await page.getByRole("heading", {name: "New run"}).waitFor();
    await page.getByRole("link", {name}).waitFor({state: "detached"});
}

both("what is in a file is shown before anything is trained", async (page) => {
    await page.locator(".drop input").setInputFiles(file("office.jsonl", lines("no JSON\n")));
    await page.getByText("Alpaca, 6 examples").waitFor();
    await page.getByText(/^Line 7: /).waitFor();
    assert.match(await page.locator("mark").innerText(), /The printer is in room 7, beside the kitchen\./);
    assert.match(await page.locator("pre").innerText(), /user\s+Where do I find the printer\?/);
    await page.locator(".drop input").setInputFiles(file("numbers.json", "[1, 2]"));
    await page.locator(".notices").getByText(/./).first().waitFor();
    assert.ok(await page.getByRole("button", {name: "Start training"}).isDisabled());
}, {...settings, refusals: true});

appTest("tune Ember on a small file to a better answer", DESKTOP, async (page) => {
    await begin(page, "office", {passes: "20", times: 1});
    await page.locator(".uplot canvas").nth(3).waitFor();
    await page.getByText("Finished").waitFor({timeout: RUN_MS});
    const along = page.locator(".samples li");
    assert.doesNotMatch(await along.filter({hasText: "Before"}).first().innerText(), /room 7/);
    assert.match(await along.filter({hasText: "After"}).first().innerText(), /The printer is in room 7, beside the kitchen\./);

    await page.getByRole("textbox", {name: "Question"}).fill("Where is the printer?");
    await page.getByRole("button", {name: "Ask both"}).click();
    const side = (name) => page.locator("article").filter({has: page.getByRole("heading", {name})});
    await side("After").getByText(ANSWER).waitFor({timeout: RUN_MS});
    await page.locator(".sides[aria-busy=false]").waitFor();
    assert.doesNotMatch(await side("Before").innerText(), /room 7/);
    const known = async () => (await program.ask("GET", "/api/hearth/v1/models")).models;
    assert.deepEqual((await known()).map(({name, adapters}) => [name, adapters]), [["ember", ["office-adapter"]]], "no model was made");
    const said = page.getByText("Exported: office").waitFor({timeout: RUN_MS}); // for a few seconds
    await page.getByRole("button", {name: "Export as a model"}).click();
    await said;
    assert.ok((await known()).some((model) => model.name === "office"));
    await remove(page, /office/);
}, settings);

appTest("a run pauses, outlives the server, and the page finds it again", DESKTOP, async (page) => {
    await begin(page, "lasting", {passes: "1000", times: 100}); // for hours, unless it is stopped
    await page.getByText("Training", {exact: true}).waitFor();
    await page.getByRole("button", {name: "Pause"}).click();
    await page.getByText("Paused").waitFor({timeout: RUN_MS});
    await page.getByRole("button", {name: "Resume"}).click();
    await page.getByText("Training", {exact: true}).waitFor();
    await program.stop("SIGKILL");
    const shown = page.getByText(/^Step \d+ of/).first();
    const step = async () => Number((await shown.innerText()).replace(/,/g, "").match(/\d+/)[0]);
    const reached = await step();
    await program.start();
    await until(page, async () => await step() > reached, RUN_MS);
    await page.getByRole("button", {name: "Stop"}).click();
    await page.getByRole("dialog").getByRole("button", {name: "Stop"}).click();
    await page.getByText("Stopped").waitFor();
}, {...settings, refusals: true});
