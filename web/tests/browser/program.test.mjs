// The app as the program itself serves it: conversations, and what becomes of them.
import assert from "node:assert/strict";
import {answered, appTest, ask, both, composer, DESKTOP, openMenu} from "./app.mjs";
import {said, skip, useProgram} from "./program.mjs";

const program = useProgram();
const settings = {server: () => program.url, skip};

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
    await program.stop("SIGKILL");
    await program.start();
    await page.reload();
    await said(page).getByText(text).waitFor();
}, {...settings, refusals: true});

appTest("the server's page shows the program", DESKTOP, async (page) => {
    await page.getByText("Running for").waitFor();
    await page.locator(".uplot canvas").nth(2).waitFor();
    await page.getByRole("tab", {name: "Usage"}).click();
    await page.getByRole("row", {name: /Total/}).waitFor();
}, {...settings, hash: "#/server"});
