// budget.mjs - refuses a build whose first load is larger than it may be, compressed. Lazy parts
// (the other pages, colours of code, formulas) do not count.
// Usage: node budget.mjs FOLDER
import {readFileSync} from "node:fs";
import {join} from "node:path";
import {gzipSync} from "node:zlib";

const MAX_BYTES = 400_000;

// What the browser fetches before the first page can be used.
export function firstLoad(manifest) {
    const files = new Set(["index.html", "theme.js", "icon.svg"]), seen = new Set();
    const add = (key) => {
        if (seen.has(key)) return;
        seen.add(key);
        const chunk = manifest[key];
        files.add(chunk.file);
        chunk.css?.forEach((file) => files.add(file));
        chunk.imports?.forEach(add);
    };
    Object.keys(manifest).filter((key) => manifest[key].isEntry).forEach(add);
    return [...files];
}

if (process.argv[1]?.endsWith("budget.mjs")) {
    const folder = process.argv[2];
    const manifest = JSON.parse(readFileSync(join(folder, ".vite/manifest.json"), "utf8"));
    const sizes = firstLoad(manifest).map((file) => gzipSync(readFileSync(join(folder, file)), {level: 9}).length);
    const total = sizes.reduce((a, b) => a + b, 0);
    console.log(`app: first load ${(total / 1000).toFixed(1)} kB compressed, at most ${MAX_BYTES / 1000} kB`);
    if (total > MAX_BYTES) process.exit(1);
}
