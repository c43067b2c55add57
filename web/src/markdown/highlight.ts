// Code in colours; a lazy part. The marks are spans with classes, see code.css.
import hljs from "highlight.js/lib/common";

const MAX_CHARACTERS = 100_000; // more would hold up the page

// Colours the code in place; nothing happens for a language that is not known.
export function highlightInto(element: HTMLElement, text: string, language: string): void {
    if (text.length > MAX_CHARACTERS || !hljs.getLanguage(language)) return;
    element.innerHTML = hljs.highlight(text, {language, ignoreIllegals: true}).value;
}
