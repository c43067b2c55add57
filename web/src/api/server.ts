// How the server does, its keys, what was used, what it writes to its log.
import {call, callEvents, segment, send} from "./http";
import type {ApiKey, KeyLimits, KeyRole, LiveRequest, ServerStatus, UsageRow} from "./types";

export const readStatus = () => call<ServerStatus>("GET", "/status");

export const listRequests = async () => (await call<{requests: LiveRequest[]}>("GET", "/requests")).requests;
export const cancelRequest = (id: string) => call<unknown>("DELETE", `/requests/${segment(id)}`);

export const readSettings = () => call<Record<string, unknown>>("GET", "/settings");
export const writeSettings = (settings: Record<string, unknown>) =>
    call<unknown>("PUT", "/settings", {body: settings});

export const listKeys = async () => (await call<{keys: ApiKey[]}>("GET", "/keys")).keys;
export const createKey = (name: string, role: KeyRole, limits: KeyLimits, expires: string | null) =>
    call<ApiKey>("POST", "/keys", {body: {name, role, limits, ...(expires === null ? {} : {expires})}});
export const deleteKey = (id: string) => call<unknown>("DELETE", `/keys/${segment(id)}`);

export type UsageBy = "key" | "model" | "day";
export const readUsage = async (by: UsageBy) => (await call<{rows: UsageRow[]}>("GET", `/usage?by=${by}`)).rows;

export const followLogs = (signal: AbortSignal) => callEvents<unknown>("GET", "/logs", {signal});

export const readMetrics = async () => (await send("GET", "/metrics")).text();
