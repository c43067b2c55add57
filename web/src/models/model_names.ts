// Names of models as people type and the server makes them.

import type {FoundModel} from "../api/types";

const PROPOSED = 6;

export interface QuantType {
    name: string;
    bits: number; // per weight, scales included
}

// The usual choices, from the most exact to the smallest.
export const QUANT_TYPES: QuantType[] = [
    {name: "Q8_0", bits: 8.5}, {name: "Q6_K", bits: 6.56}, {name: "Q5_K_M", bits: 5.67},
    {name: "Q4_K_M", bits: 4.83}, {name: "Q4_0", bits: 4.55}, {name: "Q3_K_M", bits: 3.91}, {name: "Q2_K", bits: 2.96},
];

// "org/model:Q8_0" and "Q4_K_M" -> "model-Q4_K_M"
export function quantizedName(name: string, type: string): string {
    const base = name.replace(/^.*\//, "").replace(/\.gguf$/i, "").replace(/[:-](?:I?Q\d\w*|BF16|F16|F32)$/i, "");
    return `${base}-${type}`;
}

export const quantizedBytes = (nParameters: number, bits: number): number => nParameters * bits / 8;

// About how much is fetched for a model whose name says how many parameters it has ("qwen3:4b",
// "Llama-3.2-1B-Instruct-GGUF"), in the usual type; null where it does not.
export function fetchedBytes(name: string): number | null {
    const match = /[-:_/](\d+(?:\.\d+)?)([bm])(?![a-z0-9])/i.exec(name);
    if (!match) return null;
    const parameters = Number(match[1]) * (match[2]?.toLowerCase() === "b" ? 1e9 : 1e6);
    return quantizedBytes(parameters, QUANT_TYPES.find((type) => type.name === "Q4_K_M")?.bits ?? 5);
}

// Of each family the largest that leaves half of the memory to others and answers without a long
// wait, the largest families first.
export function proposals(models: readonly FoundModel[], memory: number): FoundModel[] {
    const size = (model: FoundModel) => fetchedBytes(model.name) ?? 0;
    const light = models.filter((model) => size(model) > 0 && size(model) < memory / 2).toSorted((a, b) => size(b) - size(a));
    const family = (model: FoundModel) => model.name.split(":")[0];
    return light.filter((model, i) => light.findIndex((other) => family(other) === family(model)) === i).slice(0, PROPOSED);
}

// What pull takes: a name without blanks, or an address of the hub, which is one.
export function pullName(typed: string): string {
    return typed.trim().replace(/^https?:\/\/(?:www\.)?(?:huggingface\.co|hf\.co)\//i, "").replace(/\/(?:tree|blob)\/.*$/, "").replace(/\/+$/, "");
}
