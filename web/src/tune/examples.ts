// Examples that were typed into the grid.

export interface Example {
    question: string;
    answer: string;
}

const isFilled = (e: Example): boolean => e.question.trim() !== "" && e.answer.trim() !== "";

export const filledExamples = (examples: readonly Example[]): Example[] => examples.filter(isFilled);

// As lines of JSON in the form of OpenAI's messages, which the server recognises.
export function exampleLines(examples: readonly Example[]): string {
    return filledExamples(examples).map(({question, answer}) => `${JSON.stringify({
        messages: [{role: "user", content: question.trim()}, {role: "assistant", content: answer.trim()}],
    })}\n`).join("");
}

// Two columns copied from a spreadsheet; null when the text is no such table.
export function pastedExamples(text: string): Example[] | null {
    const rows = text.replace(/\r\n?/g, "\n").split("\n").filter((line) => line.trim() !== "").map((line) => line.split("\t"));
    if (rows.length === 0 || !rows.every((row) => row.length >= 2)) return null;
    return rows.map((row) => ({question: unquoted(row[0] ?? ""), answer: unquoted(row[1] ?? "")}));
}

const unquoted = (cell: string): string => (/^".*"$/.test(cell) ? cell.slice(1, -1).replaceAll('""', '"') : cell);
