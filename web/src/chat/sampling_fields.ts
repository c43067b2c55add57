// The numbers of the sampling panel, each with the range that the server takes.
import type {Sampling} from "../api/types";
import type {TextKey} from "../i18n/en";

export interface SamplingField {
    name: keyof Sampling;
    label: TextKey;
    hint: TextKey;
    min: number;
    max: number;
    step: number;
}

const field = (name: keyof Sampling, min: number, max: number, step: number): SamplingField =>
    ({name, label: `sampling.${name}`, hint: `sampling.${name}.hint`, min, max, step});

export const SAMPLING_FIELDS: SamplingField[] = [
    field("temperature", 0, 2, 0.05),
    field("top_p", 0, 1, 0.01),
    field("top_k", 0, 1000, 1),
    field("min_p", 0, 1, 0.01),
    field("repeat_penalty", 0.5, 2, 0.01),
    field("max_tokens", 1, 1_000_000, 1),
    field("seed", 0, 4_294_967_295, 1),
];

// The settings with one number changed; an empty or impossible one is left out.
export function withSample(sampling: Sampling | undefined, field: SamplingField, text: string): Sampling {
    const out = {...sampling};
    const value = Number(text);
    const possible = text.trim() !== "" && Number.isFinite(value) && value >= field.min && value <= field.max;
    if (possible) out[field.name] = field.step === 1 ? Math.round(value) : value;
    else delete out[field.name];
    return out;
}
