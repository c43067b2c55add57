// random.mjs - numbers from 0 to 1 that a seed repeats: a linear congruential generator, of which
// only the upper bits count (Numerical Recipes in C, 2nd edition, 7.1).
export function random(seed) {
    let state = seed >>> 0;
    return () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return state / 2 ** 32;
    };
}
