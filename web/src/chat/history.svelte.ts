// The list of conversations beside the chat: newest first, searched by the server, read in pages.
import {deleteConversation, importConversation, listConversations} from "../api/conversations";
import type {ConversationRow} from "../api/types";

const PAGE = 50;

class History {
    rows = $state.raw<ConversationRow[]>([]);
    query = $state("");
    more = $state(false);
    loaded = $state(false);
    #request: AbortController | null = null;

    async search(query: string): Promise<void> {
        this.query = query;
        await this.refresh();
    }

    async refresh(): Promise<void> {
        const rows = await this.#fetch(undefined);
        if (!rows) return;
        this.rows = rows;
        this.loaded = true;
    }

    async readMore(): Promise<void> {
        const last = this.rows.at(-1);
        if (!this.more || !last) return;
        const rows = await this.#fetch(last.id);
        if (!rows) return;
        const known = new Set(this.rows.map((row) => row.id));
        const fresh = rows.filter((row) => !known.has(row.id));
        this.more = this.more && fresh.length > 0;
        this.rows = [...this.rows, ...fresh];
    }

    // Moves a conversation to the top, or adds it.
    touch(row: ConversationRow): void {
        if (this.query !== "") return;
        this.rows = [row, ...this.rows.filter((r) => r.id !== row.id)];
    }

    rename(id: string, title: string): void {
        this.rows = this.rows.map((row) => (row.id === id ? {...row, title} : row));
    }

    async remove(id: string): Promise<void> {
        await deleteConversation(id);
        this.rows = this.rows.filter((row) => row.id !== id);
    }

    async importText(text: string): Promise<string> {
        const {id} = await importConversation(JSON.parse(text));
        await this.refresh();
        return id;
    }

    // Null when a newer request replaced this one.
    async #fetch(before: string | undefined): Promise<ConversationRow[] | null> {
        this.#request?.abort();
        const request = new AbortController();
        this.#request = request;
        try {
            const rows = await listConversations(this.query, PAGE, before, request.signal);
            if (request.signal.aborted) return null;
            this.more = rows.length >= PAGE;
            return rows;
        } catch (reason) {
            if (request.signal.aborted) return null;
            throw reason;
        }
    }
}

export const history = new History();
