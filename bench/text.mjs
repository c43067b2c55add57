// text.mjs - numbers and tables as Markdown.

export const number = (value, digits = 2) => Number.isFinite(value) ? value.toFixed(digits) : "–";

// "1.41 (1.38–1.44)"; "–" when there is nothing.
export function range(s, digits = 2) {
    if (!s) return "–";
    const [median, min, max] = [s.median, s.min, s.max].map((v) => number(v, digits));
    return min === max ? median : `${median} (${min}–${max})`;
}

export function table(columns, rows) {
    const line = (cells) => `| ${cells.join(" | ")} |`;
    return [
        line(columns.map((c) => c.replace(/:$/, ""))),
        line(columns.map((c) => c.endsWith(":") ? "---:" : "---")),
        ...rows.map(line),
    ].join("\n");
}
