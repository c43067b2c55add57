// Keys and signing in, with the program itself.
import assert from "node:assert/strict";
import {appTest, ask, both, composer, DESKTOP} from "./app.mjs";
import {skip, useProgram} from "./program.mjs";

const program = useProgram();
const settings = {server: () => program.url, skip, refusals: true};

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
    await page.getByLabel("Key", {exact: true}).fill("sk-hearth-wrong");
    await page.getByRole("button", {name: "Sign in"}).click();
    await page.getByRole("alert").waitFor();
    await page.getByLabel("Key", {exact: true}).fill(key);
    await page.getByRole("button", {name: "Sign in"}).click();
    await row.getByRole("button", {name: "Revoke"}).click();
    await page.getByRole("dialog").getByRole("button", {name: "Revoke"}).click();
    await page.getByText(/^No keys/).waitFor(); // and none is needed
}, {...settings, hash: "#/server/keys"});

// A user's key, beside an admin's; `revoke` ends it, `leave` the admin's.
async function guestKey() {
    const {key: admin, id: first} = await program.ask("POST", "/api/hearth/v1/keys", {name: "owner", role: "admin"});
    const {key, id} = await program.ask("POST", "/api/hearth/v1/keys", {name: "guest", role: "user"}, admin);
    const drop = (which) => () => program.ask("DELETE", `/api/hearth/v1/keys/${which}`, undefined, admin);
    return {key, revoke: drop(id), leave: drop(first)};
}

async function signIn(page, key) {
    await page.getByLabel("Key", {exact: true}).fill(key);
    await page.getByRole("button", {name: "Sign in"}).click();
}

appTest("a key that ends leads back to signing in, and nothing that was written is lost", DESKTOP, async (page) => {
    const {key, revoke, leave} = await guestKey();
    await page.reload();
    await signIn(page, key);
    await composer(page).fill("a long and careful question");
    await revoke();
    await composer(page).press("Enter");
    await signIn(page, key);
    await page.getByRole("alert").getByText("not known").waitFor();
    await leave();
    await page.reload();
    assert.equal(await composer(page).inputValue(), "a long and careful question");
}, settings);

appTest("a user's key sees its own conversations, and is told what it may not do", DESKTOP, async (page) => {
    const {key, revoke, leave} = await guestKey();
    await page.reload();
    await signIn(page, key);
    await ask(page, "What is 2 + 2?");
    await page.getByRole("link", {name: /What is 2 \+ 2/}).waitFor();
    await page.evaluate(() => { location.hash = "#/server/keys"; });
    await page.getByText("This key may not do that").waitFor();
    await revoke();
    await leave();
}, settings);
