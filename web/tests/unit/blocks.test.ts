// Markdown that arrives in pieces becomes what it would be at once, and is drawn once.
import assert from "node:assert/strict";
import {test} from "node:test";
import {blocksOf, codeOf, MarkdownBlocks, type Block} from "../../src/markdown/blocks";

const DOCUMENT = `Title
=====

A paragraph
#hashtag and
***bold*** text, $x_1$ and 5 $ or 6 $.
***

- a list

  with a paragraph
- and more

    indented in it
1. one
2. two

| a | b |
|---|--:|
| 1 | 2 |

\`\`\`\`python
x = "\`\`\`"

# not a title
\`\`\`\`
$$
\\int_0^1 x

dx
$$
after \\(a+b\\)
> quoted
lazily

<details><summary>more</summary>

hidden

</details>

\\[ y = 2 \\]

[ref]: https://example.org
last line
`;

// Pseudo-random sizes of pieces, the same in every run.
function* sizes(seed: number): Generator<number> {
    for (let x = seed; ; x = (x * 1103515245 + 12345) % 2147483648) yield 1 + ((x >> 8) % 17);
}

function streamed(text: string, seed: number): Block[] {
    const blocks = new MarkdownBlocks();
    const size = sizes(seed);
    for (let at = 0; at < text.length;) {
        const length = size.next().value as number;
        blocks.append(text.slice(at, at + length));
        at += length;
    }
    blocks.finish();
    return blocks.blocks;
}

const shape = (blocks: Block[]): string[] => blocks.map((b) => `${b.token.type}: ${b.raw}`);

test("pieces of any size give the blocks of the whole text", () => {
    const whole = shape(blocksOf(DOCUMENT));
    for (let seed = 1; seed <= 200; seed++) assert.deepEqual(shape(streamed(DOCUMENT, seed)), whole, `seed ${seed}`);
});

test("closed blocks are the beginning of the text, and all but its end", () => {
    const blocks = new MarkdownBlocks();
    for (let i = 0; i < DOCUMENT.length; i++) {
        blocks.append(DOCUMENT[i] ?? "");
        const raw = blocks.blocks.filter((b) => b.closed).map((b) => b.raw).join("");
        assert.ok(DOCUMENT.slice(0, i + 1).startsWith(raw), `after ${i + 1} characters`);
        assert.ok(blocks.blocks.filter((b) => !b.closed && b.token.type !== "space").length <= 2);
    }
});

test("a closed block stays the same object", () => {
    const blocks = new MarkdownBlocks();
    blocks.append("first\n\nsecond\n\nthi");
    const first = blocks.blocks[0];
    assert.ok(first?.closed);
    blocks.append("rd");
    blocks.finish();
    assert.equal(blocks.blocks[0], first);
    assert.ok(blocks.blocks.every((b) => b.closed));
});

test("the work on a long text does not grow with its square", () => {
    const blocks = new MarkdownBlocks();
    for (let i = 0; i < 3000; i++) blocks.append(`paragraph ${i}\n\n`);
    const open = blocks.blocks.filter((b) => !b.closed);
    assert.ok(open.length <= 4, `${open.length} blocks would be read again`);
});

test("code that still comes is code already", () => {
    const [block] = blocksOf("```js\nlet a");
    assert.ok(block);
    assert.deepEqual(codeOf(block), {text: "let a", language: "js"});
});

test("line ends of other systems are read, also cut in two", () => {
    const blocks = new MarkdownBlocks();
    for (const piece of ["a\r", "\nb\r", "\r", "\nc\r"]) blocks.append(piece);
    blocks.finish();
    assert.equal(blocks.blocks.map((b) => b.raw).join(""), "a\nb\n\nc\n");
});
