// Whether the server can be reached. Once a request got no answer this asks again and again until
// one comes; whoever has something to tell the server waits for that.
import {onUnreachable} from "../api/http";

const FIRST_SECONDS = 0.5, MOST_SECONDS = 5;

class Connection {
    lost = $state(false);
    #back: Promise<void> = Promise.resolve();

    constructor() {
        onUnreachable(() => {
            if (this.lost) return;
            this.lost = true;
            this.#back = this.#wait();
        });
    }

    // Resolves when the server answers; at once where nothing is known to be wrong.
    back(): Promise<void> {
        return this.#back;
    }

    async #wait(): Promise<void> {
        for (let seconds = FIRST_SECONDS; ; seconds = Math.min(2 * seconds, MOST_SECONDS)) {
            await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
            const answered = await fetch("/health/live", {cache: "no-store"}).then((r) => r.ok, () => false);
            if (answered) break;
        }
        this.lost = false;
    }
}

export const connection = new Connection();
