// The page must run under "default-src 'self'" without any inline script or style, and without a
// request to another origin: nothing is inlined as a data: address, no polyfill is injected.
import {svelte} from "@sveltejs/vite-plugin-svelte";
import {defineConfig, type Plugin} from "vite";

const server = process.env["HEARTH_URL"] ?? "http://127.0.0.1:8485";

// Every browser that can run the page reads WOFF2; the other formats would only make it larger.
const woff2Only: Plugin = {
    name: "woff2-only",
    enforce: "pre",
    transform: (code, id) => (id.includes("katex") && id.endsWith(".css")
        ? code.replace(/,url\([^)]*\.(?:woff|ttf)\) format\("(?:woff|truetype)"\)/g, "") : null),
};

export default defineConfig({
    plugins: [svelte(), woff2Only],
    build: {
        target: "es2022",
        assetsInlineLimit: 0,
        modulePreload: {polyfill: false},
        chunkSizeWarningLimit: 1000,
        manifest: true,
    },
    server: {
        proxy: Object.fromEntries(["/api", "/v1", "/health", "/metrics"].map((path) => [path, server])),
    },
});
