// Models, Tune and Server.
import assert from "node:assert/strict";
import {answers, appTest, ask, both, DESKTOP} from "./app.mjs";

both("a model is pulled with progress", async (page, {origin}) => {
    await page.getByLabel(/Get a model/).fill("https://huggingface.co/org/held");
    await page.getByRole("button", {name: "Pull", exact: true}).click();
    await page.getByText("Pulling org/held").waitFor();
    await page.getByRole("progressbar", {name: "org/held"}).waitFor();
    await fetch(`${origin}/api/hearth/v1/mock/go`, {method: "POST"});
    await page.getByRole("heading", {name: "org/held"}).waitFor();
}, {hash: "#/models"});

both("models are searched, and what does not fit or is here already is marked", async (page) => {
    await page.getByRole("button", {name: "Pull qwen3:4b"}).waitFor();
    assert.equal(await page.getByText("llama3.3:70b").count(), 0, "only what fits is proposed");
    await page.getByLabel(/Get a model/).fill("llama");
    const row = (name) => page.getByRole("listitem").filter({hasText: name});
    await row("llama3.3:70b").getByText("Too large").waitFor();
    await row("llama3.2:1b").getByText("Here", {exact: true}).waitFor();
    await page.getByLabel(/Get a model/).fill("nowhere");
    await page.getByText("Nothing found").waitFor();
}, {hash: "#/models"});

both("a pull that fails says why, one that is cancelled goes", async (page) => {
    await page.getByLabel(/Get a model/).fill("nothing");
    await page.getByRole("button", {name: "Pull", exact: true}).click();
    await page.getByText("no model 'nothing' on the hub").waitFor();
    await page.getByRole("button", {name: "Close", exact: true}).click();
    await page.getByLabel(/Get a model/).fill("org/held");
    await page.getByRole("button", {name: "Pull", exact: true}).click();
    await page.getByRole("progressbar", {name: "org/held"}).waitFor();
    await page.getByRole("button", {name: "Cancel"}).click();
    await page.getByText("Pulling org/held").waitFor({state: "detached"});
    assert.equal(await page.getByRole("heading", {name: "org/held"}).count(), 0);
}, {
    hash: "#/models", refusals: true,
});

both("what does not fit is marked and cannot be loaded", async (page) => {
    const large = page.getByRole("listitem").filter({hasText: "Qwen3-32B"});
    await large.getByText("Too large").waitFor();
    assert.ok(await large.getByRole("button", {name: "Load", exact: true}).isDisabled());
    const small = page.getByRole("listitem").filter({hasText: "Llama-3.2-1B"});
    await small.getByRole("button", {name: "Load", exact: true}).click();
    await small.getByText("Loaded").waitFor();
}, {hash: "#/models"});

both("a model is quantised, looked at and deleted", async (page) => {
    const menuOf = (name) => page.getByRole("button", {name: `More about ${name}`});
    await menuOf("ember").click();
    await page.getByRole("menuitem", {name: "Quantise"}).click();
    await page.getByRole("dialog").getByRole("combobox").selectOption("Q4_0");
    assert.equal(await page.getByLabel("Name of the copy").inputValue(), "ember-Q4_0");
    await page.getByRole("dialog").getByRole("button", {name: "Quantise"}).click();
    await page.getByRole("heading", {name: "ember-Q4_0"}).waitFor();
    await menuOf("ember-Q4_0").click();
    await page.getByRole("menuitem", {name: "Details"}).click();
    await page.getByRole("dialog", {name: "ember-Q4_0"}).getByText("Q4_0", {exact: true}).waitFor();
    await page.keyboard.press("Escape");
    await menuOf("ember-Q4_0").click();
    await page.getByRole("menuitem", {name: "Delete"}).click();
    await page.getByRole("dialog").getByRole("button", {name: "Delete"}).click();
    await page.getByRole("heading", {name: "ember-Q4_0"}).waitFor({state: "detached"});
}, {hash: "#/models"});

const EXAMPLES = Buffer.from([
    {instruction: "Where is my invoice?", output: "Under Account › Invoices."}, {instruction: "When are you there?", output: "From 9 to 5."},
].map((e) => JSON.stringify(e)).join("\n") + "\nno JSON\n");

