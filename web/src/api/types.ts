// The shapes of Hearth's own HTTP interface, /api/hearth/v1. Times are ISO 8601 in UTC.

export interface SessionState {
    needed: boolean;
    signed_in: boolean;
    csrf?: string;
}

export interface LoadedModel {
    name: string;
    n_ctx: number;
    cache_bytes: number;
    requests: number;
}

export interface ServerStatus {
    version: string;
    uptime_s: number;
    device: string;
    threads: number;
    memory: {total_bytes: number; available_bytes: number};
    models: LoadedModel[];
    queue: {running: number; waiting: number};
}

export interface Model {
    name: string;
    path?: string;
    size_bytes: number;
    n_parameters: number;
    type: string;
    family: string;
    n_ctx: number;
    loaded: boolean;
    fits: boolean;
    adapters: string[];
}

export interface Progress {
    status?: string;
    completed_bytes?: number;
    total_bytes?: number;
    error?: string | {message: string};
}

export type Role = "system" | "user" | "assistant";

export interface Attachment {
    name: string;
    text: string;
}

// What the app remembers about an answer.
export interface MessageMeta {
    model?: string;
    adapter?: string;
    think_seconds?: number;
    tokens_per_second?: number;
    prompt_tokens?: number;
    answer_tokens?: number;
    finish?: string;
    error?: string;
}

export interface Message {
    id: string;
    parent: string | null;
    role: Role;
    content: string;
    created?: string;
    reasoning?: string | null;
    attachments?: Attachment[] | null;
    meta?: MessageMeta | null;
}

export interface Sampling {
    temperature?: number;
    top_p?: number;
    top_k?: number;
    min_p?: number;
    repeat_penalty?: number;
    max_tokens?: number;
    seed?: number;
}

export type Effort = "none" | "low" | "medium" | "high";

export interface ChatSettings {
    model?: string;
    adapter?: string;
    system?: string;
    effort?: Effort;
    sampling?: Sampling;
    leaf?: string; // the end of the branch that is shown
}

export interface ConversationRow {
    id: string;
    title: string;
    created: string;
    updated: string;
    snippet?: string;
}

export interface Conversation extends ConversationRow {
    settings: ChatSettings;
    messages: Message[];
}

export interface KeyLimits {
    requests_per_minute?: number;
    tokens_per_minute?: number;
    concurrent?: number;
}

export type KeyRole = "admin" | "user";

export interface ApiKey {
    id: string;
    name: string;
    role?: KeyRole;
    limits?: KeyLimits;
    created?: string;
    expires?: string | null;
    last_used?: string | null;
    key?: string; // only in the answer that made it
}

export interface UsageRow {
    key?: string;
    model?: string;
    day?: string;
    name?: string;
    requests: number;
    prompt_tokens: number;
    answer_tokens: number;
}

export interface TuneSpan {
    text: string;
    trained: boolean;
}

export interface TuneInspection {
    file: string;
    format: string;
    n_records: number;
    problems: {line: number; message: string}[];
    samples: {spans: TuneSpan[]}[];
}

export type RunState = "waiting" | "running" | "paused" | "stopped" | "finished" | "failed";

export interface TuneSample {
    step?: number;
    prompt: string;
    data?: string; // the answer that the examples have
    before?: string;
    after?: string;
    text?: string;
}

export interface TuneRun {
    id: string;
    name: string;
    model: string;
    state: RunState;
    created?: string;
    step?: number;
    steps?: number;
    loss?: number;
    error?: string;
    adapter?: string;
    result?: string;
    thinking?: boolean; // false: the examples answer without the thoughts that the model would begin with
    samples?: TuneSample[];
}

export interface TuneStep {
    step: number;
    steps: number;
    loss: number;
    eval_loss?: number;
    rate: number;
    tokens_per_second: number;
    memory_bytes: number;
    seconds_left: number;
}

export interface TuneEvent extends Partial<TuneStep> {
    sample?: TuneSample;
    state?: RunState;
    error?: string;
}
