/* What a run's curves are drawn from. */
import type { Run, RunPoint } from "../base/types";
import type { Line } from "../parts/linechart";

export type Quantity = "loss" | "fve" | "l0" | "dead_fraction";

/** A quantity of each of the runs' dictionaries, by the tokens that were seen. */
export function linesOf(of: readonly Run[], quantity: Quantity): Line[] {
    return of.flatMap((run) => {
        const points = run.points ?? [];
        const several = new Set(points.map((point) => point.dictionary)).size > 1;
        const byDictionary = new Map<number, [number, number][]>();
        for (const point of points) {
            const value: RunPoint[Quantity] = point[quantity];
            if (value === null) continue;
            const line = byDictionary.get(point.dictionary) ?? [];
            line.push([point.tokens, value]);
            byDictionary.set(point.dictionary, line);
        }
        return [...byDictionary].map(([dictionary, line]) => ({
            name: several ? `run ${run.run}, dictionary ${dictionary}` : `run ${run.run}`,
            points: line,
        }));
    });
}
