// Prometheus' text format (version 0.0.4), as far as the plots need it: names and values, samples
// of one name added up over their labels.
export function parseMetrics(text: string): Map<string, number> {
    const out = new Map<string, number>();
    for (const line of text.split("\n")) {
        if (line.startsWith("#")) continue;
        const match = /^([a-zA-Z_:][\w:]*)(?:\{.*\})?\s+(\S+)/.exec(line);
        const value = Number(match?.[2]);
        if (match?.[1] && Number.isFinite(value)) out.set(match[1], (out.get(match[1]) ?? 0) + value);
    }
    return out;
}
