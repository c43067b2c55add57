// crowd.mjs - clients that are there without being served: connections that wait, readers that
// hardly read, heads of requests that never end.
import net from "node:net";

const connect = (port, take) => {
    const socket = net.connect(port, "127.0.0.1");
    socket.on("error", () => {}); // the server may end any of them
    if (take) socket.on("data", take);
    return socket;
};

// `n` of a kind, each begun anew when the server has ended it, until stop().
class Kind {
    sockets = new Set();
    ended = 0;
    running = true;

    constructor(n, begin) {
        this.begin = begin;
        for (let i = 0; i < n; i++) this.#add();
    }

    #add() {
        const socket = this.begin();
        this.sockets.add(socket);
        socket.on("close", () => {
            this.sockets.delete(socket);
            if (!this.running) return;
            this.ended++;
            setTimeout(() => this.running && this.#add(), 100);
        });
    }

    stop() {
        this.running = false;
        for (const socket of this.sockets) socket.destroy();
    }
}

// Each has asked once and waits, as browsers and pools of connections do.
function waiting(port, n) {
    return new Kind(n, () => {
        const socket = connect(port, () => {});
        socket.write("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
        return socket;
    });
}

// Asks for much and takes a little now and then.
function slowReaders(port, n, body) {
    const text = JSON.stringify(body);
    const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n`;
    return new Kind(n, () => {
        const socket = connect(port, () => {
            socket.pause();
            setTimeout(() => socket.resume(), 500);
        });
        socket.write(head + text);
        return socket;
    });
}

// A byte of a head every second, which a server must not wait for.
function slowHeads(port, n) {
    return new Kind(n, () => {
        const socket = connect(port), text = `GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ${"x".repeat(4096)}`;
        let sent = 0;
        const timer = setInterval(() => socket.write(text[sent++]), 1000);
        socket.on("close", () => clearInterval(timer));
        socket.resume();
        return socket;
    });
}

// {ended: how many of each kind the server ended, waiting: how many are connected, stop()}
export function gather(url, {idle, readers, heads, body}) {
    const port = Number(new URL(url).port);
    const kinds = {waiting: waiting(port, idle), readers: slowReaders(port, readers, body), heads: slowHeads(port, heads)};
    return {
        connected: () => kinds.waiting.sockets.size,
        ended: () => Object.fromEntries(Object.entries(kinds).map(([name, kind]) => [name, kind.ended])),
        stop: () => Object.values(kinds).forEach((kind) => kind.stop()),
    };
}
