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

// One that is being answered, or waits for it.
export interface LiveRequest {
    id: string;
    endpoint: string;
    model?: string;
    key?: string; // the name of the key
    state: "waiting" | "running";
    stream: boolean;
    prompt_tokens: number; // 0: not known yet
    answer_tokens: number;
    seconds: number;
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
    problem?: string; // why it cannot be loaded
}

// What can be fetched; `repo` is where a short name leads.
export interface FoundModel {
    name: string;
    repo?: string;
    downloads?: number;
    updated?: string;
}

export interface Progress {
    status?: string;
    completed_bytes?: number;
    total_bytes?: number;
    error?: string | {message: string};
}

export type Role = "system" | "user" | "assistant" | "tool";

// A function that a model wants to be called; the arguments are JSON as the model wrote it.
export interface ToolCall {
    id: string;
    type: "function";
    function: {name: string; arguments: string};
}

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
    finish?: string; // as the server says, or "stopped", "interrupted"
    error?: string;
    left_out?: number; // messages that the model's context had no room for
    pair?: string; // answers to the same question that stand side by side have the same
    format?: AnswerFormat;
    tool_calls?: ToolCall[];
    tool_call_id?: string; // of a tool's result: the call it belongs to
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

export type AnswerFormat = "json" | "schema";

// Which model answers.
export interface Choice {
    model?: string;
    adapter?: string;
    scale?: number; // of the adapter, 1 unless told
}

export interface ChatSettings extends Choice {
    beside?: Choice | null; // a second one, which answers next to the first
    system?: string;
    effort?: Effort;
    sampling?: Sampling;
    format?: AnswerFormat;
    schema?: string; // JSON, as it was typed
    tools?: string; // likewise: a list of functions
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
