// From the path of a conversation to the messages of a request.
import type {AnswerRequest, WireMessage} from "../api/answer";
import type {Attachment, ChatSettings, Message} from "../api/types";

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
    for (const message of path) {
        out.push({role: message.role, content: withAttachments(message.content, message.attachments)});
    }
    return out;
}

export function answerRequest(settings: ChatSettings, model: string, path: readonly Message[]): AnswerRequest {
    return {
        model,
        messages: wireMessages(settings.system, path),
        ...settings.sampling,
        ...(settings.effort ? {reasoning_effort: settings.effort} : {}),
        ...(settings.adapter ? {lora: [{name: settings.adapter, scale: 1}]} : {}),
    };
}

// The first line of the first question, short enough for the list.
export function titleOf(question: string): string {
    const line = question.trim().split("\n")[0] ?? "";
    const plain = line.replace(/[#*_`>]/g, "").replace(/\s+/g, " ").trim();
    return plain.length > 60 ? `${plain.slice(0, 59).trimEnd()}…` : plain;
}
