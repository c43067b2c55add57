// hub.mjs - a small hub of models on this machine: as much of the Hugging Face hub's interface as
// 'hearth pull' and the search of the Models page use.
import {createHash} from "node:crypto";
import {readFileSync} from "node:fs";
import {createServer} from "node:http";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const REPO = "acme/tiny-GGUF";
const PIECE_BYTES = 256 * 1024;

// Serves the file as "acme/tiny-GGUF" in two types; what is fetched comes in pieces, `pauseMs`
// apart. Returns {url, stop, hold, go}: from hold() until go() only its first half comes.
export async function startHub(file, {pauseMs = 5} = {}) {
    let held = Promise.resolve(), go = () => undefined;
    const hold = () => { held = new Promise((resolve) => { go = resolve; }); };
    const data = readFileSync(file), etag = createHash("sha256").update(data).digest("hex");
    const names = ["tiny-Q8_0.gguf", "tiny-Q4_K_M.gguf"];

    async function sendFile(request, response) {
        const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
        const range = request.headers.range ? {"Content-Range": `bytes ${from}-${data.length - 1}/${data.length}`} : {};
        response.writeHead(request.headers.range ? 206 : 200, {"Content-Length": data.length - from, "Accept-Ranges": "bytes", ...range});
        for (let at = from; at < data.length && !response.destroyed; at += PIECE_BYTES) {
            if (at >= data.length / 2) await held;
            response.write(data.subarray(at, at + PIECE_BYTES));
            await new Promise((resolve) => setTimeout(resolve, pauseMs));
        }
        response.end();
    }

    const json = (response, status, value) => response.writeHead(status, {"Content-Type": "application/json"}).end(JSON.stringify(value));

    const server = createServer((request, response) => {
        const {pathname, searchParams} = new URL(request.url, "http://hub");
        const file = names.find((name) => pathname === `/${REPO}/resolve/${COMMIT}/${name}`);
        if (pathname === "/api/models") {
            const known = [{id: REPO, downloads: 4321, likes: 17, lastModified: "2026-05-04T03:02:01.000Z"}];
            json(response, 200, known.filter((model) => model.id.toLowerCase().includes((searchParams.get("search") ?? "").toLowerCase())));
        } else if (pathname.startsWith(`/api/models/${REPO}/revision/`)) {
            json(response, 200, {sha: COMMIT, siblings: names.map((rfilename) => ({rfilename, size: data.length}))});
        } else if (file) {
            const about = {"X-Linked-Etag": `"${etag}"`, "X-Linked-Size": data.length, "X-Repo-Commit": COMMIT};
            response.writeHead(302, {Location: `/cdn/${file}`, ...about}).end();
        } else if (pathname.startsWith("/cdn/")) void sendFile(request, response);
        else response.writeHead(404, {"X-Error-Code": "RepoNotFound"}).end("not here");
    });
    server.listen(0, "127.0.0.1");
    await new Promise((resolve) => server.on("listening", resolve));
    return {url: `http://127.0.0.1:${server.address().port}`, hold, go: () => go(), stop: () => { server.closeAllConnections(); server.close(); }};
}
