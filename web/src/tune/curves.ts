// What a run reported, as the columns that plots take.
import type {TuneEvent, TuneSample, TuneStep} from "../api/types";

const MAX_POINTS = 2000; // a screen has no more

export interface Curves {
    steps: number[];
    loss: (number | null)[];
    evalLoss: (number | null)[];
    rate: (number | null)[];
    speed: (number | null)[];
    memory: (number | null)[];
}

export const emptyCurves = (): Curves => ({steps: [], loss: [], evalLoss: [], rate: [], speed: [], memory: []});

const finite = (value: number | null | undefined): number | null => (typeof value === "number" && Number.isFinite(value) ? value : null);

// Adds a step in place. One that was reported already, as after a resume, takes what came after it
// away; when there are too many, every second one goes.
export function addStep(curves: Curves, event: TuneEvent): void {
    if (finite(event.step) === null) return;
    const step = event as TuneStep;
    const columns = [curves.loss, curves.evalLoss, curves.rate, curves.speed, curves.memory];
    const values = [step.loss, step.eval_loss, step.rate, step.tokens_per_second, step.memory_bytes];
    while (curves.steps.length > 0 && (curves.steps.at(-1) ?? 0) >= step.step) {
        curves.steps.pop();
        columns.forEach((column) => column.pop());
    }
    curves.steps.push(step.step);
    columns.forEach((column, i) => column.push(finite(values[i])));
    if (curves.steps.length > MAX_POINTS) thin(curves);
}

// Rare values stay, wherever they stand.
function thin(curves: Curves): void {
    const {evalLoss} = curves;
    const kept = <T>(column: T[]): T[] => column.filter((_, i) => i % 2 === 1 || evalLoss[i] !== null);
    Object.assign(curves, {
        steps: kept(curves.steps), loss: kept(curves.loss), evalLoss: kept(evalLoss),
        rate: kept(curves.rate), speed: kept(curves.speed), memory: kept(curves.memory),
    });
}

// One that was reported already, as after a resume, is replaced.
export function addSample(samples: readonly TuneSample[], sample: TuneSample): TuneSample[] {
    const same = (other: TuneSample) => other.prompt === sample.prompt && other.step === sample.step;
    return [...samples.filter((other) => !same(other)), sample];
}

// What a model thinks aloud before it answers is no part of the answer.
const withoutThoughts = (text: string): string => text.replace(/^[\s\S]*<\/think>\s*/, "");

export interface SampleGroup {
    prompt: string;
    expected: string | null;
    answers: {step: number | null; text: string}[];
}

// Answers along the way, by the question they answer.
export function groupSamples(samples: readonly TuneSample[]): SampleGroup[] {
    const groups = new Map<string, SampleGroup>();
    for (const {prompt, data, step, text, after, before} of samples) {
        let group = groups.get(prompt);
        if (!group) groups.set(prompt, group = {prompt, expected: data ?? null, answers: []});
        if (before !== undefined) group.answers.unshift({step: 0, text: withoutThoughts(before)});
        const answer = text ?? after;
        if (answer !== undefined) group.answers.push({step: step ?? null, text: withoutThoughts(answer)});
    }
    return [...groups.values()];
}
