// A line of the server's log: JSON as it comes, or plain text.

export interface LogLine {
    time: string;
    level: string;
    text: string;
}

const LEVELS = ["error", "warning", "warn"];

export function logLine(value: unknown): LogLine {
    if (typeof value !== "object" || value === null) return {time: "", level: "", text: String(value)};
    const {time, level, message, line, ...rest} = value as Record<string, unknown>;
    const facts = Object.entries(rest).map(([key, fact]) => `${key}=${typeof fact === "object" ? JSON.stringify(fact) : String(fact)}`);
    const said = message ?? line;
    const name = typeof level === "string" ? level.toLowerCase() : "";
    return {
        time: typeof time === "string" ? time : "",
        level: LEVELS.includes(name) ? name.replace(/^warn$/, "warning") : "",
        text: [...(said === undefined ? [] : [String(said)]), ...facts].join("  "),
    };
}
