// Requests to Hearth's own interface: JSON in, JSON out, errors as exceptions. A session's CSRF
// token goes with everything that changes something.
import {eventsOf, type ServerEvent} from "./event_stream";

const BASE = "/api/hearth/v1";

export class ApiError extends Error {
    constructor(message: string, readonly status: number, readonly field: string | null = null) {
        super(message);
        this.name = "ApiError";
    }
}

// No answer came at all, or it broke off: the network or the server is gone.
export class Unreachable extends Error {
    constructor() {
        super("the server does not answer");
        this.name = "Unreachable";
    }
}

let csrf: string | null = null;
let signedOut: () => void = () => undefined;
let unreachable: () => void = () => undefined;

export function setCsrf(token: string | null): void {
    csrf = token;
}

// Called when the server no longer knows this session.
export function onSignedOut(action: () => void): void {
    signedOut = action;
}

// Called when a request got no answer.
export function onUnreachable(action: () => void): void {
    unreachable = action;
}

// What browsers throw when a connection fails is a TypeError, an ended request an AbortError.
export function asUnreachable(reason: unknown, signal: AbortSignal | undefined): unknown {
    if (!(reason instanceof TypeError) || signal?.aborted) return reason;
    unreachable();
    return new Unreachable();
}

interface ErrorBody {
    error?: {message?: string; field?: string} | string;
}

async function failure(response: Response): Promise<ApiError> {
    const text = await response.text().catch(() => "");
    let body: ErrorBody = {};
    try {
        body = JSON.parse(text) as ErrorBody;
    } catch {
        // Something between us and the server answered in its own words.
    }
    const {error} = body;
    const message = typeof error === "string" ? error : error?.message;
    const field = typeof error === "object" ? error.field ?? null : null;
    return new ApiError(message ?? `${response.status} ${response.statusText}`.trim(), response.status, field);
}

export interface Options {
    body?: unknown; // FormData as it is, everything else as JSON
    signal?: AbortSignal;
    keepalive?: boolean; // finish even when the page is closed
}

// One request; throws ApiError unless the answer is 2xx.
export async function send(method: string, address: string, options: Options = {}): Promise<Response> {
    const headers = new Headers();
    if (csrf !== null) headers.set("X-Hearth-CSRF", csrf);
    let body: BodyInit | null = null;
    if (options.body instanceof FormData) body = options.body;
    else if (options.body !== undefined) {
        body = JSON.stringify(options.body);
        headers.set("Content-Type", "application/json");
    }
    const response = await fetch(address, {
        method, headers, body, credentials: "same-origin", cache: "no-store",
        signal: options.signal ?? null, keepalive: options.keepalive ?? false,
    }).catch((reason: unknown) => { throw asUnreachable(reason, options.signal); });
    if (response.ok) return response;
    if (response.status === 401) signedOut();
    throw await failure(response);
}

export async function call<T>(method: string, path: string, options: Options = {}): Promise<T> {
    const response = await send(method, BASE + path, options);
    const text = await response.text();
    return (text === "" ? undefined : JSON.parse(text)) as T;
}

// An endpoint that answers with server-sent events, each a JSON object.
export async function* callEvents<T>(method: string, path: string, options: Options = {}): AsyncGenerator<T> {
    const response = await send(method, BASE + path, options);
    if (!response.body) return;
    for await (const event of readEvents(response.body, options.signal)) {
        if (event.data === "[DONE]") return;
        yield JSON.parse(event.data) as T;
    }
}

// The data of each event of a response, until it ends.
export async function* readEvents(body: ReadableStream<Uint8Array>, signal?: AbortSignal): AsyncGenerator<ServerEvent> {
    try {
        yield* eventsOf(body);
    } catch (reason) {
        throw asUnreachable(reason, signal);
    }
}

export const segment = encodeURIComponent;
