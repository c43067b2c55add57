// Tuning: what is in a file of examples, and the runs.
import {call, callEvents, segment} from "./http";
import type {TuneEvent, TuneInspection, TuneRun} from "./types";

const at = (id: string, rest = ""): string => `/tune/runs/${segment(id)}${rest}`;

// `model`: whose template and vocabulary the samples are written with.
export const inspectText = (text: string, model: string) => call<TuneInspection>("POST", "/tune/inspect", {body: {text, model}});

export function inspectFile(file: File, model: string): Promise<TuneInspection> {
    const form = new FormData();
    form.append("model", model);
    form.append("file", file, file.name);
    return call<TuneInspection>("POST", "/tune/inspect", {body: form});
}

export interface Recipe {
    model: string;
    file: string;
    name?: string;
    method?: string;
    [key: string]: unknown;
}

export const listRuns = async () => (await call<{runs: TuneRun[]}>("GET", "/tune/runs")).runs;
export const startRun = (recipe: Recipe) => call<TuneRun>("POST", "/tune/runs", {body: recipe});
export const readRun = (id: string) => call<TuneRun>("GET", at(id));
export const deleteRun = (id: string) => call<unknown>("DELETE", at(id));

export type RunAction = "pause" | "resume" | "stop";
export const actOnRun = (id: string, action: RunAction) =>
    call<unknown>("POST", at(id, `/${action}`), {body: {}});

// Makes a model of what was trained, which may take a while, and gives its name.
export const exportRun = async (id: string) => (await call<{name: string}>("POST", at(id, "/export"), {body: {}})).name;

// Loads the adapter of a run onto the model that it was trained with. ApiError 409: it has none that
// can be loaded.
export const loadRun = (id: string) => call<{model: string; adapter: string}>("POST", at(id, "/load"), {body: {}});

export const followRun = (id: string, signal: AbortSignal) => callEvents<TuneEvent>("GET", at(id, "/events"), {signal});
