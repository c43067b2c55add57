// duel.mjs - rounds of the peer and Hearth on the same file, one after the other, each in a
// process of its own, so that whatever else the machine does meets both; and what follows
// from the rounds.
import {load, programs} from "./programs.mjs";
import {spread} from "./tests.mjs";

// One round. job: {path, tests, level, threads, alone}; alone: without the peer. A peer that
// fails is noted and does not stop the rest.
export function playRound(job, options) {
    const args = ["-m", job.path, "--tests", job.tests.join(","), "-t", String(job.threads), "-r", "1"];
    const round = {load_before: load()};
    if (!job.alone) {
        try {
            round.peer = programs.peer(job.level, args, options);
        } catch (error) {
            round.peer_failed = error.message;
        }
    }
    round.hearth = programs.hearth(options.hearth, job.level, ["bench", "--json", "-b", "512", ...args]);
    round.load_after = load();
    return round;
}

export const rowOf = (result, test) => result?.rows.find((row) => row.test === test);

// Of one test over all rounds: tokens a second and seconds of both, the ratios round by round
// and the fractions of the limit that Hearth measured in the same round. The peer needs the
// same bytes and operations, so its fraction follows from its seconds.
export function judge(rounds, test) {
    const pairs = rounds.map((round) => ({hearth: rowOf(round.hearth, test), peer: rowOf(round.peer, test)}));
    const over = (value) => spread(pairs.map(value));
    const limited = ({hearth, peer}) => hearth.fraction_of_limit * hearth.seconds / peer?.seconds;
    return {
        test,
        peer: over(({peer}) => peer?.tokens_per_second), hearth: over(({hearth}) => hearth.tokens_per_second),
        ratio: over(({hearth, peer}) => hearth.tokens_per_second / peer?.tokens_per_second),
        cpu_ratio: over(({hearth, peer}) => hearth.tokens_per_cpu_second / peer?.tokens_per_cpu_second),
        seconds: over(({hearth}) => hearth.seconds), peer_seconds: over(({peer}) => peer?.seconds),
        fraction: over(({hearth}) => hearth.fraction_of_limit), peer_fraction: over(limited),
        reading: over(({hearth}) => hearth.reading_of_limit),
        gigabytes: over(({hearth}) => hearth.bytes_per_second / 1e9),
        gigaops: over(({hearth}) => hearth.operations_per_second / 1e9),
        limit: pairs[0].hearth.limit,
    };
}

export function judgeLoad(rounds) {
    const over = (value) => spread(rounds.map(value));
    return {
        hearth: over(({hearth}) => hearth.load.seconds), peer: over(({peer}) => peer?.load.seconds),
        hearth_cpu: over(({hearth}) => hearth.load.cpu_seconds),
        hearth_resident: over(({hearth}) => hearth.load.resident_bytes),
        peer_resident: over(({peer}) => peer?.load.resident_bytes),
        cache: rounds[0].hearth.load.cache_bytes, weights: rounds[0].hearth.weight_bytes,
    };
}

// The limits over all rounds, each from its slowest to its fastest measurement.
export function judgeLimits(rounds) {
    const fastest = rounds.map((r) => r.hearth.fastest_limits), slowest = rounds.map((r) => r.hearth.slowest_limits);
    return Object.fromEntries(Object.keys(fastest[0]).map((key) => [key, {
        min: Math.min(...slowest.map((l) => l[key])), max: Math.max(...fastest.map((l) => l[key])),
    }]));
}

export function describeRounds(rounds) {
    const peer = rounds.find((r) => r.peer)?.peer;
    return {
        rounds: rounds.length, hearth: rounds[0].hearth.device, peer: peer?.device ?? null,
        llama_cpp: peer?.llama_cpp ?? null, peer_failed: rounds.find((r) => r.peer_failed)?.peer_failed ?? null,
        load_average: spread(rounds.flatMap((r) => [r.load_before, r.load_after])),
    };
}
