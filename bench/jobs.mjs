// jobs.mjs - what the published table measures. A job is one model file and some tests, played
// in rounds; `alone` means without the peer.

const FULL = {
    shape: "llama-3.2-1b", types: ["q4_0", "q8_0", "q4_k_m", "iq4_xs"], levelTypes: ["q4_0", "q8_0", "q4_k_m", "iq4_xs"],
    prompt: 512, known: 500, generate: 64, together: 32, sequences: [8, 16], depth: 8192, rounds: 3, depthRounds: 2,
    shapes: ["qwen3.5-0.8b", "granite4-h-tiny", "olmoe-1b-7b"],
};
// Enough to see that everything works.
const SHORT = {
    shape: "smollm2-135m", types: ["q4_0", "iq4_xs"], levelTypes: ["q4_0"],
    prompt: 64, known: 52, generate: 8, together: 4, sequences: [2, 3], depth: 128, rounds: 2, depthRounds: 2,
    shapes: ["qwen3.5-0.8b"],
};

// Levels below the machine's best that both programs can be held to.
export const heldLevels = (machine) => ["avx512", "avx2"].filter((l) => machine.levels.includes(l));

export function plan({short, machine, rounds}) {
    const size = short ? SHORT : FULL, n = rounds ?? size.rounds;
    const {shape, prompt, known, generate, together, depth} = size;
    const first = size.types[0];
    const tests = {
        prompt: `pp${prompt}`, generate: `tg${generate}`, first: `ttft${prompt}`, firstKnown: `ttft${prompt}@d${known}`,
        one: `tg${together}`, together: size.sequences.map((s) => `tg${together}x${s}`), deep: `tg${together}@d${depth}`,
    };
    const job = (id, type, list, more) => ({id, shape, type, level: "best", tests: list, rounds: n, ...more});
    const jobs = [
        ...size.types.map((type) => job(`best/${type}`, type, [tests.prompt, tests.generate])),
        job("first-token", first, [tests.first, tests.firstKnown]),
        job("together", first, [tests.one, ...tests.together]),
        job("deep", first, [tests.deep], {rounds: rounds ?? size.depthRounds}),
        ...size.shapes.map((s) => job(`shape/${s}`, "q4_0", [tests.prompt, tests.one], {shape: s, alone: true})),
    ];
    // The best level held to itself is what "best" measured already.
    for (const level of heldLevels(machine).filter((l) => l !== machine.level))
        jobs.push(...size.levelTypes.map((type) => job(`${level}/${type}`, type, [tests.prompt], {level})));
    return {size, tests, jobs};
}
