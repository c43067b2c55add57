// Formulas, drawn by KaTeX; a lazy part with its fonts. KaTeX sets styles through the object model,
// which a strict content security policy allows.
import katex from "katex";
import "katex/dist/katex.min.css";

const MAX_CHARACTERS = 5_000;

export function typeset(element: HTMLElement): void {
    const tex = element.textContent ?? "";
    if (tex.length > MAX_CHARACTERS) return;
    katex.render(tex, element, {
        displayMode: element.dataset["display"] === "true",
        throwOnError: false, strict: false, trust: false, maxSize: 20, maxExpand: 200,
    });
}
