// Which messages of a conversation a model's context has room for. Only the server counts tokens;
// the last answer's usage says how many characters one of them has here.
import type {Message} from "../api/types";
import {withAttachments} from "./prompt";

const SHARE = 0.75; // of the context, for a question and what was before it; the rest is for the answer,
const ANSWER_TOKENS = 8192; // which needs no more than this
const PER_TOKEN = 3; // characters, where no answer says it
const PER_MESSAGE = 16; // characters that a template adds

export interface Fitted {
    path: Message[];
    leftOut: number; // messages, the oldest
}

function size({content, attachments, meta}: Message): number {
    const calls = meta?.tool_calls ? JSON.stringify(meta.tool_calls).length : 0;
    return withAttachments(content, attachments).length + calls + PER_MESSAGE;
}

const total = (messages: readonly Message[]): number => messages.reduce((sum, message) => sum + size(message), 0);

export function charactersPerToken(path: readonly Message[], system: string): number {
    const at = path.findLastIndex((message) => message.meta?.prompt_tokens);
    const {prompt_tokens: tokens = 0, left_out: leftOut = 0} = path[at]?.meta ?? {};
    if (tokens === 0) return PER_TOKEN;
    return Math.min(6, Math.max(0.5, (system.length + total(path.slice(leftOut, at))) / tokens));
}

// The newest messages that a context of nCtx tokens has room for, at least the last one, and from a
// question on. `tight` is below 1 when more was sent before and did not fit.
export function fitted(path: readonly Message[], system: string, nCtx: number, tight = 1): Fitted {
    const tokens = Math.max(nCtx * SHARE, nCtx - ANSWER_TOKENS) * tight;
    let left = tokens * charactersPerToken(path, system) - system.length;
    let from = path.length;
    while (from > 0) {
        const message = path[from - 1];
        if (!message || (left -= size(message)) < 0) break;
        from--;
    }
    while (from < path.length - 1 && from > 0 && path[from]?.role !== "user") from++;
    from = Math.min(from, path.length - 1);
    return {path: path.slice(from), leftOut: Math.max(0, from)};
}
