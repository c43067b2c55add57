// One answer of a model: /v1/chat/completions, streamed.
import {ApiError, send} from "./http";
import {readEvents} from "./event_stream";

export interface WireMessage {
    role: string;
    content: string;
}

export interface AnswerRequest {
    model: string;
    messages: WireMessage[];
    [option: string]: unknown;
}

export type AnswerEvent =
    | {kind: "text"; text: string}
    | {kind: "reasoning"; text: string}
    | {kind: "finish"; reason: string}
    | {kind: "usage"; promptTokens: number; answerTokens: number}
    | {kind: "speed"; tokensPerSecond: number};

interface Chunk {
    choices?: {
        delta?: {content?: string | null; reasoning_content?: string | null; reasoning?: string | null};
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
    for await (const event of readEvents(response.body)) {
        if (event.data === "[DONE]") return;
        yield* eventsOfChunk(JSON.parse(event.data) as Chunk);
    }
}
