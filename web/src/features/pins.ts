/* The features that are kept at hand: watched in every answer, and steerable. */
import { status } from "../base/session";
import { remembered } from "../base/store";

export interface Pins {
    /** The model and dictionary whose features they are. */
    of: string;
    features: number[];
    /** The one that tokens are coloured by. */
    coloured: number | null;
    /** The threshold of each, as a share of its maximum: Watch counts what is above. */
    thresholds: Record<number, number>;
}

export const MOST_PINS = 64;
export const DEFAULT_THRESHOLD = 0.5;
export const pins = remembered<Pins>("fathom-pins", { of: "", features: [], coloured: null, thresholds: {} });

/* Numbers mean something in one dictionary alone. */
status.listen(() => {
    const now = status.get();
    const of = `${now?.model.identity} ${now?.dictionary?.name}`;
    if (now && pins.get().of !== of) pins.set({ of, features: [], coloured: null, thresholds: {} });
});

export function pin(feature: number): void {
    pins.update((now) =>
        now.features.includes(feature) || now.features.length >= MOST_PINS
            ? { ...now, coloured: feature }
            : { ...now, features: [...now.features, feature], coloured: feature },
    );
}

export function unpin(feature: number): void {
    pins.update((now) => {
        const features = now.features.filter((other) => other !== feature);
        return { ...now, features, coloured: now.coloured === feature ? (features[0] ?? null) : now.coloured };
    });
}

export const colourBy = (feature: number | null): void => pins.update((now) => ({ ...now, coloured: feature }));

export const setThreshold = (feature: number, threshold: number): void =>
    pins.update((now) => ({ ...now, thresholds: { ...now.thresholds, [feature]: threshold } }));
