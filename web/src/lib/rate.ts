// How fast a count grows, over the last seconds.
const WINDOW_SECONDS = 5;

export class Rate {
    #points: {time: number; count: number}[] = [];

    // The count at a time, in seconds; returns the growth a second since the oldest point kept. A
    // count that fell began anew.
    at(time: number, count: number): number {
        const last = this.#points.at(-1);
        if (last && count < last.count) this.#points = [];
        this.#points.push({time, count});
        while (this.#points.length > 2 && (this.#points[1]?.time ?? time) < time - WINDOW_SECONDS) this.#points.shift();
        const first = this.#points[0];
        return first && time > first.time ? (count - first.count) / (time - first.time) : 0;
    }
}
