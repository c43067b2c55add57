// test.mjs - bundles each test beside what it tests and runs it with Node's own runner, in any
// Node from 18 on.
// Usage: node tools/test.mjs [NAME...]
import {build} from "esbuild";
import {spawnSync} from "node:child_process";
import {mkdtempSync, readdirSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {fileURLToPath} from "node:url";

const tests = fileURLToPath(new URL("../tests/unit/", import.meta.url));
const wanted = process.argv.slice(2);
const names = readdirSync(tests).filter((name) => name.endsWith(".test.ts") && (wanted.length === 0 || wanted.some((w) => name.startsWith(w))));
const folder = mkdtempSync(join(tmpdir(), "hearth-web-tests-"));
try {
    await build({
        entryPoints: names.map((name) => join(tests, name)), outdir: folder, outExtension: {".js": ".mjs"},
        bundle: true, platform: "node", format: "esm", target: "node18", logLevel: "warning",
    });
    const files = names.map((name) => join(folder, name.replace(/\.ts$/, ".mjs")));
    process.exitCode = spawnSync(process.execPath, ["--test", ...files], {stdio: "inherit"}).status ?? 1;
} finally {
    rmSync(folder, {recursive: true, force: true});
}
