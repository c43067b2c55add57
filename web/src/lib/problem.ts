// What went wrong, in words for the person at the page.
import {ApiError, Unreachable} from "../api/http";
import {t} from "../i18n/text.svelte";

// The server writes messages in lower case, to stand after a colon.
const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".");

export function problemText(reason: unknown): string {
    if (!(reason instanceof Error)) return String(reason);
    if (reason instanceof Unreachable) return t("app.unreachable");
    const text = sentence(reason.message);
    if (!(reason instanceof ApiError)) return text;
    if (reason.status === 429 || reason.status === 503) return t("app.problem.busy", {message: text});
    return reason.status === 403 ? t("app.problem.forbidden", {message: text}) : text;
}
