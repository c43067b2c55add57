// Server-sent events (HTML Living Standard, 9.2.6 "Interpreting an event stream"), read
// incrementally from text that may be cut anywhere.

export interface ServerEvent {
    event: string;
    data: string;
}

export class EventStreamParser {
    #rest = "";
    #event = "";
    #data: string[] = [];

    // The events that this piece completes.
    push(text: string): ServerEvent[] {
        const out: ServerEvent[] = [];
        const all = this.#rest + text;
        let from = 0;
        for (;;) {
            const end = lineEnd(all, from);
            if (end === null) break;
            this.#line(all.slice(from, end.at), out);
            from = end.next;
        }
        this.#rest = all.slice(from);
        return out;
    }

    #line(line: string, out: ServerEvent[]): void {
        if (line === "") {
            if (this.#data.length > 0) out.push({event: this.#event || "message", data: this.#data.join("\n")});
            this.#data = [];
            this.#event = "";
            return;
        }
        const colon = line.indexOf(":");
        const name = colon < 0 ? line : line.slice(0, colon);
        const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
        if (name === "data") this.#data.push(value);
        else if (name === "event") this.#event = value;
    }
}

// A carriage return at the very end may be half of CR LF: wait for what follows.
function lineEnd(text: string, from: number): {at: number; next: number} | null {
    for (let i = from; i < text.length; i++) {
        const c = text[i];
        if (c === "\n") return {at: i, next: i + 1};
        if (c === "\r") {
            if (i + 1 === text.length) return null;
            return {at: i, next: text[i + 1] === "\n" ? i + 2 : i + 1};
        }
    }
    return null;
}

// The events of a response's body, until it ends.
export async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
    const parser = new EventStreamParser();
    const decoder = new TextDecoder();
    const reader = body.getReader();
    try {
        for (;;) {
            const {done, value} = await reader.read();
            if (done) break;
            yield* parser.push(decoder.decode(value, {stream: true}));
        }
        yield* parser.push(`${decoder.decode()}\n\n`); // an end without the last blank line
    } finally {
        await reader.cancel().catch(() => undefined);
    }
}
