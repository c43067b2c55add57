// Long work that a person started and can watch from any page: pulls and quantisations.
import type {Progress} from "../api/types";
import {catalogue} from "./catalogue.svelte";
import {problemText} from "./problem";
import {Rate} from "./rate";

export interface Job {
    id: number;
    kind: "pull" | "quantize";
    name: string;
    status: string;
    completed: number;
    total: number;
    bytesPerSecond: number;
    state: "running" | "done" | "failed";
    error: string;
}

class Jobs {
    list = $state<Job[]>([]);
    readonly #aborts = new Map<number, AbortController>();
    #last = 0;

    // Starts the work and follows it to its end; what goes wrong stands in the job.
    async follow(kind: Job["kind"], name: string, start: (signal: AbortSignal) => AsyncIterable<Progress>): Promise<boolean> {
        const id = ++this.#last, abort = new AbortController(), rate = new Rate();
        this.#aborts.set(id, abort);
        this.list.push({id, kind, name, status: "", completed: 0, total: 0, bytesPerSecond: 0, state: "running", error: ""});
        const change = (what: Partial<Job>) => {
            const job = this.list.find((j) => j.id === id);
            if (job) Object.assign(job, what);
        };
        try {
            for await (const progress of start(abort.signal)) {
                if (progress.error) throw new Error(typeof progress.error === "string" ? progress.error : progress.error.message);
                const completed = progress.completed_bytes ?? 0;
                change({
                    status: progress.status ?? "", completed, total: progress.total_bytes ?? 0,
                    bytesPerSecond: rate.at(performance.now() / 1000, completed),
                });
            }
            change({state: "done"});
            setTimeout(() => this.dismiss(id), 6000);
        } catch (reason) {
            if (abort.signal.aborted) this.dismiss(id);
            else change({state: "failed", error: problemText(reason)});
            return false;
        } finally {
            this.#aborts.delete(id);
            await catalogue.refresh();
        }
        return true;
    }

    cancel(id: number): void {
        this.#aborts.get(id)?.abort();
    }

    dismiss(id: number): void {
        this.list = this.list.filter((job) => job.id !== id);
    }
}

export const jobs = new Jobs();
