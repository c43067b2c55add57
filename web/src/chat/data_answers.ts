// Schemas and tools as people type them: JSON, or nothing yet.

type JsonObject = Record<string, unknown>;

const isObject = (value: unknown): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value);

function parsed(text: string): unknown {
    try {
        return JSON.parse(text);
    } catch {
        return undefined;
    }
}

// A JSON Schema; null while it is none.
export function parsedSchema(text: string): JsonObject | null {
    const value = parsed(text);
    return isObject(value) ? value : null;
}

// Functions as OpenAI's interface describes them, alone or in a list, with or without their
// wrapping; null while there are none.
export function parsedTools(text: string): JsonObject[] | null {
    const value = parsed(text);
    const list: unknown[] = Array.isArray(value) ? value : [value];
    const tools = list.map((entry) => {
        const inner = isObject(entry) && isObject(entry["function"]) ? entry["function"] : entry;
        return isObject(inner) && typeof inner["name"] === "string" ? {type: "function", function: inner} : null;
    });
    return tools.length > 0 && tools.every((tool) => tool !== null) ? tools : null;
}

// JSON with indentation. A text that is none stays as it is, as does one whose numbers would not
// come through exactly.
export function pretty(text: string): string {
    const value = parsed(text);
    const same = value !== undefined && JSON.stringify(value).replace(/\s/g, "") === text.replace(/\s/g, "");
    return same ? JSON.stringify(value, null, 2) : text;
}
