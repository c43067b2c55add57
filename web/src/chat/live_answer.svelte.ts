// An answer while it comes: its text as blocks, its thoughts, its times. What arrives is drawn
// once per frame, however many tokens that is.
import type {AnswerEvent} from "../api/answer";
import type {MessageMeta, ToolCall} from "../api/types";
import {MarkdownBlocks, type Block} from "../markdown/blocks";

export class LiveAnswer {
    blocks = $state.raw<Block[]>([]);
    reasoning = $state("");
    calls = $state.raw<ToolCall[]>([]);
    state = $state<"waiting" | "thinking" | "writing">("waiting");
    thinkSeconds = $state(0);
    text = "";

    readonly #markdown = new MarkdownBlocks();
    #pendingText = "";
    #pendingReasoning = "";
    #scheduled = false;
    #thinkBegan = 0;
    #firstToken = 0;
    #lastToken = 0;
    #pieces = 0;
    #meta: MessageMeta = {};

    constructor(readonly id: string, readonly onDraw: () => void) {}

    take(event: AnswerEvent): void {
        switch (event.kind) {
        case "text":
            this.#tick("writing");
            this.text += event.text;
            this.#pendingText += event.text;
            break;
        case "reasoning":
            this.#tick("thinking");
            this.#pendingReasoning += event.text;
            break;
        case "call":
            this.#tick("writing");
            this.#addCall(event);
            break;
        case "finish":
            this.#meta.finish = event.reason;
            break;
        case "usage":
            this.#meta.prompt_tokens = event.promptTokens;
            this.#meta.answer_tokens = event.answerTokens;
            break;
        case "speed":
            this.#meta.tokens_per_second = event.tokensPerSecond;
            break;
        }
        this.#schedule();
    }

    // Draws what is left; what the answer was, to be kept with it.
    finish(): MessageMeta {
        this.#endThinking();
        this.#draw();
        this.#markdown.finish();
        this.blocks = this.#markdown.blocks;
        const seconds = (this.#lastToken - this.#firstToken) / 1000;
        const tokens = this.#meta.answer_tokens ?? this.#pieces;
        return {
            ...(this.calls.length > 0 ? {tool_calls: this.calls} : {}),
            ...(this.thinkSeconds > 0 ? {think_seconds: this.thinkSeconds} : {}),
            ...(seconds > 0 && tokens > 1 ? {tokens_per_second: (tokens - 1) / seconds} : {}),
            ...this.#meta, // what the server measured is better
        };
    }

    get fullReasoning(): string {
        return this.reasoning + this.#pendingReasoning;
    }

    // Tokens a second so far.
    speed(): number {
        const seconds = (this.#lastToken - this.#firstToken) / 1000;
        return seconds > 0 ? (this.#pieces - 1) / seconds : 0;
    }

    #addCall({index, id, name, piece}: AnswerEvent & {kind: "call"}): void {
        const {id: known, function: before} = this.calls[index] ?? {id: "", function: {name: "", arguments: ""}};
        const call: ToolCall = {id: known || id, type: "function", function: {name: before.name || name, arguments: before.arguments + piece}};
        this.calls = [...this.calls.slice(0, index), call, ...this.calls.slice(index + 1)];
    }

    #tick(state: "thinking" | "writing"): void {
        const now = performance.now();
        if (this.#pieces++ === 0) this.#firstToken = now;
        this.#lastToken = now;
        if (state === "thinking" && this.#thinkBegan === 0) this.#thinkBegan = now;
        if (state === "writing") this.#endThinking();
        this.state = state;
    }

    #endThinking(): void {
        if (this.#thinkBegan === 0) return;
        this.thinkSeconds += (performance.now() - this.#thinkBegan) / 1000;
        this.#thinkBegan = 0;
    }

    // Frames stop in hidden windows; a timer goes on.
    #schedule(): void {
        if (this.#scheduled) return;
        this.#scheduled = true;
        const draw = () => {
            this.#scheduled = false;
            this.#draw();
        };
        if (document.hidden) setTimeout(draw, 250);
        else requestAnimationFrame(draw);
    }

    #draw(): void {
        if (this.#pendingReasoning !== "") {
            this.reasoning += this.#pendingReasoning;
            this.#pendingReasoning = "";
        }
        if (this.#pendingText !== "") {
            this.#markdown.append(this.#pendingText);
            this.#pendingText = "";
            this.blocks = this.#markdown.blocks;
        }
        this.onDraw();
    }
}
