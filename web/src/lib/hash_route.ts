// Addresses of the app: everything after '#', so that the server knows one page only and a
// bookmark works offline.

export const PAGES = ["chat", "models", "tune", "server"] as const;
export type Page = (typeof PAGES)[number];

export interface Route {
    page: Page;
    id: string | null; // of a conversation, a model or a run
}

function decoded(part: string | undefined): string | null {
    if (!part) return null;
    try {
        return decodeURIComponent(part);
    } catch {
        return null; // a broken escape names nothing
    }
}

// "#/chat/ID"; what is not known leads to the chat.
export function parseRoute(hash: string): Route {
    const [page, id] = hash.replace(/^#?\/?/, "").split("/");
    const known = PAGES.find((name) => name === page);
    return known ? {page: known, id: decoded(id)} : {page: "chat", id: null};
}

export function routeHash(page: Page, id: string | null = null): string {
    return id === null ? `#/${page}` : `#/${page}/${encodeURIComponent(id)}`;
}
