// What all pages share: language, theme, keyboard, signing in, no way to run foreign code.
import assert from "node:assert/strict";
import {after, before} from "node:test";
import {answered, answers, appTest, ask, both, composer, DESKTOP, goTo, openMenu, otherServer, PAGES, PHONE, until} from "./app.mjs";

both("the language changes at once and is remembered", async (page, {phone}) => {
    await openMenu(page, phone);
    await page.getByRole("combobox", {name: "Language"}).selectOption("de");
    await page.getByRole("link", {name: "Modelle"}).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.lang), "de");
    await page.reload();
    await page.getByRole("textbox", {name: "Nachricht"}).waitFor();
});

both("the theme follows the system until one is chosen", async (page, {phone}) => {
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await composer(page).waitFor();
    const dark = await background();
    await openMenu(page, phone);
    await page.getByRole("button", {name: "Theme: System"}).click();
    await page.getByRole("button", {name: "Theme: Light"}).waitFor();
    await until(page, async () => await background() !== dark); // styles follow a frame later
    const light = await background();
    await page.reload();
    await until(page, async () => await background() === light);
}, {options: {colorScheme: "dark"}});

appTest("the browser's language is the first one", PHONE, async (page) => {
    await page.getByRole("textbox", {name: "Nachricht"}).waitFor();
}, {options: {locale: "de-AT"}});

appTest("everything can be done with the keyboard", DESKTOP, async (page) => {
    await composer(page).waitFor();
    await page.waitForFunction(() => document.activeElement?.tagName === "TEXTAREA");
    await page.keyboard.type("echo by keys");
    await page.keyboard.press("Enter");
    await answers(page).getByText("by keys").waitFor();
    await answered(page);
    await page.keyboard.press("Control+/");
    await page.getByRole("dialog", {name: "Keyboard shortcuts"}).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({state: "detached"});
    await page.keyboard.press("Control+Period");
    await page.getByRole("dialog", {name: "Settings of this chat"}).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({state: "detached"});
    await page.keyboard.press("Control+k");
    await page.waitForFunction(() => document.activeElement?.id === "history-search");
    await page.keyboard.press("Control+Shift+o");
    await page.getByText("What is on your mind?").waitFor();
    await page.waitForFunction(() => document.activeElement?.tagName === "TEXTAREA");
});

appTest("a dialog takes the focus, and gives it back", DESKTOP, async (page) => {
    const focused = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.tagName);
    const menu = page.getByRole("button", {name: "More about this conversation"});
    await menu.press("Enter");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog", {name: "Rename"}).waitFor();
    assert.equal(await focused(), "INPUT");
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({state: "detached"});
    assert.equal(await focused(), "More about this conversation");
    await menu.press("Enter");
    await page.keyboard.press("ArrowUp"); // the last of the menu
    await page.keyboard.press("Enter");
    await page.getByRole("dialog", {name: "Delete"}).waitFor();
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Cancel");
}, {hash: "#/chat/short"});

appTest("the arrow up edits the last question, Escape leaves it", DESKTOP, async (page) => {
    await ask(page, "echo once");
    await answered(page);
    await composer(page).press("ArrowUp");
    const editor = page.getByRole("textbox", {name: "Edit"});
    await editor.waitFor();
    assert.equal(await editor.inputValue(), "echo once");
    await page.keyboard.press("Escape");
    await editor.waitFor({state: "detached"});
});

appTest("the skip button comes first and leads to the content", DESKTOP, async (page) => {
    await page.getByRole("heading", {name: "Models", exact: true}).waitFor();
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Skip to content");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement?.tagName), "MAIN");
}, {hash: "#/models"});

appTest("every control has a name", DESKTOP, async (page) => {
    const chat = {hash: "#/chat/short", shown: () => answers(page).first()};
    for (const where of [chat, ...PAGES]) {
        await goTo(page, where);
        const nameless = await page.evaluate(() => [...document.querySelectorAll("button, a[href], input:not([type=file]), select, textarea")]
            .filter((e) => !(e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.length || e.title))
            .map((e) => e.outerHTML.slice(0, 120)));
        assert.deepEqual(nameless, [], where.hash);
    }
});

appTest("what a model writes cannot run, load or dress up anything", DESKTOP, async (page) => {
    await ask(page, `echo x <img src="https://evil.example/x.png" onerror="window.hacked=1"> <script>window.hacked=1</script> <p style="position:fixed">x</p> [l](javascript:window.hacked=1) ![p](https://evil.example/p.png)`);
    await answered(page);
    const found = await page.evaluate(() => ({
        hacked: window.hacked, images: document.querySelectorAll("article img").length, styled: document.querySelectorAll("article [style]").length,
        links: [...document.querySelectorAll("article a")].map((a) => a.protocol),
    }));
    assert.deepEqual(found, {hacked: undefined, images: 0, styled: 0, links: ["https:"]});
});

let guarded = null;
before(async () => { guarded = await otherServer({MOCK_KEY: "open sesame"}); });
after(() => guarded?.stop());

both("a server with keys asks for one", async (page) => {
    await page.getByLabel("Key", {exact: true}).fill("wrong");
    await page.getByRole("button", {name: "Sign in"}).click();
    await page.getByRole("alert").getByText("not known").waitFor();
    await page.getByLabel("Key", {exact: true}).fill("open sesame");
    await page.getByRole("button", {name: "Sign in"}).click();
    await composer(page).waitFor();
    await page.evaluate(() => fetch("/api/hearth/v1/session", {method: "DELETE"}));
}, {refusals: true, server: () => guarded.url});
