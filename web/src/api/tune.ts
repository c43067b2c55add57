// Tuning: what is in a file of examples, and the runs.
import {call, callEvents, segment} from "./http";
import type {TuneEvent, TuneInspection, TuneRun} from "./types";

const at = (id: string, rest = ""): string => `/tune/runs/${segment(id)}${rest}`;

export const inspectText = (text: string) => call<TuneInspection>("POST", "/tune/inspect", {body: {text}});

export function inspectFile(file: File): Promise<TuneInspection> {
    const form = new FormData();
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

export type RunAction = "pause" | "resume" | "stop" | "export";
export const actOnRun = (id: string, action: RunAction) =>
    call<{path?: string; name?: string} | undefined>("POST", at(id, `/${action}`), {body: {}});

export const followRun = (id: string, signal: AbortSignal) => callEvents<TuneEvent>("GET", at(id, "/events"), {signal});
