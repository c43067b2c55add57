// mock_tune.mjs - a tuning run that goes by the clock, for the mock server.

const STEP_MS = 120, STEPS = Number(process.env.MOCK_STEPS ?? 60);

const nextTick = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export function inspect(state, name, text) {
    const lines = text.split("\n").filter((line) => line.trim() !== "");
    const problems = [], records = [];
    lines.forEach((line, i) => {
        try {
            const record = JSON.parse(line);
            records.push({
                prompt: record.instruction ?? record.prompt ?? record.messages?.[0]?.content ?? record.text ?? "",
                answer: record.output ?? record.completion ?? record.messages?.at(-1)?.content ?? "",
            });
        } catch {
            problems.push({line: i + 1, message: "not a JSON object"});
        }
    });
    const file = `upload-${state.files.size + 1}`;
    state.files.set(file, {name, records});
    return {
        file, format: text.includes("messages") ? "OpenAI messages" : "Alpaca", n_records: records.length, problems,
        samples: records.slice(0, 8).map(({prompt, answer}) => ({spans: [
            {text: `<|user|>\n${prompt}\n<|assistant|>\n`, trained: false}, {text: `${answer}<|end|>`, trained: true},
        ]})),
    };
}

export function startRun(state, recipe) {
    const id = `run-${state.runs.size + 1}`;
    const run = {id, name: recipe.name || id, model: recipe.model, state: "running", created: new Date().toISOString(), step: 0, steps: STEPS, samples: [], history: []};
    state.runs.set(id, run);
    void advance(state, run);
    return run;
}

async function advance(state, run) {
    while (run.step < run.steps && run.state !== "stopped") {
        await nextTick(STEP_MS);
        if (run.state === "paused") continue;
        run.step++;
        run.loss = 0.35 + 2.4 * Math.exp(-run.step / 16) + 0.06 * Math.sin(run.step * 1.7);
        run.history.push({
            step: run.step, steps: run.steps, loss: run.loss, ...(run.step % 10 === 0 ? {eval_loss: run.loss + 0.12} : {}),
            rate: 2e-4 * Math.min(1, run.step / 6) * (1 - run.step / run.steps * 0.9), tokens_per_second: 1800 + 40 * Math.sin(run.step),
            memory_bytes: 412e6, seconds_left: (run.steps - run.step) * STEP_MS / 1000,
        });
        if (run.step % 20 === 0) run.history.push({sample: {step: run.step, prompt: "Where is my invoice?", text: run.step < 40 ? "The invoice is under the paper." : "You find every invoice under Account › Invoices."}});
    }
    if (run.state !== "stopped") run.state = "finished";
    run.adapter = run.name;
    run.samples = [{prompt: "Where is my invoice?", before: "The invoice is a paper that says what.", after: "You find every invoice under Account › Invoices."}];
    const base = state.models.find((m) => m.name === run.model);
    if (base && !base.adapters.includes(run.name)) base.adapters.push(run.name);
}

// Everything so far, then what comes.
export async function* runEvents(run) {
    let at = 0;
    for (;;) {
        const history = run.history ?? [];
        while (at < history.length) yield history[at++];
        if (run.state !== "running" && run.state !== "paused") break;
        await nextTick(60);
    }
    yield {state: run.state};
}