both("a file becomes a run, its curves, and a comparison", async (page) => {
    await page.locator(".drop input").setInputFiles({name: "tickets.jsonl", mimeType: "application/json", buffer: EXAMPLES});
    await page.getByText("Alpaca, 2 examples").waitFor();
    await page.getByText("Line 3: not a JSON object").waitFor();
    assert.equal(await page.locator("mark").innerText(), "Under Account › Invoices.<|end|>");
    assert.equal(await page.getByLabel(/^Name/).inputValue(), "tickets");
    await page.getByRole("button", {name: "Start training"}).click();
    await page.getByRole("button", {name: "Pause"}).click();
    await page.getByText("Paused").waitFor();
    await page.getByRole("button", {name: "Resume"}).click();
    await page.locator(".uplot canvas").nth(3).waitFor();
    await page.getByRole("button", {name: "Stop"}).click();
    await page.getByRole("dialog").getByRole("button", {name: "Stop"}).click();
    await page.getByText("Stopped").waitFor();
    await page.getByRole("textbox", {name: "Question"}).fill("echo same");
    const requests = [];
    page.on("request", (r) => { if (r.url().endsWith("/chat/completions")) requests.push(r.postDataJSON()); });
    await page.getByRole("button", {name: "Ask both"}).click();
    await page.locator("article").filter({hasText: "After"}).getByText("same").waitFor();
    await page.locator("article").filter({hasText: "Before"}).getByText("same").waitFor();
    assert.deepEqual(requests.map((r) => [r.model, r.adapters]), [["ember", []], ["ember", [{name: "tickets-adapter", scale: 1}]]]);
    const said = page.getByText("Exported: tickets-merged").waitFor(); // for a few seconds
    await page.getByRole("button", {name: "Export as a model"}).click();
    await said;
}, {hash: "#/tune"});

both("examples are typed, or pasted from a spreadsheet", async (page) => {
    await page.getByText("Type them").click();
    await page.getByLabel("Question 1", {exact: true}).fill("2 + 2?");
    await page.getByLabel("Answer 1", {exact: true}).fill("4");
    await page.getByLabel("Question 2", {exact: true}).evaluate((element) => {
        const data = new DataTransfer();
        data.setData("text/plain", "3 + 3?\t6\n4 + 4?\t8\n");
        element.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true}));
    });
    await page.getByRole("button", {name: "Check examples"}).click();
    await page.getByText("OpenAI messages, 3 examples").waitFor();
}, {hash: "#/tune"});

both("a key is made, shown once, and revoked", async (page) => {
    await page.getByRole("button", {name: "New key"}).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel(/^Name/).fill("phone");
    await dialog.getByLabel("Requests a minute").fill("30");
    await dialog.getByRole("button", {name: "Create key"}).click();
    const key = await dialog.locator("code").innerText();
    assert.ok(key.length > 16);
    await dialog.getByRole("button", {name: "I have copied it"}).click();
    const row = page.getByRole("row").filter({hasText: "phone"});
    await row.getByText("Requests a minute: 30").waitFor();
    assert.equal(await page.getByText(key).count(), 0);
    await row.getByRole("button", {name: "Revoke"}).click();
    await page.getByRole("dialog").getByRole("button", {name: "Revoke"}).click();
    await row.waitFor({state: "detached"});
}, {hash: "#/server/keys"});

both("usage is told by day, model and key", async (page) => {
    for (const [by, name] of [["Day", "2026-11-20"], ["Model", "ember"], ["Key", "laptop"]]) {
        await page.getByLabel("By").selectOption({label: by});
        await page.getByRole("columnheader", {name: by}).waitFor();
        await page.getByRole("cell", {name}).waitFor();
    }
    await page.getByRole("row", {name: /Total/}).waitFor();
}, {hash: "#/server/usage"});

both("the log runs, pauses and is filtered", async (page) => {
    const log = page.getByRole("log", {name: "Log"});
    await log.getByText("request 1 answered").waitFor();
    await page.getByRole("button", {name: "Pause"}).click();
    await page.getByRole("searchbox", {name: "Filter lines"}).fill("request 0");
    await log.getByText("request 1 answered").waitFor({state: "detached"});
    await log.getByText("request 0 answered").waitFor();
}, {hash: "#/server/logs"});

both("the overview lists what is being answered, and cancels it", async (page) => {
    await page.getByText("Nothing is being answered.").waitFor();
    await page.evaluate(() => { location.hash = "#/chat"; });
    await ask(page, "endless");
    await answers(page).getByText("and on and on").waitFor();
    await page.evaluate(() => { location.hash = "#/server"; });
    await page.getByRole("row").filter({hasText: "/v1/chat/completions"}).getByText("Running").waitFor();
    await page.getByRole("button", {name: "Cancel this request to ember"}).click();
    await page.getByText("Nothing is being answered.").waitFor();
}, {hash: "#/server"});

appTest("the overview shows the server and its curves", DESKTOP, async (page) => {
    await page.getByText("Running for").waitFor();
    await page.locator(".uplot canvas").nth(2).waitFor();
}, {hash: "#/server"});
