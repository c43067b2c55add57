// A conversation is a tree: an edited question or a regenerated answer is a sibling of the one
// before. What is shown is one path from a root to a leaf.
import type {Message} from "../api/types";

export class MessageTree {
    readonly #byId = new Map<string, Message>();
    readonly #children = new Map<string | null, Message[]>();

    // Messages whose parent is missing count as roots; a repeated id is left out.
    constructor(messages: readonly Message[]) {
        for (const message of messages) if (!this.#byId.has(message.id)) this.#byId.set(message.id, message);
        for (const message of this.#byId.values()) {
            const parent = this.#parentOf(message);
            const siblings = this.#children.get(parent);
            if (siblings) siblings.push(message);
            else this.#children.set(parent, [message]);
        }
    }

    get(id: string): Message | undefined {
        return this.#byId.get(id);
    }

    // Message and its alternatives, oldest first.
    siblings(message: Message): Message[] {
        return this.#children.get(this.#parentOf(message)) ?? [];
    }

    // Answers that stand side by side with this one, itself among them.
    pair(message: Message): Message[] {
        const pair = message.meta?.pair;
        return pair === undefined ? [message] : this.siblings(message).filter((m) => m.meta?.pair === pair);
    }

    // Message and its alternatives, with one of each pair: the message itself, or the first.
    versions(message: Message): Message[] {
        return this.siblings(message).filter((m, _, all) => {
            const pair = m.meta?.pair;
            if (pair === undefined || m === message) return true;
            return pair !== message.meta?.pair && all.find((other) => other.meta?.pair === pair) === m;
        });
    }

    // The newest leaf below a message, or below the roots; null in an empty tree.
    newestLeaf(from: string | null): string | null {
        let at = from;
        for (let left = this.#byId.size; left >= 0; left--) {
            const next = this.#children.get(at)?.at(-1);
            if (!next) return at;
            at = next.id;
        }
        return at; // a loop in damaged data: somewhere in it
    }

    // From the root to this leaf; the newest path when the leaf is not known.
    path(leaf: string | null | undefined): Message[] {
        const end = leaf && this.#byId.has(leaf) ? leaf : this.newestLeaf(null);
        const out: Message[] = [];
        const seen = new Set<string>();
        for (let at = end; at !== null && !seen.has(at);) {
            const message = this.#byId.get(at);
            if (!message) break;
            seen.add(at);
            out.push(message);
            at = this.#parentOf(message);
        }
        return out.reverse();
    }

    #parentOf(message: Message): string | null {
        return message.parent !== null && this.#byId.has(message.parent) ? message.parent : null;
    }
}
