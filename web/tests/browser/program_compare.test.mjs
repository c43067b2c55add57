// Answers side by side and answers as data, with the program itself.
import assert from "node:assert/strict";
import {answered, answers, appTest, ask, both, DESKTOP} from "./app.mjs";
import {said, skip, useProgram} from "./program.mjs";

const program = useProgram();
const settings = {server: () => program.url, skip};

both("two answers side by side; the conversation goes on from the one that is chosen", async (page) => {
    await page.getByRole("button", {name: "Compare with another model"}).click();
    await page.getByRole("combobox", {name: "Second model"}).waitFor();
    await ask(page, "What is 12 + 30?");
    await answered(page);
    assert.equal(await answers(page).count(), 2);
    await said(page).getByText("42").nth(1).waitFor();
    await page.getByRole("button", {name: "Go on with this"}).click();
    await answers(page).nth(1).getByText("Chosen").waitFor();
    await page.getByRole("button", {name: "Stop comparing"}).click();
    const sent = page.waitForRequest("**/v1/chat/completions");
    await ask(page, "What is 1 + 1?");
    assert.equal((await sent).postDataJSON().messages.length, 3);
    await answered(page);
    assert.equal(await answers(page).count(), 3);
    await page.reload();
    await answers(page).nth(2).waitFor();
    await answers(page).nth(1).getByText("Chosen").waitFor();
}, settings);

appTest("an answer of a schema is shown as the data it is", DESKTOP, async (page) => {
    await page.getByRole("button", {name: "Settings of this chat"}).click();
    await page.getByText("Answers as data").click();
    await page.getByLabel("Form of the answer").selectOption("schema");
    await page.getByLabel("JSON Schema").fill('{"type": "object", "properties": {"sum": ');
    await page.getByText("not a JSON object yet").waitFor();
    await page.getByLabel("JSON Schema").fill('{"type": "object", "properties": {"sum": {"type": "integer", "minimum": 0, "maximum": 9}}, "required": ["sum"], "additionalProperties": false}');
    await page.getByText("not a JSON object yet").waitFor({state: "detached"});
    await page.getByRole("button", {name: "Close", exact: true}).click();
    await ask(page, "What is 2 + 2?");
    await answered(page);
    const data = JSON.parse(await answers(page).locator("pre").innerText());
    assert.ok(Number.isInteger(data.sum) && data.sum >= 0 && data.sum <= 9);
}, settings);

appTest("what the server refuses is said in the place of the answer", DESKTOP, async (page) => {
    await page.getByRole("button", {name: "Settings of this chat"}).click();
    await page.getByText("Answers as data").click();
    await page.getByLabel("Form of the answer").selectOption("schema");
    await page.getByLabel("JSON Schema").fill('{"type": "nothing of the kind"}');
    await page.getByRole("button", {name: "Close", exact: true}).click();
    await ask(page, "What is 2 + 2?");
    await answers(page).getByRole("alert").getByText(/The answer failed/).waitFor();
    await page.getByRole("button", {name: "Try again"}).waitFor();
}, {...settings, refusals: true});
