// What was written and not sent yet, by conversation; it outlives a reload of its window.

const nameOf = (conversation: string | null): string => `hearth.draft.${conversation ?? "new"}`;

export function readDraft(conversation: string | null): string {
    try {
        return sessionStorage.getItem(nameOf(conversation)) ?? "";
    } catch {
        return ""; // no storage in this window
    }
}

export function keepDraft(conversation: string | null, text: string): void {
    try {
        if (text === "") sessionStorage.removeItem(nameOf(conversation));
        else sessionStorage.setItem(nameOf(conversation), text);
    } catch {
        // Full or forbidden: then it lives as long as the page.
    }
}
