// Text files that are attached to a question.
import type {Attachment} from "../api/types";

export const MAX_FILE_BYTES = 1_000_000;
export const MAX_FILES = 20;

export type FileProblem = "binary" | "large";

// The text of a file, or why it cannot be attached.
export async function readAttachment(file: File): Promise<Attachment | FileProblem> {
    if (file.size > MAX_FILE_BYTES) return "large";
    const bytes = await file.arrayBuffer();
    try {
        const text = new TextDecoder("utf-8", {fatal: true}).decode(bytes);
        return text.includes("\0") ? "binary" : {name: file.name, text};
    } catch {
        return "binary";
    }
}
