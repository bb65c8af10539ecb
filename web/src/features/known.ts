/* Features by number, asked for once. */
import { useEffect } from "preact/hooks";
import { getFeatures } from "../base/api";
import { Store, useStore } from "../base/store";
import type { ShortFeature } from "../base/types";

const known = new Store<ReadonlyMap<number, ShortFeature>>(new Map());
const asked = new Set<number>();

export function keep(features: readonly ShortFeature[]): void {
    const next = new Map(known.get());
    for (const feature of features) next.set(feature.feature, feature);
    known.set(next);
}

async function ask(feature: number): Promise<void> {
    if (asked.has(feature)) return;
    asked.add(feature);
    try {
        keep((await getFeatures(feature, 1)).features);
    } catch {
        /* Without a catalogue the number has to do; what failed otherwise is asked for where it is shown next. */
        asked.delete(feature);
    }
}

/** The short record of a feature, or its number alone until it is known. */
export function useFeature(feature: number): ShortFeature {
    const all = useStore(known);
    useEffect(() => void ask(feature), [feature]);
    return all.get(feature) ?? { feature };
}

export function useFeatures(features: readonly number[]): ReadonlyMap<number, ShortFeature> {
    const all = useStore(known);
    const key = features.join(" ");
    useEffect(() => {
        for (const feature of features) void ask(feature);
    }, [key]);
    return all;
}

export const labelOf = (feature: ShortFeature): string => feature.label || "no label";
