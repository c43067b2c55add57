// figures.mjs - numbers of a long run: percentiles of times, and how resident memory goes on.
import {readFileSync} from "node:fs";

// Times in milliseconds, counted in steps of five per cent, so that a run of any length fits.
const STEP = Math.log(1.05), LEAST_MS = 0.01;

export class Times {
    counts = new Map();
    n = 0;
    most = 0;

    add(ms) {
        const step = Math.max(0, Math.round(Math.log(Math.max(ms, LEAST_MS) / LEAST_MS) / STEP));
        this.counts.set(step, (this.counts.get(step) ?? 0) + 1);
        this.n++;
        this.most = Math.max(this.most, ms);
    }

    percentile(p) {
        let left = Math.ceil(this.n * p / 100);
        for (const [step, count] of [...this.counts].sort(([a], [b]) => a - b))
            if ((left -= count) <= 0) return LEAST_MS * Math.exp(step * STEP);
        return NaN;
    }

    describe() {
        const ms = (p) => this.percentile(p).toFixed(1);
        return `p50 ${ms(50)}, p95 ${ms(95)}, p99 ${ms(99)}, most ${this.most.toFixed(1)} ms (${this.n})`;
    }
}

// The median of the slopes between each two points, which single peaks do not move (Theil and Sen).
export function slope(points) {
    const slopes = [];
    points.forEach(([x, y], i) => {
        for (let k = i + 1; k < points.length; k++)
            if (points[k][0] > x) slopes.push((points[k][1] - y) / (points[k][0] - x));
    });
    return slopes.sort((a, b) => a - b)[Math.floor(slopes.length / 2)] ?? 0;
}

export function residentBytes(pid) {
    const text = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(text.match(/^VmRSS:\s+(\d+)/m)[1]) * 1024;
}

// Looks at a process's memory every second. stop() gives bytes, and growth in bytes a second from the
// middle of the run on, when everything that is kept has been made.
export class Memory {
    samples = [];

    constructor(pid) {
        const begun = Date.now();
        const look = () => this.samples.push([(Date.now() - begun) / 1000, residentBytes(pid)]);
        look();
        this.timer = setInterval(look, 1000);
    }

    stop() {
        clearInterval(this.timer);
        const late = this.samples.slice(Math.floor(this.samples.length / 2));
        const most = Math.max(...this.samples.map(([, bytes]) => bytes));
        return {most, last: this.samples.at(-1)[1], growth: slope(late), seconds: late.at(-1)[0] - late[0][0]};
    }
}
