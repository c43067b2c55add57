// Formulas in markdown: $…$ and \(…\) within a line, $$…$$ and \[…\] displayed.
import type {MarkedExtension, Tokens} from "marked";

export interface MathToken extends Tokens.Generic {
    type: "math" | "mathBlock";
    text: string;
    display: boolean;
}

const INLINE = [
    /^\$\$((?:\\[^\n]|[^\\$\n])+)\$\$/,
    /^\$(?![\s$])((?:\\[^\n]|[^\\$\n])*[^\\$\s])\$(?!\d)/, // "5 $ and 6 $" is money
    /^\\\(((?:(?!\\\)|\n\n)[^])+)\\\)/,
    /^\\\[((?:(?!\\\]|\n\n)[^])+)\\\]/,
];
// An opening mark alone on its line holds until the closing one, or to the end while the answer
// is still coming; others end at a blank line.
const BLOCK = [
    /^ {0,3}\$\$[ \t]*\n([^]*?)(?:\$\$[ \t]*(?:\n|$)|$)/,
    /^ {0,3}\\\[[ \t]*\n([^]*?)(?:\\\][ \t]*(?:\n|$)|$)/,
    /^ {0,3}\$\$((?:(?!\$\$|\n[ \t]*\n)[^])+)\$\$[ \t]*(?:\n|$)/,
    /^ {0,3}\\\[((?:(?!\\\]|\n[ \t]*\n)[^])+)\\\][ \t]*(?:\n|$)/,
];

function first(rules: RegExp[], source: string): RegExpExecArray | null {
    for (const rule of rules) {
        const match = rule.exec(source);
        if (match) return match;
    }
    return null;
}

const place = (source: string, mark: RegExp): number | undefined => {
    const at = source.search(mark);
    return at < 0 ? undefined : at;
};

export const mathRules: MarkedExtension = {
    extensions: [
        {
            name: "mathBlock",
            level: "block",
            start: (source) => {
                const at = place(source, /\n {0,3}(?:\$\$|\\\[)/);
                return at === undefined ? undefined : at + 1;
            },
            tokenizer: (source): MathToken | undefined => {
                const match = first(BLOCK, source);
                return match ? {type: "mathBlock", raw: match[0], text: match[1] ?? "", display: true} : undefined;
            },
        },
        {
            name: "math",
            level: "inline",
            start: (source) => place(source, /\$|\\[([]/),
            tokenizer: (source): MathToken | undefined => {
                const match = first(INLINE, source);
                if (!match) return undefined;
                const display = match[0].startsWith("$$") || match[0].startsWith("\\[");
                return {type: "math", raw: match[0], text: match[1] ?? "", display};
            },
        },
    ],
};
