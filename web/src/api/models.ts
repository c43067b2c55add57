// The models of this server.
import {call, callEvents, segment} from "./http";
import type {FoundModel, Model, Progress} from "./types";

export async function listModels(): Promise<Model[]> {
    const {models} = await call<{models: Model[]}>("GET", "/models");
    return models.map((model) => ({...model, fits: model.fits ?? true, adapters: model.adapters ?? []}));
}

export const loadModel = (name: string) => call<unknown>("POST", "/models/load", {body: {name}});
export const unloadModel = (name: string) => call<unknown>("POST", "/models/unload", {body: {name}});
export const deleteModel = (name: string) => call<unknown>("DELETE", `/models/${segment(name)}`);

// Well-known models, and with words also what the hub finds; `problem`: it could not be asked.
export const searchModels = (words: string, signal: AbortSignal) =>
    call<{models: FoundModel[]; problem?: string}>("GET", `/models/search?q=${segment(words)}`, {signal});

export const pullModel = (name: string, signal: AbortSignal) =>
    callEvents<Progress>("POST", "/models/pull", {body: {name}, signal});

export const quantizeModel = (name: string, type: string, as: string, signal: AbortSignal) =>
    callEvents<Progress>("POST", "/models/quantize", {body: {name, type, as}, signal});
