// Markdown that arrives in pieces, cut into top-level blocks. A block that can no longer change is
// closed: it keeps its identity, so that the page draws it once. Only the last block is read again
// when text arrives.
//
// Invariants: (1) the raw texts of closed blocks, joined, are the beginning of the text; (2) closed
// blocks are what they would be if the whole text were read at once.
import type {Token, Tokens} from "marked";
import {languageOf, lex} from "./renderer";

export interface Block {
    readonly id: number;
    readonly raw: string;
    readonly token: Token;
    readonly closed: boolean;
}

// A fenced block of code at the top level, which the page shows with its own tools.
export function codeOf(block: Block): {text: string; language: string} | null {
    if (block.token.type !== "code") return null;
    const token = block.token as Tokens.Code;
    return {text: token.text, language: languageOf(token.lang)};
}

export class MarkdownBlocks {
    #closed: Block[] = [];
    #open: Block[] = [];
    #tail = ""; // the text of the open blocks
    #carry = ""; // a carriage return that may be half of CR LF

    get blocks(): Block[] {
        return [...this.#closed, ...this.#open];
    }

    append(text: string): void {
        const all = this.#carry + text;
        this.#carry = all.endsWith("\r") ? "\r" : "";
        this.#tail += all.slice(0, all.length - this.#carry.length).replace(/\r\n?/g, "\n");
        this.#read();
    }

    // No more text comes.
    finish(): void {
        if (this.#carry !== "") this.#tail += "\n";
        this.#carry = "";
        this.#read();
        this.#closed.push(...this.#open.map((block) => ({...block, closed: true})));
        this.#open = [];
        this.#tail = "";
    }

    #read(): void {
        const tokens = this.#tail === "" ? [] : [...lex(this.#tail)];
        const stable = this.#decided(tokens);
        for (const token of tokens.slice(0, stable)) {
            this.#closed.push(this.#block(token, this.#closed.length, true));
            this.#tail = this.#tail.slice(token.raw.length);
        }
        this.#open = tokens.slice(stable).map((token, i) => this.#block(token, this.#closed.length + i, false));
    }

    // How many blocks can be closed: those before the last one whose first line is complete. "***"
    // may still become "***bold***" and belong to the paragraph before.
    #decided(tokens: Token[]): number {
        for (let i = tokens.length - 1; i > 0; i--) {
            const begun = tokens[i]?.type !== "space" && tokens.slice(i).some((token) => token.raw.includes("\n"));
            if (begun && this.#tail.startsWith(tokens.slice(0, i).map((token) => token.raw).join(""))) return i;
        }
        return 0;
    }

    #block(token: Token, id: number, closed: boolean): Block {
        return {id, raw: token.raw, token, closed};
    }
}

export function blocksOf(text: string): Block[] {
    const blocks = new MarkdownBlocks();
    blocks.append(text);
    blocks.finish();
    return blocks.blocks;
}
