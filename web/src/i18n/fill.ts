// Texts with named gaps: "{n} of {total}".
export type Values = Record<string, string | number>;

export function fill(text: string, values: Values = {}): string {
    return text.replace(/\{(\w+)\}/g, (gap, name: string) => String(values[name] ?? gap));
}

export function gapsOf(text: string): string[] {
    return [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? "").sort();
}
