// What the plots of the server show of its metrics at a moment.
import {Rate} from "../lib/rate";

export interface Sample {
    time: number; // in seconds
    answers: number; // tokens a second
    prompts: number;
    running: number; // requests
    waiting: number;
    batch: number; // tokens computed in a pass, on average
    cache: number; // the share of the pages of keys and values that answers hold
}

export class Sampler {
    readonly #answers = new Rate();
    readonly #prompts = new Rate();
    readonly #passes = new Rate();
    readonly #rows = new Rate();

    take(metrics: ReadonlyMap<string, number>, time: number): Sample {
        const of = (name: string) => metrics.get(`hearth_${name}`) ?? 0;
        const passes = this.#passes.at(time, of("scheduler_passes_total")), rows = this.#rows.at(time, of("scheduler_rows_total"));
        const pages = of("kv_pages"), free = of("kv_pages_free") + of("kv_pages_kept");
        return {
            time, answers: this.#answers.at(time, of("answer_tokens_total")), prompts: this.#prompts.at(time, of("prompt_tokens_total")),
            running: of("requests_running"), waiting: of("requests_waiting"),
            batch: passes > 0 ? rows / passes : 0, cache: pages > 0 ? Math.max(0, pages - free) / pages : 0,
        };
    }
}
