// tests.mjs - the tests of 'hearth bench' by their names: pp512, tg64, tg64x8, pp512+tg64,
// tg64@d8192, ttft512, ttft512@d500 (see 'hearth bench --help').

export function parseTest(name) {
    const match = /^(?:(ttft)(\d+)|pp(\d+)(?:\+tg(\d+))?|tg(\d+)(?:x(\d+))?)(?:@d(\d+))?$/.exec(name);
    if (!match) throw new Error(`'${name}' is not the name of a test`);
    const [, first, total, prompt, after, generate, sequences, depth] = match;
    const known = Number(depth ?? 0);
    return {
        name, depth: known, firstToken: Boolean(first),
        nPrompt: first ? Number(total) - known : Number(prompt ?? 0),
        nGenerate: Number(after ?? generate ?? 0), sequences: Number(sequences ?? 1),
    };
}

export const tokensOf = (test) => (test.nPrompt + test.nGenerate) * test.sequences;

export function median(values) {
    const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

// Median, least and most of the rounds.
export function spread(values) {
    const finite = values.filter(Number.isFinite);
    if (finite.length === 0) return null;
    return {median: median(finite), min: Math.min(...finite), max: Math.max(...finite)};
}
