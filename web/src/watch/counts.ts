/* What a watched feature did over a text. */

export interface Counts {
    tokens: number;
    active: number;
    above: number;
    /** Runs of tokens above the threshold. */
    alerts: number;
    strongest: number;
    mean: number;
    /** The first token above the threshold, or -1. */
    first: number;
}

/** `levels` and `threshold` in the same unit; at the threshold counts as above it. */
export function count(levels: readonly number[], threshold: number): Counts {
    const counts: Counts = { tokens: levels.length, active: 0, above: 0, alerts: 0, strongest: 0, mean: 0, first: -1 };
    let before = false;
    levels.forEach((level, at) => {
        const above = level >= threshold && level > 0;
        counts.active += level > 0 ? 1 : 0;
        counts.above += above ? 1 : 0;
        counts.alerts += above && !before ? 1 : 0;
        counts.strongest = Math.max(counts.strongest, level);
        counts.mean += level / levels.length;
        if (above && counts.first < 0) counts.first = at;
        before = above;
    });
    return counts;
}
