// app.mjs - the app in a browser: a server (the stand-in, unless a test brings its own), Chromium,
// and a page that complains about everything a page of Hearth must not do.
import assert from "node:assert/strict";
import {spawn} from "node:child_process";
import {existsSync, mkdirSync} from "node:fs";
import {after, test as runTest} from "node:test";
import {fileURLToPath} from "node:url";
import {chromium} from "playwright-core";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
export const DESKTOP = {name: "desktop", width: 1280, height: 800};
export const PHONE = {name: "phone", width: 360, height: 740};
const screenshots = process.env.SCREENSHOTS ?? null; // a folder, to look at them
const WAIT_MS = 180_000; // no test waits for time to pass: only what fails takes so long

let address = null, mock = null, browser = null;

async function startMock(env) {
    const child = spawn(process.execPath, [fileURLToPath(new URL("../../dev/mock.mjs", import.meta.url)), "0"], {env: {...process.env, MOCK_TOKEN_MS: "4", MOCK_STEPS: "100000", ...env}, stdio: ["ignore", "pipe", "inherit"]});
    const url = await new Promise((resolve, reject) => {
        child.stdout.on("data", (text) => resolve(String(text).match(/http:\S+/)[0]));
        child.on("exit", (code) => reject(new Error(`the stand-in ended with ${code}`)));
    });
    return {child, url};
}

// A server of its own for one test, with other settings.
export async function otherServer(env) {
    const {child, url} = await startMock(env);
    return {url, stop: () => child.kill()};
}

async function start() {
    if (!address) ({child: mock, url: address} = await startMock({}));
    browser ??= await chromium.launch({executablePath: CHROMIUM, args: ["--no-sandbox"], timeout: WAIT_MS});
}

after(async () => {
    await browser?.close();
    mock?.kill();
});

const resetMock = (origin) => fetch(`${origin}/api/hearth/v1/mock/reset`, {method: "POST"});

// Everything the page says or asks for that it must not.
function watch(page, origin, refusals) {
    const problems = [];
    page.on("console", (message) => {
        const refused = refusals && /status of 4\d\d|net::ERR_/.test(message.text()); // Chromium reports each
        if (message.type() === "error" && !refused) problems.push(`console: ${message.text()}`);
    });
    page.on("pageerror", (error) => problems.push(`exception: ${error.stack ?? error.message}`));
    page.on("request", (request) => {
        if (!request.url().startsWith(origin) && !/^(?:blob|data):/.test(request.url())) problems.push(`asked elsewhere: ${request.url()}`);
    });
    return problems;
}

async function noSidewaysScroll(page) {
    const wide = await page.evaluate(() => document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth);
    assert.ok(wide <= 0, `the page is ${wide} pixels wider than the window`);
}

// A test in a fresh browser profile at a window size. `server` gives the address of one of its own;
// `refusals` says that the server will refuse something, or be away; `skip` says why not to run.
export function appTest(name, size, body, {hash = "", server = null, skip = false, refusals = false, options = {}} = {}) {
    runTest(`${name} (${size.name})`, {skip: existsSync(CHROMIUM) ? skip : `no ${CHROMIUM}`}, async (test) => {
        await start();
        const origin = server?.() ?? address;
        if (server === null) await resetMock(origin);
        const context = await browser.newContext({viewport: size, locale: "en-US", reducedMotion: "reduce", ...options});
        const page = await context.newPage();
        page.setDefaultTimeout(WAIT_MS);
        const problems = watch(page, origin, refusals);
        try {
            await page.goto(`${origin}/${hash}`);
            await body(page, {origin, phone: size.width < 800, test});
            await noSidewaysScroll(page);
            if (screenshots) {
                mkdirSync(screenshots, {recursive: true});
                await page.screenshot({path: `${screenshots}/${name.replace(/\W+/g, "-")}-${size.name}.png`});
            }
            assert.deepEqual(problems, []);
        } finally {
            await context.close();
        }
    });
}

export const both = (name, body, settings) => [DESKTOP, PHONE].forEach((size) => appTest(name, size, body, settings));

// Until `condition` holds, which may be a promise.
export async function until(page, condition, ms = WAIT_MS) {
    for (const end = Date.now() + ms; !await condition();) {
        assert.ok(Date.now() < end, `has not come about: ${condition}`);
        await page.waitForTimeout(50);
    }
}

// Every page besides the chat, and what it shows once it has heard of the server.
export const PAGES = [
    {hash: "#/models", shown: (page) => page.getByRole("button", {name: /^More about/}).first()},
    {hash: "#/tune", shown: (page) => page.getByRole("heading", {name: "New run"})},
    {hash: "#/server", shown: (page) => page.locator(".uplot canvas").nth(2)},
    {hash: "#/server/keys", shown: (page) => page.getByText(/^No keys/).or(page.locator("tbody tr")).first()},
    {hash: "#/server/usage", shown: (page) => page.getByRole("row", {name: /Total/})},
    {hash: "#/server/logs", shown: (page) => page.getByRole("log", {name: "Log"})},
];

export async function goTo(page, {hash, shown}) {
    await page.evaluate((to) => { location.hash = to; }, hash);
    await shown(page).waitFor();
}

export const composer = (page) => page.getByRole("textbox", {name: "Message"});

export async function ask(page, text) {
    await composer(page).fill(text);
    await composer(page).press("Enter");
}

// The answer has ended when there is something to send again.
export async function answered(page) {
    await page.getByRole("button", {name: "Send", exact: true}).waitFor();
}

export const answers = (page) => page.getByRole("article", {name: "Answer"});

export async function openMenu(page, phone) {
    if (phone) await page.getByRole("button", {name: "Menu", exact: true}).click();
}
