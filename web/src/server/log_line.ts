// A line of the server's log: JSON as it comes, or plain text.

export interface LogLine {
    time: string;
    level: string;
    text: string;
    status: number; // of a request; 0 for other lines
    path: string; // likewise
}

const LEVELS = ["error", "warning", "warn"];
// What this app asks for itself, besides what a person asks a model.
const OWN = /^\/(?:api\/hearth\/|assets\/|icon\.svg|theme\.js|favicon|metrics|health|$)/;

const factsOf = (rest: Record<string, unknown>): string[] =>
    Object.entries(rest).map(([key, fact]) => `${key}=${typeof fact === "object" ? JSON.stringify(fact) : String(fact)}`);

// The line of a request: what was asked, how it ended, how long it took; the rest as it is.
function requestText(method: string, path: string, rest: Record<string, unknown>): string {
    const {status: _, id: __, ms, prompt_tokens: prompt, answer_tokens: answer, ...others} = rest;
    return [
        `${method} ${path}`, ...(typeof ms === "number" ? [`${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`] : []),
        ...(prompt === undefined && answer === undefined ? [] : [`${Number(prompt ?? 0)} → ${Number(answer ?? 0)} tokens`]), ...factsOf(others),
    ].join("  ");
}

export function logLine(value: unknown): LogLine {
    if (typeof value !== "object" || value === null) return {time: "", level: "", text: String(value), status: 0, path: ""};
    const {time, level, message, line, ...rest} = value as Record<string, unknown>;
    const name = typeof level === "string" ? level.toLowerCase() : "";
    const {method, path, ...about} = rest;
    const common = {time: typeof time === "string" ? time : "", level: LEVELS.includes(name) ? name.replace(/^warn$/, "warning") : ""};
    if (typeof method === "string" && typeof path === "string") {
        const status = Number(about["status"]) || 0;
        return {...common, level: status >= 500 ? "error" : status >= 400 ? "warning" : common.level, text: requestText(method, path, about), status, path};
    }
    const said = message ?? line;
    return {...common, text: [...(said === undefined ? [] : [String(said)]), ...factsOf(rest)].join("  "), status: 0, path: ""};
}

export const isOwn = (line: LogLine): boolean => line.path !== "" && OWN.test(line.path);
