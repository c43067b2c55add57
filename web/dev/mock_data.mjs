// mock_data.mjs - what the mock server begins with.

const now = Date.now();
const ago = (minutes) => new Date(now - minutes * 60_000).toISOString();

export const ANSWER = `Gradient descent walks downhill on the loss. With learning rate $\\eta$ each step is

$$
\\theta_{t+1} = \\theta_t - \\eta \\, \\nabla_\\theta L(\\theta_t), \\qquad \\lVert \\nabla L \\rVert = \\sqrt{\\sum_i g_i^2}
$$

Three things decide how well that goes:

1. **Learning rate.** Too large and it *overshoots*, too small and it crawls.
2. **Batch size.** Larger batches give calmer gradients.
3. **Schedule.** Warm up, then decay.

\`\`\`python
def step(weights, gradient, rate=1e-3):
    """One plain step, without momentum."""
    return [w - rate * g for w, g in zip(weights, gradient)]
\`\`\`

| optimiser | memory | steps |
|---|---:|---:|
| SGD | 1 × | 1000 |
| AdamW | 3 × | 320 |

> Start with the schedule; it is the cheapest thing to change.
`;

export const THOUGHT = "The question is about optimisation. I should name the update rule first, then what decides whether it converges, and show a short piece of code.";

// What a search finds.
export const KNOWN = [
    {name: "llama3.2:1b", repo: "meta-llama/Llama-3.2-1B-Instruct"}, {name: "qwen3:4b", repo: "Qwen/Qwen3-4B-GGUF"},
    {name: "llama3.3:70b", repo: "bartowski/Llama-3.3-70B-Instruct-GGUF"}, {name: "acme/tiny-GGUF", downloads: 4321, updated: ago(9000)},
];

const models = [
    {name: "ember", path: "/usr/share/hearth/ember.gguf", size_bytes: 8_678_976, n_parameters: 8_100_000, type: "Q8_0", family: "llama", n_ctx: 2048, loaded: true, fits: true, adapters: []},
    {name: "meta-llama/Llama-3.2-1B-Instruct:Q4_K_M", path: "/models/llama-3.2-1b.gguf", size_bytes: 807_694_464, n_parameters: 1_235_814_432, type: "Q4_K_M", family: "llama", n_ctx: 131_072, loaded: false, fits: true, adapters: ["support-tone", "contracts"]},
    {name: "Qwen/Qwen3-32B:Q8_0", path: "/models/qwen3-32b.gguf", size_bytes: 34_817_000_000, n_parameters: 32_800_000_000, type: "Q8_0", family: "qwen3", n_ctx: 40_960, loaded: false, fits: false, adapters: []},
];

function chain(count) {
    return Array.from({length: count}, (_, i) => ({
        id: `m${i}`, parent: i === 0 ? null : `m${i - 1}`, role: i % 2 === 0 ? "user" : "assistant", created: ago(count - i),
        content: i % 2 === 0 ? `Question ${i / 2 + 1}: how does step ${i} go?` : `Answer ${(i + 1) / 2}.\n\n${ANSWER}`,
        meta: i % 2 === 0 ? {} : {model: "ember", tokens_per_second: 41.3, prompt_tokens: 420, answer_tokens: 263},
    }));
}

function conversation(id, title, minutes, messages) {
    return {id, title, created: ago(minutes + 5), updated: ago(minutes), settings: {model: "ember"}, messages};
}

const runs = [{
    id: "run-1", name: "ticket answers", model: "ember", state: "finished", created: ago(1500), step: 120, steps: 120, loss: 0.41,
    adapter: "ticket-answers",
    samples: [{prompt: "Where is my invoice?", before: "The invoice is a paper that says what.", after: "You find every invoice under Account › Invoices. Shall I send you the last one?"}],
}];

export function freshState() {
    return {
        models: structuredClone(models),
        conversations: new Map([
            conversation("long", "Two thousand messages", 60 * 26, chain(2000)),
            conversation("short", "Learning rates", 14, chain(4)),
        ].map((c) => [c.id, c])),
        settings: {},
        keys: [{id: "k1", name: "laptop", limits: {requests_per_minute: 60}, created: ago(9000), last_used: ago(3)}],
        runs: new Map(structuredClone(runs).map((r) => [r.id, r])),
        files: new Map(),
        running: 0,
        requests: new Map(),
        served: 128,
    };
}
