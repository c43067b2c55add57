// Other windows of this browser with the app: each tells the others which conversation it changed,
// and in which an answer is coming.
import {SvelteSet} from "svelte/reactivity";

type Word = {kind: "changed" | "answering" | "answered"; id: string} | {kind: "who"};

class OtherWindows {
    readonly answering = new SvelteSet<string>(); // conversations that another window is busy with
    onChange: (id: string) => void = () => undefined;
    readonly #own = new Set<string>();
    readonly #channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("hearth");

    constructor() {
        this.#channel?.addEventListener("message", ({data}: MessageEvent<Word>) => this.#hear(data));
        this.#say({kind: "who"});
    }

    changed(id: string): void {
        this.#say({kind: "changed", id});
    }

    answers(id: string): void {
        this.#own.add(id);
        this.#say({kind: "answering", id});
    }

    answered(id: string): void {
        this.#own.delete(id);
        this.#say({kind: "answered", id});
    }

    #say(word: Word): void {
        this.#channel?.postMessage(word);
    }

    #hear(word: Word): void {
        if (word.kind === "who") {
            for (const id of this.#own) this.#say({kind: "answering", id});
            return;
        }
        if (word.kind === "answering") this.answering.add(word.id);
        if (word.kind === "answered") this.answering.delete(word.id);
        this.onChange(word.id);
    }
}

export const otherWindows = new OtherWindows();
