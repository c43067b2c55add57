// What the page of the program weighs, asks for and lets people reach, on every page.
import assert from "node:assert/strict";
import {createRequire} from "node:module";
import {readFileSync} from "node:fs";
import {answered, appTest, ask, composer, DESKTOP, goTo, PAGES, PHONE} from "./app.mjs";
import {skip, useProgram} from "./program.mjs";

const program = useProgram();
const settings = {server: () => program.url, skip, refusals: true};
const FIRST_LOAD_BYTES = 400_000;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

appTest("the first load is small, and quick", DESKTOP, async (page, {test}) => {
    await page.reload({waitUntil: "networkidle"});
    await page.waitForFunction(() => performance.getEntriesByName("first-contentful-paint").length > 0);
    const load = await page.evaluate(() => ({
        bytes: performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation")).reduce((sum, r) => sum + r.encodedBodySize, 0),
        paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
    }));
    assert.ok(load.bytes > 10_000 && load.bytes <= FIRST_LOAD_BYTES, `${load.bytes} bytes`);
    test.diagnostic(`first load ${load.bytes} bytes, first paint after ${load.paint.toFixed(0)} ms`);
}, settings);

// Rules of axe that were broken, as "rule: element".
async function violations(page) {
    await page.evaluate(axe); // by the debugger: the page's own policy lets no script in
    const found = await page.evaluate(() => globalThis.axe.run({resultTypes: ["violations"]}));
    return found.violations.flatMap((rule) => rule.nodes.map((node) => `${rule.impact} ${rule.id}: ${node.html.slice(0, 160)}`));
}

for (const size of [DESKTOP, PHONE]) for (const colorScheme of ["light", "dark"]) {
    appTest(`nothing keeps people out, ${colorScheme}`, size, async (page) => {
        await composer(page).waitFor();
        assert.deepEqual(await violations(page), [], "an empty chat");
        await ask(page, "What is 12 + 30?");
        await answered(page);
        assert.deepEqual(await violations(page), [], "a chat");
        await page.getByRole("button", {name: "Settings of this chat"}).click();
        await page.getByText("Answers as data").click();
        assert.deepEqual(await violations(page), [], "its settings");
        await page.keyboard.press("Escape");
        for (const where of PAGES) {
            await goTo(page, where);
            assert.deepEqual(await violations(page), [], where.hash);
        }
    }, {...settings, options: {colorScheme}});
}

appTest("the policy of the page is never broken", DESKTOP, async (page) => {
    await page.addInitScript(() => {
        globalThis.broken = [];
        addEventListener("securitypolicyviolation", (event) => globalThis.broken.push(`${event.violatedDirective} ${event.blockedURI}`));
    });
    await page.reload();
    const {"content-security-policy": policy} = (await page.request.get(program.url)).headers();
    assert.match(policy, /default-src 'none'/);
    assert.doesNotMatch(policy, /unsafe|http|\*/);
    await ask(page, "What is 12 + 30?");
    await answered(page);
    for (const where of PAGES) await goTo(page, where);
    assert.deepEqual(await page.evaluate(() => globalThis.broken), []);
}, settings);
