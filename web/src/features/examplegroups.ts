/* Which examples belong together, and how much of each is shown. */
import { figure } from "../base/numbers";
import type { Example } from "../base/types";

export type Length = "stacked" | "snippet" | "full";
/** Tokens at each side of the strongest one. */
export const LENGTHS: Record<Length, { name: string; around: number }> = {
    stacked: { name: "Stacked", around: 5 },
    snippet: { name: "Snippet", around: 16 },
    full: { name: "Full", around: Infinity },
};

export function windowOf(example: Example, length: Length): { from: number; to: number } {
    const { around } = LENGTHS[length];
    return {
        from: Math.max(0, example.maxValueTokenIndex - around),
        to: Math.min(example.tokens.length, example.maxValueTokenIndex + around + 1),
    };
}

export interface Group {
    name: string;
    examples: Example[];
}

/** The strongest first, then the intervals from the top down. */
export function groupExamples(examples: readonly Example[]): Group[] {
    const groups = new Map<number, Example[]>();
    for (const example of examples) groups.set(example.binMin, [...(groups.get(example.binMin) ?? []), example]);
    const strongest = groups.get(-1) ?? [];
    groups.delete(-1);
    const intervals = [...groups.entries()].sort(([a], [b]) => b - a);
    return [
        ...(strongest.length > 0 ? [{ name: "Strongest", examples: strongest }] : []),
        ...intervals.map(([least, members]) => ({
            name: `Interval ${figure(least)} – ${figure(members[0]?.binMax)}`,
            examples: members,
        })),
    ];
}
