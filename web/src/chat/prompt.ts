// From the path of a conversation to the messages of a request.
import type {AnswerRequest, WireMessage} from "../api/answer";
import type {Attachment, ChatSettings, Message, Model} from "../api/types";
import {parsedSchema, parsedTools} from "./data_answers";

// A fence longer than any in the text, so that a file cannot end its own quotation.
function fenceFor(text: string): string {
    const longest = Math.max(2, ...[...text.matchAll(/`{3,}/g)].map((m) => m[0].length));
    return "`".repeat(longest + 1);
}

export function withAttachments(content: string, attachments: readonly Attachment[] | null | undefined): string {
    if (!attachments?.length) return content;
    const files = attachments.map(({name, text}) => {
        const fence = fenceFor(text);
        return `${name}:\n${fence}\n${text}${text.endsWith("\n") ? "" : "\n"}${fence}`;
    });
    return [...files, content].filter((part) => part !== "").join("\n\n");
}

export function wireMessages(system: string | undefined, path: readonly Message[]): WireMessage[] {
    const out: WireMessage[] = system?.trim() ? [{role: "system", content: system}] : [];
    for (const {role, content, attachments, meta} of path) {
        out.push({
            role, content: withAttachments(content, attachments),
            ...(role === "assistant" && meta?.tool_calls ? {tool_calls: meta.tool_calls} : {}),
            ...(role === "tool" ? {tool_call_id: meta?.tool_call_id ?? ""} : {}),
        });
    }
    return out;
}

// What an answer has to be, where it is to be data.
function responseFormat({format, schema = ""}: ChatSettings): Record<string, unknown> {
    if (!format) return {};
    const parsed = format === "schema" ? parsedSchema(schema) : null;
    if (!parsed) return {response_format: {type: "json_object"}};
    return {response_format: {type: "json_schema", json_schema: {name: "answer", schema: parsed}}};
}

export function answerRequest(settings: ChatSettings, model: Model, path: readonly Message[]): AnswerRequest {
    const {adapter, scale = 1, effort, tools = ""} = settings, functions = parsedTools(tools);
    return {
        model: model.name,
        messages: wireMessages(settings.system, path),
        ...settings.sampling,
        ...(effort ? {reasoning_effort: effort} : {}),
        ...(model.adapters.length > 0 ? {adapters: adapter ? [{name: adapter, scale}] : []} : {}),
        ...responseFormat(settings),
        ...(functions ? {tools: functions} : {}),
    };
}

// The first line of the first question, short enough for the list.
export function titleOf(question: string): string {
    const line = question.trim().split("\n")[0] ?? "";
    const plain = line.replace(/^[#>\s]+/, "").replace(/([*_`]+)(?=\S)(.*?\S)\1/g, "$2").replace(/\s+/g, " ").trim();
    return plain.length > 60 ? `${plain.slice(0, 59).trimEnd()}…` : plain;
}
