// Short messages at the edge of the window, read out by screen readers.
import {Unreachable} from "../api/http";
import {problemText} from "./problem";

export interface Notice {
    id: number;
    kind: "info" | "error";
    text: string;
}

const SECONDS = {info: 4, error: 10};

class Notices {
    list = $state<Notice[]>([]);
    #last = 0;

    info(text: string): void {
        this.#add("info", text);
    }

    // Whatever was thrown. That the server cannot be reached stands at the top of the page already.
    error(reason: unknown): void {
        if (!(reason instanceof Unreachable)) this.#add("error", problemText(reason));
    }

    dismiss(id: number): void {
        this.list = this.list.filter((notice) => notice.id !== id);
    }

    #add(kind: Notice["kind"], text: string): void {
        const id = ++this.#last;
        this.list = [...this.list.filter((n) => n.text !== text), {id, kind, text}].slice(-4);
        setTimeout(() => this.dismiss(id), SECONDS[kind] * 1000);
    }
}

export const notices = new Notices();
