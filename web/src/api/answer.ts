// One answer of a model: /v1/chat/completions, streamed.
import {ApiError, readEvents, send} from "./http";
import type {ToolCall} from "./types";

export interface WireMessage {
    role: string;
    content: string;
    tool_calls?: ToolCall[];
    tool_call_id?: string;
}

export interface AnswerRequest {
    model: string;
    messages: WireMessage[];
    [option: string]: unknown;
}

export type AnswerEvent =
    | {kind: "text"; text: string}
    | {kind: "reasoning"; text: string}
    | {kind: "call"; index: number; id: string; name: string; piece: string} // a tool's arguments come in pieces
    | {kind: "finish"; reason: string}
    | {kind: "usage"; promptTokens: number; answerTokens: number}
    | {kind: "speed"; tokensPerSecond: number};

interface CallPiece {
    index?: number;
    id?: string;
    function?: {name?: string; arguments?: string};
}

interface Chunk {
    choices?: {
        delta?: {content?: string | null; reasoning_content?: string | null; reasoning?: string | null; tool_calls?: CallPiece[] | null};
        finish_reason?: string | null;
    }[];
    usage?: {prompt_tokens?: number; completion_tokens?: number} | null;
    timings?: {predicted_per_second?: number};
    error?: {message?: string; code?: number | string};
}

// What one chunk says, in the order in which it happened.
export function eventsOfChunk(chunk: Chunk): AnswerEvent[] {
    if (chunk.error) throw new ApiError(chunk.error.message ?? "the answer failed", 500);
    const out: AnswerEvent[] = [];
    const choice = chunk.choices?.[0];
    const reasoning = choice?.delta?.reasoning_content ?? choice?.delta?.reasoning;
    if (reasoning) out.push({kind: "reasoning", text: reasoning});
    if (choice?.delta?.content) out.push({kind: "text", text: choice.delta.content});
    for (const call of choice?.delta?.tool_calls ?? []) {
        const {name = "", arguments: piece = ""} = call.function ?? {};
        out.push({kind: "call", index: call.index ?? 0, id: call.id ?? "", name, piece});
    }
    if (choice?.finish_reason) out.push({kind: "finish", reason: choice.finish_reason});
    if (chunk.usage) {
        out.push({
            kind: "usage",
            promptTokens: chunk.usage.prompt_tokens ?? 0,
            answerTokens: chunk.usage.completion_tokens ?? 0,
        });
    }
    if (chunk.timings?.predicted_per_second) {
        out.push({kind: "speed", tokensPerSecond: chunk.timings.predicted_per_second});
    }
    return out;
}

export async function* streamAnswer(request: AnswerRequest, signal: AbortSignal): AsyncGenerator<AnswerEvent> {
    const response = await send("POST", "/v1/chat/completions", {
        body: {...request, stream: true, stream_options: {include_usage: true}}, signal,
    });
    if (!response.body) throw new ApiError("the server sent no answer", 502);
    for await (const event of readEvents(response.body, signal)) {
        if (event.data === "[DONE]") return;
        yield* eventsOfChunk(JSON.parse(event.data) as Chunk);
    }
}
