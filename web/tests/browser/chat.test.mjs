// The chat: ask, stop, branch, edit, settings, files, and what is still there after a reload.
import assert from "node:assert/strict";
import {answered, answers, appTest, ask, both, composer, DESKTOP, openMenu, until} from "./app.mjs";

both("an answer streams and is kept", async (page) => {
    await ask(page, "echo **bold** and `code`");
    await answered(page);
    await page.locator("strong", {hasText: "bold"}).waitFor();
    assert.match(page.url(), /#\/chat\/.+/);
    await page.reload();
    await page.locator("strong", {hasText: "bold"}).waitFor();
    assert.equal(await page.getByRole("article", {name: "You"}).innerText().then((t) => t.trim()), "echo **bold** and `code`");
});

both("thinking is folded, formulas and code are drawn", async (page) => {
    await ask(page, "how does gradient descent work?");
    await answered(page);
    await page.getByText(/Thought for/).waitFor();
    assert.equal(await page.locator("details[open]").count(), 0);
    await page.getByText(/Thought for/).click();
    await page.getByText("I should name the update rule first").waitFor();
    await page.locator(".katex math").first().waitFor({state: "attached"});
    await page.locator(".hljs-keyword", {hasText: "def"}).waitFor();
    await page.getByText(/tokens\/s/).waitFor();
    await page.getByRole("img", {name: /Context: .* of .* tokens/}).waitFor();
});

both("stop keeps what there is", async (page) => {
    await ask(page, "endless");
    await answers(page).getByText("and on and on").waitFor();
    await page.getByRole("button", {name: "Stop", exact: true}).click();
    await answered(page);
    await page.getByText("Stopped").waitFor();
    const text = await answers(page).locator(".markdown").innerText();
    await page.reload();
    await answers(page).getByText(text, {exact: true}).waitFor();
});

both("a regenerated answer is a branch", async (page) => {
    await ask(page, "echo first");
    await answered(page);
    await page.getByRole("button", {name: "Answer again"}).click();
    await page.getByRole("group", {name: "Version 2 of 2"}).waitFor();
    await answered(page);
    await page.getByRole("button", {name: "Previous version"}).click();
    await page.getByRole("group", {name: "Version 1 of 2"}).waitFor();
    assert.equal(await answers(page).count(), 1);
});

both("an edited question opens a branch, and the first one stays", async (page, {origin}) => {
    await ask(page, "echo apples");
    await answered(page);
    const question = page.getByRole("article", {name: "You"});
    await question.hover();
    await question.getByRole("button", {name: "Edit"}).click();
    await page.getByRole("textbox", {name: "Edit"}).fill("echo pears");
    await page.getByRole("button", {name: "Send as a new branch"}).click();
    await answers(page).getByText("pears").waitFor();
    await answered(page);
    await page.getByRole("button", {name: "Previous version"}).click();
    await answers(page).getByText("apples").waitFor();
    const [, id] = new URL(page.url()).hash.match(/chat\/(.+)/);
    await until(page, async () => {
        const {messages, settings} = await fetch(`${origin}/api/hearth/v1/conversations/${id}`).then((r) => r.json());
        return messages.find((m) => m.id === settings.leaf)?.content === "apples";
    });
    await page.reload(); // the branch that was shown is shown again
    await answers(page).getByText("apples").waitFor();
});

both("a failed answer says why and can be asked again", async (page) => {
    await ask(page, "fail");
    await page.getByText("the model ran out of memory").waitFor();
    await page.getByRole("button", {name: "Answer again"}).waitFor();
});

both("search finds words in messages", async (page, {phone}) => {
    await ask(page, "echo the quick brown fox");
    await answered(page);
    await openMenu(page, phone);
    const list = page.getByRole("navigation", {name: "Conversations"});
    await page.getByRole("searchbox", {name: "Search conversations"}).fill("brown fox");
    await list.getByText("Learning rates").waitFor({state: "detached"});
    assert.equal(await list.getByRole("link").count(), 1);
    await page.getByRole("searchbox", {name: "Search conversations"}).fill("nowhere at all");
    await page.getByText("Nothing found for “nowhere at all”").waitFor();
    if (phone) await page.keyboard.press("Escape");
});

both("system prompt and sampling reach the request", async (page) => {
    await page.getByRole("button", {name: "Settings of this chat"}).click();
    await page.getByLabel("System prompt").fill("Be brief.");
    await page.getByLabel(/^Temperature/).fill("0.2");
    await page.getByLabel(/^Thinking/).selectOption("none");
    await page.getByRole("button", {name: "Close", exact: true}).click();
    const sent = page.waitForRequest("**/v1/chat/completions");
    await ask(page, "echo ok");
    const body = (await sent).postDataJSON();
    assert.deepEqual(body.messages, [{role: "system", content: "Be brief."}, {role: "user", content: "echo ok"}]);
    assert.equal(body.temperature, 0.2);
    assert.equal(body.reasoning_effort, "none");
    assert.equal(body.stream, true);
    await answered(page);
});

both("text files go along, other files are refused by name", async (page) => {
    const chooser = page.locator("form.composer input[type=file]");
    await chooser.setInputFiles({name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("forty-two")});
    await page.getByText("notes.txt").waitFor();
    await chooser.setInputFiles({name: "cat.png", mimeType: "image/png", buffer: Buffer.from([0x89, 0x50, 0, 255])});
    await page.getByText("cat.png is not a text file").waitFor();
    const sent = page.waitForRequest("**/v1/chat/completions");
    await ask(page, "What is it?");
    assert.match((await sent).postDataJSON().messages.at(-1).content, /^notes\.txt:\n```\nforty-two\n```\n\nWhat is it\?$/);
    await answered(page);
});

both("model and adapter change in the middle of a chat", async (page) => {
    await ask(page, "echo one");
    await answered(page);
    await page.getByRole("combobox", {name: "Model", exact: true}).selectOption("meta-llama/Llama-3.2-1B-Instruct:Q4_K_M");
    await page.getByRole("combobox", {name: "Adapter", exact: true}).selectOption("contracts");
    const sent = page.waitForRequest("**/v1/chat/completions");
    await ask(page, "echo two");
    const body = (await sent).postDataJSON();
    assert.equal(body.model, "meta-llama/Llama-3.2-1B-Instruct:Q4_K_M");
    assert.deepEqual(body.adapters, [{name: "contracts", scale: 1}]);
    await answered(page);
});

both("a model calls a tool, and goes on with what it gave", async (page) => {
    await page.getByRole("button", {name: "Settings of this chat"}).click();
    await page.getByText("Answers as data").click();
    await page.getByLabel("Tools").fill("[{}]");
    await page.getByText("not a JSON list of functions").waitFor();
    await page.getByLabel("Tools").fill('[{"name": "shout", "parameters": {"type": "object"}}]');
    await page.getByText("not a JSON list of functions").waitFor({state: "detached"});
    await page.getByRole("button", {name: "Close", exact: true}).click();
    await ask(page, "call hello");
    const call = page.getByRole("region", {name: "Calls shout"});
    await answered(page);
    assert.deepEqual(JSON.parse(await call.locator("pre").innerText()), {text: "hello"});
    await page.reload();
    await call.getByLabel("Result").fill("HELLO");
    const sent = page.waitForRequest("**/v1/chat/completions");
    await page.getByRole("button", {name: "Send results"}).click();
    const {messages} = (await sent).postDataJSON();
    assert.equal(messages[1].tool_calls[0].function.name, "shout");
    assert.deepEqual(messages[2], {role: "tool", content: "HELLO", tool_call_id: "call-1"});
    await page.getByText("The tool says: HELLO").waitFor();
    await answered(page);
});

appTest("export and import give the same conversation", DESKTOP, async (page) => {
    await ask(page, "echo to keep");
    await answered(page);
    await page.getByRole("button", {name: "More about this conversation"}).click();
    const download = page.waitForEvent("download");
    await page.getByRole("menuitem", {name: "Export"}).click();
    const file = await (await download).path();
    const before = page.url();
    const said = page.getByText("Conversation imported").waitFor(); // for a few seconds
    await page.locator(".history input[type=file]").setInputFiles(file);
    await said;
    await page.waitForURL((url) => String(url) !== before);
    await answers(page).getByText("to keep").waitFor();
});

appTest("a conversation is renamed and deleted", DESKTOP, async (page) => {
    await ask(page, "echo short-lived");
    await answered(page);
    const menu = page.getByRole("button", {name: "More about this conversation"});
    await menu.click();
    await page.getByRole("menuitem", {name: "Rename"}).click();
    await page.getByLabel("Name of the conversation").fill("A better name");
    await page.getByRole("button", {name: "Save"}).click();
    await page.getByRole("link", {name: /A better name/}).waitFor();
    await menu.click();
    await page.getByRole("menuitem", {name: "Delete"}).click();
    await page.getByRole("dialog").getByRole("button", {name: "Delete"}).click();
    await page.getByRole("link", {name: /A better name/}).waitFor({state: "detached"});
    await composer(page).waitFor();
});

appTest("of a long conversation the end is drawn, and earlier parts when they are looked for", DESKTOP, async (page) => {
    await page.getByText("Question 1000", {exact: false}).waitFor();
    const drawn = await page.getByRole("article").count();
    assert.ok(drawn > 0 && drawn < 100, `${drawn} messages are drawn`);
    const atEnd = () => page.evaluate(() => {
        const s = document.querySelector(".scroller");
        return s.scrollHeight - s.scrollTop - s.clientHeight;
    });
    await page.waitForFunction(() => {
        const s = document.querySelector(".scroller");
        return s.scrollHeight - s.scrollTop - s.clientHeight < 4;
    });
    await page.mouse.move(700, 400);
    await page.mouse.wheel(0, -100_000);
    await page.getByText("Question 980", {exact: false}).waitFor();
    assert.ok(await atEnd() > 100, "what is looked at stays in view");
}, {hash: "#/chat/long"});
