// What may go wrong around the program, and what a person then sees.
import assert from "node:assert/strict";
import {answered, answers, appTest, ask, both, composer, DESKTOP, until} from "./app.mjs";
import {answerEndlessly, makePatientModel, said, skip, useProgram} from "./program.mjs";

const program = useProgram();
const patient = useProgram({make: makePatientModel});
const settings = {server: () => program.url, skip};
const slowly = {server: () => patient.url, skip}; // an answer goes on until it is stopped
const written = (page) => answers(page).locator("pre");
const stop = (page) => page.getByRole("button", {name: "Stop", exact: true}).click();

both("stop keeps what there is of a long answer", async (page) => {
    await answerEndlessly(page);
    await ask(page, "Tell me everything.");
    await written(page).waitFor();
    await stop(page);
    await answered(page);
    await page.getByText("Stopped").waitFor();
    const text = await written(page).innerText();
    await page.reload();
    await written(page).filter({hasText: text}).waitFor();
}, slowly);

appTest("a reload in the middle of an answer keeps what there was, and says so", DESKTOP, async (page) => {
    await answerEndlessly(page);
    await ask(page, "Tell me everything.");
    await written(page).waitFor();
    await page.reload();
    await page.getByText(/^Interrupted/).waitFor();
    await written(page).waitFor();
    await page.getByRole("button", {name: "Answer again"}).click();
    await stop(page);
    await page.getByRole("group", {name: "Version 2 of 2"}).waitFor();
}, slowly);

appTest("the server killed in the middle of an answer: what was shown is kept once it is back", DESKTOP, async (page) => {
    await answerEndlessly(page);
    await ask(page, "Tell me everything.");
    await written(page).waitFor();
    await patient.stop("SIGKILL");
    await page.getByRole("alert").getByText("does not answer").waitFor();
    await page.getByText(/^Interrupted/).waitFor();
    const text = await written(page).innerText();
    await ask(page, "Is anybody there?");
    await until(page, async () => await composer(page).inputValue() === "Is anybody there?"); // not sent, so given back
    const kept = page.waitForResponse((response) => response.request().method() === "PATCH" && /messages/.test(response.url()));
    await patient.start();
    await page.getByRole("alert").waitFor({state: "detached"});
    assert.equal((await kept).status(), 200);
    await page.reload();
    await written(page).filter({hasText: text}).waitFor();
    assert.equal(await composer(page).inputValue(), "Is anybody there?");
}, {...slowly, refusals: true});

appTest("the page opens by itself once the server answers", DESKTOP, async (page) => {
    await composer(page).waitFor();
    await page.route("**/api/hearth/v1/session", (route) => route.abort());
    await page.route("**/health/live", (route) => route.abort());
    await page.reload();
    await page.getByRole("heading", {name: "does not answer"}).waitFor();
    await page.unrouteAll({behavior: "ignoreErrors"});
    await composer(page).waitFor();
}, {...settings, refusals: true});

appTest("two windows show the same conversation", DESKTOP, async (page) => {
    await ask(page, "What is 4 + 4?");
    await answered(page);
    const other = await page.context().newPage();
    await other.goto(page.url());
    await other.getByRole("article").nth(1).waitFor();
    await ask(other, "What is 9 + 9?");
    await answered(other);
    await said(page).getByText("18").waitFor();
    assert.equal(await page.getByRole("article").count(), 4);
    await page.getByRole("button", {name: "More about this conversation"}).click();
    await page.getByRole("menuitem", {name: "Delete"}).click();
    await page.getByRole("dialog").getByRole("button", {name: "Delete"}).click();
    await other.getByText("What is on your mind?").waitFor();
    await other.close();
}, settings);

appTest("an answer goes on while another conversation is looked at", DESKTOP, async (page) => {
    await answerEndlessly(page);
    await ask(page, "Tell me everything.");
    await written(page).waitFor();
    await page.getByRole("link", {name: "New chat"}).click();
    await page.getByText("What is on your mind?").waitFor();
    await page.getByRole("img", {name: "An answer is coming"}).waitFor();
    await page.getByRole("link", {name: /Tell me everything/}).first().click();
    await stop(page);
    await page.getByText("Stopped").waitFor();
}, slowly);

both("what is being answered stands on the Server page, and can be cancelled there", async (page) => {
    await answerEndlessly(page);
    await ask(page, "Tell me everything.");
    await written(page).waitFor();
    const chat = page.url();
    await page.evaluate(() => { location.hash = "#/server"; });
    const live = page.getByRole("region", {name: "Requests now"}), row = live.getByRole("row").filter({hasText: "patient"});
    await row.getByText("Running").waitFor();
    await row.getByText("/v1/chat/completions").waitFor();
    const told = async () => Number((await row.getByRole("cell").nth(5).innerText()).replace(/\D/g, ""));
    const before = await told();
    await until(page, async () => await told() > before);
    await page.getByRole("button", {name: "Cancel this request to patient"}).click();
    await page.getByText("Nothing is being answered.").waitFor();
    await page.evaluate((to) => { location.href = to; }, chat);
    await answered(page);
    await written(page).waitFor();
}, slowly);

appTest("what the context has no room for is left out, and said", DESKTOP, async (page) => {
    const messages = Array.from({length: 60}, (_, i) => ({
        id: `m${i}`, parent: i === 0 ? null : `m${i - 1}`, role: i % 2 === 0 ? "user" : "assistant", content: `${i}: ${"some words ".repeat(20)}`,
    }));
    const {id} = await program.ask("POST", "/api/hearth/v1/conversations/import", {format: "hearth-conversation", version: 1, title: "Long", settings: {}, messages});
    await page.evaluate((to) => { location.hash = `#/chat/${to}`; }, id);
    await page.getByText("59: some words").waitFor();
    await ask(page, "What is 3 + 9?");
    await answered(page);
    await page.getByText(/oldest \d+ messages were left out/).waitFor();
    await ask(page, "word ".repeat(2000));
    await page.getByText(/The answer failed: .*prompt has \d+.* Shorten the question/).waitFor();
}, {...settings, refusals: true});
