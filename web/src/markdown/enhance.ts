// What is added to a block once it is complete: colours of code, formulas. Both come in parts that
// are loaded when the first answer needs them.
export function enhance(element: HTMLElement): void {
    const formulas = element.querySelectorAll<HTMLElement>(".math");
    if (formulas.length > 0) {
        void import("./math").then(({typeset}) => formulas.forEach(typeset), () => undefined);
    }
    for (const code of element.querySelectorAll<HTMLElement>('pre code[class^="language-"]')) {
        void colour(code, code.textContent ?? "", code.className.slice("language-".length));
    }
}

export async function colour(element: HTMLElement, text: string, language: string): Promise<void> {
    try {
        (await import("./highlight")).highlightInto(element, text, language);
    } catch {
        // Without the part the code stays in one colour.
    }
}
